"""Opening a database: which one, read-only, and a clear word where it cannot be read."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import create_engine, select, text

from otel_parsl.query import engine as query_engine
from otel_parsl.query.engine import (
    find_database,
    is_write_ahead,
    of_one_moment,
    open_database,
)
from otel_parsl.query.errors import DatabaseChanged, DatabaseUnusable
from otel_parsl.query.runs import select_runs
from otel_parsl.schema import SCHEMA_VERSION, otel_schema, workflow
from tests.support.stored_run import RUN_ID, StoredRun


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with one run, closed."""
    path = tmp_path / "stored" / "monitoring.db"
    path.parent.mkdir()
    with StoredRun(f"sqlite:///{path}") as run:
        run.task(0, "pending", "launched", "exec_done")
    return path


def _message(given: str | None, folder: Path | None = None) -> str:
    with pytest.raises(DatabaseUnusable) as caught:
        open_database(given, folder=folder)
    return str(caught.value)


def _files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


@pytest.mark.parametrize("place", ["runinfo/monitoring.db", "monitoring.db"])
def test_database_is_found_where_parsl_keeps_it(store: Path, tmp_path: Path, place: str) -> None:
    """Without an argument the database of the current folder is taken, as parsl-visualize does."""
    target = tmp_path / "here" / place
    target.parent.mkdir(parents=True)
    shutil.copy(store, target)

    assert find_database(folder=tmp_path / "here").database == str(target)


def test_database_in_runinfo_goes_before_one_in_the_folder(store: Path, tmp_path: Path) -> None:
    """Where both are there, runinfo/monitoring.db is taken."""
    for place in ("runinfo/monitoring.db", "monitoring.db"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        shutil.copy(store, tmp_path / place)

    assert find_database(folder=tmp_path).database == str(tmp_path / "runinfo/monitoring.db")


def test_database_is_named_by_url_path_or_folder(store: Path) -> None:
    """A URL with an absolute or a relative path, a path and a folder all name the same file."""
    folder = store.parent
    given = [
        f"sqlite:///{store}",
        "sqlite:///monitoring.db",
        str(store),
        "monitoring.db",
        str(folder),
        str(folder.parent / "stored"),
    ]

    assert {find_database(each, folder=folder).database for each in given} == {str(store)}


@pytest.mark.parametrize("name", ["with space.db", "50%.db", "what?.db", "a#b.db", "ключ.db"])
def test_database_may_have_any_name(store: Path, name: str) -> None:
    """A name that would mean something in a URI is just a name."""
    path = store.rename(store.with_name(name))

    database = open_database(str(path))

    with database.read() as connection:
        runs = select_runs(connection, has_otel=database.has_otel)
    assert [run.run_id for run in runs] == [RUN_ID]


def test_missing_database_is_said_with_where_it_was_looked_for(tmp_path: Path) -> None:
    """Without a database the error names the places and what to do."""
    assert _message(None, tmp_path) == (
        f"no database: neither runinfo/monitoring.db nor monitoring.db is in {tmp_path}."
        " Go to the folder of the run, or name the database by its path or URL"
    )


def test_missing_file_is_said_and_not_made(tmp_path: Path) -> None:
    """A path or a URL to no file is an error, and nothing is there afterwards."""
    path = tmp_path / "no.db"
    expected = f"database {path}: no such file. Parsl keeps it in runinfo/monitoring.db by default"

    assert _message(str(path)) == expected
    assert _message(f"sqlite:///{path}") == expected
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            "nonsense://",
            "database nonsense://: no such kind of database; expected sqlite:/// or postgresql://",
        ),
        (
            "mysql://me:secret@host/name",
            "database mysql://me:***@host/name: no such kind of database;"
            " expected sqlite:/// or postgresql://",
        ),
        ("sqlite://", "database sqlite://: names no file; expected sqlite:///PATH"),
        (
            "sqlite:///:memory:",
            "database sqlite:///:memory:: names no file; expected sqlite:///PATH",
        ),
        (
            "://",
            "database '://': not a URL; expected sqlite:///PATH or postgresql://HOST/NAME",
        ),
        (
            "postgresql+nonsense://host/name",
            "database postgresql+nonsense://host/name: no such driver;"
            " expected postgresql:// or postgresql+psycopg://",
        ),
    ],
)
def test_useless_url_is_said(given: str, expected: str) -> None:
    """A URL that cannot be used is named, without its password, with what is expected."""
    assert _message(given) == expected


