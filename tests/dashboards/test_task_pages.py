"""The pages of tasks and apps say what the rows say, as SQL written by hand finds it."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from otel_parsl.cli import words
from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab, tab
from tests.support.dashboard import Dashboard
from tests.support.recorded_databases import rows, value
from tests.support.stored_run import RUN_ID, StoredRun

BY_URGENCY = """
SELECT task_id FROM status
WHERE task_status_name IN ('failed', 'dep_fail', 'exec_done', 'memo_done')
ORDER BY instr('failed dep_fail exec_done memo_done', task_status_name), task_id
"""


@pytest.fixture(scope="module")
def opened(demo: Dashboard, browser: Browser) -> Iterator[Tab]:
    """A page of the browser that has shown the token."""
    with tab(browser) as page:
        page.open(demo.address)
        yield page


@pytest.fixture(scope="module")
def run_root(demo: Dashboard, demo_database: Path) -> str:
    """The address of the demo's run."""
    return f"{demo.root}/workflow/{value(demo_database, 'SELECT run_id FROM workflow')}/"


def _facts(page: Tab, selector: str) -> dict[str, str]:
    names = page.page.locator(f"{selector} dt").all_inner_texts()
    texts = page.page.locator(f"{selector} dd").all_inner_texts()
    return {
        name.removesuffix("?").strip(): " ".join(text.split())
        for name, text in zip(names, texts, strict=True)
    }


def _ids(text: str | None) -> list[int]:
    return sorted(int(part) for part in (text or "").split(",") if part)


def test_task_that_failed_is_told_whole(opened: Tab, run_root: str, demo_database: Path) -> None:
    """A failed task has its times, counts, tries, states and stack traces as the tables do."""
    task_id = value(
        demo_database,
        "SELECT min(task_id) FROM status WHERE task_status_name = 'failed' AND task_id IN"
        " (SELECT task_id FROM task WHERE task_fail_count = 2)",
    )
    app, invoked, returned, cost = rows(
        demo_database,
        "SELECT task_func_name, substr(task_time_invoked, 1, 19), substr(task_time_returned, 1,"
        " 19), task_fail_cost FROM task WHERE task_id = ?",
        task_id,
    )[0]
    tries = rows(
        demo_database,
        "SELECT CAST(try_id AS TEXT), task_executor || ' block ' || block_id || ', batch job ' ||"
        " (SELECT max(job_id) FROM block"
        " WHERE executor_label = task_executor AND block_id = try.block_id), fate FROM try JOIN"
        " otel_failure USING (run_id, task_id, try_id) WHERE task_id = ? ORDER BY 1",
        task_id,
    )
    states = rows(
        demo_database,
        "SELECT task_status_name, CAST(try_id AS TEXT), substr(timestamp, 12, 12) FROM status"
        " WHERE task_id = ?",
        task_id,
    )
    traces = rows(
        demo_database, "SELECT stacktrace FROM otel_failure WHERE task_id = ? ORDER BY 1", task_id
    )

    assert opened.open(f"{run_root}task/{task_id}") == 200
    opened.wait_drawn()
    facts = _facts(opened, "#facts")

    assert opened.text("#state") == "failed"
    assert (facts["App"], facts["Time invoked"], facts["Time returned"]) == (app, invoked, returned)
    assert (facts["Fail count"], facts["Fail cost"]) == ("2", f"{cost:g}")
    assert (facts["Memoize"], facts["Hashsum"]) == ("no", "not known yet")
    shown = opened.cells("#tries")
    assert [(cells[0], cells[7], cells[11]) for cells in shown] == tries
    assert sorted(tuple(cells[:3]) for cells in opened.cells("#states")) == sorted(states)
    assert len(opened.page.locator("#tries .timeline i").all()) >= 2 * 3
    assert sorted(
        " ".join(text.split())
        for text in opened.page.locator(".failure pre.trace").all_inner_texts()
    ) == sorted(" ".join(text.split()) for (text,) in traces)


