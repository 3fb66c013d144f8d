"""What a process of a user's own radio does with a copy of the queue of messages."""

from __future__ import annotations

from typing import Any


def put_all(queue: Any, items: list[Any]) -> None:
    """Put items on a queue, from whatever process this is called in."""
    for item in items:
        queue.put(item)
