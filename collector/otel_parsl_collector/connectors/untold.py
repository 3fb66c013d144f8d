"""
What is said of tries that run, until it is known whether spans of their executions say it too.

Flow: lifecycle -> **untold** -> lifecycle
A worker's execution span follows its news, but not where it was lost, or where a radio of the
user's choice reported: what is left when the task has ended is told in spans of its own.
News of a worker that was lost may be on its way longer than the word that it was lost: so how such
tries ended is kept too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_parsl import semconv
from otel_parsl.spans import Event
from otel_parsl.wire import unsized

_TABLES = """
CREATE TABLE IF NOT EXISTS untold (task_id INTEGER, record BLOB, PRIMARY KEY (task_id, record))
WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lost (
    task_id INTEGER, try_id INTEGER, end_ns INTEGER, outcome TEXT, record BLOB,
    PRIMARY KEY (task_id, try_id)
) WITHOUT ROWID;
"""
_LONG_TEXTS = frozenset({semconv.EXCEPTION_MESSAGE, semconv.EXCEPTION_STACKTRACE})

Execution = tuple[int, int, int]
"""Task, try, and when it began in ns."""


class LostTry(NamedTuple):
    """How a try ended of whose executions no worker will say more."""

    last: Event
    """What the submit side said of it last, without the exception's own texts."""
    end_ns: int
    """When it was found that no more will come."""
    outcome: str
    """``lost`` or ``unfinished``."""


class Untold:
    """
    Keep news of tries on disk.

    Args:
        database: Where; transactions are the caller's.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.executescript(_TABLES)
        self._may_be_any = _has_rows(database, "untold")
        self._may_be_lost = _has_rows(database, "lost")

    def keep(self, task_id: int, records: Iterable[bytes]) -> None:
        """Keep news of a task."""
        rows = [(task_id, record) for record in records]
        self._database.executemany("INSERT OR IGNORE INTO untold VALUES (?, ?)", rows)
        self._may_be_any = self._may_be_any or bool(rows)

    def forget(self, executions: Iterable[Execution]) -> None:
        """Drop what spans of executions say."""
        if not self._may_be_any:
            return
        for execution in executions:
            for record in self._of(execution[0]):
                if began(Event(LogRecord.FromString(record))) == execution:
                    self._database.execute(
                        "DELETE FROM untold WHERE task_id = ? AND record = ?",
                        (execution[0], record),
                    )

    def take(self, task_id: int, try_id: int | None = None) -> list[Event]:
        """Return what is left of a task, or of one try, which has ended, and keep it no more."""
        if not self._may_be_any:
            return []
        taken = []
        for record in self._of(task_id):
            event = Event(LogRecord.FromString(record))
            if try_id is None or event.attributes.get(semconv.TRY_ID) == try_id:
                taken.append(event)
                self._database.execute(
                    "DELETE FROM untold WHERE task_id = ? AND record = ?", (task_id, record)
                )
        return taken

    def take_all(self) -> Iterator[Event]:
        """Yield what is left of all tasks, and keep it no more: the run has ended."""
        while row := self._database.execute("SELECT task_id FROM untold LIMIT 1").fetchone():
            yield from self.take(*row)

    def lose(self, task_id: int, try_id: int, lost: LostTry) -> None:
        """Keep how a try was lost, for news of it that comes later."""
        record = LogRecord(event_name=lost.last.name, time_unix_nano=lost.last.time_ns)
        for name, encoded in lost.last.encoded.items():
            if name not in _LONG_TEXTS:
                record.attributes.add().MergeFromString(unsized(encoded))
        self._database.execute(
            "INSERT OR IGNORE INTO lost VALUES (?, ?, ?, ?, ?)",
            (task_id, try_id, lost.end_ns, lost.outcome, record.SerializeToString()),
        )
        self._may_be_lost = True

    def lost(self, task_id: int, try_id: int) -> LostTry | None:
        """Return how a try was lost; None if it goes on, or a worker told of its end."""
        if not self._may_be_lost:
            return None
        row = self._database.execute(
            "SELECT record, end_ns, outcome FROM lost WHERE task_id = ? AND try_id = ?",
            (task_id, try_id),
        ).fetchone()
        return row and LostTry(Event(LogRecord.FromString(row[0])), *row[1:])

    def _of(self, task_id: int) -> list[bytes]:
        rows = self._database.execute("SELECT record FROM untold WHERE task_id = ?", (task_id,))
        return [record for (record,) in rows]


def began(event: Event) -> Execution | None:
    """Return the execution whose beginning an event says, and nothing else."""
    said = event.attributes
    if event.name != semconv.EVENT_TRY_RUNNING or semconv.EXECUTION_TIME_ENDED in said:
        return None
    which = (semconv.TASK_ID, semconv.TRY_ID, semconv.EXECUTION_TIME_RUNNING)
    task_id, try_id, time_ns = (said.get(name, -1) for name in which)
    return task_id, try_id, time_ns


def _has_rows(database: sqlite3.Connection, table: str) -> bool:
    query = f"SELECT EXISTS (SELECT 1 FROM {table})"  # noqa: S608 - a name of ours
    return bool(database.execute(query).fetchone()[0])
