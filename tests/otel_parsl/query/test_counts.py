"""How many tasks are in which state, against SQL written by hand."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from otel_parsl.query.counts import AppStates, select_counts
from otel_parsl.query.engine import open_database
from otel_parsl.query.runs import find_run
from otel_parsl.query.task_states import OF_PARSL, TaskState, task_states
from otel_parsl.schema import OTEL_TABLES
from otel_parsl.semconv import STATES
from tests.support.recorded_databases import rows, value
from tests.support.stored_run import StoredRun

RUNS = ("000", "001", "002", "003")


def _counts(path: Path | str, which: str = "latest") -> AppStates:
    database = open_database(str(path))
    with database.read() as connection:
        return select_counts(connection, find_run(connection, which, has_otel=database.has_otel))


def _states(path: Path | str) -> dict[int, TaskState]:
    database = open_database(str(path))
    with database.read() as connection:
        states = task_states(find_run(connection, has_otel=database.has_otel))
        return {
            task_id: TaskState(state) for task_id, _, state in connection.execute(states.select())
        }


def test_every_state_of_parsl_has_its_word() -> None:
    """No state that Parsl knows is unknown here."""
    assert OF_PARSL.keys() == set(STATES)


@pytest.mark.parametrize("number", RUNS)
def test_counts_are_those_of_table_status(recorded_database: Path, number: str) -> None:
    """The last status of each task, by its app, gives the same counts, under either hub."""
    run_id = value(
        recorded_database, "SELECT run_id FROM workflow WHERE rundir LIKE ?", f"%/{number}"
    )
    words = {
        "exec_done": TaskState.EXECUTED,
        "memo_done": TaskState.MEMOISED,
        "failed": TaskState.FAILED,
        "dep_fail": TaskState.DEP_FAILED,
    }
    ended = rows(
        recorded_database,
        "SELECT task_func_name, task_status_name, count(*) FROM task NATURAL JOIN status"
        " WHERE run_id = ? AND task_status_name IN ('exec_done', 'memo_done', 'failed', 'dep_fail')"
        " GROUP BY 1, 2",
        run_id,
    )

    counts = _counts(recorded_database, number)

    done = {key: tasks for key, tasks in counts.items() if key[1] in words.values()}
    assert done == {(app, words[state]): tasks for app, state, tasks in ended}
    assert counts.total() == value(
        recorded_database, "SELECT count(*) FROM task WHERE run_id = ?", run_id
    )


def test_both_hubs_lead_to_the_same_counts(otel_database: Path, parsl_database: Path) -> None:
    """The same program has the same counts, whether they come from our roll-ups or from scans."""
    for number in RUNS:
        assert _counts(otel_database, number) == _counts(parsl_database, number)


EXPECTED = {
    0: TaskState.WAITING,
    1: TaskState.QUEUED,
    2: TaskState.RUNNING,
    3: TaskState.RETRYING,
    4: TaskState.RETRYING,
    5: TaskState.RUNNING,
    6: TaskState.JOINING,
    7: TaskState.EXECUTED,
    8: TaskState.MEMOISED,
    9: TaskState.FAILED,
    10: TaskState.DEP_FAILED,
    11: TaskState.EXECUTED,
    12: TaskState.RETRYING,
    13: TaskState.QUEUED,
}


def _store_every_state(url: str) -> None:
    failed = "ValueError('once')"
    with StoredRun(url) as run:
        run.task(0, "pending")
        run.task(1, "pending", "launched")
        run.task(2, "pending", "launched")
        run.running(2, at_s=2)
        run.task(3, "pending", "launched", "fail_retryable", fail_history=failed)
        run.task(3, "pending", try_id=1, at_s=3)
        run.task(4, "pending", "launched", "fail_retryable", fail_history=failed)
        run.execution(4, at_s=2, run_s=1, exception_type="ValueError", message="once")
        run.task(4, "pending", "launched", try_id=1, at_s=4)
        run.task(5, "pending", "launched", "fail_retryable", fail_history=failed)
        run.task(5, "pending", "launched", try_id=1, at_s=5)
        run.running(5, at_s=6, try_id=1)
        run.task(6, "pending", "launched", "joining", app="join", joins="1")
        run.execution(6, at_s=1, run_s=0.1, app="join")
        run.task(7, "pending", "launched", "exec_done")
        run.execution(7, at_s=1, run_s=2)
        run.task(8, "pending", "memo_done")
        run.task(9, "pending", "launched", "failed", fail_history=failed)
        run.task(10, "pending", "dep_fail", depends="9")
        run.task(11, "pending", "launched", "fail_retryable", fail_history=failed)
        run.task(11, "pending", "launched", "exec_done", try_id=1, at_s=7)
        run.task(12, "pending", "launched", "fail_retryable", fail_history=failed)
        run.task(13, "pending", "launched")


def test_every_state_is_told_apart(tmp_path: Path) -> None:
    """Tasks that wait, queue, run, retry or join now are told apart, and each is counted once."""
    _store_every_state(f"sqlite:///{tmp_path}/monitoring.db")

    counts = _counts(tmp_path / "monitoring.db")

    assert _states(tmp_path / "monitoring.db") == EXPECTED
    totals: Counter[TaskState] = Counter()
    for (_, state), tasks in counts.items():
        totals[state] += tasks
    assert totals == Counter(EXPECTED.values())
    assert counts["join", TaskState.JOINING] == 1


def test_every_state_is_told_apart_in_postgresql(postgres_url: str) -> None:
    """The same holds on a server."""
    _store_every_state(postgres_url)

    assert _states(postgres_url) == EXPECTED
    assert _counts(postgres_url).total() == len(EXPECTED)


def test_every_state_is_told_apart_from_parsls_tables_alone(tmp_path: Path) -> None:
    """Table status alone leads to the same states, where our tables have been taken away."""
    path = tmp_path / "monitoring.db"
    _store_every_state(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        for table in OTEL_TABLES:
            connection.execute(f'DROP TABLE "{table.name}"')

    # A join app's function has ended, and nothing else is underway: Parsl's rows say the same.
    assert _states(path) == EXPECTED
    assert _counts(path).total() == len(EXPECTED)


def test_try_that_died_with_its_worker_does_not_run(tmp_path: Path) -> None:
    """A try that began and whose end no worker will tell is over when the submit side says so."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        run.task(0, "pending", "launched")
        run.running(0, at_s=2)
        run.task(0, "fail_retryable", try_id=0, at_s=3, fail_history="WorkerLost(3, 'node1')")
        run.task(0, "pending", "launched", try_id=1, at_s=4)

    assert _counts(path) == {("double", TaskState.RETRYING): 1}


def test_run_without_tasks_has_no_counts(tmp_path: Path) -> None:
    """A run that has only begun counts nothing."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}"):
        pass

    assert _counts(path) == Counter()
