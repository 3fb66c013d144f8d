"""
Open a monitoring database for reading, and nothing else.

Flow: what the user named -> **engine** -> runs, counts, tasks, failures
Nothing is ever created or changed: no database, no table, no file beside it.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from otel_parsl.database_driver import NoDriver, with_driver
from otel_parsl.query.errors import DatabaseChanged, DatabaseUnusable, WrongDatabase
from otel_parsl.query.gaps import Gaps, bridge_gaps, find_gaps
from otel_parsl.query.versions import set_version
from otel_parsl.schema import DATABASES, SCHEMA_VERSION, otel_schema, status, task, try_, workflow

LOCK_S = 5.0
"""How long to wait for a writer that holds the database."""
_CONNECT_S = 10
_TRIES = 3

Result = TypeVar("Result")

_NEEDED = frozenset(table.name for table in (workflow, task, try_, status))
_STILL = "otel_parsl_still"
_WAL_VERSION = 2
_VERSION_AT = 18
"""Where an SQLite file says whether it has a write-ahead log (https://www.sqlite.org/fileformat.html)."""


@dataclass(frozen=True)
class Database:
    """A monitoring database that can be read."""

    name: str
    """A path or a URL without its password, for people."""
    engine: Engine
    has_otel: bool
    """Whether it has our tables; one that only Parsl's own hub has written has not."""
    gaps: Gaps
    """What it lacks of Parsl's own tables; SQLite gives NULL for it."""

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """
        Give a connection on which everything is read as of one moment.

        Keep it no longer than the reading takes: without a write-ahead log it holds up the writer.

        Raises:
            DatabaseUnusable: The database cannot be read, or lacks a column.
            DatabaseChanged: It was written to meanwhile, and what was read may not fit together.
        """
        with _reading(self.name, self.engine) as connection:
            yield connection


def of_one_moment(read: Callable[[], Result]) -> Result:
    """
    Return what a function reads, which is called again where a writer came into its reading.

    That happens once for each writer that begins: what it writes is told from what it finds.

    Raises:
        DatabaseChanged: Writers come and go faster than it reads.
    """
    for _ in range(_TRIES - 1):
        try:
            return read()
        except DatabaseChanged:
            continue
    return read()


def open_database(given: str | None = None, *, folder: Path | None = None) -> Database:
    """
    Open the database that a user means.

    Args:
        given: An SQLAlchemy URL, the path of an SQLite file, or that of a folder with a
            ``monitoring.db``; by default what parsl-visualize would show.
        folder: Where to look by default; the current one.

    Raises:
        DatabaseUnusable: There is none, or it is no monitoring database, or of another version.
    """
    url = find_database(given, folder=folder)
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        return _opened(str(path), _sqlite_engine(path))
    return _opened(url.render_as_string(), _server_engine(url))


def find_database(given: str | None = None, *, folder: Path | None = None) -> URL:
    """
    Return the URL of the database that a user means; that of SQLite has an absolute path.

    Raises:
        DatabaseUnusable: There is no such file, or the URL is of no use.
    """
    here = folder or Path.cwd()
    if given is None:
        return _sqlite_url(_first_of(here, "runinfo/monitoring.db", "monitoring.db"))
    if "://" not in given:
        return _sqlite_url(_existing(here / Path(given).expanduser()))
    try:
        url = make_url(given)
    except ArgumentError as error:
        raise DatabaseUnusable(
            f"database {given!r}: not a URL; expected sqlite:///PATH or postgresql://HOST/NAME"
        ) from error
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise DatabaseUnusable(f"database {given}: names no file; expected sqlite:///PATH")
        return _sqlite_url(_existing(here / url.database))
    if url.get_backend_name() not in DATABASES:
        raise DatabaseUnusable(
            f"database {url.render_as_string()}: no such kind of database;"
            " expected sqlite:/// or postgresql://"
        )
    return url


def is_write_ahead(path: Path) -> bool:
    """Tell whether an SQLite file is kept with a write-ahead log."""
    with open(path, "rb") as file:
        header = file.read(_VERSION_AT + 1)
    return len(header) > _VERSION_AT and header[_VERSION_AT] == _WAL_VERSION


def _first_of(folder: Path, *names: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise WrongDatabase(
        f"no database: neither {' nor '.join(names)} is in {folder}."
        " Go to the folder of the run, or name the database by its path or URL"
    )


def _existing(path: Path) -> Path:
    if path.is_dir():
        return _first_of(path, "monitoring.db", "runinfo/monitoring.db")
    if not path.exists():
        raise DatabaseUnusable(
            f"database {path}: no such file. Parsl keeps it in runinfo/monitoring.db by default"
        )
    return path


def _sqlite_url(path: Path) -> URL:
    return URL.create("sqlite", database=os.path.abspath(path))


def _opened(name: str, engine: Engine) -> Database:
    with _reading(name, engine) as connection:
        tables = set(inspect(connection).get_table_names())
        if not tables:
            raise DatabaseUnusable(
                f"database {name}: has no tables. If its run has only just begun, try again"
            )
        if not tables >= _NEEDED:
            raise WrongDatabase(
                f"database {name}: not a monitoring database, it lacks the tables"
                f" {', '.join(sorted(_NEEDED - tables))}. {_NAME_ANOTHER}"
            )
        has_otel = otel_schema.name in tables
        if has_otel:
            version = connection.execute(select(otel_schema.c.version)).scalar()
            _check_version(name, version)
            set_version(engine, version or SCHEMA_VERSION)
        gaps = find_gaps(connection)
    if gaps and engine.dialect.name == "sqlite":
        bridge_gaps(engine, gaps)
    return Database(name, engine, has_otel, gaps)


def _check_version(name: str, version: int | None) -> None:
    if version is None or version <= SCHEMA_VERSION:
        return
    raise DatabaseUnusable(
        f"database {name}: its otel_ tables have version {version},"
        f" this program reads {SCHEMA_VERSION}. Upgrade with: pip install --upgrade otel-parsl"
    )


def _sqlite_engine(path: Path) -> Engine:
    engine = create_engine("sqlite://", poolclass=NullPool)

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, record: Any, *_arguments: Any) -> sqlite3.Connection:
        is_still = is_write_ahead(path) and not Path(f"{path}-wal").exists()
        if is_still:
            record.info[_STILL] = _Still(path)
        return sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro{'&immutable=1' if is_still else ''}",
            uri=True,
            timeout=LOCK_S,
            check_same_thread=False,
            isolation_level=None,  # the transaction is begun below: reads are of one moment
        )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


