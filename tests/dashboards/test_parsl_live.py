"""Pages follow a run that Parsl's own hub records, of which the tables alone tell."""

from __future__ import annotations

import datetime
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab, tab
from tests.support.parsl_generations import GENERATIONS
from tests.support.programs import until
from tests.support.recorded_databases import value

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")
_SOON_S = 5.0
"""Of the best of some: an idle machine takes a fifth of it."""

# What is told later of tasks 0, which runs, and 2, which waits for it, is not there yet.
_GOES_ON = """
    DELETE FROM status WHERE task_id = 0 AND task_status_name IN ('running_ended', 'exec_done');
    DELETE FROM status WHERE task_id = 2 AND task_status_name <> 'pending';
    DELETE FROM resource WHERE task_id = 2;
    DELETE FROM block WHERE status = 'CANCELLED';
    DELETE FROM node WHERE NOT active;
    UPDATE "try" SET task_try_time_returned = NULL WHERE task_id = 0;
    UPDATE "try" SET task_try_time_launched = NULL, task_try_time_running = NULL,
        task_try_time_returned = NULL, hostname = NULL, block_id = NULL WHERE task_id = 2;
    UPDATE task SET task_time_returned = NULL WHERE task_id IN (0, 2);
    UPDATE workflow SET time_completed = NULL, tasks_completed_count = 0, tasks_failed_count = 0;
"""