def test_unreachable_server_is_said_without_the_password() -> None:
    """A server that does not answer is named, and its password is not."""
    message = _message("postgresql://me:secret@127.0.0.1:1/name")

    assert message.startswith("database postgresql://me:***@127.0.0.1:1/name: cannot be read: ")
    assert "secret" not in message


def test_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    """A text file is not taken for a database."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but longer than the header of one: " * 20)

    assert _message(str(path)) == (
        f"database {path}: not an SQLite database. Name another by its path or URL"
    )


def test_empty_file_is_said(tmp_path: Path) -> None:
    """A database without tables may be one whose run begins just now."""
    path = tmp_path / "empty.db"
    path.touch()

    assert _message(str(path)) == (
        f"database {path}: has no tables. If its run has only just begun, try again"
    )


def test_foreign_database_is_said(tmp_path: Path) -> None:
    """A database of something else is refused, and the tables that it lacks are named."""
    path = tmp_path / "foreign.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE task (id INTEGER)")

    assert _message(str(path)) == (
        f"database {path}: not a monitoring database, it lacks the tables status, try, workflow."
        " Name another by its path or URL"
    )


def test_database_of_a_newer_version_is_said(store: Path) -> None:
    """Tables of a newer version are refused with the way out."""
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("UPDATE otel_schema SET version = 99")
        connection.commit()

    assert _message(str(store)) == (
        f"database {store}: its otel_ tables have version 99, this program reads {SCHEMA_VERSION}."
        " Upgrade with: pip install --upgrade otel-parsl"
    )


def test_damaged_database_is_said(store: Path) -> None:
    """A file with bytes overwritten in its first tables is told as damaged."""
    content = bytearray(store.read_bytes())
    content[100:4096] = b"\xff" * (4096 - 100)
    store.write_bytes(content)

    assert _message(str(store)) == (
        f"database {store}: damaged: SQLite cannot read it."
        " Save what can be read with: sqlite3 OLD .recover | sqlite3 NEW"
    )


def test_column_that_is_missing_is_said(store: Path) -> None:
    """A database of a Parsl with other columns is told by the column."""
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("ALTER TABLE workflow RENAME COLUMN user TO login")
    database = open_database(str(store))

    with pytest.raises(DatabaseUnusable) as caught, database.read() as connection:
        select_runs(connection, has_otel=False)

    assert str(caught.value) == (
        f"database {store}: it has no workflow.user: another version of Parsl has written it."
        " Read it with the tools of that version"
    )


def test_locked_database_is_said(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that outlasts the patience of the reader is told as a lock."""
    monkeypatch.setattr(query_engine, "LOCK_S", 0.1)
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("BEGIN EXCLUSIVE")

        message = _message(str(store))

    assert message == (
        f"database {store}: is locked by another program for more than 5 s. Try again"
    )


