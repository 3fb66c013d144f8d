"""A database is opened with the journal that its filesystem allows, and with all tables."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from otel_parsl_collector.errors import StoreError
from otel_parsl_collector.materialise.facts import Facts
from otel_parsl_collector.materialise.otlp import materialise
from otel_parsl_collector.store import engine, filesystem
from otel_parsl_collector.store.engine import journal_mode, open_store
from otel_parsl_collector.store.writer import StoreWriter

from otel_parsl.schema import OTEL_TABLES, PARSL_TABLES, SCHEMA_VERSION
from tests.support.parsl_database import parsls_database
from tests.support.parsl_messages import (
    block_info,
    node_info,
    run_started,
    task_info,
    worker_task_info,
)
from tests.support.recorded_cases import CASES
from tests.support.store_rows import PARSL, Rows, read_rows
from tests.support.stored_run import StoredRun


@pytest.mark.parametrize(
    ("number", "kind", "mode"),
    [
        (0xEF53, "ext4", "wal"),
        (0x58465342, "xfs", "wal"),
        (0x01021994, "tmpfs", "wal"),
        (0x794C7630, "overlay", "wal"),
        (0x6969, "nfs", "delete"),
        (0x0BD00BD0, "lustre", "delete"),
        (0x47504653, "gpfs", "delete"),
        (0x19830326, "beegfs", "delete"),
        (0x00C36400, "ceph", "delete"),
        (0x65735546, "fuse", "delete"),
        (0xFF534D42, "cifs", "delete"),
        (0x01021997, "9p", "delete"),
        (0x12345678, "a filesystem of type 0x12345678", "delete"),
        (None, "an unknown filesystem", "delete"),
    ],
)
def test_journal_follows_the_filesystem(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int | None,
    kind: str,
    mode: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A write-ahead log is used on filesystems known to be local alone, by the rule and in the
    database; where it is not, the log says so."""
    monkeypatch.setattr(filesystem, "_number", lambda _: number)
    assert journal_mode(tmp_path / "x.db") == mode
    with caplog.at_level("INFO", engine.__name__):
        store = open_store(f"sqlite:///{tmp_path / 'x.db'}")
    said = f"{tmp_path / 'x.db'} is on {kind}, which is not known to be a local filesystem: "
    expected = [] if mode == "wal" else [said + "using a rollback journal"]
    assert [message for message in caplog.messages if "journal" in message] == expected
    with store.connect() as connection:
        found = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    store.dispose()
    assert found == mode


@pytest.mark.parametrize("number", [0xEF53, 0x6969], ids=["wal", "delete"])
def test_what_is_committed_outlives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Each commit is synced, whatever the journal: what the store has may leave the spool."""
    monkeypatch.setattr(filesystem, "_number", lambda _: number)
    store = open_store(f"sqlite:///{tmp_path / 'x.db'}")
    with store.connect() as connection:
        found = connection.exec_driver_sql("PRAGMA synchronous").scalar()
    store.dispose()
    full = 2  # https://www.sqlite.org/pragma.html#pragma_synchronous
    assert found == full


def _schema(path: Path) -> set[tuple[str, str]]:
    with sqlite3.connect(path) as connection:
        query = "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
        return set(connection.execute(query))


def test_new_database_has_all_tables(tmp_path: Path) -> None:
    """A database that was not there has Parsl's seven tables, ours, their version and indexes."""
    path = tmp_path / "new.db"
    open_store(f"sqlite:///{path}").dispose()
    assert {name for kind, name in _schema(path) if kind == "table"} == {
        table.name for table in (*PARSL_TABLES, *OTEL_TABLES)
    }
    assert {name for kind, name in _schema(path) if kind == "index"} == {
        "ix_task_task_hashsum",
        "otel_task_by_time",
        "otel_try_running",
        "otel_try_by_task",
        "otel_failure_by_group",
        "otel_node_once",
    }
    assert read_rows(str(path))["otel_schema"] == [(SCHEMA_VERSION,)]


def test_database_may_be_opened_again(tmp_path: Path) -> None:
    """Opening a database twice, or by two at once, changes nothing in it."""
    path = tmp_path / "twice.db"
    url = f"sqlite:///{path}"
    first = open_store(url)
    _write(url, "success")
    schema, rows = _schema(path), read_rows(str(path))
    second = open_store(url)
    first.dispose()
    second.dispose()
    assert (_schema(path), read_rows(str(path))) == (schema, rows)


