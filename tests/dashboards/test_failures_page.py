"""The Failures page says why tasks failed, and shows what they left as text alone."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from otel_parsl_dashboards.data.file_end import MOST_BYTES, file_end
from otel_parsl_dashboards.elements.failures_over_time import failures_over_time, summarise
from otel_parsl_dashboards.elements.span import Span
from playwright.sync_api import Browser

from tests.support.chromium import Tab, tab
from tests.support.dashboard import Dashboard
from tests.support.markup import RAN, SCRIPT
from tests.support.recorded_databases import leave_parsls_tables, rows, value
from tests.support.stored_run import RUN_ID, StoredRun


@pytest.fixture(scope="module")
def run_root(demo: Dashboard, demo_database: Path) -> str:
    """The address of the demo's run."""
    return f"{demo.root}/workflow/{value(demo_database, 'SELECT run_id FROM workflow')}"


@pytest.fixture(scope="module")
def page(demo: Dashboard, run_root: str, browser: Browser) -> Iterator[Tab]:
    """The Failures page of the demo's run."""
    with tab(browser) as opened:
        opened.open(demo.address)
        assert opened.open(f"{run_root}/failures") == 200
        opened.wait_drawn()
        yield opened


def _facts(page: Tab, selector: str) -> dict[str, str]:
    """Return the terms of a list of facts, with what is said of each."""
    items = page.page.locator(f"{selector} dl.facts > div").all()
    return {
        item.locator("dt").inner_text().removesuffix("?").strip(): " ".join(
            item.locator("dd").inner_text().split()
        )
        for item in items
    }


def test_each_cause_has_its_numbers(page: Tab, demo_database: Path) -> None:
    """Each cause has the tasks, tries, dependents, nodes and times that SQL by hand gives."""
    expected = {
        fingerprint: {
            "Failed tasks": str(failed),
            **({"Dependents": str(dependents)} if dependents else {}),
            **({"Retried, then succeeded": str(recovered)} if recovered else {}),
            "Tries": str(tries),
            "First seen": first,
            "Last seen": last,
            "Apps": app,
            "Nodes": f"{host} {tries}",
        }
        for fingerprint, failed, dependents, recovered, tries, first, last, app, host in rows(
            demo_database,
            """
            SELECT f.fingerprint, sum(f.is_final),
                (SELECT count(*) FROM otel_failure d WHERE d.fate = 'dependency'
                    AND d.caused_by IN (SELECT r.task_id FROM otel_failure r
                        WHERE r.fingerprint = f.fingerprint AND r.is_final)),
                count(DISTINCT CASE WHEN f.task_id IN (SELECT task_id FROM status
                    WHERE task_status_name = 'exec_done') THEN f.task_id END),
                count(*),
                strftime('%Y-%m-%d %H:%M:%S', min(f.time_ns) / 1000000000, 'unixepoch',
                    'localtime'),
                strftime('%Y-%m-%d %H:%M:%S', max(f.time_ns) / 1000000000, 'unixepoch',
                    'localtime'),
                group_concat(DISTINCT f.app), group_concat(DISTINCT t.hostname)
            FROM otel_failure f JOIN try t USING (task_id, try_id)
            WHERE f.fate <> 'dependency' GROUP BY 1
            """,
        )
    }

    found = {
        str(section.get_attribute("id")).removeprefix("cause-")
        for section in page.page.locator("#f-groups section.cause").all()
    }

    assert len(expected) == 3
    assert {name: _facts(page, f"#cause-{name}") for name in found} == expected


def test_causes_of_failed_tasks_are_those_that_cost_one(page: Tab, demo_database: Path) -> None:
    """A cause of which every task succeeded when tried again is none of the failed tasks'."""
    failed, fatal = rows(
        demo_database,
        "SELECT count(*), count(DISTINCT fingerprint) FROM otel_failure"
        " WHERE is_final AND fate <> 'dependency'",
    )[0]

    assert page.text("#f-sums .card:first-child strong") == str(failed)
    assert page.text("#f-sums .card:first-child small") == f"of {fatal} causes"