def test_tasks_before_and_after_are_linked(opened: Tab, run_root: str, demo_database: Path) -> None:
    """What a task depends on leads to that task, whose page names it among those that need it."""
    task_id, depends = rows(
        demo_database,
        "SELECT task_id, task_depends FROM task WHERE task_depends <> '' ORDER BY task_id LIMIT 1",
    )[0]
    parent = _ids(depends)[0]
    needed_by = [
        child
        for child, of_child in rows(demo_database, "SELECT task_id, task_depends FROM task")
        if parent in _ids(of_child)
    ]
    opened.open(f"{run_root}task/{task_id}")
    assert _ids(_facts(opened, "#neighbours")["depends on"].replace(" ", ",")) == _ids(depends)

    opened.page.locator("#neighbours").get_by_role("link", name=str(parent), exact=True).click()
    opened.page.wait_for_url(f"**/task/{parent}")

    assert _ids(_facts(opened, "#neighbours")["needed by"].replace(" ", ",")) == needed_by


def test_samples_are_drawn_where_there_are_some(
    opened: Tab, run_root: str, demo_database: Path
) -> None:
    """A task with samples has its CPU time and memory drawn; one without says not sampled."""
    sampled, number = rows(
        demo_database,
        "SELECT task_id, count(*) FROM resource GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1",
    )[0]
    join, joined = rows(
        demo_database, "SELECT task_id, task_joins FROM try WHERE task_joins <> '' LIMIT 1"
    )[0]

    opened.open(f"{run_root}task/{sampled}")
    opened.wait_drawn()
    said = opened.text("#f-summary-cpu")
    colours = [opened.colours(plot) for plot in ("cpu", "memory")]
    opened.open(f"{run_root}task/{join}")

    assert said.startswith(f"{number} samples.")
    assert all("#7b6fb5" in found for found in colours)
    assert opened.text("#f-usage .summary").startswith("not sampled")
    assert not opened.page.locator("#plot-cpu").is_visible()
    assert _ids(_facts(opened, "#neighbours")["joins"].replace(" ", ",")) == _ids(joined)


def test_tasks_are_filtered_sorted_and_paged_by_the_address(
    opened: Tab, run_root: str, demo_database: Path
) -> None:
    """All Apps lists every task page by page, failed ones first; its address says how else."""
    (app, number), *_ = rows(
        demo_database, "SELECT task_func_name, count(*) FROM task GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    failed = rows(
        demo_database,
        "SELECT CAST(task_id AS TEXT), task_func_name FROM status JOIN task USING (task_id)"
        " WHERE task_status_name = 'failed' ORDER BY task_id DESC",
    )

    assert opened.open(f"{run_root}task/") == 200
    first = [cells[0] for cells in opened.cells("#tasks")]
    opened.page.get_by_role("link", name="Next").click()
    opened.page.wait_for_url("**page=2**")
    second = [cells[0] for cells in opened.cells("#tasks")]
    opened.open(f"{run_root}task/?state=failed&sort=task&order=desc")
    of_state = [tuple(cells[:2]) for cells in opened.cells("#tasks")]
    opened.page.get_by_label("State").select_option("")
    opened.page.get_by_label("App").select_option(app)
    opened.page.get_by_role("button", name="Filter").click()
    opened.page.wait_for_url("**app=*")

    ids = [task_id for (task_id,) in rows(demo_database, BY_URGENCY)]
    assert [int(task_id) for task_id in first + second] == ids
    assert of_state == failed
    assert opened.text("#shown").endswith(f"of {number} tasks.")
    assert {cells[1] for cells in opened.cells("#tasks")} == {app}


def test_narrow_window_breaks_no_name_and_no_number(
    demo: Dashboard, run_root: str, shown: Tab
) -> None:
    """Where a table is wider than the window it is scrolled: what it says stays in one line."""
    shown.page.set_viewport_size({"width": 600, "height": 800})
    shown.open(demo.address)
    for path in ("task/", ""):
        shown.open(run_root + path)

        lines = shown.page.eval_on_selector_all(
            "td:not(.text), td a",
            """(all) => all.map((each) => {
                 const range = document.createRange();
                 range.selectNodeContents(each);
                 return [each.innerText, range.getClientRects().length];
               })""",
        )

        assert len(lines) > 20
        assert [text for text, count in lines if count > 1] == []


