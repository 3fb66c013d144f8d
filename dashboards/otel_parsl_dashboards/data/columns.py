"""Read the rows of a query as columns, in pieces, so that other threads get their turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, TextClause
from sqlalchemy.exc import DBAPIError

from otel_parsl_dashboards.data import frames

_PIECE = 500
"""
Rows read at a time: fewer objects at once than set off Python's collector of garbage, which would
take as long as the reading.
"""

_TOGETHER = 32
"""Pieces that are put together before there are more."""

Convert = Callable[[Sequence[Any]], Any]


class Gathered:
    """
    Columns that are read piece by piece.

    Args:
        kinds: Their names and kinds, as in ``frames``.
        beside: What another thread reads of the same columns; names are numbered together.
    """

    def __init__(self, kinds: Sequence[tuple[str, str]], beside: Gathered | None = None) -> None:
        self._kinds = kinds
        self._names: list[Names | None] = (
            beside._names
            if beside is not None
            else [Names() if kind == frames.NAME else None for _, kind in kinds]
        )
        self._pieces: list[list[Any]] = [[] for _ in kinds]
        self._small = 0
        """How many of the last pieces are small arrays."""

    def add(self, values: Iterable[Sequence[Any]]) -> None:
        """Add the values of each column, as the database gives them."""
        self._small = 0
        for number, some in enumerate(values):
            names = self._names[number]
            self._pieces[number].append(
                names.codes(some) if names is not None else _CONVERT[self._kinds[number][1]](some)
            )

    def add_arrays(self, arrays: Sequence[Any]) -> None:
        """Add what each column's values are as an array already; names are a sequence."""
        for pieces, names, some in zip(self._pieces, self._names, arrays, strict=True):
            pieces.append(some if names is None else names.codes(some))
        self._small += 1
        if self._small == _TOGETHER:
            # Small arrays that stay, among those that go, keep memory from being given back.
            for pieces in self._pieces:
                pieces[-_TOGETHER:] = [np.concatenate(pieces[-_TOGETHER:])]
            self._small = 0

    def columns(self, *after: Gathered) -> dict[str, Any]:
        """Return the whole columns by name, and let go of the pieces; names are categories."""
        columns: dict[str, Any] = {}
        for number, (name, kind) in enumerate(self._kinds):
            parts: list[Any] = []
            for each in (self, *after):
                parts += each._pieces[number]
                each._pieces[number] = []
            names = self._names[number]
            if names is not None:
                columns[name] = names.categories(parts)
            else:
                columns[name] = np.concatenate(parts) if parts else np.array([], dtype=kind)
        return columns


def read_columns(
    connection: Connection,
    query: TextClause,
    kinds: Sequence[tuple[str, str]],
    parameters: Mapping[str, object],
    *,
    read: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """
    Return the columns of a query's rows.

    Args:
        connection: Of ``Source.read``.
        query: Gives the columns in the order of ``kinds``.
        kinds: Their names and kinds, as in ``frames``.
        parameters: Of the query.
        read: Is told of each piece's rows.

    Raises:
        sqlalchemy.exc.DBAPIError: The rows cannot be read.
    """
    gathered = Gathered(kinds)
    for rows in fetch(connection, query, parameters):
        gathered.add(zip(*rows, strict=True))
        if read is not None:
            read(len(rows))
    return gathered.columns()


def fetch(
    connection: Connection, query: TextClause, parameters: Mapping[str, object]
) -> Iterator[list[Any]]:
    """
    Yield the rows of a query in pieces.

    Raises:
        sqlalchemy.exc.DBAPIError: They cannot be read.
    """
    result = connection.execution_options(stream_results=True).execute(query, parameters)
    if connection.dialect.name == "sqlite":
        yield from _past_sqlalchemy(connection, query, parameters, result.cursor)
    else:  # SQLAlchemy has rows of such a result in hand before anybody asks
        yield from map(list, result.partitions(_PIECE))
    result.close()


def _past_sqlalchemy(
    connection: Connection, query: TextClause, parameters: Mapping[str, object], cursor: Any
) -> Iterator[list[Any]]:
    """Yield the rows of a cursor: SQLAlchemy takes longer over each than SQLite to read it."""
    while True:
        try:
            rows = cursor.fetchmany(_PIECE)
        except connection.dialect.loaded_dbapi.Error as error:
            raise DBAPIError(str(query), parameters, error) from error
        if not rows:
            return
        yield rows


class Names(dict[Any, int]):
    """Numbers names in the order in which they are met; a missing one counts as empty."""

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[str, int] = {}
        self._lock = threading.Lock()

    def __missing__(self, value: Any) -> int:
        name = "" if value is None else str(value)
        with self._lock:
            number = self._names.setdefault(name, len(self._names))
        self[value] = number
        return number

    def codes(self, values: Sequence[Any]) -> np.ndarray[Any, Any]:
        """Return the number of each name."""
        return np.array([self[value] for value in values], dtype="int32")

    def categories(self, parts: Sequence[np.ndarray[Any, Any]]) -> pd.Categorical:
        """Return the names of numbers."""
        codes = np.concatenate(parts) if parts else np.array([], dtype="int32")
        return pd.Categorical.from_codes(codes, categories=list(self._names))


def joined(earlier: pd.Categorical, later: pd.Categorical) -> pd.Categorical:
    """Return two columns of names as one, the categories of the first in their order."""
    new = [name for name in later.categories if name not in earlier.categories]
    categories = [*earlier.categories, *new]
    return pd.Categorical.from_codes(
        np.concatenate(
            [earlier.codes.astype("int32"), later.set_categories(categories).codes.astype("int32")]
        ),
        categories=categories,
    )


def _times(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    try:
        return np.array(values, dtype=frames.TIME)
    except ValueError:
        # One value that is no time must not hide the others.
        times = pd.to_datetime(pd.Series(values, dtype="str"), errors="coerce", format="ISO8601")
        coerced: np.ndarray[Any, Any] = times.to_numpy(frames.TIME)
        return coerced


def _numbers(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    return np.array(values, dtype="float64")


def _ids(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    return np.array([0 if value is None else value for value in values], dtype="int64")


def _flags(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    # Parsl writes some truths as text.
    return np.array([value in (1, True, "1", "True", "true") for value in values], dtype=bool)


_CONVERT: dict[str, Convert] = {
    frames.TIME: _times,
    frames.NUMBER: _numbers,
    frames.ID: _ids,
    frames.YES_NO: _flags,
}
