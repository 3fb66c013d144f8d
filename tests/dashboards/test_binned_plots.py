"""Where a plot stands for many things at once its page says so, and nowhere else."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Browser

from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab, tab
from tests.support.dashboard import Dashboard
from tests.support.programs import until
from tests.support.stored_run import StoredRun

_MARKS = """
(plot) => {
  const slot = document.querySelector(`#plot-${plot} [data-root-id]`).dataset.rootId;
  const { renderers } = Bokeh.index[slot].child_views[0].model;
  const is_picture = ({ glyph }) => glyph.type === "ImageRGBA";
  return [
    renderers.find((each) => !is_picture(each)).data_source.get_length(),
    renderers.filter(is_picture).some(({ data_source }) => data_source.data.image[0].length > 1),
  ];
}
"""
"""How many bars or lines a plot has, or corners its area, and whether it has a picture."""
_OF_MANY = re.compile(r"(?:More than|Too many|Drawn: ).*")
_APART_S = 0.01


def _run_tries(run: StoredRun, tries: int, *, tasks: int = 0, states: int = 3) -> None:
    """Say that one worker ran tries, a task each, and that further tasks were remembered."""
    run.manager("uid", workers=1, tasks=0, at_s=0.5, host="node1")
    for task_id in range(tries):
        at_s = 1 + task_id * _APART_S
        more = ["pending", "launched"] * (states // 2) + ["exec_done"]
        # The worker has it when half of the states are over.
        run.task(task_id, *more[-states:], at_s=at_s, launched_ns=run.ns(at_s + 0.0001))
        run.execution(task_id, at_s=at_s + 0.0012, run_s=0.0004)
    for task_id in range(tries, tasks):
        run.task(task_id, "pending", "memo_done", at_s=2.0)


def _make_blocks(run: StoredRun, blocks: int) -> None:
    for number in range(blocks):
        run.block(str(number), "RUNNING", at_s=1 + number * _APART_S)


def _wait_for(run: StoredRun, first: int, second: int, *, more: int) -> None:
    """Say that of two groups each task of the second waited for all of the first; then others."""
    for task_id in range(first + second + more):
        depends = ",".join(map(str, range(first))) if first <= task_id < first + second else ""
        run.task(task_id, "pending", "launched", "exec_done", depends=depends)


@pytest.fixture(scope="module")
def many(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Dashboard:
    """A server on runs at, and just beyond, each number up to which things are drawn each."""
    path = tmp_path_factory.mktemp("many") / "monitoring.db"

    def stored(name: str) -> StoredRun:
        return StoredRun(f"sqlite:///{path}", run_id=name, rundir=f"/home/me/runinfo/{name}")

    for name, tries, tasks in (("5000 tasks", 1200, 5000), ("5001 tasks", 1201, 5001)):
        with stored(name) as run:
            _run_tries(run, tries, tasks=tasks)
            run.ended()
    # With a worker's two of each there are 30,000 states, and 30,010.
    for name, tries in (("3000 tries", 3000), ("3001 tries", 3001)):
        with stored(name) as run:
            _run_tries(run, tries, states=8)
            run.ended()
    for name, tries, blocks in (("2000 blocks", 239, 2000), ("2001 blocks", 240, 2001)):
        with stored(name) as run:
            _run_tries(run, tries)
            _make_blocks(run, blocks)
            run.ended()
    with stored("20000 waits") as run:
        _wait_for(run, 100, 200, more=9700)
        run.ended()
    with stored("20003 waits") as run:
        _wait_for(run, 83, 241, more=0)
        run.ended()
    with closing(sqlite3.connect(path)) as connection, connection:
        # A sample of each try, taken as it ended.
        connection.execute(
            "INSERT INTO resource (run_id, task_id, try_id, timestamp,"
            " psutil_process_memory_resident) SELECT run_id, task_id, try_id, timestamp, 1e6"
            " FROM status WHERE task_status_name = 'running_ended'"
        )
    return serve(path)


@pytest.fixture(scope="module")
def opened(many: Dashboard, browser: Browser) -> Iterator[Tab]:
    """A page that knows the token."""
    with tab(browser) as page:
        page.open(many.address)
        yield page


_CONCURRENCY = "Drawn: the number running at 1,200 moments."
_STREAM = (
    "More than 3,000: each pixel has the mean colour of what ran there, the denser the busier."
)
_GANTT = (
    "Too many bars to draw one by one: each row stands for {} tasks, with the mean colour of what"
    " covers it."
)
_STRETCHES = "Drawn: the mean of each of 600 stretches."
# An area has a corner before and after each step, above and below, but for its two ends: of 1,200
# tries that begin and end, and the ends of the view, 2 * (2 * 2402 - 1).
_OF_1200_TRIES, _OF_1200_MOMENTS, _OF_600_STRETCHES = 9606, 4798, 2402
_CASES: dict[tuple[str, str], dict[str, tuple[str, int]]] = {
    ("5000 tasks", ""): {
        "stream": ("", 1200),
        "concurrency": ("", _OF_1200_TRIES),
        "gantt": ("", 5 * 1200 + 2 * 3800),
    },
    ("5001 tasks", ""): {
        "stream": ("", 1201),
        "concurrency": (_CONCURRENCY, _OF_1200_MOMENTS),
        "gantt": (_GANTT.format(14), 0),
    },
    ("3000 tries", ""): {
        "stream": ("", 3000),
        "concurrency": (_CONCURRENCY, _OF_1200_MOMENTS),
        "gantt": ("", 30_000),
    },
    ("3001 tries", ""): {
        "stream": (_STREAM, 0),
        "concurrency": (_CONCURRENCY, _OF_1200_MOMENTS),
        "gantt": (_GANTT.format(9), 0),
    },
    ("5000 tasks", "resource_usage"): {
        "workers": ("", _OF_1200_TRIES),
        "memory": ("", _OF_1200_TRIES),
    },
    ("5001 tasks", "resource_usage"): {
        "workers": (_STRETCHES, _OF_600_STRETCHES),
        "memory": (_STRETCHES, _OF_600_STRETCHES),
    },
    # Each task is in four phases and keeps the worker from being idle, which is one more itself:
    # 2 * (5 * 239 + 1) = 2392 changes, and 2402 with another task. Of each task there are five
    # moments, beside the worker's first and the ends of the view: 2 * (2 * 1198 - 1) corners.
    ("2000 blocks", "time"): {"over-time": ("", 4790)},
    ("2001 blocks", "time"): {"over-time": (_STRETCHES, _OF_600_STRETCHES)},
    ("2000 blocks", "blocks"): {"blocks": ("", 2000)},
    ("2001 blocks", "blocks"): {
        "blocks": (
            "More than 2,000: each row stands for 8 blocks, with the mean colour of their"
            " statuses.",
            0,
        )
    },
    ("20000 waits", "dag_group_by_apps"): {"tasks": ("", 20_000)},
    ("20003 waits", "dag_group_by_apps"): {
        "tasks": ("More than 20,000 dependencies: they are drawn as one picture.", 0)
    },
}
"""By run and page: of each plot what it says of what it stands for, and how much is in it."""
_HAS_PICTURE = {"stream", "gantt", "blocks", "tasks"}


@pytest.mark.parametrize(("run", "path"), _CASES)
def test_plot_says_what_it_stands_for_where_that_is_many(
    many: Dashboard, opened: Tab, run: str, path: str
) -> None:
    """What is drawn as one is said to be, and beside what is drawn each there is no such word."""
    expected = _CASES[run, path]
    assert opened.open(f"{many.root}/workflow/{run}/{path}") == 200
    opened.wait_drawn()

    assert {plot: _of_many(opened, plot) for plot in expected} == {
        plot: said for plot, (said, _) in expected.items()
    }
    assert {plot: opened.page.evaluate(_MARKS, plot) for plot in expected} == {
        plot: [marks, said != "" and plot in _HAS_PICTURE]
        for plot, (said, marks) in expected.items()
    }
    assert "too many to draw" not in opened.text("main")
    assert (opened.errors, opened.failed) == ([], [])


def test_plot_says_it_no_more_of_a_stretch_with_few(many: Dashboard, opened: Tab) -> None:
    """Whoever looks at a third of a run has its tries each, and all of them as one again after."""
    whole = [_STREAM, _CONCURRENCY, _GANTT.format(9)]
    # Tries begin 1.0012 s after 12:00:00.123456, 0.01 s apart: 988 of them within ten seconds.
    opened.open(
        f"{many.root}/workflow/3001 tries/?from=2026-01-15T12:00:00&until=2026-01-15T12:00:11"
    )
    opened.wait_drawn()
    few = [(_of_many(opened, plot), opened.page.evaluate(_MARKS, plot)[1]) for plot in _PLOTS]
    said = opened.text("#f-summary-stream")

    opened.page.get_by_role("button", name="Whole run").click()
    until(lambda: [_of_many(opened, plot) for plot in _PLOTS] == whole)

    assert few == [("", False), ("", False), (_GANTT.format(9), True)]
    assert said.startswith("988 tries on 1 node, ")
    assert opened.errors == []


def test_most_at_once_is_that_of_a_moment_however_it_is_drawn(many: Dashboard, opened: Tab) -> None:
    """One worker was busy, with 1 MB, and one task running, though means of stretches are less."""
    opened.open(f"{many.root}/workflow/5001 tasks/resource_usage")
    opened.wait_drawn()
    said = [opened.text(f"#f-summary-{plot}") for plot in ("workers", "memory")]
    opened.open(f"{many.root}/workflow/5001 tasks/time")
    opened.wait_drawn()

    assert said[0].startswith("At most 1 worker busy of 1 connected; ")
    assert said[1].startswith("At most 0.001 GB used, ")
    assert "running 1" in opened.text("#f-summary-over-time")


_PLOTS = ("stream", "concurrency", "gantt")


def _of_many(opened: Tab, plot: str) -> str:
    """Return what a plot says of what it stands for."""
    found = _OF_MANY.search(opened.text(f"#f-summary-{plot}"))
    return "" if found is None else found[0]
