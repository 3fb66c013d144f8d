"""The page of resources says what the rows say of workers, cores, memory and tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from otel_parsl_dashboards.elements.levels import Amounts, mean, most, steps
from otel_parsl_dashboards.elements.span import Span
from parsl.monitoring.message_type import MessageType
from playwright.sync_api import Browser

from otel_parsl.cli import words
from tests.support import parsl_messages as say
from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab, tab
from tests.support.dashboard import Dashboard
from tests.support.parsl_database import write_with_parsl
from tests.support.recorded_databases import rows, value
from tests.support.stored_run import StoredRun

_PLOTS = (
    "workers",
    "cores",
    "memory",
    "cpu-user-s",
    "memory-mean-bytes",
    "memory-max-bytes",
)
"""Those that a run of which nobody asked for memory has."""
_TIMED = _PLOTS[:3]
_THREADS = "run-on-threads"
_BEGAN = np.datetime64("2026-01-15T12:00:00", "us")
Messages = list[tuple[MessageType, Any]]


@pytest.fixture(scope="module")
def page(demo: Dashboard, demo_database: Path, browser: Browser) -> Iterator[Tab]:
    """The page of the demo's run, reached from the run's own page."""
    run_id = value(demo_database, "SELECT run_id FROM workflow")
    with tab(browser) as opened:
        opened.open(demo.address)
        opened.open(f"{demo.root}/workflow/{run_id}/")
        opened.page.get_by_role("link", name="Resource usage").click()
        opened.page.wait_for_url(f"**/workflow/{run_id}/resource_usage")
        opened.wait_drawn()
        yield opened


@pytest.mark.parametrize("plot", _PLOTS)
def test_each_plot_shows_something(page: Tab, plot: str) -> None:
    """No plot of a run that was sampled is empty."""
    assert len(page.colours(plot)) > 1


def test_workers_are_those_of_the_latest_reports(page: Tab, demo_database: Path) -> None:
    """Workers are summed over managers, not over their reports, and are busy with tries."""
    connected = value(
        demo_database,
        "SELECT sum(most) FROM (SELECT max(worker_count) AS most FROM node GROUP BY uid)",
    )
    most = value(
        demo_database,
        """
        WITH ran AS (
            SELECT task_try_time_running AS began, timestamp AS ended
            FROM "try" JOIN status USING (run_id, task_id, try_id)
            WHERE task_status_name = 'running_ended' AND block_id IS NOT NULL
        )
        SELECT max((SELECT count(*) FROM ran WHERE began <= a.began AND ended > a.began))
        FROM ran AS a
        """,
    )
    reports = value(demo_database, "SELECT count(*) FROM node")

    assert reports > connected
    assert page.text("#f-summary-workers").startswith(
        f"At most {words.counted(most, 'worker')} busy of {connected} connected;"
    )


def test_rows_of_apps_are_those_of_the_samples(page: Tab, demo_database: Path) -> None:
    """Each app has its tasks, how many were sampled, and what these needed at most."""
    expected = rows(
        demo_database,
        """
        SELECT task_func_name, count(DISTINCT task.task_id), count(DISTINCT resource.task_id),
               max(psutil_process_time_user), max(psutil_process_memory_resident)
        FROM task JOIN "try" USING (run_id, task_id) LEFT JOIN resource USING (run_id, task_id)
        WHERE task_try_time_running IS NOT NULL GROUP BY 1 ORDER BY 1
        """,
    )

    assert [[cells[n] for n in (0, 1, 2, 4, 7)] for cells in page.cells("#by-app")] == [
        [
            app,
            str(tasks),
            str(sampled) if sampled else "not sampled",
            words.duration(cpu_s),
            words.size(memory),
        ]
        for app, tasks, sampled, cpu_s, memory in expected
    ]


def test_histograms_count_each_sampled_task_once(page: Tab, demo_database: Path) -> None:
    """The bars of a histogram sum to the tasks that have samples, and say the greatest of them."""
    tasks, cpu_s, memory = rows(
        demo_database,
        "SELECT count(DISTINCT task_id), max(psutil_process_time_user),"
        " max(psutil_process_memory_resident) FROM resource",
    )[0]
    mean_memory = value(
        demo_database,
        "SELECT max(mean) FROM (SELECT avg(psutil_process_memory_resident) AS mean"
        " FROM resource GROUP BY task_id)",
    )
    greatest = dict(
        zip(
            _PLOTS[3:],
            (words.duration(cpu_s), words.size(mean_memory), words.size(memory)),
            strict=True,
        )
    )

    for plot, said in greatest.items():
        assert page.text(f"#f-summary-{plot}").startswith(f"{tasks} tasks sampled.")
        assert page.text(f"#f-summary-{plot}").endswith(f"the most {said}.")
        assert sum(_column(page, plot, "top")) == tasks


def test_nodes_have_their_cores_and_memory_once(page: Tab, demo_database: Path) -> None:
    """A node's row has what it is, and how many tasks it ran."""
    host, cores, memory = rows(
        demo_database, "SELECT DISTINCT hostname, cpu_count, total_memory FROM node"
    )[0]
    tasks = value(
        demo_database,
        'SELECT count(DISTINCT task_id) FROM "try" WHERE hostname = ?'
        " AND task_try_time_running IS NOT NULL",
        host,
    )
    (cells,) = (cells for cells in page.cells("#by-node") if cells[0] == host)

    assert (cells[1], cells[2], cells[5]) == (str(cores), words.size(memory), str(tasks))
    assert max(_column(page, "cores", "cores", last=True)) == pytest.approx(cores)
    assert max(_column(page, "memory", "memory (GB)", last=True)) == pytest.approx(memory / 1e9)


