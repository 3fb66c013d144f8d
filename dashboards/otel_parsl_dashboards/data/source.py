"""
The database that the pages read, opened when it is needed and again when it is another file.

Nothing is ever written, and no connection outlives its reading: a reader that stays would keep a
writer from tidying up its log.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, select, text

from otel_parsl.query.engine import Database, find_database, open_database
from otel_parsl.query.errors import DatabaseUnusable
from otel_parsl.query.gaps import Gaps
from otel_parsl.schema import otel_schema

_SETTLED_S = 0.1
"""A file changed this short a time ago may change again without its time stamp telling."""

Signature = tuple[object, ...]


class _Opened(NamedTuple):
    signature: Signature
    shape: object
    database: Database


class Source:
    """
    One monitoring database.

    Args:
        given: What the user named; see ``query.engine.find_database``.

    Raises:
        DatabaseUnusable: There is no such database.
    """

    def __init__(self, given: str | None = None) -> None:
        url = find_database(given)
        self._url = url.render_as_string(hide_password=False)
        self.path = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
        """The file of an SQLite database."""
        self.name = str(self.path) if self.path else url.render_as_string()
        """A path or a URL without its password, for people."""
        self._lock = threading.Lock()
        self._opened: _Opened | None = None

    @property
    def has_row_ids(self) -> bool:
        """Whether rows are numbered in the order in which they were written."""
        return self.path is not None

    def open(self) -> tuple[Database, Gaps]:
        """
        Return the database and what it lacks.

        Raises:
            DatabaseUnusable: It cannot be read; the message says what to do.
        """
        with self._lock:
            opened = self._opened
            seen = self.signature() if self.path is not None else ()
            if opened is None or opened.signature != seen:
                opened = self._opened = self._open(seen, opened)
            return opened.database, opened.database.gaps

    def _open(self, seen: Signature, before: _Opened | None) -> _Opened:
        """Open the database; where it is what it was before, but for its rows, nothing is new."""
        if before is not None:
            with before.database.read() as connection:
                if before.shape == _shape(connection):
                    return before._replace(signature=seen)
        database = open_database(self._url)
        with database.read() as connection:
            shape = _shape(connection)
        return _Opened(seen, shape, database)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """
        Give a connection on which everything is read as of one moment.

        Raises:
            DatabaseUnusable: It cannot be read; the message says what to do.
        """
        database, _ = self.open()
        with database.read() as connection:
            yield connection

    def identity(self) -> object:
        """Return what tells this file from another one under its name."""
        if self.path is None:
            return self._url
        try:
            stat = self.path.stat()
        except OSError as error:
            raise DatabaseUnusable(
                f"database {self.name}: cannot be read: {error.strerror}"
            ) from error
        return (stat.st_dev, stat.st_ino)

    def signature(self) -> Signature:
        """
        Return a value that differs from an earlier one if anything was committed since.

        Raises:
            DatabaseUnusable: It cannot be read.
        """
        if self.path is not None:
            return (self.identity(), *_file_signature(self.path))
        with self.read() as connection:
            # With what is open: a transaction may end after those that began later.
            return (connection.execute(text("SELECT pg_current_snapshot()::text")).scalar(),)


def _shape(connection: Connection) -> object:
    """
    Return what an SQLite file is made of: its tables with their columns, and the version of ours.

    It tells a file that was put in the place of another one, whose inode it may have been given.
    """
    if connection.dialect.name != "sqlite":
        return None
    made = connection.execute(text("SELECT name, sql FROM main.sqlite_master")).all()
    if all(name != otel_schema.name for name, _ in made):
        return made
    return made, connection.execute(select(otel_schema.c.version)).all()


def _file_signature(path: Path) -> Iterator[object]:
    for name in (str(path), f"{path}-wal", f"{path}-journal"):
        try:
            stat = os.stat(name)
        except FileNotFoundError:
            yield None
            continue
        yield (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        age_s = time.time() - stat.st_mtime
        if 0 <= age_s < _SETTLED_S:
            yield time.monotonic_ns()
