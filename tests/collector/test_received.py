"""The store counts what it takes, in the transaction in which it takes it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from otel_parsl_collector.materialise.facts import Facts
from otel_parsl_collector.store.engine import open_store
from otel_parsl_collector.store.writer import StoreWriter

from tests.support.stored_run import StoredRun


def test_what_comes_again_counts_as_repeated(tmp_path: Path) -> None:
    """Each delivery counts, and all that the store had already counts as repeated beside."""
    path = tmp_path / "monitoring.db"
    run = _run(path)

    run.write()
    once = _received(path)
    run.write()

    # Three states; a try that began, and later what it was; two reports. All are of January, so
    # they are late.
    assert once == [
        ("interchange", 2, 0, 2, run.ns(3)),
        ("submit", 3, 0, 3, run.ns(1.002)),
        ("worker", 2, 0, 2, run.ns(2)),
    ]
    assert [row[:3] for row in _received(path)] == [
        ("interchange", 4, 2),
        ("submit", 6, 3),
        ("worker", 4, 1),
    ]


def test_two_runs_of_a_store_are_counted_apart(tmp_path: Path) -> None:
    """One transaction may be about several runs, as that of a site's collector."""
    path = tmp_path / "monitoring.db"
    _run(path).write()
    _run(path, run_id="00000000-0000-4000-8000-000000000001").write()

    with sqlite3.connect(path) as connection:
        found = connection.execute(
            "SELECT source, count(*), sum(items), sum(repeated) FROM otel_received GROUP BY source"
        ).fetchall()
    assert found == [("interchange", 2, 4, 0), ("submit", 2, 6, 0), ("worker", 2, 4, 0)]


def test_nothing_taken_is_nothing_counted(tmp_path: Path) -> None:
    """A transaction that only moves the place in the spool adds no row."""
    path = tmp_path / "monitoring.db"
    writer = StoreWriter(open_store(f"sqlite:///{path}"), "spool")
    writer.write(Facts(), {})
    writer.close()

    assert _received(path) == []


def _run(path: Path, **changes: Any) -> StoredRun:
    run = StoredRun(f"sqlite:///{path}", **changes)
    run.task(0, "pending", "launched", "exec_done")
    run.running(0, at_s=1.5)
    run.execution(0, at_s=1.5, run_s=0.5)
    run.manager("first", workers=4, tasks=0, at_s=2)
    run.manager("first", workers=4, tasks=1, at_s=3)
    return run


def _received(path: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute(
            "SELECT source, items, repeated, late, last_ns FROM otel_received ORDER BY source"
        ).fetchall()