def test_nothing_goes_wrong_and_nothing_leaves_this_machine(page: Tab, demo: Dashboard) -> None:
    """The browser asks nobody but the server, is never refused, and its console has no error."""
    assert (page.errors, page.failed) == ([], [])
    assert page.hosts() == {demo.root.removeprefix("http://")}


@pytest.fixture(scope="module")
def parsls(tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Dashboard:
    """A server on what Parsl's own hub wrote of two runs: on two managers, and on threads."""
    runs = [*_run_of_two_managers(), *_run_on_threads()]
    (database,) = write_with_parsl(tmp_path_factory.mktemp("parsl"), [runs])
    return serve(database)


def test_databases_of_parsls_own_hub_have_their_figures(parsls: Dashboard, shown: Tab) -> None:
    """Of a run that Parsl wrote: two managers that share a host, one of which leaves."""
    _open(shown, parsls, say.RUN_ID)

    # Connected for 30 s 8 workers, for 28 s 4; a try ran from 3 s to 24 s. 8 cores for 58 s, of
    # which 10 CPU seconds were used from 4 s to 14 s and 5 from 14 s to 24 s.
    assert [shown.text(f"#f-summary-{plot}") for plot in _TIMED] == [
        "At most 1 worker busy of 8 connected; on average 0.362 of 6.07 (5.97 %).",
        "On average 0.259 of 8 (3.23 %) cores used, at most 1. Drawn: the mean of each of 600"
        " stretches.",
        "At most 0.21 GB used, 0.0595 GB on average. There were at most 17.2 GB.",
    ]
    assert shown.cells("#by-app") == [
        ["double", "1", "1", "14.2 s", "14.2 s", "0.75", "140 MB", "210 MB"]
    ]
    assert "counts CPU time from the start of a worker" in shown.text("#f-lacks")


def test_run_on_threads_says_what_is_not_there(parsls: Dashboard, shown: Tab) -> None:
    """Without managers and samples the page is whole, says so, and how to have them."""
    _open(shown, parsls, _THREADS)

    lacks = shown.text("#f-lacks")
    assert "No task was sampled" in lacks
    assert "resource_monitoring_enabled=True" in lacks
    assert "No manager has reported" in lacks
    assert "Tries running: at most 1, 0.35 on average." in shown.text("#f-summary-workers")
    assert shown.cells("#by-app") == [["double", "1", "not sampled", *5 * [words.UNKNOWN]]]
    assert len(shown.colours("workers")) > 1
    assert [plot for plot in _PLOTS if shown.page.locator(f"#plot-{plot}").is_visible()] == [
        "workers"
    ]
    assert (shown.errors, shown.failed) == ([], [])


@given(
    st.lists(
        st.tuples(st.integers(-5, 65), st.integers(1, 40), st.integers(-9, 9)),
        min_size=1,
        max_size=9,
    )
)
def test_means_of_stretches_have_what_the_exact_steps_have(
    given_amounts: Sequence[tuple[int, int, int]],
) -> None:
    """However a sum over time is drawn, exactly or by means, the same is under its line, and the
    most of it, in words, is that of a moment."""
    second = np.timedelta64(1, "s")
    start = np.array([_BEGAN + each[0] * second for each in given_amounts])
    amounts = Amounts(
        start,
        start + np.array([each[1] for each in given_amounts]) * second,
        np.array([float(each[2]) for each in given_amounts]),
    )
    span = Span(_BEGAN, _BEGAN + 60 * second)

    for line in (steps(amounts, span), steps(amounts, span, most_exact=0)):
        lengths = np.diff(line.times).astype("timedelta64[us]").astype("int64") / 6e7
        assert np.isclose((line.values[:-1] * lengths).sum(), mean(amounts, span))
        assert (line.times[0], line.times[-1]) == (span.start, span.end)
    assert np.isclose(most(amounts, span), steps(amounts, span).values.max(initial=0.0))


def _run_of_two_managers() -> Messages:
    def manager(uid: str, at_s: float, **changes: Any) -> tuple[MessageType, Any]:
        content = say.node_info(uid=uid, timestamp=say.at(at_s), **changes)
        return MessageType.NODE_INFO, content

    def sample(at_s: float, user_s: float, memory: float) -> tuple[MessageType, Any]:
        return MessageType.RESOURCE_INFO, say.resource_info(
            timestamp=say.at(at_s),
            psutil_process_time_user=user_s,
            psutil_process_time_system=2.0,
            psutil_process_memory_resident=memory,
        )

    return [
        (MessageType.WORKFLOW_INFO, say.run_started()),
        (MessageType.TASK_INFO, say.task_info()),
        *(manager("first", at_s) for at_s in (2, 5, 8)),
        *(manager("second", at_s) for at_s in (10, 11)),
        manager("first", 40, active=False),
        *_try(block_id="0"),
        sample(4, -0.75, 70e6),
        sample(14, 9.25, 140e6),
        sample(24, 14.25, 210e6),
        (MessageType.WORKFLOW_INFO, say.run_ended()),
    ]


def _run_on_threads() -> Messages:
    run = {"run_id": _THREADS}
    return [
        (MessageType.WORKFLOW_INFO, say.run_started(**run)),
        (MessageType.TASK_INFO, say.task_info(**run, task_id=1, task_executor="threads")),
        *_try(task_id=1, block_id=None, **run),
        (MessageType.WORKFLOW_INFO, say.run_ended(**run)),
    ]


def _try(**which: Any) -> Messages:
    """Return what is said of a try that ran from 3 s to 24 s after its run began."""
    ended = say.at(24)
    returned = {key: value for key, value in which.items() if key != "block_id"}
    return [
        (MessageType.WORKER_TASK_INFO, say.worker_task_info(timestamp=say.at(3), **which)),
        (
            MessageType.WORKER_TASK_INFO,
            say.worker_task_info(timestamp=ended, first_msg=False, last_msg=True, **which),
        ),
        (
            MessageType.TASK_INFO,
            say.task_info(
                task_status_name="exec_done",
                timestamp=ended,
                task_time_returned=ended,
                task_try_time_returned=ended,
                **returned,
            ),
        ),
    ]


def _open(shown: Tab, server: Dashboard, run_id: str) -> None:
    shown.open(server.address)
    assert shown.open(f"{server.root}/workflow/{run_id}/resource_usage") == 200
    shown.wait_drawn()


def _column(shown: Tab, plot: str, column: str, *, last: bool = False) -> list[float]:
    """Return what is drawn: a column of the first glyph of a plot, or of the last."""
    found: list[float] = shown.page.evaluate(
        """([plot, column, last]) => {
            const slot = document.querySelector(`#plot-${plot} [data-root-id]`);
            const renderers = Bokeh.index[slot.dataset.rootId].child_views[0].model.renderers;
            const data = renderers.at(last ? -1 : 0).data_source.data;
            const values = data instanceof Map ? data.get(column) : data[column];
            return Array.from(values);
        }""",
        [plot, column, last],
    )
    return found


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose tasks asked for memory, some of which needed more than that."""
    path = tmp_path_factory.mktemp("asked") / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        for task_id in range(20):
            asked = {"cores": 1, "memory": 200, "disk": 10} if task_id % 4 else {"priority": 1}
            run.task(
                task_id,
                "pending",
                "launched",
                "exec_done",
                app="double" if task_id % 2 else "triple",
                resource_specification=json.dumps(asked),
            )
            run.execution(
                task_id,
                at_s=2.0,
                run_s=1.0,
                app="double" if task_id % 2 else "triple",
                memory_peak_bytes=(11 * task_id + 3) << 20,
            )
        run.ended()
    return path


def test_peaks_are_compared_with_what_was_asked_for(asking: Path, serve: Serve, shown: Tab) -> None:
    """Each app has what its tries asked for and needed, and who came near it is named."""
    asked = rows(
        asking,
        "SELECT task_id, task_func_name, memory_peak_bytes,"
        " json_extract(resource_specification, '$.memory') * 1048576.0"
        " FROM otel_try JOIN task USING (run_id, task_id)"
        " WHERE json_extract(resource_specification, '$.memory') IS NOT NULL",
    )
    server = serve(asking)
    shown.open(server.address)
    shown.open(f"{server.root}/workflow/{say.RUN_ID}/resource_usage")
    shown.wait_drawn()
    shown.page.wait_for_selector("#asked-by-app")

    expected = []
    for app in ("double", "triple"):
        peaks = [peak for _, name, peak, _ in asked if name == app]
        near = [peak for _, name, peak, limit in asked if name == app and peak >= 0.9 * limit]
        expected.append(
            [
                app,
                str(len(peaks)),
                "210 MB",
                words.size(float(np.median(peaks))),
                words.size(max(peaks)),
                f"{100 * max(peaks) / (200 << 20):.1f} %",
                str(len(near)),
            ]
        )
    assert shown.cells("#asked-by-app") == expected
    near = sorted((each for each in asked if each[2] >= 0.9 * each[3]), key=lambda each: -each[2])
    assert [cells[0] for cells in shown.cells("#near")] == [str(each[0]) for each in near]
    over = sum(peak > limit for *_, peak, limit in asked)
    assert shown.text("#f-summary-asked").endswith(
        f"{len(near)} needed 90 % or more, and {over} of these more than all of it."
    )
    assert sum(_column(shown, "asked", "top")) == len(asked)
    assert (shown.errors, shown.failed) == ([], [])


def test_histograms_are_those_of_an_app_on_a_node(
    demo: Dashboard, demo_database: Path, shown: Tab
) -> None:
    """An app and a node that are chosen stand in the address, and narrow the histograms."""
    run_id = value(demo_database, "SELECT run_id FROM workflow")
    tasks, most = rows(
        demo_database,
        "SELECT count(DISTINCT task_id), max(psutil_process_memory_resident) FROM resource"
        " JOIN task USING (run_id, task_id) WHERE task_func_name = 'observe'",
    )[0]
    host = value(demo_database, "SELECT DISTINCT hostname FROM node")
    shown.open(demo.address)
    shown.open(f"{demo.root}/workflow/{run_id}/resource_usage")

    shown.page.get_by_label("Histograms of app").select_option("observe")
    shown.page.get_by_label("on node").select_option(host)
    shown.page.get_by_role("button", name="Show").click()
    shown.page.wait_for_url("**app=observe*")
    shown.wait_drawn()

    assert sum(_column(shown, "memory-max-bytes", "top")) == tasks
    assert shown.text("#f-summary-memory-max-bytes").startswith(f"{tasks} tasks sampled.")
    assert shown.text("#f-summary-memory-max-bytes").endswith(f"the most {words.size(most)}.")
    assert "No task asked for memory" in shown.text("#f-memory")
    assert not shown.page.locator("#plot-asked").is_visible()
    assert (shown.errors, shown.failed) == ([], [])


def test_choice_of_an_app_keeps_the_stretch_of_time(
    demo: Dashboard, demo_database: Path, shown: Tab
) -> None:
    """One that was chosen since the page was loaded goes with the form, and with its way back."""
    ((run_id, ended),) = rows(demo_database, "SELECT run_id, time_completed FROM workflow")
    shown.open(demo.address)
    shown.open(f"{demo.root}/workflow/{run_id}/resource_usage")
    shown.wait_drawn()

    shown.page.locator("#stretch summary").click()
    shown.page.get_by_label("From", exact=True).fill(ended.replace(" ", "T")[:19])
    shown.page.locator("#stretch").get_by_role("button", name="Show").click()
    shown.page.wait_for_selector("#f-window .notice")
    stretch = shown.page.evaluate("location.search.slice(1)")
    shown.page.get_by_label("Histograms of app").select_option("observe")
    form = shown.page.get_by_role("form", name="Tasks of the histograms")
    form.get_by_role("button", name="Show").click()
    shown.page.wait_for_url("**app=observe*")
    chosen = parse_qs(urlsplit(shown.page.url).query)
    shown.wait_drawn()
    form.get_by_role("link", name="All tasks").click()
    shown.page.wait_for_url("**/resource_usage?from=*")

    assert chosen == parse_qs(stretch) | {"app": ["observe"]}
    assert urlsplit(shown.page.url).query == stretch
    assert shown.page.locator("#f-window .notice").count() == 1
