"""What status, failures and the pages ask stands in the store without a scan: SQLite's plans."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from otel_parsl_dashboards.data import queries
from sqlalchemy import Connection, TextClause, event
from sqlalchemy.engine import Engine

from otel_parsl.cli.status import read_status
from otel_parsl.query.engine import Database, open_database
from otel_parsl.query.failures import select_failure_groups
from otel_parsl.query.runs import Run, select_runs
from otel_parsl.query.task_facts import select_task_facts
from otel_parsl.query.tasks import select_task_ids
from otel_parsl.query.tries import select_tries
from tests.support.delivery import deliver, in_order
from tests.support.recorded_cases import CASES
from tests.support.recorded_stream import joined

NOW = datetime.datetime.now(datetime.timezone.utc)
GROW = (
    *("task", "try", "status", "resource", "node"),
    *("otel_task", "otel_try", "otel_failure", "otel_edge", "otel_bucket", "otel_count"),
)
"""Tables that hold more the more runs, tasks or reports there are."""

_FEW = {"task_ids": [0, 1], "try_ids": [0]}
_PAGES = (queries.TASKS, queries.TRIES, queries.TASKS_OF, queries.TRIES_OF, queries.BLOCKS)
"""What pages read by run or by task. Statuses, samples and reports of nodes are not among it: plots
take all of a run's, which the pages read once and then as they are appended."""


def _read_pages(connection: Connection, run: Run) -> None:
    texts = [*(reading.query for reading in _PAGES)]
    texts += [queries.DEPENDS, queries.DEPENDS_OF, queries.JOINS]
    for packed in (queries.TASKS_PACKED, queries.TRIES_PACKED):
        texts += [packed.ends, packed.query, packed.plain.query]
    texts += [queries.STATUSES_PACKED.query, queries.DEPENDS_PACKED, queries.DEPENDS_BETWEEN]
    for text in texts:
        wanted = {"run_id": run.run_id, "since": 0, "until": 1000, **_FEW}
        connection.execute(text, {name: wanted[name] for name in _parameters(text)})


def _parameters(text: TextClause) -> list[str]:
    return list(text.compile().params)


READERS: dict[str, Callable[[Connection, Run], object]] = {
    "failures": select_failure_groups,
    "task list": lambda connection, run: select_task_ids(connection, run, limit=20, now=NOW),
    "facts of tasks": lambda connection, run: select_task_facts(connection, run, [0, 1]),
    "tries of tasks": lambda connection, run: select_tries(connection, run, [0, 1]),
    "pages": _read_pages,
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """A store with all recorded cases, each a run."""
    path = tmp_path_factory.mktemp("plans") / "monitoring.db"
    recording = joined(*(made() for made in CASES.values()))
    deliver(path, recording.requests, in_order(len(recording.requests)))
    return open_database(f"sqlite:///{path}")


@contextmanager
def _plans(database: Database) -> Iterator[list[str]]:
    """Collect the steps that SQLite takes for whatever is asked meanwhile."""
    asked: list[tuple[str, Any]] = []
    steps: list[str] = []

    def listen(_connection: Any, _cursor: Any, sql: str, values: Any, *_: Any) -> None:
        asked.append((sql, values))

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        yield steps
    finally:
        event.remove(Engine, "before_cursor_execute", listen)
    with database.engine.connect() as connection:
        for sql, values in asked:
            if sql.lstrip().upper().startswith(("SELECT", "WITH")):
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
                steps += [step.detail for step in plan]


def _scans(steps: list[str]) -> list[str]:
    return [step for step in steps if step.startswith("SCAN") and step.split()[1] in GROW]


def _tables(steps: list[str]) -> set[str]:
    return {step.split()[1] for step in steps if step.startswith(("SCAN", "SEARCH"))} & {*GROW}


def _runs(database: Database) -> list[Run]:
    with database.read() as connection:
        return select_runs(connection, has_otel=True)


@pytest.mark.parametrize("reader", READERS)
def test_no_table_that_grows_is_scanned(database: Database, reader: str) -> None:
    """Each step of each query finds its rows by an index, in a store with many kinds of runs."""
    runs = _runs(database)
    with _plans(database) as steps:
        for run in runs:
            with database.read() as connection:
                READERS[reader](connection, run)

    assert _tables(steps), "nothing was asked"
    assert _scans(steps) == []


def test_status_reads_what_is_rolled_up(database: Database) -> None:
    """How ended runs stand is read from counts and buckets, whatever number of tasks they have."""
    runs = [run for run in _runs(database) if run.completed_at is not None]
    with _plans(database) as steps:
        for run in runs:
            read_status(database.name, run.run_id)

    assert _scans(steps) == []
    assert _tables(steps) == {"otel_bucket", "otel_count"}


def test_a_scan_is_seen(database: Database) -> None:
    """The test can fail: a condition without an index shows as the scan that it is."""
    with _plans(database) as steps, database.read() as connection:
        connection.exec_driver_sql("SELECT * FROM task WHERE task_fail_cost > 1")

    assert _scans(steps) == ["SCAN task"]