def test_tab_has_the_number_of_failed_tasks(page: Tab, demo_database: Path) -> None:
    """The tab says how many tasks failed by themselves."""
    failed = value(demo_database, "SELECT count(*) FROM status WHERE task_status_name = 'failed'")

    assert page.text("nav .tabs a.on") == f"Failures {failed}"


def test_failures_over_time_are_drawn_and_told(page: Tab, demo_database: Path) -> None:
    """The plot has the colours of what was given up and what was tried again, and their sum."""
    failed = value(
        demo_database,
        "SELECT count(*) FROM status"
        " WHERE task_status_name IN ('failed', 'dep_fail', 'fail_retryable')",
    )

    assert {"#cf222e", "#d9a441"} <= page.colours("over-time")
    assert page.text("#f-summary-over-time").startswith(f"{failed} tries failed ")


def test_opened_cause_has_its_tries_traces_and_dependents(
    page: Tab, run_root: str, demo_database: Path
) -> None:
    """A click on a cause leads to its tries, stack trace, place and the tasks that it cost."""
    fingerprint, stack = rows(
        demo_database,
        "SELECT fingerprint, stacktrace FROM otel_failure WHERE exception_type = 'ValueError'"
        " AND try_id = 0",
    )[0]
    (task_id,) = rows(demo_database, "SELECT task_id FROM otel_failure WHERE fate = 'dependency'")[
        0
    ]
    job = value(demo_database, "SELECT job_id FROM otel_block")
    page.open(f"{run_root}/failures")
    page.page.locator(f"#cause-{fingerprint} h2 a").click()
    page.page.wait_for_selector("#tries")

    assert page.page.url == f"{run_root}/failures/{fingerprint}"
    assert page.page.locator("#stack").inner_text().strip() == stack.expandtabs(4).strip()
    assert page.text("#dependents p") == f"task {task_id}"
    shown = _facts(page, "#try")
    host = value(demo_database, "SELECT DISTINCT hostname FROM try WHERE hostname IS NOT NULL")
    assert (shown["Node"], shown["Block"], shown["Batch job"]) == (host, "0", job)
    assert [cells[1:4] for cells in page.cells("#tries")] == [
        ["1", "subtract", "given up"],
        ["0", "subtract", "failed again"],
    ]


def test_stderr_of_a_failed_task_is_shown(page: Tab, run_root: str, demo_database: Path) -> None:
    """The end of a file that the task's row names stands on the page."""
    fingerprint = value(
        demo_database, "SELECT DISTINCT fingerprint FROM otel_failure WHERE app = 'publish'"
    )
    page.open(f"{run_root}/failures/{fingerprint}")

    assert page.text("details.file summary") == "stderr publish-3.txt"
    assert page.text("details.file pre").endswith("no permission to publish field 3")


def test_address_names_the_try_that_is_shown(page: Tab, run_root: str, demo_database: Path) -> None:
    """Another try of a cause is one link away, and one of another cause is not shown."""
    fingerprint = value(
        demo_database,
        "SELECT DISTINCT fingerprint FROM otel_failure WHERE exception_type = 'ConnectionError'",
    )
    tasks = [
        task
        for (task,) in rows(
            demo_database,
            "SELECT task_id FROM otel_failure WHERE fingerprint = ? ORDER BY 1",
            fingerprint,
        )
    ]
    page.open(f"{run_root}/failures/{fingerprint}")
    page.page.get_by_role("link", name="show").last.click()
    page.page.wait_for_url("**task=*")
    linked = page.text("#try h2")
    page.open(f"{run_root}/failures/{fingerprint}?task=0&try=0")

    assert linked == f"Try 0 of task {tasks[-1]} calibrate"
    assert page.text("#try h2") == f"Try 0 of task {tasks[0]} calibrate"
    assert "did not fail of this cause" in page.text("p.notice")


def test_nothing_goes_wrong_and_nothing_leaves_this_machine(page: Tab, demo: Dashboard) -> None:
    """The browser asks nobody but the server, is never refused, and its console has no error."""
    assert (page.errors, page.failed) == ([], [])
    assert page.hosts() == {demo.root.removeprefix("http://")}