@pytest.fixture
def database(parsl_generation: Path, tmp_path: Path) -> Path:
    """What Parsl has recorded so far of a run that goes on: its latest row is of just now."""
    path = tmp_path / "goes-on.db"
    with closing(sqlite3.connect(parsl_generation)) as recorded:
        recorded.executescript(_GOES_ON)
        script = "\n".join(recorded.iterdump())
    assert "exec_done" in script
    times = [datetime.datetime.fromisoformat(each) for each in _TIME.findall(script)]
    later = datetime.datetime.now() - max(times)
    script = _TIME.sub(
        lambda match: _text(datetime.datetime.fromisoformat(match[0]) + later), script
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(script)
    return path


def _text(time: datetime.datetime) -> str:
    return time.isoformat(sep=" ", timespec="microseconds")


class _Hub:
    """
    Writes into a database what Parsl's own hub would, by SQL written by hand.

    Args:
        path: The database, with one run.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._run_id = value(path, "SELECT run_id FROM workflow")

    def commit(self, *statements: str) -> float:
        """Execute statements, ``:now`` and ``:run`` given, and return when they were committed."""
        given = {"now": _text(datetime.datetime.now()), "run": self._run_id}
        with closing(sqlite3.connect(self._path, timeout=30)) as connection, connection:
            for statement in statements:
                connection.execute(statement, given)
        return time.monotonic()

    def begin(self, task_id: int) -> float:
        """Tell that a worker has begun the first try of a task."""
        return self.commit(
            _became(task_id, "launched"),
            _became(task_id, "running"),
            'UPDATE "try" SET task_try_time_launched = :now, task_try_time_running = :now,'
            f" hostname = 'node1', block_id = '0' WHERE task_id = {task_id}",
        )

    def end(self, task_id: int, state: str = "exec_done", said: str = "") -> float:
        """Tell that the first try of a task is over, and the task with it."""
        return self.commit(
            _became(task_id, "running_ended"),
            _became(task_id, state),
            f'UPDATE "try" SET task_try_time_returned = :now, task_fail_history = {said!r}'
            f" WHERE task_id = {task_id}",
            f"UPDATE task SET task_time_returned = :now WHERE task_id = {task_id}",
        )

    def call(self, task_id: int, app: str, depends: str) -> float:
        """Tell of a new task, which waits for another."""
        return self.commit(
            "INSERT INTO task (task_id, run_id, task_depends, task_func_name, task_memoize,"
            " task_inputs, task_outputs, task_time_invoked, task_fail_count, task_fail_cost)"
            f" VALUES ({task_id}, :run, {depends!r}, {app!r}, '0', 'None', 'None', :now, 0, 0)",
            'INSERT INTO "try" (try_id, task_id, run_id, task_executor)'
            f" VALUES (0, {task_id}, :run, 'htex')",
            _became(task_id, "pending"),
        )


def _became(task_id: int, state: str) -> str:
    return (
        "INSERT INTO status (task_id, task_status_name, timestamp, run_id, try_id)"
        f" VALUES ({task_id}, {state!r}, :now, :run, 0)"
    )


@pytest.fixture
def hub(database: Path) -> _Hub:
    """What writes into the database of the run that goes on."""
    return _Hub(database)


Open = Callable[[str], Tab]


@pytest.fixture
def open_page(database: Path, serve: Serve, browser: Browser) -> Iterator[Open]:
    """A function that opens a page of the run, all its plots drawn."""
    dashboard = serve(database)
    run_id = value(database, "SELECT run_id FROM workflow")
    with ExitStack() as stack:

        def opened(path: str) -> Tab:
            page = stack.enter_context(tab(browser))
            page.open(dashboard.address)
            assert page.open(f"{dashboard.root}/workflow/{run_id}/{path}") == 200
            page.wait_drawn()
            return page

        yield opened


def _states(page: Tab) -> dict[str, int]:
    """Return how many tasks the state bar counts of each state, but for those with none."""
    found = {
        str(item.get_attribute("data-state")): int(item.locator("b").inner_text())
        for item in page.page.locator("#states li").all()
    }
    return {state: tasks for state, tasks in found.items() if tasks}


_OVER = {"memoised": 1, "failed": 1, "dep_failed": 1, "total": 8}


def _wait_for_states(page: Tab, states: dict[str, int]) -> None:
    until(lambda: _states(page) == {**_OVER, **states})


of_newest = pytest.mark.parametrize("parsl_generation", GENERATIONS[-1:], indirect=True)


@of_newest
def test_workflow_page_follows_what_parsls_hub_writes(hub: _Hub, open_page: Open) -> None:
    """Tasks that end and begin change numbers and plots within seconds, and the run's end too."""
    page = open_page("")
    page.page.evaluate("window.isThisPage = true")
    assert page.text("#f-header .pill") == "running"
    assert _states(page) == {**_OVER, "executed": 3, "running": 1, "waiting": 1}
    assert "6 tries on 1 node" in page.text("#f-summary-stream")
    longest = page.text("#f-summary-run-times")

    took_s = []
    for tell, states in (
        (lambda: hub.end(0), {"executed": 4, "waiting": 1}),
        (lambda: hub.begin(2), {"executed": 4, "running": 1}),
        (lambda: hub.end(2), {"executed": 5}),
    ):
        told_s = tell()
        _wait_for_states(page, states)
        took_s.append(time.monotonic() - told_s)
    until(lambda: "7 tries on 1 node" in page.text("#f-summary-stream"))
    until(lambda: page.text("#f-summary-run-times") != longest)
    assert len(page.colours("gantt")) > 3
    hub.commit("UPDATE workflow SET time_completed = :now, tasks_completed_count = 5")
    page.page.wait_for_selector("#f-header .pill.completed")

    assert min(took_s) < _SOON_S
    assert page.page.evaluate("window.isThisPage")
    assert (page.errors, page.failed) == ([], [])


@of_newest
def test_failures_and_graph_follow_what_parsls_hub_writes(hub: _Hub, open_page: Open) -> None:
    """A task that is called, waits, and fails is on both pages within seconds, nothing reloaded."""
    failures, graph = open_page("failures"), open_page("dag_group_by_apps")
    for page in (failures, graph):
        page.page.evaluate("window.isThisPage = true")
    sums = [failures.text(f"#f-sums .card:nth-child({place}) strong") for place in (1, 2, 3)]
    assert sums == ["1", "1", "0"]
    assert graph.text("#f-summary-tasks").startswith("8 tasks, 3 dependencies, 2 levels ")

    took_s = []
    called_s = hub.call(8, "late", depends="2")
    until(lambda: ["3", "late", "1", "0", "0", "inc"] in graph.cells("#stages"))
    took_s.append(time.monotonic() - called_s)
    until(lambda: graph.text("#f-summary-tasks").startswith("9 tasks, 4 dependencies, 3 levels "))
    hub.end(0)
    hub.end(2)
    hub.begin(8)
    failed_s = hub.end(8, "failed", said="KeyError(5)")
    until(lambda: failures.text("#f-sums .card strong") == "2")
    took_s.append(time.monotonic() - failed_s)
    until(lambda: ["3", "late", "1", "0", "1", "inc"] in graph.cells("#stages"))
    until(lambda: "2 given up, " in failures.text("#f-summary-over-time"))

    assert failures.text("#f-sums .card small") == "of 2 causes"
    assert failures.text("nav .tabs a.on") == "Failures 2"
    assert "app_exception · KeyError" in failures.text("#f-groups")
    assert min(took_s) < _SOON_S
    for page in (failures, graph):
        assert page.page.evaluate("window.isThisPage")
        assert (page.errors, page.failed) == ([], [])


_ENDS_OPEN = "UPDATE workflow SET time_completed = time_began"


@of_newest
@pytest.mark.parametrize(
    ("left", "state"), [(None, "running"), ("SELECT 0", "lost"), (_ENDS_OPEN, "unfinished")]
)
def test_list_of_workflows_counts_as_the_page_of_a_run_of_parsls_hub(
    left: str | None, state: str, parsl_generation: Path, database: Path, serve: Serve, shown: Tab
) -> None:
    """Its state and tasks are those of its own page, though Parsl has counted none of them yet."""
    if left is not None:
        database = parsl_generation  # what it was made of: of years ago, and with the same rows
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute(left)
    dashboard = serve(database)
    shown.open(dashboard.address)
    shown.open(f"{dashboard.root}/")
    until(lambda: "memoised" in shown.text("table.runs"))
    (row,) = shown.cells("table.runs")

    assert row[3] == state
    assert row[7].split() == ["3", "and", "1", "memoised"]
    assert row[8].split() == ["1", "and", "1", "whose", "dependencies", "failed"]
    shown.open(f"{dashboard.root}/workflow/{value(database, 'SELECT run_id FROM workflow')}/")
    until(lambda: "memoised" in shown.text("#f-header"))
    assert shown.text("#f-header .pill") == state
    of_page = [
        shown.text(f"#f-header div:has(> dt:text('{name} tasks')) dd").split()
        for name in ("Completed", "Failed")
    ]
    assert of_page == [row[7].split(), row[8].split()]
