"""A reader that does not let go of an SQLite file delays its writer, and costs it nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from otel_parsl_collector.exporters.parsl_sql import ParslSqlExporter
from otel_parsl_collector.pump import Pump
from otel_parsl_collector.store import engine
from sqlalchemy.exc import OperationalError

from otel_parsl.spool import Frame, Place, SpoolWriter, frame
from tests.support.delivery import deliver, in_order
from tests.support.recorded_cases import CASES
from tests.support.server_process import wait_for
from tests.support.store_rows import read_rows


@pytest.fixture(params=[True, False], ids=["local", "shared"])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A path on a local filesystem (write-ahead log) and on a shared one (rollback journal)."""
    monkeypatch.setattr(engine, "is_local", lambda _: request.param)
    # How long SQLite itself waits; however long the lock is held, what follows is the same.
    monkeypatch.setattr(engine, "BUSY_S", 0.05)
    return tmp_path / "store.db"


@pytest.mark.parametrize("lock", ["BEGIN EXCLUSIVE", "BEGIN IMMEDIATE", "BEGIN"])
def test_reader_that_holds_a_lock_loses_nothing(tmp_path: Path, database: Path, lock: str) -> None:
    """While a reader is in a transaction writing is tried again, and then every row is there."""
    requests = CASES["managers"]().requests
    expected = deliver(tmp_path / "expected.db", requests, in_order(len(requests)))
    store = ParslSqlExporter(f"sqlite:///{database}", spool="spool")
    writer = SpoolWriter(tmp_path, "submit")
    failed: list[Exception] = []

    def consume(frames: list[Frame], places: Mapping[str, Place]) -> None:
        try:
            store.consume(frames, places)
        except OperationalError as error:
            failed.append(error)
            raise

    pump = Pump(
        "store",
        tmp_path,
        {"submit": Place()},
        consume,
        retryable=(OperationalError,),
        delay_s=lambda _: 0.01,
    )
    with closing(sqlite3.connect(database, isolation_level=None)) as reader:
        reader.execute(lock)
        reader.execute("SELECT * FROM task").fetchall()
        place = writer.append(frame(*request) for request in requests)
        pump.hurry()
        pump.start()
        # A write-ahead log is written beside an open reading transaction.
        reads_alone = lock == "BEGIN" and engine.journal_mode(database) == "wal"
        wait_for(
            lambda: len(failed) >= 3 or (reads_alone and pump.places["submit"] == place) or None,
            what="the pump",
            timeout_s=20,
        )
        assert reader.execute("SELECT * FROM task").fetchall() == []
        reader.execute("ROLLBACK")
    wait_for(lambda: pump.places["submit"] == place or None, what="the pump", timeout_s=20)
    pump.stop()
    store.close()
    writer.close()

    assert bool(failed) != reads_alone
    assert read_rows(str(database)) == expected


def test_locked_file_can_be_opened_once_the_lock_is_gone(tmp_path: Path, database: Path) -> None:
    """An agent that starts while a file is locked is told so, and opens it later."""
    url = f"sqlite:///{database}"
    with closing(sqlite3.connect(database, isolation_level=None)) as reader:
        reader.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OperationalError, match="database is locked"):
            ParslSqlExporter(url, spool="spool")
        reader.execute("ROLLBACK")
    store = ParslSqlExporter(url, spool="spool")
    assert store.places() == {}
    store.close()