@contextmanager
def _as_stranger() -> Iterator[None]:
    """Be nobody for a while: root may read everything."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_unreadable_file_is_said(store: Path) -> None:
    """A file that the user may not read is told as such."""
    with TemporaryDirectory() as directory:  # that a stranger may enter, as no tmp_path
        os.chmod(directory, 0o755)
        path = Path(shutil.copy(store, directory))
        path.chmod(0)

        with _as_stranger():
            message = _message(str(path))

    assert message == f"database {path}: cannot be read: Permission denied"


def test_killed_writer_is_said(store: Path) -> None:
    """A transaction that a killed writer left half done is told as such, and left alone."""
    _leave_half_done(store)
    before = _files(store.parent)

    assert _message(str(store)) == (
        f"database {store}: its writer was killed in the middle of a transaction, which only a"
        " writer can take back. Let the next run continue it, or open a copy (with its -journal"
        " file) with sqlite3"
    )
    assert _files(store.parent) == before


def test_reading_leaves_nothing_beside_the_file(store: Path) -> None:
    """Neither the file nor its folder is touched, though it is kept with a write-ahead log."""
    before = _files(store.parent)
    assert is_write_ahead(store)

    with open_database(str(store)).read() as connection:
        assert connection.execute(select(workflow.c.run_id)).scalars().all() == [RUN_ID]
        during = _files(store.parent)

    assert (before, before) == (during, _files(store.parent))


def _rename(store: Path, name: str) -> None:
    with closing(sqlite3.connect(store)) as writer:
        writer.execute("UPDATE workflow SET workflow_name = ?", [name])
        writer.commit()


def test_reading_that_a_writer_came_into_is_said(store: Path) -> None:
    """Rows that may be of two moments are not taken for rows of one; the next reading is whole."""
    database = open_database(str(store))

    with pytest.raises(DatabaseChanged) as caught, database.read():
        _rename(store, "changed")

    assert str(caught.value) == (f"database {store}: was written to while it was read. Try again")
    with database.read() as connection:
        assert connection.execute(select(workflow.c.workflow_name)).scalars().all() == ["changed"]


def test_reading_that_writers_come_into_is_done_again(store: Path) -> None:
    """A page that is made while a run begins to write is made of what the run has written."""
    database = open_database(str(store))
    readings = []

    def read() -> list[str | None]:
        readings.append(len(readings))
        with database.read() as connection:
            if len(readings) < 3:
                _rename(store, f"changed {len(readings)}")
            return list(connection.execute(select(workflow.c.workflow_name)).scalars())

    assert of_one_moment(read) == ["changed 2"]
    assert readings == [0, 1, 2]


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_reading_goes_on_beside_a_writer(store: Path, journal: str) -> None:
    """What a writer has committed is seen, and what it has not is not."""
    with closing(sqlite3.connect(store)) as writer:
        writer.execute(f"PRAGMA journal_mode={journal}")
        writer.execute("UPDATE workflow SET workflow_name = 'committed'")
        writer.commit()
        writer.execute("UPDATE workflow SET workflow_name = 'open'")

        with open_database(str(store)).read() as connection:
            names = connection.execute(select(workflow.c.workflow_name)).scalars().all()

    assert names == ["committed"]


def test_reading_is_of_one_moment(store: Path) -> None:
    """What is committed while a reading goes on does not show in it."""
    name = select(workflow.c.workflow_name)
    with closing(sqlite3.connect(store)) as writer:
        writer.execute("UPDATE workflow SET workflow_name = 'before'")
        writer.commit()
        with open_database(str(store)).read() as connection:
            first = connection.execute(name).scalar()
            writer.execute("UPDATE workflow SET workflow_name = 'after'")
            writer.commit()
            second = connection.execute(name).scalar()

    assert (first, second) == ("before", "before")


def test_sqlite_cannot_be_written(store: Path) -> None:
    """A statement that writes is refused by the database itself."""
    with (
        pytest.raises(DatabaseUnusable, match=r"killed in the middle"),
        open_database(str(store)).read() as connection,
    ):
        connection.execute(otel_schema.delete())

    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute("SELECT version FROM otel_schema").fetchall() == [
            (SCHEMA_VERSION,)
        ]


def test_postgresql_is_read_and_cannot_be_written(postgres_url: str) -> None:
    """A server's database is read under either spelling of its URL, and refuses writes."""
    with StoredRun(postgres_url) as run:
        run.task(0, "pending")
    plain_url = postgres_url.replace("postgresql+psycopg://", "postgresql://")

    for url in (postgres_url, plain_url):
        database = open_database(url)
        with database.read() as connection:
            runs = select_runs(connection, has_otel=database.has_otel)
        assert [run.run_id for run in runs] == [RUN_ID]
    with (
        pytest.raises(DatabaseUnusable, match="read-only transaction"),
        open_database(postgres_url).read() as connection,
    ):
        connection.execute(otel_schema.delete())


def test_empty_postgresql_is_said(postgres_url: str) -> None:
    """A server's database without tables is told so, and gets none."""
    message = _message(postgres_url)

    assert message.endswith("has no tables. If its run has only just begun, try again")
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        tables = connection.execute(
            text("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'")
        ).scalar()
    engine.dispose()
    assert tables == 0


_HALF = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode=DELETE")
connection.execute("PRAGMA cache_size=1")
connection.execute("CREATE TABLE filler (text)")
connection.execute("BEGIN")
connection.executemany("INSERT INTO filler VALUES (?)", [("x" * 500,) for _ in range(2000)])
connection.execute("UPDATE workflow SET workflow_name = 'half'")
os.kill(os.getpid(), 9)
"""


def _leave_half_done(path: Path) -> None:
    """Have a writer killed after its changes began to reach the file."""
    killed = subprocess.run([sys.executable, "-c", _HALF, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert Path(f"{path}-journal").stat().st_size > 0
