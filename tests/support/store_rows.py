"""Read a store whole, to compare it with another."""

from __future__ import annotations

import sqlite3
from typing import Any

from otel_parsl.schema import metadata, node, otel_bucket, otel_place, otel_received

_HOW_FILLED = (otel_place.name, otel_received.name)
Rows = dict[str, list[tuple[Any, ...]]]

PARSL = ("workflow", "task", "try", "status", "resource", "block", "node")
_ROUNDED = {(otel_bucket.name, "run_s"), (otel_bucket.name, "cpu_s")}
"""Sums of floating-point numbers: their last bits depend on the order of the additions."""


def read_rows(path: str) -> Rows:
    """
    Return the rows of every table of an SQLite store, sorted, as SQLite has them.

    Left out are the places and counts, which say how a store was filled, and ``node.id``, which
    numbers Parsl's reports in the order they came.
    """
    connection = sqlite3.connect(path)
    try:
        return {
            name: _rows(connection, name)
            for name in sorted(metadata.tables)
            if name not in _HOW_FILLED and _exists(connection, name)
        }
    finally:
        connection.close()


def only_parsls(rows: Rows) -> Rows:
    """Return the rows of Parsl's seven tables."""
    return {name: rows[name] for name in PARSL}


def _exists(connection: sqlite3.Connection, name: str) -> bool:
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
    return bool(connection.execute(query, (name,)).fetchone()[0])


def _rows(connection: sqlite3.Connection, name: str) -> list[tuple[Any, ...]]:
    columns = [
        column.name
        for column in metadata.tables[name].columns
        if (name, column.name) != (node.name, "id")
    ]
    names = ", ".join(f'"{column}"' for column in columns)
    rounded = {index for index, column in enumerate(columns) if (name, column) in _ROUNDED}
    rows = [
        tuple(round(value, 6) if index in rounded else value for index, value in enumerate(row))
        for row in connection.execute(f'SELECT {names} FROM "{name}"')
    ]
    return sorted(rows, key=repr)
