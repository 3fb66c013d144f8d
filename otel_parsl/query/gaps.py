"""
Read what any Parsl from 1.1 on has written, as if it were of today.

Parsl's tables have gained columns over the years, and an unfinished database may lack a table.
On SQLite a temporary view stands before such a table, with NULL for each column that it lacks, so
that every query is written once, for today's tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from sqlalchemy import Connection, Engine, Table, event, inspect

from otel_parsl.schema import PARSL_TABLES, workflow

Gaps = dict[str, frozenset[str]]
"""What a database lacks: columns by table; of a missing table, all."""


def find_gaps(connection: Connection) -> Gaps:
    """
    Return which of Parsl's columns a database lacks; a whole one lacks none.

    What every Parsl writes of a run is not looked for: without it there is nothing to be read.
    """
    inspector = inspect(connection)
    tables = set(inspector.get_table_names())
    gaps: Gaps = {}
    for table in PARSL_TABLES:
        wanted = {
            column.name for column in table.columns if table is not workflow or column.nullable
        }
        found = (
            {column["name"] for column in inspector.get_columns(table.name)}
            if table.name in tables
            else set()
        )
        if wanted - found:
            gaps[table.name] = frozenset(wanted - found)
    return gaps


def bridge_gaps(engine: Engine, gaps: Gaps) -> None:
    """Have every further connection to an SQLite database see NULL where there is no column."""
    statements = list(_views(gaps))

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: object) -> None:
        for statement in statements:
            connection.execute(statement)


def missing_words(gaps: Gaps) -> list[str]:
    """Return what a database lacks in words for people, a table or column each."""
    words = []
    for table in PARSL_TABLES:
        lacking = gaps.get(table.name, frozenset())
        if len(lacking) == len(table.columns):
            words.append(f"table {table.name}")
        else:
            words += [
                f"{table.name}.{column.name}" for column in table.columns if column.name in lacking
            ]
    return words


def _views(gaps: Gaps) -> Iterator[str]:
    for table in PARSL_TABLES:
        lacking = gaps.get(table.name)
        if not lacking:
            continue
        yield _view(table, lacking)


def _view(table: Table, lacking: frozenset[str]) -> str:
    """Return the statement that makes a view; all names are those of our own schema module."""
    columns = ", ".join(
        f'NULL AS "{column.name}"' if column.name in lacking else f'"{column.name}"'
        for column in table.columns
    )
    is_missing = len(lacking) == len(table.columns)
    row_id = "NULL" if is_missing else "rowid"
    origin = "WHERE 0" if is_missing else f'FROM main."{table.name}"'
    return f'CREATE TEMP VIEW "{table.name}" AS SELECT {row_id} AS rowid, {columns} {origin}'
