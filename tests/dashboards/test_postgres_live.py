"""A page of a run in PostgreSQL follows it, as one of a run in SQLite does."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from otel_parsl_dashboards.data.columns import fetch
from playwright.sync_api import Browser
from sqlalchemy import create_engine, text

from otel_parsl.schema import PARSL_TABLES
from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab, tab
from tests.support.postgres import Postgres
from tests.support.programs import until
from tests.support.stored_run import RUN_ID, StoredRun

_SOON_S = 5.0
"""Of the best of three: of PostgreSQL all of a run is read again, in a part of the time alone."""


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> Iterator[str]:
    """A database that the runs of these tests are in."""
    with postgres.database() as url:
        yield url


@pytest.mark.parametrize("count", [1, 500, 501])
def test_every_row_is_read(url: str, count: int) -> None:
    """However many rows a query gives, none is lost on the way into the frames."""
    engine = create_engine(url)
    query = text("SELECT number FROM generate_series(1, :count) AS number")
    with engine.connect() as connection:
        found = [
            number for rows in fetch(connection, query, {"count": count}) for (number,) in rows
        ]
    engine.dispose()

    assert found == list(range(1, count + 1))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def _tasks(page: Tab, state: str) -> str:
    return page.text(f"#states [data-state={state}] b")


def test_pages_show_a_task_that_has_just_ended(url: str, serve: Serve, browser: Browser) -> None:
    """What the store takes is on open pages within seconds: numbers, plots, graph and the end."""
    began = _now()
    run = StoredRun(url, began=began - datetime.timedelta(seconds=20))
    for task_id in range(4):
        run.task(task_id, "pending", "launched", at_s=2.0, try_returned_ns=None)
        run.running(task_id, at_s=3.0)
    run.heartbeat(at_s=19.5)
    run.write()
    dashboard = serve(url)
    with ExitStack() as stack:
        page, graph = (stack.enter_context(tab(browser)) for _ in range(2))
        for each, path in ((page, ""), (graph, "dag_group_by_apps")):
            each.open(dashboard.address)
            assert each.open(f"{dashboard.root}/workflow/{RUN_ID}/{path}") == 200
            each.wait_drawn()
            each.page.evaluate("window.isThisPage = true")
        assert [_tasks(page, state) for state in ("running", "executed")] == ["4", "0"]
        assert page.text("#f-summary-run-times") == "No try has ended yet."

        took_s = []
        for task_id in range(3):
            at_s = 20 + (_now() - began).total_seconds()
            run.execution(task_id, at_s=3.0, run_s=at_s - 3.1)
            run.task(task_id, "exec_done", at_s=at_s)
            run.heartbeat(at_s=at_s)
            run.write()
            written_s = time.monotonic()
            until(lambda done=str(task_id + 1): _tasks(page, "executed") == done)
            took_s.append(time.monotonic() - written_s)
        until(lambda: page.text("#f-summary-run-times").startswith("3 tries have ended."))
        until(lambda: graph.cells("#stages") == [["1", "double", "4", "3", "0", "-"]])
        run.task(4, "pending", "launched", app="triple", depends="3", at_s=at_s)
        run.execution(4, at_s=at_s, run_s=0.1, app="triple")
        run.write()
        until(lambda: [cells[:2] for cells in graph.cells("#stages")][1:] == [["2", "triple"]])
        until(lambda: "5 tries on 1 node" in page.text("#f-summary-stream"))
        run.ended("completed", at_s=at_s)
        run.write()
        # It ended while task 3 ran.
        page.page.wait_for_selector("#f-header .pill.unfinished")

        assert min(took_s) < _SOON_S
        for each in (page, graph):
            assert each.page.evaluate("window.isThisPage")
            assert (each.errors, each.failed) == ([], [])


def test_list_of_runs_follows_postgres(url: str, serve: Serve, shown: Tab) -> None:
    """A run that begins while the list is open comes into it, and its end is seen there too."""
    dashboard = serve(url)
    shown.open(dashboard.address)
    shown.wait_drawn()
    run = StoredRun(url, run_id="begins", name="begins.py", rundir="/runinfo/1", began=_now())
    run.task(0, "pending", "launched", at_s=0.1)
    run.write()
    shown.page.wait_for_selector("tr:has(a[href*='begins']) .pill.running")
    run.task(0, "exec_done", at_s=0.2)
    run.ended("completed", at_s=0.3)
    run.write()
    shown.page.wait_for_selector("tr:has(a[href*='begins']) .pill.completed")

    assert (shown.errors, shown.failed) == ([], [])


def test_page_follows_what_parsls_own_hub_writes(
    postgres: Postgres, serve: Serve, shown: Tab
) -> None:
    """Of Parsl's own tables, which tell of no heartbeat, each new row is seen all the same."""
    with postgres.database() as url:
        engine = create_engine(url)
        for table in PARSL_TABLES:
            table.create(engine)

        def tell(*statements: str) -> None:
            with engine.begin() as connection:
                for statement in statements:
                    connection.execute(text(statement), {"now": datetime.datetime.now()})

        def became(task_id: int, state: str) -> str:
            return (
                "INSERT INTO status (task_id, task_status_name, timestamp, run_id, try_id)"
                f" VALUES ({task_id}, '{state}', :now, 'parsls', 0)"
            )

        tell(
            'INSERT INTO workflow (run_id, workflow_name, time_began, host, "user", rundir,'
            " tasks_failed_count, tasks_completed_count)"
            " VALUES ('parsls', 'parsls.py', :now, 'elsewhere', 'me', '/runinfo/000', 0, 0)",
            "INSERT INTO task (task_id, run_id, task_depends, task_func_name, task_memoize,"
            " task_inputs, task_outputs, task_time_invoked, task_fail_count, task_fail_cost)"
            " VALUES (0, 'parsls', '', 'double', '0', '[]', 'None', :now, 0, 0)",
            'INSERT INTO "try" (try_id, task_id, run_id, task_executor, hostname, block_id,'
            " task_try_time_launched, task_try_time_running)"
            " VALUES (0, 0, 'parsls', 'htex', 'node1', '0', :now, :now)",
            became(0, "pending"),
            became(0, "launched"),
            became(0, "running"),
        )
        dashboard = serve(url)
        shown.open(dashboard.address)
        assert shown.open(f"{dashboard.root}/workflow/parsls/") == 200
        shown.wait_drawn()
        assert [_tasks(shown, state) for state in ("running", "executed")] == ["1", "0"]

        tell(
            became(0, "running_ended"),
            became(0, "exec_done"),
            'UPDATE "try" SET task_try_time_returned = :now',
            "UPDATE task SET task_time_returned = :now",
        )
        until(lambda: [_tasks(shown, each) for each in ("running", "executed")] == ["0", "1"])
        until(lambda: shown.text("#f-summary-run-times").startswith("1 try has ended."))
        tell("UPDATE workflow SET time_completed = :now, tasks_completed_count = 1")
        shown.page.wait_for_selector("#f-header .pill.completed")

        assert (shown.errors, shown.failed) == ([], [])
        shown.page.goto("about:blank")
        engine.dispose()
