"""
Read many rows of SQLite without making an object of each value.

SQLite joins the values of a column to one text, some thousand rows at a time, and lets other
threads work meanwhile; numpy takes that text apart, in a fraction of the time that rows take.
What does not look as expected, such as a time of another form, is read row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, TextClause

from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.data.columns import Gathered, fetch
from otel_parsl_dashboards.data.queries import SEPARATOR, PackedReading

_ROWS = 20_000
"""Row ids at a time."""
_PATTERN = np.frombuffer(b"0000-00-00 00:00:00.000000,", "u1")[:, None]
"""A time and what parts it from the next: each 0 stands for a digit."""
_MOST = np.frombuffer(b"9999-19-39 29:59:59.999999,", "u1")[:, None] - _PATTERN
"""What a digit may be; what else makes no time is found by its date and its hour."""
_IN_IDS = b"0123456789,"
_YEAR, _MONTH, _DAY = range(4), range(5, 7), range(8, 10)
_HOUR, _MINUTE, _SECOND, _MICROSECOND = range(11, 13), range(14, 16), range(17, 19), range(20, 26)


class NotAsExpected(Exception):
    """A text of values cannot be taken apart."""


def read_packed(
    connection: Connection,
    reading: PackedReading,
    run_id: str,
    since: int,
    until: int,
    gathered: Gathered,
    *,
    read: Callable[[int], None],
) -> None:
    """
    Gather the columns of a run's rows between two row ids.

    Args:
        connection: Of ``Source.read``, to an SQLite database.
        reading: What to read.
        run_id: The run's id.
        since: Rows after this one.
        until: Rows up to this one.
        gathered: Where to; of the kinds of ``reading.plain``.
        read: Is told of each piece's rows.

    Raises:
        sqlalchemy.exc.DBAPIError: The rows cannot be read.
    """
    kinds = [kind for _, kind in reading.plain.columns]
    for place, count, texts in pieces(connection, reading.query, run_id, since, until):
        try:
            gathered.add_arrays([unpack(*each, count) for each in zip(kinds, texts, strict=True)])
        except NotAsExpected:
            for rows in fetch(connection, reading.plain.query, place):
                gathered.add(list(zip(*rows, strict=True)))
        read(count)


def pieces(
    connection: Connection, query: TextClause, run_id: str, since: int, until: int
) -> Iterator[tuple[dict[str, object], int, Sequence[str]]]:
    """
    Yield which rows they are, how many, and their packed columns.

    Raises:
        sqlalchemy.exc.DBAPIError: The rows cannot be read.
    """
    for start in range(since, until, _ROWS):
        place: dict[str, object] = {
            "run_id": run_id,
            "since": start,
            "until": min(start + _ROWS, until),
        }
        count, *texts = connection.execute(query, place).one()
        if count:
            yield place, count, texts


def unpack(kind: str, text: str, count: int) -> Any:
    """
    Return the values that a text holds, as ``queries`` has them packed, as an array; of names a
    list.

    Raises:
        NotAsExpected: It is another number of values, or one of them is of another form.
    """
    values = _UNPACK[kind](text)
    if len(values) != count:
        raise NotAsExpected(f"{len(values)} values; expected {count}")
    return values


def _times(text: str) -> Any:
    try:
        characters = np.frombuffer(f"{text},".encode("ascii"), "u1").reshape(-1, len(_PATTERN))
    except ValueError as error:
        raise NotAsExpected(str(error)) from error
    digits = np.ascontiguousarray(characters.T) - _PATTERN  # a row for each place
    if (digits > _MOST).any():
        raise NotAsExpected("a time of another form")
    hour = _number(digits, _HOUR)
    if hour.max() > 23:
        raise NotAsExpected("no such hour")
    second = (hour * 60 + _number(digits, _MINUTE)) * 60 + _number(digits, _SECOND)
    microsecond = second.astype("int64") * 1_000_000 + _number(digits, _MICROSECOND)
    dates, which = _distinct(_number(digits, (*_YEAR, *_MONTH, *_DAY)))
    return _midnights(dates)[which] + microsecond.astype("timedelta64[us]")


def _number(digits: Any, places: Iterable[int]) -> Any:
    first, *others = places
    number = digits[first].astype("int32")
    for place in others:
        number *= 10
        number += digits[place]
    return number


def _distinct(values: Any) -> tuple[Any, Any]:
    """Return the values without repetition, and which each is: most texts are of one day."""
    if (values == values[0]).all():
        return values[:1], np.zeros(len(values), "int8")
    return np.unique(values, return_inverse=True)


def _midnights(dates: Any) -> Any:
    try:
        return np.array(
            [
                f"{date // 10_000:04}-{date // 100 % 100:02}-{date % 100:02}" if date else "NaT"
                for date in dates.tolist()
            ],
            frames.TIME,
        )
    except ValueError as error:
        raise NotAsExpected(str(error)) from error


def _ids(text: str) -> Any:
    # numpy before 2 only warns of what it cannot read, and threads share what is done of warnings.
    if text.encode().translate(None, _IN_IDS):
        raise NotAsExpected("no whole number")
    return _numbers(text, frames.ID)


def _numbers(text: str, kind: str = frames.NUMBER) -> Any:
    try:
        return np.fromstring(text, kind, sep=",")
    except ValueError as error:
        raise NotAsExpected(str(error)) from error


def _flags(text: str) -> Any:
    return np.frombuffer(text.encode("ascii"), "u1") == ord("1")


def _names(text: str) -> list[str]:
    return text.split(SEPARATOR)


_UNPACK: dict[str, Callable[[str], Any]] = {
    frames.TIME: _times,
    frames.NAME: _names,
    frames.ID: _ids,
    frames.NUMBER: _numbers,
    frames.YES_NO: _flags,
}