def test_cause_that_is_none_is_told(shown: Tab, demo: Dashboard, run_root: str) -> None:
    """An unknown cause is a page that says so, with status 404."""
    shown.open(demo.address)

    assert shown.open(f"{run_root}/failures/0123456789abcdef") == 404
    assert "nothing has failed of cause '0123456789abcdef'" in shown.text("main")


WELL_ID = "11112222-3333-4444-5555-666677778888"
LOST_ID = "99992222-3333-4444-5555-666677778888"


@pytest.fixture(scope="module")
def stored(serve: Callable[..., Dashboard], tmp_path_factory: pytest.TempPathFactory) -> Dashboard:
    """A server on runs whose every text is markup, in which nothing failed, and that was lost."""
    folder = tmp_path_factory.mktemp("stored")
    url = f"sqlite:///{folder}/monitoring.db"
    printed = folder / "printed.txt"
    printed.write_text(f"{SCRIPT}\nthe end\n")
    with StoredRun(url) as run:
        run.block("0", "FAILED", job_id=SCRIPT, submit_error=f"sbatch: {SCRIPT}")
        run.task(
            0,
            "pending",
            "launched",
            "failed",
            app=SCRIPT,
            stdout=str(printed),
            stderr=str(folder / "<b>gone.txt"),
        )
        run.execution(
            0,
            at_s=1,
            run_s=1,
            app=SCRIPT,
            host=f"node{SCRIPT}",
            exception_type=f"Error{SCRIPT}",
            message=f"said {SCRIPT}",
            stacktrace=f"Traceback {SCRIPT}",
        )
        run.ended()
    with StoredRun(url, run_id=WELL_ID, rundir="/home/me/runinfo/001") as run:
        run.task(0, "pending", "launched", "exec_done")
        run.execution(0, at_s=1, run_s=1)
        run.ended()
    with StoredRun(url, run_id=LOST_ID, rundir="/home/me/runinfo/002") as run:
        run.task(0, "pending", "launched", "exec_done")
        run.task(1, "pending", "launched")
        run.task(2, "pending")
        run.ended("lost")
    return serve(folder / "monitoring.db")


def test_markup_in_what_tasks_left_is_text(shown: Tab, stored: Dashboard) -> None:
    """A script in an exception, a trace, a file or a name is read as it stands, and never runs."""
    shown.open(stored.address)
    shown.open(f"{stored.root}/workflow/{RUN_ID}/failures")
    shown.wait_drawn()
    listed = shown.text("main")
    shown.page.locator("#f-groups h2 a").click()
    shown.page.wait_for_selector("#tries")
    files = [item.inner_text() for item in shown.page.locator("details.file").all()]

    assert f"sbatch: {SCRIPT}" in listed
    assert f"node{SCRIPT}" in listed
    assert shown.text("#message") == f"said {SCRIPT}"
    assert shown.text("#stack") == f"Traceback {SCRIPT}"
    assert f"sbatch: {SCRIPT}" in shown.text("#try")
    assert f"{SCRIPT}\nthe end" in files[0]
    assert "cannot be read from here" in files[1]
    assert "No such file" in files[1]
    assert shown.page.evaluate(RAN) is None
    assert shown.page.locator("main script, main img, main b").count() == 0
    assert shown.errors == []


def test_run_without_failures_has_a_whole_page(shown: Tab, stored: Dashboard) -> None:
    """Where nothing has failed the page says so, and has neither numbers nor an empty plot."""
    shown.open(stored.address)

    assert shown.open(f"{stored.root}/workflow/{WELL_ID}/failures") == 200
    shown.wait_drawn()
    assert shown.text("#f-groups h1") == "Nothing has failed"
    assert shown.text("nav .tabs a.on") == "Failures"
    assert not shown.page.locator("section.plot").is_visible()
    assert not shown.page.locator("#f-sums").is_visible()
    assert (shown.errors, shown.failed) == ([], [])