def _write(url: str, case: str) -> None:
    _written(url, case).close()


def _written(url: str, case: str) -> StoreWriter:
    writer = StoreWriter(open_store(url), "spool")
    for signal, payload in CASES[case]().requests:
        facts = Facts()
        materialise(signal, payload, facts)
        writer.write(facts, {})
    return writer


def _parsls_database(path: Path) -> Rows:
    """Have Parsl write one row of each table, and return them."""
    running = {**worker_task_info(), "task_status_name": "running"}
    # As Parsl: the manager's registration stands twice with the same time, which ours never has.
    messages = (
        ("workflow", run_started()),
        ("task", task_info()),
        ("try", task_info()),
        ("status", running),
        ("resource", running),
        ("block", block_info()),
        ("node", node_info()),
        ("node", node_info()),
    )
    with parsls_database(path) as database:
        for table, message in messages:
            database.insert(table=table, messages=[message])
    return read_rows(str(path))


def test_parsls_database_gains_our_tables_and_keeps_its_rows(tmp_path: Path) -> None:
    """A database of Parsl's is continued: its rows stay, and ours come beside them."""
    path, alone = tmp_path / "parsls.db", tmp_path / "alone.db"
    before = _parsls_database(path)
    open_store(f"sqlite:///{path}").dispose()
    opened = read_rows(str(path))
    assert {name: opened[name] for name in PARSL} == before

    _write(f"sqlite:///{path}", "managers")
    _write(f"sqlite:///{alone}", "managers")
    expected = read_rows(str(alone))
    continued = read_rows(str(path))
    assert {name: continued[name] for name in PARSL} == {
        name: sorted([*before[name], *expected[name]], key=repr) for name in PARSL
    }


def test_parsl_can_go_on_with_our_database(tmp_path: Path) -> None:
    """Parsl's own hub can write into a database of ours."""
    path = tmp_path / "ours.db"
    open_store(f"sqlite:///{path}").dispose()
    with parsls_database(path) as database:
        database.insert(table="workflow", messages=[run_started()])
        database.insert(table="task", messages=[task_info()])
    rows = read_rows(str(path))
    assert (len(rows["workflow"]), len(rows["task"])) == (1, 1)


def test_indexes_for_pages_are_not_put_on_parsls_database(tmp_path: Path) -> None:
    """A database that Parsl began, and may go on with, is not made slower for it."""
    path = tmp_path / "parsls.db"
    _parsls_database(path)
    open_store(f"sqlite:///{path}").dispose()
    indexes = {name for kind, name in _schema(path) if kind == "index"}
    assert indexes == {
        "ix_task_task_hashsum",
        "otel_failure_by_group",
        "otel_node_once",
        "otel_try_running",
    }


def test_database_of_the_first_version_is_continued(tmp_path: Path) -> None:
    """Tables of version 1 gain what came since, keep their rows, and take a further run."""
    path = tmp_path / "monitoring.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((Path(__file__).parents[1] / "support/store_v1.sql").read_text())
    before = read_rows(str(path))

    with StoredRun(f"sqlite:///{path}", rundir="/home/me/runinfo/001") as run:
        run.task(0, "pending")
        run.heartbeat(at_s=3)

    after = read_rows(str(path))
    assert after["otel_schema"] == [(SCHEMA_VERSION,)]
    assert len(after["otel_run"]) == len(before["otel_run"]) + 1
    new = tmp_path / "new.db"
    open_store(f"sqlite:///{new}").dispose()
    assert _columns(path) == _columns(new)


def _columns(path: Path) -> dict[str, set[tuple[str, str]]]:
    with sqlite3.connect(path) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            table: {
                (name, kind)
                for _, name, kind, *_ in connection.execute(f"PRAGMA table_info('{table}')")
            }
            for (table,) in tables.fetchall()
        }