class _Still:
    """
    A file with a write-ahead log whose log is missing: no writer is about.

    A reader makes that log's files where they are missing, and leaves them; so such a file is
    opened as one that cannot change. Should a writer begin all the same, the file shows it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._look()

    def is_still(self) -> bool:
        """Tell whether nothing has been written since."""
        return self._seen == self._look()

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_size, found.st_mtime_ns


@contextmanager
def _reading(name: str, engine: Engine) -> Iterator[Connection]:
    with _explained(name), engine.connect() as connection, _unchanged(name, connection):
        yield connection


@contextmanager
def _unchanged(name: str, connection: Connection) -> Iterator[None]:
    still = connection.info.get(_STILL)
    try:
        yield
    except DBAPIError as error:
        if still is None or still.is_still():
            raise
        raise _changed(name) from error
    if still is not None and not still.is_still():
        raise _changed(name)


def _changed(name: str) -> DatabaseChanged:
    return DatabaseChanged(f"database {name}: was written to while it was read. Try again")


def _server_engine(url: URL) -> Engine:
    try:
        usable = with_driver(url)
    except NoDriver as error:
        raise DatabaseUnusable(f"database {error}") from error
    return create_engine(
        usable,
        poolclass=NullPool,
        isolation_level="REPEATABLE READ",
        connect_args={
            "options": "-c default_transaction_read_only=on",
            "connect_timeout": _CONNECT_S,
        },
    )


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, DBAPIError) as error:
        if _NO_DATABASE in str(error):
            raise WrongDatabase(
                f"database {name}: not an SQLite database. {_NAME_ANOTHER}"
            ) from error
        raise DatabaseUnusable(f"database {name}: {_explanation(error)}") from error


_NO_COLUMN = re.compile(r"no such (?:column|table): (\S+)|(?:column|relation) (\S+) does not exist")
_NO_DATABASE = "not a database"
_NAME_ANOTHER = "Name another by its path or URL"
_EXPLANATIONS = (
    ("is locked", f"is locked by another program for more than {LOCK_S:.0f} s. Try again"),
    (
        "malformed",
        "damaged: SQLite cannot read it. Save what can be read with: sqlite3 OLD .recover"
        " | sqlite3 NEW",
    ),
    (
        "unable to open",
        "cannot be opened. You need to be allowed to read it, and to write into its folder while"
        " its run goes on or after its writer was killed; else copy it with its -wal file",
    ),
    (
        "readonly",
        "its writer was killed in the middle of a transaction, which only a writer can take back."
        " Let the next run continue it, or open a copy (with its -journal file) with sqlite3",
    ),
)


def _explanation(error: OSError | DBAPIError) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    text = str(error.orig).strip()
    column = _NO_COLUMN.search(text)
    if column:
        return (
            f"it has no {column[1] or column[2]}: another version of Parsl has written it."
            " Read it with the tools of that version"
        )
    for words, explanation in _EXPLANATIONS:
        if words in text:
            return explanation
    return f"cannot be read: {text.splitlines()[0] if text else type(error.orig).__name__}"