def test_app_has_its_counts_and_its_tasks(opened: Tab, run_root: str, demo_database: Path) -> None:
    """An app's page, which the workflow's links to, has its counts, both plots and its tasks."""
    app = value(
        demo_database, "SELECT task_func_name FROM task ORDER BY task_fail_count DESC, 1 LIMIT 1"
    )
    depends = {
        str(task_id): _ids(text)
        for task_id, text in rows(
            demo_database, "SELECT task_id, task_depends FROM task WHERE task_func_name = ?", app
        )
    }
    ended = dict(
        rows(
            demo_database,
            "SELECT task_status_name, count(*) FROM status JOIN task USING (task_id)"
            " WHERE task_func_name = ? GROUP BY 1",
            app,
        )
    )
    slowest = value(
        demo_database,
        "SELECT CAST(task_id AS TEXT) FROM otel_try JOIN task USING (task_id) WHERE"
        " task_func_name = ? GROUP BY 1 ORDER BY sum(ended_ns - running_ns) DESC LIMIT 1",
        app,
    )

    opened.open(run_root)
    opened.page.locator("#apps").get_by_role("link", name=app).click()
    opened.page.wait_for_url(f"**/app/{app}")
    opened.wait_drawn()
    values = opened.page.locator(".card strong").all_inner_texts()

    assert values[:3] == [
        str(len(depends)),
        str(ended.get("exec_done", 0)),
        str(ended.get("failed", 0) + ended.get("dep_fail", 0)),
    ]
    shown = opened.cells("#tasks")
    assert {cells[0]: _ids(cells[2].replace(" ", "")) for cells in shown} == depends
    assert opened.cells("#slowest")[0][0] == slowest
    assert all(len(opened.colours(plot)) > 1 for plot in ("run-times", "waits"))