def test_tasks_that_died_with_their_run_are_told(shown: Tab, stored: Dashboard) -> None:
    """Of a lost run the page says how many tasks were lost with it, and leads to them."""
    shown.open(stored.address)

    assert shown.open(f"{stored.root}/workflow/{LOST_ID}/failures") == 200
    shown.wait_drawn()
    assert shown.text("#f-trouble h2") == "lost with the run 2 tasks"
    assert "Nothing has failed" not in shown.text("main")
    shown.page.get_by_role("link", name="these tasks").click()
    shown.page.wait_for_url("**/task/?state=lost")
    shown.page.wait_for_selector("#tasks tbody a")
    assert [cells[0] for cells in shown.cells("#tasks")] == ["1", "2"]
    assert (shown.errors, shown.failed) == ([], [])


def _fail(run: StoredRun, task_id: int, said: str, *, at_s: float) -> None:
    """Say that a task failed of a ValueError, by both sides."""
    error = f"ValueError({said!r})"
    run.task(task_id, "pending", "launched", "failed", at_s=at_s, fail_history=error)
    run.execution(task_id, at_s=at_s - 0.5, run_s=0.4, exception_type="ValueError", message=said)


@pytest.mark.parametrize("hub", ["ours", "Parsl's"])
def test_stretch_of_time_lists_the_causes_that_were_seen_in_it(
    hub: str, shown: Tab, serve: Callable[..., Dashboard], tmp_path: Path
) -> None:
    """A cause that was seen before and after, and not within, is none of that time's."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        for number, (at_s, said) in enumerate([(1, "often"), (50, "once"), (100, "often")]):
            _fail(run, number, said, at_s=at_s)
        run.ended(at_s=101)
    if hub == "Parsl's":
        leave_parsls_tables(path)
    server = serve(path)
    shown.open(server.address)
    causes = []
    for start, end in (("12:00:00", "12:02:00"), ("12:00:40", "12:01:00")):
        times = f"from=2026-01-15T{start}&until=2026-01-15T{end}"
        shown.open(f"{server.root}/workflow/{RUN_ID}/failures?{times}")
        shown.wait_drawn()
        causes.append([shown.text("#f-groups .said")] if start > "12:00:30" else [])
        causes[-1].append(shown.page.locator("#f-groups .cause").count())
    assert causes == [[2], ["once", 1]]


def test_database_of_parsls_hub_tells_by_fail_history(
    shown: Tab, serve: Callable[..., Dashboard], demo_database: Path, tmp_path: Path
) -> None:
    """Without our tables the same causes are told from Parsl's column, and a note says so."""
    path = tmp_path / "monitoring.db"
    shutil.copy(demo_database, path)
    leave_parsls_tables(path)
    server = serve(path)
    run_id = value(path, "SELECT run_id FROM workflow")
    shown.open(server.address)
    shown.open(f"{server.root}/workflow/{run_id}/failures")
    shown.wait_drawn()
    titles = [item.inner_text() for item in shown.page.locator("#f-groups h2 a").all()]

    assert "try.task_fail_history" in shown.text("#f-groups .notice")
    assert titles == [
        "app_exception · ValueError",
        "bash_exit_code · BashExitFailure",
        "app_exception · ConnectionError",
    ]
    shown.page.get_by_role("link", name="ValueError").click()
    shown.page.wait_for_selector("#tries")
    assert "Parsl's own hub records none" in shown.text("#try")
    assert shown.text("#message") == "field 5: image and reference differ in shape"
    assert shown.errors == []


def test_end_of_a_long_file_is_64_kib_of_whole_lines(tmp_path: Path) -> None:
    """Of a long file whole lines from its last 64 KiB are shown, and that is said."""
    long = tmp_path / "long.txt"
    long.write_text("".join(f"line {number}\n" for number in range(100_000)))

    end = file_end(str(long), rundir="/nowhere/runinfo/000")

    assert end.text is not None
    assert end.text.startswith("line ")
    assert end.text.endswith("line 99999\n")
    assert MOST_BYTES - 20 < len(end.text) <= MOST_BYTES
    assert end.note.startswith("The last 64 KiB of ")


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe, a directory and a path with a NUL are told as not to be read from here."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()

    for name in ("pipe", "folder", "nul\0"):
        end = file_end(name, rundir=str(tmp_path / "runinfo" / "000"))
        assert end.text is None
        assert end.note.startswith("It cannot be read from here: ")


