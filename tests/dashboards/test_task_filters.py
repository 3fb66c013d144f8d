"""The list of tasks has every filter in its address, and gives what fits it as CSV."""

from __future__ import annotations

import csv
import io
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

import pytest
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.pages.task_csv import open_csv
from playwright.sync_api import Browser

from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab, tab
from tests.support.dashboard import Dashboard
from tests.support.recorded_databases import rows, value
from tests.support.stored_run import RUN_ID, StoredRun

SCRIPT = "<script>window.pwned = 1</script>"
FEW = """
SELECT CAST(task_id AS TEXT) FROM task WHERE run_id = ? AND task_id IN ({}) ORDER BY task_id
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 30 tasks in three blocks on two nodes, one named to do harm."""
    path = tmp_path_factory.mktemp("filters") / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        for task_id in range(30):
            at_s = 1.0 + task_id
            block = str(task_id % 3)
            host = "node1" if task_id % 2 else f"node2{SCRIPT}"
            states = ("pending", "launched", "exec_done") if task_id < 28 else ("pending",)
            run.task(
                task_id,
                *states,
                app="double" if task_id % 5 else "triple",
                at_s=at_s,
                returned_ns=run.ns(at_s + 5) if task_id < 28 else None,
                depends=f"{task_id - 1}" if task_id > 20 else "",
            )
            if task_id < 28:
                run.execution(task_id, at_s=at_s + 0.5, run_s=task_id / 10, host=host, block=block)
        run.ended()
    return path


@pytest.fixture(scope="module")
def server(database: Path, serve: Serve) -> Dashboard:
    """Its pages."""
    return serve(database)


@pytest.fixture(scope="module")
def opened(server: Dashboard, browser: Browser) -> Iterator[Tab]:
    """A page of the browser that has shown the token."""
    with tab(browser) as page:
        page.open(server.address)
        yield page


def _csv(server: Dashboard, query: str = "", run_id: str = RUN_ID) -> list[dict[str, str]]:
    request = urllib.request.Request(
        f"{server.root}/workflow/{run_id}/tasks.csv{query}",
        headers={"Authorization": f"token {server.token}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return list(csv.DictReader(io.StringIO(answer.read().decode(), newline="")))


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ({"node": "node1"}, "SELECT task_id FROM try WHERE hostname = 'node1'"),
        (
            {"node": f"node2{SCRIPT}", "block": "htex/1"},
            "SELECT task_id FROM try WHERE hostname LIKE 'node2%' AND block_id = '1'",
        ),
        ({"block": "2"}, "SELECT task_id FROM try WHERE block_id = '2'"),
        ({"block": "other/2"}, "NULL"),
        (
            {"from": "2026-01-15T12:00:10", "until": "2026-01-15T12:00:12.5"},
            "SELECT task_id FROM task WHERE task_time_invoked <= '2026-01-15 12:00:12.500000' AND"
            " (task_time_returned IS NULL OR task_time_returned >= '2026-01-15 12:00:10.000000')",
        ),
        (
            {"from": "2026-01-15T12:00:32"},
            "SELECT task_id FROM task WHERE task_time_returned IS NULL"
            " OR task_time_returned >= '2026-01-15 12:00:32.000000'",
        ),
        (
            {"run_min": "0.55", "run_max": "1.25", "app": "double"},
            "SELECT task_id FROM otel_try JOIN task USING (run_id, task_id) WHERE"
            " ended_ns - running_ns BETWEEN 550000000 AND 1250000000"
            " AND task_func_name = 'double'",
        ),
    ],
)
def test_filters_let_through_what_sql_finds(
    opened: Tab, server: Dashboard, database: Path, query: dict[str, str], condition: str
) -> None:
    """Node, block, time and duration in the address list the tasks that SQL by hand finds."""
    expected = [task_id for (task_id,) in rows(database, FEW.format(condition), RUN_ID)]
    asked = f"?{urlencode({**query, 'sort': 'task'})}"

    assert opened.open(f"{server.root}/workflow/{RUN_ID}/task/{asked}") == 200

    found = [] if not expected else [cells[0] for cells in opened.cells("#tasks")]
    assert found == expected
    assert [row["task_id"] for row in _csv(server, asked)] == expected
    if not expected:
        assert opened.text("#tasks .empty") == "No task fits the filter."


def test_form_puts_every_filter_into_the_address(opened: Tab, server: Dashboard) -> None:
    """What is chosen in the form stands in the address, and still in the form there."""
    opened.open(f"{server.root}/workflow/{RUN_ID}/task/")
    page = opened.page
    page.get_by_label("Block").select_option("htex/1")
    page.get_by_label("Node").select_option("node1")
    page.get_by_label("Under way from").fill("2026-01-15T12:00:10")
    page.get_by_label("Ran at least (s)").fill("0.9")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**block=htex*")

    assert [cells[0] for cells in opened.cells("#tasks")] == ["13", "19", "25"]
    assert page.get_by_label("Block").input_value() == "htex/1"
    assert page.get_by_label("Under way from").input_value() == "2026-01-15T12:00:10"
    assert page.get_by_label("Ran at least (s)").input_value() == "0.9"
    with page.expect_download() as download:
        page.get_by_role("link", name="These tasks as CSV").click()
    kept = csv.DictReader(io.StringIO(download.value.path().read_text()))
    assert download.value.suggested_filename == f"tasks-{RUN_ID}.csv"
    assert [row["task_id"] for row in kept] == ["13", "19", "25"]


