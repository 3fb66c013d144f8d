"""
How often the plots of a run that goes on are drawn: as often as a share of one core allows.

Numbers cost little and are kept current; the plots of a large run cost a second at each change, and
as many pages as look at them cost that much more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

SHARE = 0.13
"""Of a core, for all that this process does."""
MOST_S = 30.0
"""However busy: no plot is older than this."""


class DrawingShare:
    """
    Tell when plots may be drawn again.

    Args:
        now_s: A clock, in seconds.
        used_s: CPU time that this process has used, in seconds.
    """

    def __init__(
        self,
        now_s: Callable[[], float] = time.monotonic,
        used_s: Callable[[], float] = time.process_time,
    ) -> None:
        self._now_s = now_s
        self._used_s = used_s
        self._drawn_at_s = float("-inf")
        self._used_before_s = 0.0

    def due_in_s(self) -> float:
        """Return in how many seconds plots may be drawn; 0 for now."""
        elapsed_s = self._now_s() - self._drawn_at_s
        wait_s = min((self._used_s() - self._used_before_s) / SHARE, MOST_S)
        return max(0.0, wait_s - elapsed_s)

    def begin(self) -> None:
        """Note that they are drawn now."""
        self._drawn_at_s = self._now_s()
        self._used_before_s = self._used_s()
