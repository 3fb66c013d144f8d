"""A page of a run in PostgreSQL follows it, as one of a run in SQLite does."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from otel_parsl_dashboards.data.columns import fetch
from otel_parsl_dashboards.data.loading import Frames, Marks, read_changes, read_stages
from otel_parsl_dashboards.data.source import Source
from playwright.sync_api import Browser
from sqlalchemy import create_engine, text

from otel_parsl.query.runs import Run, select_runs
from tests.dashboards.test_data import as_rows, read_whole
from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab, tab
from tests.support.parsl_run import ParslRun, became
from tests.support.postgres import Postgres
from tests.support.programs import until
from tests.support.stored_run import BEGAN, RUN_ID, StoredRun

_SOON_S = 3.0
"""Of the best of three."""


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
    with postgres.database() as url, ParslRun(url) as parsls:
        parsls.tell(
            'INSERT INTO "try" (try_id, task_id, run_id, task_executor, hostname, block_id,'
            " task_try_time_launched, task_try_time_running)"
            " VALUES (0, 0, 'parsls', 'htex', 'node1', '0', :now, :now)",
            became("pending"),
            became("launched"),
            became("running"),
        )
        dashboard = serve(url)
        shown.open(dashboard.address)
        assert shown.open(f"{dashboard.root}/workflow/parsls/") == 200
        shown.wait_drawn()
        assert [_tasks(shown, state) for state in ("running", "executed")] == ["1", "0"]

        parsls.tell(
            became("running_ended"),
            became("exec_done"),
            'UPDATE "try" SET task_try_time_returned = :now',
            "UPDATE task SET task_time_returned = :now",
        )
        until(lambda: [_tasks(shown, each) for each in ("running", "executed")] == ["0", "1"])
        until(lambda: shown.text("#f-summary-run-times").startswith("1 try has ended."))
        parsls.tell("UPDATE workflow SET time_completed = :now, tasks_completed_count = 1")
        shown.page.wait_for_selector("#f-header .pill.completed")

        assert (shown.errors, shown.failed) == ([], [])
        shown.page.goto("about:blank")


def _run_of(source: Source) -> Run:
    with source.read() as connection:
        (run,) = select_runs(connection, has_otel=True)
    return run


def _read_on(source: Source, known: Frames, marks: Marks) -> tuple[Frames, Marks]:
    with source.read() as connection:
        return read_changes(connection, _run_of(source), known, marks)


def _rows(known: Frames) -> dict[str, list[str]]:
    return {kind: [repr(row) for row in as_rows(frame)] for kind, frame in known.items()}


def test_what_was_written_since_is_added(postgres: Postgres) -> None:
    """Reading a part of a run and then what came is reading the run; nothing stands twice."""
    with postgres.database() as url:
        run = StoredRun(url)
        run.task(0, "pending", "launched", at_s=2.0)
        run.running(0, at_s=3.0)
        run.manager("0a1b", workers=2, tasks=1, at_s=2.5)
        run.write()
        source = Source(url)
        known, marks = read_whole(source, _run_of(source))
        for step in range(1, 4):
            run.execution(step - 1, at_s=3.0, run_s=step)
            run.sample(step - 1, at_s=3.0 + step)
            run.task(step - 1, "exec_done", at_s=4.0 + step)
            run.task(step, "pending", "launched", at_s=2.0 + step, depends=str(step - 1))
            run.block("0", "RUNNING", at_s=float(step))
            run.manager("0a1b", workers=2, tasks=step, at_s=3.0 + step)
            run.write()
            known, marks = _read_on(source, known, marks)
            expected, _ = read_whole(source, _run_of(source))
            assert _rows(known) == _rows(expected)
            assert len(known["statuses"]) > 2 * step

        unchanged, _ = _read_on(source, known, marks)
        assert unchanged["statuses"] is known["statuses"]
        assert unchanged["samples"] is known["samples"]


def test_transaction_that_ends_after_a_later_one_is_read(postgres: Postgres) -> None:
    """What was written before the last reading, and committed after it, is not passed over."""
    add = text(
        "INSERT INTO status (task_id, task_status_name, timestamp, run_id, try_id)"
        " VALUES (0, :state, :time, :run_id, 0)"
    )
    with postgres.database() as url:
        run = StoredRun(url)
        run.task(0, "pending", at_s=2.0)
        run.write()
        source, engine = Source(url), create_engine(url)
        known, marks = read_whole(source, _run_of(source))
        with engine.connect() as slow, engine.connect() as quick:
            for connection, state, second in ((slow, "launched", 3), (quick, "running", 4)):
                time = BEGAN.replace(tzinfo=None) + datetime.timedelta(seconds=second)
                connection.execute(add, {"state": state, "time": time, "run_id": RUN_ID})
            quick.commit()
            known, marks = _read_on(source, known, marks)
            assert list(known["statuses"]["state"]) == ["pending", "running"]
            again, marks = _read_on(source, known, marks)
            assert again["statuses"] is known["statuses"], "nothing is drawn again"
            before = source.signature()
            slow.commit()
        assert source.signature() != before
        known, marks = _read_on(source, known, marks)
        engine.dispose()

    assert list(known["statuses"]["state"]) == ["pending", "launched", "running"]


def test_values_of_a_sample_that_come_later_are_read(postgres: Postgres) -> None:
    """The points of a sample may come in parts, and their row is filled."""
    with postgres.database() as url:
        run = StoredRun(url)
        run.task(0, "pending", "launched", at_s=2.0)
        run.sample(0, at_s=3.0)
        run.write()
        source, engine = Source(url), create_engine(url)
        known, marks = read_whole(source, _run_of(source))
        assert known["samples"]["memory_bytes"].isna().all()
        with engine.begin() as connection:
            connection.execute(text("UPDATE resource SET psutil_process_memory_resident = 4096"))
        known, marks = _read_on(source, known, marks)
        engine.dispose()

    assert known["samples"]["memory_bytes"].tolist() == [4096.0]


def test_state_that_came_while_its_run_was_read_brings_its_task(postgres: Postgres) -> None:
    """Each stage of a first reading is of its own moment: the task was read before its state."""
    with postgres.database() as url:
        run = StoredRun(url)
        run.task(0, "pending", "launched", at_s=2.0)
        run.write()
        source = Source(url)

        def end_the_task(_rows: int) -> None:
            run.task(0, "exec_done", at_s=3.0, returned_ns=run.ns(3.0))
            run.write()

        known, marks = {}, Marks()
        for known, marks in read_stages(source, _run_of(source), end_the_task):  # noqa: B007
            pass
        assert list(known["statuses"]["state"]) == ["pending", "launched", "exec_done"]
        assert known["tasks"]["returned"].isna().all()

        known, _ = _read_on(source, known, marks)
        expected, _ = read_whole(source, _run_of(source))
        assert _rows(known) == _rows(expected)
        assert known["tasks"]["returned"].notna().all()
