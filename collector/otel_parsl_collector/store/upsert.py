"""
Rows into tables, many at a time.

SQLAlchemy Core writes the SQL, for each database its own; the rows go straight to the driver, which
is three times faster than through Core's executemany.
SQLite gets many rows in one statement. Between two statements another thread may take Python's lock
and keep it for 5 ms, which at a statement a row is 5 ms a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Table, func, literal_column, or_, tuple_
from sqlalchemy.dialects import postgresql, sqlite

_DIALECTS: dict[str, tuple[Any, Any]] = {
    "sqlite": (sqlite.insert, sqlite.base.SQLiteDialect(paramstyle="qmark")),
    "postgresql": (
        postgresql.insert,
        postgresql.base.PGDialect(paramstyle="format"),  # type: ignore[no-untyped-call]
    ),
}


def driver_dialect(name: str) -> Any:
    """Return the dialect that writes SQL as the driver of a kind of database takes it."""
    return _DIALECTS[name][1]


_VALUES_AT_ONCE = 999
"""What SQLite takes in one statement; from 3.32 on it takes more, but that is no faster."""

_LOWEST: Any = literal_column("-1")
"""Below all that rows are ranked by."""

Row = tuple[Any, ...]


class Upsert:
    """
    Insert rows; where the key is there already, update some columns or leave the row.

    Args:
        dialect: ``sqlite`` or ``postgresql``.
        table: The table.
        columns: The columns of a row, in order.
        update: The columns that an existing row takes over; none leaves it as it is.
        add: The columns whose new value is added to that of an existing row.
        fill: The columns that an existing row takes over where it has NULL; a row that gains
            nothing is left as it is.
        unless_below: The columns that a row is ranked by, the first before the others: an existing
            row is updated unless it ranks above the new one. NULL ranks lowest.
    """

    def __init__(
        self,
        dialect: str,
        table: Table,
        columns: Sequence[str],
        update: Sequence[str] = (),
        add: Sequence[str] = (),
        fill: Sequence[str] = (),
        unless_below: Sequence[str] = (),
    ) -> None:
        insert, compiler = _DIALECTS[dialect]
        statement = insert(table).values(dict.fromkeys(columns))
        changed = {name: statement.excluded[name] for name in update}
        changed |= {name: table.c[name] + statement.excluded[name] for name in add}
        changed |= {name: func.coalesce(table.c[name], statement.excluded[name]) for name in fill}
        where = [table.c[name].is_(None) & statement.excluded[name].is_not(None) for name in fill]
        if unless_below:
            old, new = (
                tuple_(*(func.coalesce(of[name], _LOWEST) for name in unless_below))
                for of in (table.c, statement.excluded)
            )
            where.append(new >= old)
        if changed:
            key = [column.name for column in table.primary_key.columns]
            statement = statement.on_conflict_do_update(
                index_elements=key, set_=changed, where=or_(*where) if where else None
            )
        else:
            statement = statement.on_conflict_do_nothing()
        compiled = statement.compile(dialect=compiler, column_keys=list(columns))
        order = [list(columns).index(name) for name in compiled.positiontup or ()]
        self._in_order = itemgetter(*order)
        self.sql = str(compiled)
        self._takes_nul = dialect != "postgresql"
        self._sql_of_many = ""
        if dialect == "sqlite":
            row = f"({', '.join('?' * len(order))})"
            before, _, after = self.sql.partition(f" VALUES {row}")
            self._many = _VALUES_AT_ONCE // len(order)
            self._sql_of_many = f"{before} VALUES {', '.join([row] * self._many)}{after}"

    def __call__(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Write the rows, and return how many the database has inserted or updated."""
        written = 0
        if not self._takes_nul:
            rows = _without_nul(rows)
        start = 0
        if self._sql_of_many:
            for start in range(self._many, len(rows) + 1, self._many):
                at_once = rows[start - self._many : start]
                values = tuple(chain.from_iterable(map(self._in_order, at_once)))
                written += connection.exec_driver_sql(self._sql_of_many, values).rowcount
        if start < len(rows):
            few = list(map(self._in_order, rows[start:]))
            written += connection.exec_driver_sql(self.sql, few).rowcount
        return written


def _without_nul(rows: Sequence[Row]) -> Sequence[Row]:
    """Escape NUL, which an exception's message may have and PostgreSQL's text may not."""
    if not any("\0" in value for row in rows for value in row if isinstance(value, str)):
        return rows
    return [
        tuple(value.replace("\0", "\\x00") if isinstance(value, str) else value for value in row)
        for row in rows
    ]
