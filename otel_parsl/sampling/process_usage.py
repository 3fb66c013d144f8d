"""
What a process, or a tree of them, has used and holds: plain values.

Flow: process_tree, psutil_tree -> **process_usage** -> sampling
The helper process loads this file too, and so it does without ``typing``, which alone would add
1.4 MB to that process.
"""

from __future__ import annotations

import time
from operator import attrgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COUNTERS = (
    "cpu_user_s",
    "cpu_system_s",
    "read_bytes",
    "write_bytes",
    "voluntary",
    "involuntary",
)
"""Fields of ``Usage`` that only grow."""
HELD = ("memory_resident_bytes", "memory_virtual_bytes", "thread_count", "fd_count")
"""Fields of ``Usage`` that come and go."""

_UNKNOWN = (None,) * (len(COUNTERS) + len(HELD))


class Usage:
    """
    What one process, or several together, have used and hold.

    None means that it could not be measured: of one process, and so of every sum it is part of.

    Args:
        values: All fields, first those of ``COUNTERS``, then those of ``HELD``.
    """

    __slots__ = COUNTERS + HELD

    cpu_user_s: float | None
    cpu_system_s: float | None
    read_bytes: int | None
    write_bytes: int | None
    voluntary: int | None
    """Context switches, of the main thread, as psutil counts them."""
    involuntary: int | None
    memory_resident_bytes: int | None
    memory_virtual_bytes: int | None
    thread_count: int | None
    fd_count: int | None

    def __init__(self, values: tuple[Any, ...] = _UNKNOWN) -> None:
        (
            self.cpu_user_s,
            self.cpu_system_s,
            self.read_bytes,
            self.write_bytes,
            self.voluntary,
            self.involuntary,
            self.memory_resident_bytes,
            self.memory_virtual_bytes,
            self.thread_count,
            self.fd_count,
        ) = values

    def values(self) -> tuple[Any, ...]:
        """Return the fields in the constructor's order."""
        values: tuple[Any, ...] = _values(self)
        return values

    def __add__(self, other: Usage) -> Usage:
        return Usage(tuple(map(plus, self.values(), other.values())))

    def without_held(self) -> Usage:
        """Return the counters alone: what is left of a process that has ended."""
        return Usage(self.values()[: len(COUNTERS)] + (0,) * len(HELD))

    def never_below(self, floor: Usage) -> None:
        """Raise each counter that is below another usage's to it."""
        for name in COUNTERS:
            ours, least = getattr(self, name), getattr(floor, name)
            if ours is not None and least is not None and ours < least:
                setattr(self, name, least)


_values = attrgetter(*COUNTERS, *HELD)


class Reading:
    """One look at a process and its descendants."""

    __slots__ = (
        "children_count",
        "cpu_num",
        "memory_total_bytes",
        "peak_bytes",
        "peak_seen_bytes",
        "pid",
        "process",
        "reaped_involuntary",
        "reaped_voluntary",
        "status",
        "time_ns",
        "tree",
    )

    time_ns: int
    pid: int
    process: Usage
    """The process alone."""
    tree: Usage
    """The process and all its descendants, those that were waited for included."""
    reaped_voluntary: int
    """Those of ``tree`` that came with descendants waited for."""
    reaped_involuntary: int
    children_count: int
    memory_total_bytes: int | None
    """Physical memory of the machine."""
    peak_bytes: int | None
    """Peak resident memory of the process alone, as the system remembers it."""
    peak_seen_bytes: int | None
    """Highest of what was seen of the tree since it was restarted."""
    status: str | None
    cpu_num: int | None


def plus(a: Any, b: Any) -> Any:
    """Return the sum of two values; None as soon as one of them could not be measured."""
    return None if a is None or b is None else a + b


def highest(*values: int | None) -> int | None:
    """Return the highest of the values that could be measured, or None."""
    return max((value for value in values if value is not None), default=None)


def boot_clock_s() -> float:
    """Return seconds by the clock that the start times of processes are read from."""
    return time.clock_gettime(_CLOCK)


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
