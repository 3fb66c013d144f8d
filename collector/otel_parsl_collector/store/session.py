"""One transaction on the store, and what its writers share."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Integer, Table, bindparam, select

from otel_parsl.schema import metadata
from otel_parsl_collector.materialise.facts import Run
from otel_parsl_collector.store.times import LocalTimes
from otel_parsl_collector.store.upsert import Row, Upsert, driver_dialect

_KEYS_AT_ONCE = 500

TryKey = tuple[int, int]
"""Task and try."""


class Session:
    """
    A transaction.

    Args:
        connection: Where it goes on.
        runs: The runs that it is about, by id.
    """

    def __init__(self, connection: Connection, runs: Mapping[str, Run]) -> None:
        self.connection = connection
        self._dialect = connection.dialect.name
        as_text = self._dialect == "sqlite"
        # What a bool becomes in a text column of Parsl's depends on the database.
        self.text_of_bool = ("0", "1") if as_text else ("false", "true")
        self.times = {run_id: LocalTimes(run.zone, as_text=as_text) for run_id, run in runs.items()}
        self.datetimes = {
            run_id: LocalTimes(run.zone, as_text=False) for run_id, run in runs.items()
        }
        """For statements that go through SQLAlchemy's types."""
        self.watched = {run_id for run_id, run in runs.items() if run.monitors_resources}
        """The runs of which Parsl's tables have what workers say."""
        self.repeated: Counter[tuple[str, str]] = Counter()
        """Items that the store had already, by run and source."""

    def upsert(
        self,
        table: Table,
        columns: str,
        rows: Sequence[Row],
        *,
        update: str = "",
        add: str = "",
        fill: str = "",
        unless_below: str = "",
    ) -> int:
        """
        Insert rows, or update those that are there; return how many were inserted or updated.

        Args:
            table: The table.
            columns: The columns of a row, in order, with blanks between them.
            rows: The rows.
            update: Columns that an existing row takes over.
            add: Columns whose value is added to that of an existing row.
            fill: Columns that an existing row takes over where it has none.
            unless_below: Columns that decide whether a new row ranks below the existing one, which
                is left as it is then.
        """
        if not rows:
            return 0
        changed = (update, add, fill, unless_below)
        return _upsert(self._dialect, table.name, columns, *changed)(self.connection, rows)

    def insert_once(
        self,
        table: Table,
        columns: str,
        rows: Sequence[Row],
        run_ids: Sequence[str],
        source: str,
        *,
        fill: str = "",
    ) -> None:
        """
        Insert rows that are not there yet, and count those that say nothing new as repeated.

        Args:
            table: The table.
            columns: The columns of a row, in order, with blanks between them.
            rows: The rows.
            run_ids: The run of each.
            source: Who told of them, as ``otel_received`` has it.
            fill: Columns that an existing row takes over where it has none.
        """
        of_run: dict[str, list[Row]] = defaultdict(list)
        for run_id, row in zip(run_ids, rows, strict=True):
            of_run[run_id].append(row)
        for run_id, some in of_run.items():
            self.repeated[run_id, source] += len(some) - self.upsert(
                table, columns, some, fill=fill
            )

    def existing(
        self, table: Table, run_id: str, task_ids: Iterable[int], columns: Sequence[str]
    ) -> Iterator[Any]:
        """Yield the given columns of the rows that a run's tasks have in one of our tables."""
        ids = sorted(set(task_ids))
        query = _query(self._dialect, table.name, tuple(columns))
        for start in range(0, len(ids), _KEYS_AT_ONCE):
            chunk = ids[start : start + _KEYS_AT_ONCE]
            missing = _KEYS_AT_ONCE - len(chunk)
            keys = (run_id, *chunk, *(chunk[-1:] * missing))
            yield from self.connection.exec_driver_sql(query, keys)


@cache
def _query(dialect: str, table: str, columns: tuple[str, ...]) -> str:
    """Return a SELECT for so many tasks of a run; SQLAlchemy would write it anew for each."""
    of = metadata.tables[table].c
    run = bindparam("run", type_=of.run_id.type)
    tasks = [bindparam(f"task_{number}", type_=Integer) for number in range(_KEYS_AT_ONCE)]
    query = select(*(of[name] for name in columns)).where(of.run_id == run, of.task_id.in_(tasks))
    return str(query.compile(dialect=driver_dialect(dialect)))


@cache
def _upsert(dialect: str, table: str, columns: str, *changed: str) -> Upsert:
    names = (text.split() for text in changed)
    return Upsert(dialect, metadata.tables[table], columns.split(), *names)
