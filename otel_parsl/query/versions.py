"""
Read a database whose tables of ours are of an earlier version: what it lacks is NULL.

Nothing is added to it here: that is done by the next run that writes into it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Engine, Select, Table, null, select

_OPTION = "otel_version"


def set_version(engine: Engine, version: int) -> None:
    """Note of which version our tables are in a database."""
    engine.update_execution_options(**{_OPTION: version})


def is_there(connection: Connection, part: Table | Column[Any]) -> bool:
    """Tell whether a database has a table or a column of ours."""
    since: int = part.info.get("since", 1)
    version: int = connection.get_execution_options().get(_OPTION, since)
    return since <= version


def known(connection: Connection, column: Column[Any]) -> ColumnElement[Any]:
    """Return a column of ours, or NULL under its name where the database has none."""
    return column if is_there(connection, column) else null().label(column.name)


def select_known(connection: Connection, table: Table) -> Select[Any]:
    """Return a query for the columns of a table of ours that a database has."""
    return select(*(column for column in table.c if is_there(connection, column)))
