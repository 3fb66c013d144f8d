"""
How much of a run's spool waits for its store, seen from the submit process.

The agent keeps the spool within its bound by dropping what destinations lack, the oldest first.
What the store lacks it never drops: for that there is this bound, of the same size, on what comes
in. So a dead destination costs the store nothing.
"""

from __future__ import annotations

import time
from pathlib import Path

from otel_parsl import rendezvous
from otel_parsl.rendezvous import INTERCHANGES, SUBMIT
from otel_parsl.spool import Place, bytes_behind

MAX_MIB = 2048
"""The bound by default."""
MAX_AGE_S = 30 * 86400.0
"""How old what destinations lack may become before it is dropped."""
_MEASURE_S = 1.0
_PART_OF_INTERCHANGES = 4
"""They may take a quarter."""


class StoreBacklog:
    """
    The room that is left for what the hub spools.

    Args:
        directory: Of the spool.
        max_bytes: How much may wait for the store, and for the agent to read it.
        measure_s: How often it is looked how far they have come.
    """

    def __init__(self, directory: Path, *, max_bytes: int, measure_s: float = _MEASURE_S) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._measure_s = measure_s
        self._places = {SUBMIT: Place(), INTERCHANGES: Place()}
        self._waiting = dict.fromkeys(self._places, 0)
        self._measured_at = time.monotonic()

    def has_room(self, stream: str, size: int) -> bool:
        """
        Tell whether this many bytes more may be spooled, and count them as spooled.

        What interchanges send has a part of the room alone: it keeps nothing of the run's own out.
        """
        now = time.monotonic()
        if now - self._measured_at >= self._measure_s:
            self._measured_at = now
            self._measure()
        before = self._waiting[stream]
        waiting = before + size
        most = self._max_bytes // _PART_OF_INTERCHANGES
        if stream == INTERCHANGES and before and waiting > most:
            return False
        if sum(self._waiting.values()) + size > self._max_bytes:
            return False
        self._waiting[stream] = waiting
        return True

    def _measure(self) -> None:
        stored = (rendezvous.read(self._directory, rendezvous.STATUS) or {}).get("stored")
        heard = rendezvous.read(self._directory, rendezvous.HEARD)
        for stream, place in ((SUBMIT, stored), (INTERCHANGES, heard)):
            if place is not None:
                self._places[stream] = max(self._places[stream], Place(*place))
            self._waiting[stream] = bytes_behind(self._directory, {stream: self._places[stream]})