def test_bars_count_each_failure_once() -> None:
    """All failures within what is in view are in one bar each, and no other state is."""
    hv.extension("bokeh", logo=False)
    start = np.datetime64("2026-01-15T12:00:00", "us")
    offsets_s = [0, 0, 30, 60, 60, 61, 10]
    statuses = pd.DataFrame(
        {
            "task_id": range(len(offsets_s)),
            "try_id": 0,
            "state": pd.Categorical(
                ["failed", "fail_retryable", "failed", "dep_fail", "failed", "failed", "running"]
            ),
            "time": [start + np.timedelta64(offset, "s") for offset in offsets_s],
        }
    )
    span = Span(start, start + np.timedelta64(60, "s"))

    bars = failures_over_time(statuses, span=span).dframe()

    assert bars.groupby("what")["tries"].sum().to_dict() == {
        "given up": 3,
        "given up with a task they depend on": 1,
        "to be tried again": 1,
    }
    assert (bars["to"] - bars["from"]).tolist() == bars["tries"].tolist()
    assert summarise(statuses, span=span) == (
        "5 tries failed between 12:00:00 and 12:01:00: 3 given up, 1 given up with a task they"
        " depend on, 1 to be tried again."
    )


@pytest.mark.parametrize("hub", ["ours", "Parsl's"])
def test_every_task_of_a_cause_can_be_listed(
    hub: str, shown: Tab, serve: Callable[..., Dashboard], tmp_path: Path
) -> None:
    """From a cause with more tries than its page has, to all its tasks and dependents, filtered."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        for number in range(240):
            said = "odd" if number % 2 else "even"
            _fail(run, number, said, at_s=number)
        for number in (240, 241):
            text = f"DependencyError([(ValueError('x'), 'task {number - 2}')], {number})"
            run.task(
                number,
                "pending",
                "dep_fail",
                at_s=number,
                app="sum",
                depends=str(number - 2),
                fail_history=text,
            )
        run.ended(at_s=300)
    if hub == "Parsl's":
        leave_parsls_tables(path)
    server = serve(path)
    odd = [*map(str, range(1, 240, 2)), "241"]

    shown.open(server.address)
    shown.open(f"{server.root}/workflow/{RUN_ID}/failures")
    shown.wait_drawn()
    shown.page.locator(".cause", has_text="odd").locator("h2 a").click()
    shown.page.wait_for_selector("#tries")
    listed_tries = len(shown.cells("#tries"))
    shown.page.get_by_role("link", name="All their tasks and dependents").click()
    shown.page.wait_for_url("**cause=*")
    shown.page.wait_for_selector("#shown")

    assert listed_tries == 100
    assert shown.text("#shown") == "1 to 50 of 121 tasks."
    with shown.page.expect_download() as download:
        shown.page.get_by_role("link", name="These tasks as CSV").click()
    kept = csv.DictReader(io.StringIO(download.value.path().read_text()))
    assert sorted((row["task_id"] for row in kept), key=int) == odd
    shown.page.get_by_label("App").select_option("sum")
    shown.page.get_by_role("button", name="Filter").click()
    shown.page.wait_for_url("**app=sum*")
    assert [cells[0] for cells in shown.cells("#tasks")] == ["241"]
    shown.page.get_by_role("link", name="one cause").click()
    shown.page.wait_for_selector("#tries")

    shown.open(f"{server.root}/workflow/{RUN_ID}/task/?cause=none")
    assert "cause is 'none', which is not the fingerprint of a cause" in shown.text("main .notice")
    assert shown.text("#shown").endswith("of 242 tasks.")
    assert "one cause" not in shown.text("form.filters")
    assert shown.errors == []
