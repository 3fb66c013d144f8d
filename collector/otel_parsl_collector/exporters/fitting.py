"""
Store what rows can hold, and find the single items that none can.

A batch is a transaction, so one value that the database does not take (an integer beyond 64 bits,
a NUL in PostgreSQL's text, an attribute of another type than Parsl's) would cost all that came
with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from google.protobuf.message import DecodeError
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from otel_parsl.spool import Frame, Place
from otel_parsl_collector.exporters.splitting import halves

_UNFIT = (
    DecodeError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    DataError,
    IntegrityError,
)
_UNFIT_WORDS = ("binding parameter", "cannot adapt type")
"""What sqlite3 and psycopg say of a value of a type that no column has."""


class Unfit(NamedTuple):
    """One item that no row can hold, in a request of its own."""

    signal: int
    payload: bytes
    end: Place
    """Of the frame that it came in."""
    reason: str


class Store(Protocol):
    """Takes frames in one transaction."""

    def consume(self, frames: Sequence[Frame], places: Mapping[str, Place]) -> None:
        """Store frames and the places behind them."""


def store_fitting(
    store: Store,
    frames: Sequence[Frame],
    places: Mapping[str, Place],
    set_aside: Callable[[Unfit], object],
) -> None:
    """
    Store frames but the items that no row can hold.

    Args:
        store: Where to.
        frames: What.
        places: Where the streams stand behind the frames.
        set_aside: Takes each item that does not fit, before the places are stored: a kill between
            has it set aside again rather than never.

    Raises:
        Exception: The database's own trouble; some of it may be stored, and storing it again does
            no harm.
    """
    try:
        store.consume(frames, places)
    except Exception as error:
        if not is_unfit(error):
            raise
        unfit: list[Unfit] = []
        _store_apart(store, frames, error, unfit)
        for item in unfit:
            set_aside(item)
        store.consume([], places)


def is_unfit(error: Exception) -> bool:
    """Tell whether an error is about the values; any other is the database's own trouble."""
    if isinstance(error, _UNFIT):
        return True
    if isinstance(error, DBAPIError):
        return any(words in str(error.orig) for words in _UNFIT_WORDS)
    return isinstance(error, StatementError)


def _store_apart(
    store: Store, frames: Sequence[Frame], error: Exception, unfit: list[Unfit]
) -> None:
    """Store what failed together half by half, down to single items."""
    parts = _halves(frames)
    if parts is None:
        (item,) = frames
        unfit.append(Unfit(item.signal, item.payload, item.end, _words(error)))
        return
    for part in parts:
        try:
            store.consume(part, {})
        except Exception as part_error:
            if not is_unfit(part_error):
                raise
            _store_apart(store, part, part_error, unfit)


def _halves(frames: Sequence[Frame]) -> tuple[Sequence[Frame], Sequence[Frame]] | None:
    if len(frames) > 1:
        middle = len(frames) // 2
        return frames[:middle], frames[middle:]
    (item,) = frames
    found = halves(item.signal, item.payload)
    if found is None:
        return None
    first, second = (item._replace(payload=payload) for payload in found)
    return [first], [second]


def _words(error: Exception) -> str:
    """Return the cause alone: SQLAlchemy's text has the statement and the user's values."""
    cause = getattr(error, "orig", None) or error
    return f"no row can hold it: {type(cause).__name__}: {cause}"
