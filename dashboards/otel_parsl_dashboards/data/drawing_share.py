"""
How often the plots of a run that goes on are drawn: as often as a share of one core allows.

Numbers cost little and are kept current; the plots of a large run cost a second at each change, and
as many pages as look at them cost that much more. What they cost is the run's where it keeps all
cores busy, so that they take less there.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

SHARE = 0.13
"""Of a core, for all that this process does."""
SHARE_OF_BUSY = 0.03
"""The same where no core has time to spare: a run is slowed by less than 1 %."""
SPARE = 0.2
"""From how many idle cores on there is time to spare."""
MOST_S = 30.0
"""However busy: no plot is older than this."""


class DrawingShare:
    """
    Tell when plots may be drawn again.

    Args:
        now_s: A clock, in seconds.
        used_s: CPU time that this process has used, in seconds.
        idle_s: How long cores have been idle, in seconds of a core.
    """

    def __init__(
        self,
        now_s: Callable[[], float] = time.monotonic,
        used_s: Callable[[], float] = time.process_time,
        idle_s: Callable[[], float] = lambda: psutil.cpu_times().idle,
    ) -> None:
        self._now_s = now_s
        self._used_s = used_s
        self._idle_s = idle_s
        self._drawn_at_s = float("-inf")
        self._used_before_s = 0.0
        self._idle_before_s = 0.0
        self._held_s = self._held_before_s = 0.0

    def due_in_s(self) -> float:
        """Return in how many seconds plots may be drawn; 0 for now."""
        elapsed_s = self._now_s() - self._drawn_at_s
        has_spare = self._idle_s() - self._idle_before_s >= SPARE * elapsed_s
        share = SHARE if has_spare else SHARE_OF_BUSY
        wait_s = min((self._used_s() - self._used_before_s) / share, MOST_S)
        due_in_s = max(0.0, wait_s - elapsed_s)
        if due_in_s:
            self._held_s = max(self._held_s, wait_s)
        return due_in_s

    @property
    def held_s(self) -> float:
        """How far apart drawings are that were asked for sooner: the coming one or the last."""
        return max(self._held_s, self._held_before_s)

    def begin(self) -> None:
        """Note that they are drawn now."""
        self._held_before_s, self._held_s = self._held_s, 0.0
        self._drawn_at_s = self._now_s()
        self._used_before_s = self._used_s()
        self._idle_before_s = self._idle_s()