def test_what_means_nothing_is_said(opened: Tab, server: Dashboard) -> None:
    """A time or a length that cannot be read is named, and all else is filtered by."""
    query = urlencode({"from": "<b>noon", "run_min": "long", "block": "htex/1"})

    opened.open(f"{server.root}/workflow/{RUN_ID}/task/?{query}")

    assert [
        " ".join(text.split()) for text in opened.page.locator(".notice").all_inner_texts() if text
    ] == [
        "In the address from is '<b>noon', which is not a time such as 2026-01-31T08:00:00: it is"
        " left out.",
        "In the address run_min is 'long', which is not a number of seconds: it is left out.",
    ]
    assert len(opened.cells("#tasks")) == 9


def test_csv_has_the_rows_of_the_tables(
    demo: Dashboard, demo_database: Path, server: Dashboard, database: Path
) -> None:
    """Each task is in the file once, with what the tables say of it and why it failed last."""
    expected = rows(
        demo_database,
        """
        SELECT CAST(task_id AS TEXT), task_func_name, count(*), CAST(task_fail_count AS TEXT),
               task_time_invoked, task_time_returned, task_executor,
               coalesce(block_id, ''), coalesce(hostname, ''), task_depends
        FROM task JOIN (SELECT * FROM try ORDER BY task_id, try_id) USING (run_id, task_id)
        GROUP BY task_id ORDER BY task_id
        """,
    )
    failed = rows(
        demo_database,
        "SELECT CAST(task_id AS TEXT), message FROM otel_failure GROUP BY 1"
        " HAVING try_id = max(try_id)",
    )

    kept = _csv(demo, "?sort=task", run_id=value(demo_database, "SELECT run_id FROM workflow"))

    names = ["task_id", "app", "tries", "fail_count", "called", "completed"]
    names += ["executor", "block", "node", "depends_on"]
    assert [tuple(row[name] for name in names) for row in kept] == [
        tuple(map(str, row)) for row in expected
    ]
    said = {row["task_id"]: row["latest_failure"] for row in kept if row["latest_failure"]}
    assert said.keys() == {task_id for task_id, _ in failed}
    assert all(message in said[task_id] for task_id, message in failed if message)
    (first, last) = (_csv(server, "?sort=task")[at] for at in (10, 29))
    assert (first["run_s"], first["node"], first["state"]) == ("1.0", f"node2{SCRIPT}", "executed")
    assert (last["run_s"], last["node"], last["completed"]) == ("", "", "")


def test_csv_wants_the_token_and_a_run_that_there_is(server: Dashboard) -> None:
    """Without the token nobody gets a row; a run that there is not is said to be none."""
    answers = []
    for run_id, headers in ((RUN_ID, {}), ("no/run", {"Authorization": f"token {server.token}"})):
        address = f"{server.root}/workflow/{run_id.replace('/', '%2F')}/tasks.csv"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60)
        answers.append((refused.value.code, refused.value.read().decode()))

    assert [code for code, _ in answers] == [HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND]
    assert "node1" not in answers[0][1]
    assert "no run &#39;no/run&#39;" in answers[1][1]


def test_nothing_goes_wrong_in_the_browser(opened: Tab) -> None:
    """No script of a name has run, none of the page's has failed, no request was refused."""
    assert opened.page.evaluate("window.pwned") is None
    assert (opened.errors, opened.failed) == ([], [])


def test_csv_holds_no_formulas(tmp_path: Path) -> None:
    """What a spreadsheet would reckon has an apostrophe before it, and numbers have none."""
    formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"]
    with StoredRun(f"sqlite:///{tmp_path / 'monitoring.db'}") as run:
        for task_id, formula in enumerate([*formulas, "one-1"]):
            run.task(task_id, "pending", "launched", "failed", app=formula, fail_history="-e('')")
            run.execution(
                task_id,
                at_s=2,
                run_s=1,
                app=formula,
                host=formula,
                exception_type="-e",
                message="",
            )
        run.ended()
    library = Library(Source(str(tmp_path / "monitoring.db")))
    text = "".join(open_csv(library, RUN_ID, {"sort": "task"}))
    library.close()

    read = list(csv.DictReader(io.StringIO(text, newline="")))
    expected = [*(f"'{formula}" for formula in formulas), "one-1"]
    assert [row["app"] for row in read] == expected
    assert [row["node"] for row in read] == expected
    assert {row["latest_failure"][:2] for row in read} == {"'-"}
    assert {row["run_s"] for row in read} == {"1.0"}
