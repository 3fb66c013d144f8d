"""What a process of a user's own radio does with a copy of the queue of messages."""

from __future__ import annotations

from typing import Any


def put_all(queue: Any, items: list[Any]) -> None:
    """Put items on a queue, from whatever process this is called in."""
    for item in items:
        queue.put(item)


def put_unreadable(queue: Any) -> None:
    """Put a message that cannot be unpickled, between others."""
    put_all(queue, ["before", _Unreadable(), "odd", "after"])


class _Unreadable:
    """What can be pickled, but not unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _refuse, ()


def _refuse() -> None:
    raise LookupError("me")