def test_each_of_many_dependencies_is_linked(serve: Serve, tmp_path: Path, shown: Tab) -> None:
    """Those beyond the first eight are folded away, and lead to their tasks like these."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        for task_id in range(40):
            run.task(task_id, "pending", "launched", "exec_done")
        depends = ",".join(map(str, range(40)))
        run.task(40, "pending", "launched", "exec_done", app="total", depends=depends)
        run.ended()
    dashboard = serve(path)
    shown.open(dashboard.address)
    for page in ("task/?app=total", "app/total"):
        shown.open(f"{dashboard.root}/workflow/{RUN_ID}/{page}")
        links = shown.page.locator("#tasks td:has(details) a")
        assert links.all_text_contents() == [str(task_id) for task_id in range(40)]
        assert not links.last.is_visible()
        shown.page.get_by_text("and 32 more").click()
        links.last.click()
        shown.page.wait_for_url("**/task/39")


def test_blue_is_what_can_be_clicked_and_nothing_else(
    opened: Tab, run_root: str, demo_database: Path
) -> None:
    """What opens a stack trace has the colour of links; histograms and bars have none of blue."""
    colour = "(it) => getComputedStyle(it).%s"
    failed = value(demo_database, "SELECT min(task_id) FROM otel_failure WHERE stacktrace != ''")
    opened.open(f"{run_root}task/{failed}")
    blue = opened.page.locator("#facts a").first.evaluate(colour % "color")
    assert opened.page.locator("summary").first.evaluate(colour % "color") == blue

    opened.open(f"{run_root}app/observe")
    opened.wait_drawn()
    shown = opened.colours("run-times") | opened.colours("waits")
    # Lines of the grid run behind the bars, whose ink has 20 more of blue than of red.
    assert {int(each[5:], 16) - int(each[1:3], 16) > 20 for each in shown} == {False}
    app = opened.page.locator("h2.name .swatch").evaluate(colour % "backgroundColor")
    bars = opened.page.locator("#slowest i").all()
    assert {bar.evaluate(colour % "backgroundColor") for bar in bars} == {app}


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("task/99999", "has no task 99999"),
        ("task/99999999999999999999", "has no task 9999"),
        ("app/nothing", "has no app 'nothing'; it has archive, calibrate"),
    ],
)
def test_unknown_is_a_page_that_says_so(
    opened: Tab, run_root: str, path: str, sentence: str
) -> None:
    """A task or app that there is not is answered with 404 and a sentence that names it."""
    assert opened.open(run_root + path) == 404
    assert sentence in opened.text("section.message")
    opened.failed.clear()
    opened.errors.clear()


def test_databases_of_earlier_parsls_have_the_page_too(
    serve: Callable[..., Dashboard], browser: Browser, parsl_generation: Path
) -> None:
    """A database without our tables has the page, with the task of another run that is like it."""
    run_id = value(parsl_generation, "SELECT run_id FROM workflow")
    with closing(sqlite3.connect(parsl_generation)) as connection, connection:
        connection.executescript(
            """
            UPDATE task SET task_func_name = 'a/b ü <i>' WHERE task_id = 0;
            UPDATE task SET task_hashsum = 'abc', task_inputs = '<b>bold</b>' WHERE task_id = 1;
            CREATE TEMP TABLE another AS SELECT * FROM task WHERE task_id = 1;
            UPDATE another SET task_id = 7, run_id = 'new/run', task_memoize = 'True';
            INSERT INTO task SELECT * FROM another;
            INSERT INTO workflow SELECT 'new/run', workflow_name, NULL, time_began, time_completed,
                host, user, '/home/me/runinfo/001', 0, 1 FROM workflow;
            """
        )
    invoked, launched, running, ended, returned, given_back = (
        datetime.datetime.fromisoformat(time) if time else None
        for time in rows(
            parsl_generation,
            """
            SELECT task_time_invoked, task_try_time_launched, task_try_time_running,
                   (SELECT timestamp FROM status WHERE task_status_name = 'running_ended'
                    AND task_id = 1 AND try_id = 0), task_try_time_returned, task_time_returned
            FROM task JOIN "try" USING (run_id, task_id) WHERE task_id = 1 AND try_id = 0
            """,
        )[0]
    )
    dashboard = serve(parsl_generation)
    with tab(browser) as page:
        page.open(dashboard.address)
        assert page.open(f"{dashboard.root}/workflow/{run_id}/task/1") == 200
        page.wait_drawn()
        facts, files = _facts(page, "#facts"), _facts(page, "#files")
        cells, _ = page.cells("#tries")
        page.page.get_by_role("link", name="old.py 001 / 7").click()
        page.page.wait_for_selector("text=Task 7")
        memoize = _facts(page, "#facts")["Memoize"]
        page.open(f"{dashboard.root}/workflow/{run_id}/task/?sort=task&order=asc")
        page.page.locator("#tasks").get_by_role("link", name="a/b ü <i>").click()
        page.page.wait_for_selector("#slowest")
        page.wait_drawn()

        assert (facts["Hashsum"], facts["Took"]) == ("abc", _took(invoked, given_back))
        assert cells[4:7] == [
            _took(launched, running),
            _took(running, ended or returned),
            _took(ended, returned),
        ]
        assert files["inputs"] == "<b>bold</b>"
        assert memoize == "yes"
        assert [cells[0] for cells in page.cells("#tasks")] == ["0"]
        assert "a/b ü <i>" in page.text("#f-app")
        assert (page.errors, page.failed) == ([], [])


def _took(start: datetime.datetime | None, end: datetime.datetime | None) -> str:
    return words.duration((end - start).total_seconds() if start and end else None)


def test_nothing_goes_wrong_in_the_browser(opened: Tab) -> None:
    """No page of a task or an app has a script that fails or a request that is refused."""
    assert (opened.errors, opened.failed) == ([], [])
