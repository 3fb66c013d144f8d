"""The page of data health says what came, what is missing, and whose clocks differ."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from otel_parsl_dashboards.data.last_signs import LastSign
from otel_parsl_dashboards.pages.health import first_to_see
from parsl.monitoring.message_type import MessageType
from playwright.sync_api import Browser

from tests.support import parsl_messages as say
from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab, tab
from tests.support.dashboard import Dashboard
from tests.support.parsl_database import write_with_parsl
from tests.support.recorded_databases import first_run_id, rows, value
from tests.support.stored_run import RUN_ID, StoredRun

Messages = list[tuple[MessageType, Any]]


@pytest.fixture(scope="module")
def page(demo: Dashboard, demo_database: Path, browser: Browser) -> Iterator[Tab]:
    """The page of the demo's run, reached by its tab."""
    run_id = value(demo_database, "SELECT run_id FROM workflow")
    with tab(browser) as opened:
        opened.open(demo.address)
        opened.open(f"{demo.root}/workflow/{run_id}/")
        opened.page.locator("nav .tabs").get_by_role("link", name="Data health").click()
        opened.page.wait_for_url(f"**/workflow/{run_id}/health")
        opened.wait_drawn()
        yield opened


def test_what_was_received_is_what_the_store_has(page: Tab, demo_database: Path) -> None:
    """Of a run that nothing happened to, each row of each source was received once.

    But a worker says a sample again when a try ends while that sample is on its way.
    """
    reports, states, samples, tries = rows(
        demo_database,
        """
        SELECT (SELECT count(*) FROM node),
               (SELECT count(*) FROM status WHERE task_status_name NOT LIKE 'running%'),
               (SELECT count(*) FROM resource),
               (SELECT count(*) FROM otel_try WHERE ended_ns IS NOT NULL)
        """,
    )[0]

    shown = {
        cells[0]: [int(cell.replace(",", "")) for cell in cells[2:5]] for cells in _received(page)
    }
    assert shown["interchange"] == [reports, 0, 0]
    assert shown["submit process"][0] >= states
    assert shown["submit process"][1:] == [0, 0]
    from_workers, again, late = shown["workers"]
    assert from_workers - again >= samples + tries
    assert late == 0
    assert page.text(".verdict") == "Nothing is known to be missing, and no clock to be wrong."
    assert {cells[1] for cells in page.cells("#lost")} == {"0"}


def test_clock_is_bounded_by_what_tries_waited_and_took_to_return(
    page: Tab, demo_database: Path
) -> None:
    """A host's clock is as far off as its quickest begins and returns allow, and no further."""
    tries = value(
        demo_database, 'SELECT count(*) FROM "try" WHERE task_try_time_running IS NOT NULL'
    )

    (clock,) = page.cells("#clocks")
    assert clock[1] == str(tries)
    assert (clock[2][0], clock[3][0]) == ("-", "+")
    assert clock[4] == "as the submit host's, as far as can be told"
    behind = re.fullmatch(
        r"heartbeat, the database at most ([0-9.]+) (?:µs|ms|s) behind", page.cells("#signs")[0][1]
    )
    assert behind
    assert float(behind[1]) > 0
    assert [cells[0] for cells in page.cells("#signs")] == [
        "agent",
        "submit process",
        "workers",
        "manager",
        "block",
    ]
    assert (page.errors, page.failed) == ([], [])


def test_what_came_twice_or_belongs_to_nothing_is_said(
    tmp_path: Path, serve: Serve, shown: Tab
) -> None:
    """Duplicates and late items stand in the table; what began untold is a trouble, in words."""
    path = tmp_path / "monitoring.db"
    run = StoredRun(f"sqlite:///{path}")
    run.task(0, "pending", "launched", "exec_done")
    run.execution(7, at_s=2, run_s=1)
    run.write()
    run.ended(at_s=60)
    run.write()
    _open(shown, serve(path), RUN_ID)

    assert [cells[2:5] for cells in _received(shown)] == [
        ["6", "3", "6"],
        ["2", "1", "2"],
        ["0", "0", "0"],
    ]
    troubles = shown.text(".trouble")
    assert "8 items came more than 60 s late." in troubles
    assert "Tries of tasks that are not there: 1." in troubles


def test_report_of_which_a_part_is_missing_is_said(
    tmp_path: Path, serve: Serve, shown: Tab
) -> None:
    """What a collector on the way parted and did not bring whole is counted, and no row of node."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        run.task(0, "pending", "launched", "exec_done")
        run.manager("here", workers=2, tasks=0)
        run.manager("half", workers=2, tasks=None)
        run.ended(at_s=60)
    _open(shown, serve(path), RUN_ID)

    assert "A part is missing of 1 report of managers." in shown.text(".trouble")
    assert rows(path, "select uid from node") == [("here",)]
    assert (shown.errors, shown.failed) == ([], [])


def test_what_could_not_be_checked_is_named(tmp_path: Path, serve: Serve, shown: Tab) -> None:
    """Where the agent's file is gone, nothing is said not to be missing of which it alone tells."""
    path = tmp_path / "monitoring.db"
    began = datetime.datetime.now(datetime.timezone.utc)
    with StoredRun(f"sqlite:///{path}", rundir=tmp_path / "gone", began=began) as run:
        run.task(0, "pending", "launched", "exec_done")
        run.ended(at_s=2)
    _open(shown, serve(path), RUN_ID)

    assert shown.text("#f-trouble") == (
        "Nothing that can be checked is missing, and no clock is known to be wrong. What no row can"
        " hold, what of the spool was damaged and what destinations lack is not known: the agent's"
        " file in the run's directory cannot be read from here."
    )


