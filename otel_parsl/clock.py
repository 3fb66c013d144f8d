"""The time, as the telemetry of runs has it."""

from __future__ import annotations

import time


def now_ns() -> int:
    """Return the time in UTC nanoseconds, to the microsecond: as fine as Parsl's tables."""
    return time.time_ns() // 1000 * 1000