def test_newer_database_is_refused(tmp_path: Path) -> None:
    """A database of a later version is not touched, and the message says which versions."""
    path = tmp_path / "newer.db"
    open_store(f"sqlite:///{path}").dispose()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE otel_schema SET version = ?", (SCHEMA_VERSION + 1,))
    with pytest.raises(StoreError) as raised:
        open_store(f"sqlite:///{path}")
    assert str(raised.value) == (
        f"store sqlite:///{path}: its otel_ tables have version {SCHEMA_VERSION + 1},"
        f" this program has {SCHEMA_VERSION}."
        " Upgrade with: pip install --upgrade otel-parsl; or name another database"
    )
    assert read_rows(str(path))["otel_schema"] == [(SCHEMA_VERSION + 1,)]


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """A file of another kind is left as it is, and said to be none of ours."""
    path = tmp_path / "notes.txt"
    content = b"These are my notes. " * 100
    path.write_bytes(content)
    with pytest.raises(StoreError, match="file is not a database; expected a database of Parsl's"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["oarcle", "mysql", "mysql+pymysql"])
def test_unknown_kind_of_database_is_refused_without_its_password(kind: str) -> None:
    """A URL of a kind that SQLAlchemy or we have not is refused, and its password is not shown."""
    with pytest.raises(StoreError) as raised:
        open_store(f"{kind}://me:secret@db.example.org/parsl")
    assert str(raised.value) == (
        f"store {kind}://me:***@db.example.org/parsl: no such kind of database;"
        " expected sqlite:/// or postgresql+psycopg://"
    )


def test_unknown_driver_is_refused_without_its_password() -> None:
    """A slip in the driver's name is told from a kind of database that is not known."""
    with pytest.raises(StoreError) as raised:
        open_store("postgresql+psycpg://me:secret@db.example.org/parsl")
    assert str(raised.value) == (
        "store postgresql+psycpg://me:***@db.example.org/parsl: no such driver;"
        " expected postgresql:// or postgresql+psycopg://"
    )


def test_write_ahead_log_of_a_deleted_database_is_not_replayed(tmp_path: Path) -> None:
    """A log left behind by a database that was deleted does not come back to life in the next."""
    path = tmp_path / "gone.db"
    url = f"sqlite:///{path}"
    writer = _written(url, "success")
    os.unlink(path)
    assert (tmp_path / "gone.db-wal").stat().st_size > 0
    open_store(url).dispose()
    assert read_rows(str(path))["workflow"] == []
    writer.close()


def test_write_ahead_log_of_a_database_that_was_killed_and_deleted_is_not_replayed(
    tmp_path: Path,
) -> None:
    """A sound log whose database is gone says nothing in the next database of that name."""
    path = tmp_path / "gone.db"
    code = (
        "import os, sqlite3; c = sqlite3.connect({!r}); c.execute('pragma journal_mode=wal');"
        " c.execute('create table old (x)'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code.format(str(path))], check=False)
    os.unlink(path)
    assert (tmp_path / "gone.db-wal").stat().st_size > 0
    open_store(f"sqlite:///{path}").dispose()
    names = {name for kind, name in _schema(path) if kind == "table"}
    assert names == {table.name for table in (*PARSL_TABLES, *OTEL_TABLES)}


_OPEN_AND_WRITE = """
import sys, time
from sqlalchemy.exc import OperationalError
from otel_parsl_collector.store.engine import open_store
from otel_parsl.schema import otel_place
number, begin = int(sys.argv[2]), float(sys.argv[3])
for turn in range(5):
    while time.time() < begin + turn / 5:
        pass
    while True:
        try:
            engine = open_store(f"sqlite:///{sys.argv[1]}/{turn}.db")
            with engine.begin() as connection:
                row = {"spool": str(number), "stream": "x", "segment": 1, "position": 0}
                connection.execute(otel_place.insert().values(row))
            break
        except OperationalError as error:
            if "locked" not in str(error):
                raise
    engine.dispose()
"""


def test_agents_that_start_at_once_share_a_new_database(tmp_path: Path) -> None:
    """Several that open one new file in the same moment lose none of what each other writes."""
    begin = str(time.time() + 3)
    openers = [
        subprocess.Popen([sys.executable, "-c", _OPEN_AND_WRITE, str(tmp_path), str(n), begin])
        for n in range(3)
    ]
    assert [opener.wait(timeout=60) for opener in openers] == [0, 0, 0]
    for turn in range(5):
        with sqlite3.connect(tmp_path / f"{turn}.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            found = connection.execute("SELECT spool FROM otel_place ORDER BY 1").fetchall()
        assert found == [("0",), ("1",), ("2",)]