def test_clock_that_is_ahead_is_said_with_how_much(
    tmp_path_factory: pytest.TempPathFactory, serve: Serve, shown: Tab
) -> None:
    """A worker that ends tries after their results are back has a clock that is ahead."""
    messages: Messages = [
        (MessageType.WORKFLOW_INFO, say.run_started()),
        (MessageType.TASK_INFO, say.task_info()),
        (
            MessageType.TASK_INFO,
            say.task_info(
                task_status_name="launched", timestamp=say.at(2), task_try_time_launched=say.at(2)
            ),
        ),
        (MessageType.WORKER_TASK_INFO, say.worker_task_info(timestamp=say.at(7))),
        (
            MessageType.WORKER_TASK_INFO,
            say.worker_task_info(timestamp=say.at(12), first_msg=False, last_msg=True),
        ),
        (
            MessageType.TASK_INFO,
            say.task_info(
                task_status_name="exec_done",
                timestamp=say.at(8),
                task_try_time_launched=say.at(2),
                task_time_returned=say.at(8),
                task_try_time_returned=say.at(8),
            ),
        ),
        (MessageType.WORKFLOW_INFO, say.run_ended()),
    ]
    (database,) = write_with_parsl(tmp_path_factory.mktemp("parsl"), [messages])
    _open(shown, serve(database), say.RUN_ID)

    assert shown.cells("#clocks") == [
        ["node1.example.org", "1", "+4 s", "+5 s", "at least 4 s ahead"]
    ]
    assert shown.text(".trouble") == (
        "The clock of node1.example.org is at least 4 s ahead: times between hosts are wrong by as"
        " much."
    )
    assert "this database has no record of what was received" in shown.text("#f-trouble")
    assert not shown.page.locator("#received").all()
    assert ["workers", "node1.example.org", "2026-01-15 12:00:12", "48 s before its end"] in (
        shown.cells("#signs")
    )
    assert (shown.errors, shown.failed) == ([], [])


def test_page_is_whole_for_runs_of_every_shape(
    recorded_database: Path, serve: Serve, shown: Tab
) -> None:
    """Real runs with every shape, recorded by either hub, are shown without an error."""
    _open(shown, serve(recorded_database), first_run_id(recorded_database))

    assert shown.cells("#signs")
    assert shown.cells("#clocks")
    assert (shown.errors, shown.failed) == ([], [])


def _received(shown: Tab) -> list[list[str]]:
    return shown.cells("#received")


def _open(shown: Tab, server: Dashboard, run_id: str) -> None:
    shown.open(server.address)
    assert shown.open(f"{server.root}/workflow/{run_id}/health") == 200
    shown.wait_drawn()


def test_rows_that_are_too_many_are_the_worst_ones() -> None:
    """Of many signs the oldest are shown, in the order of the table."""
    signs = [
        LastSign("workers", f"node{number}", np.datetime64(f"2026-01-15T12:{60 - number}:00"))
        for number in range(1, 7)
    ]
    assert [sign.name for sign in first_to_see(signs, lambda sign: sign.at, 2)] == [
        "node5",
        "node6",
    ]
    assert first_to_see(signs, lambda sign: sign.at, 6) == signs


def test_clocks_that_are_worst_are_shown_of_many(tmp_path: Path, serve: Serve, shown: Tab) -> None:
    """Of more than two hundred hosts the one whose clock is off is in the table, the last too."""
    path = tmp_path / "monitoring.db"
    hosts = 203
    with StoredRun(f"sqlite:///{path}") as run:
        for number in range(hosts):
            is_off = number == hosts - 1
            begun_s = 100.0 if is_off else 2.0
            run.task(number, "pending", "launched", "exec_done", at_s=1.0)
            run.execution(number, at_s=begun_s, run_s=0.5, host=f"node{number:03}")
        run.ended(at_s=200)
    server = serve(path)
    shown.open(server.address)
    shown.open(f"{server.root}/workflow/{RUN_ID}/health")
    shown.page.wait_for_selector("#clocks tbody tr")
    names = [cells[0] for cells in shown.cells("#clocks")]
    assert len(names) == 200
    assert names[-1] == f"node{hosts - 1}"
    assert names == sorted(names)
    assert "and 3 more hosts" in shown.text("main")
