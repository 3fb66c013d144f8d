"""Which workers and blocks a run has, against SQL written by hand."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from otel_parsl.query.engine import open_database
from otel_parsl.query.runs import Run, find_run
from otel_parsl.query.workers import Block, Workers, select_blocks, select_workers
from tests.support.recorded_databases import first_run_id, rows
from tests.support.stored_run import StoredRun


def _read(path: Path, which: str = "latest") -> tuple[Run, Workers, list[Block]]:
    database = open_database(str(path))
    with database.read() as connection:
        run = find_run(connection, which, has_otel=database.has_otel)
        return run, select_workers(connection, run), select_blocks(connection, run)


def test_workers_are_those_of_active_managers(tmp_path: Path) -> None:
    """The latest report of each manager counts; no more workers are busy than a manager has."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        run.manager("a", workers=4, tasks=0, at_s=1)
        run.manager("a", workers=4, tasks=9, at_s=2)
        run.manager("b", workers=4, tasks=3, at_s=2)
        run.manager("gone", workers=64, tasks=64, at_s=1)
        run.manager("gone", workers=64, tasks=0, active=False, at_s=2)

    assert _read(path)[1] == Workers(connected=8, busy=7, managers=2)


@pytest.mark.parametrize("number", ["000", "002"])
def test_no_worker_is_connected_after_the_end(recorded_database: Path, number: str) -> None:
    """Managers that were lost or scaled in are not counted, though node rows of them are many."""
    assert _read(recorded_database, number)[1] == Workers(0, 0, 0)


def test_workers_of_parsls_hub_are_those_of_the_last_rows(
    parsl_database: Path, tmp_path: Path
) -> None:
    """A manager counts once, by its last row, however often it reported."""
    path = tmp_path / "monitoring.db"
    shutil.copy(parsl_database, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE node SET active = 1, worker_count = 5")
        connection.commit()
    (managers,) = rows(
        path,
        "SELECT count(DISTINCT uid) FROM node WHERE run_id = ?",
        first_run_id(path),
    )[0]

    assert _read(path, "000")[1] == Workers(connected=5 * managers, busy=0, managers=managers)


def test_blocks_have_their_latest_status(recorded_database: Path) -> None:
    """Each block is listed once, with the status and the job that its last row has."""
    run, _, blocks = _read(recorded_database, "000")

    expected = rows(
        recorded_database,
        "SELECT executor_label, block_id, job_id, status FROM block AS latest WHERE run_id = ?"
        " AND timestamp = (SELECT max(timestamp) FROM block WHERE run_id = latest.run_id"
        "  AND executor_label = latest.executor_label AND block_id = latest.block_id)"
        " ORDER BY 1, 2",
        run.run_id,
    )
    assert [tuple(block[:4]) for block in blocks] == expected
    assert not any(block.is_trouble for block in blocks)


def test_blocks_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """Block 10 comes after block 9, and trouble is told by status and by exit code."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        for block_id in ("10", "9", "x"):
            run.block(block_id, "RUNNING", job_id=f"job{block_id}")
        run.block("9", "FAILED", message="no such partition")
        run.block("10", "COMPLETED", exit_code=127)

    blocks = _read(path)[2]

    assert [(block.block_id, block.status, block.is_trouble) for block in blocks] == [
        ("x", "RUNNING", False),
        ("9", "FAILED", True),
        ("10", "COMPLETED", True),
    ]
    assert blocks[1].message == "no such partition"
