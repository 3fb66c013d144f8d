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
from otel_parsl.spool import Place, bytes_behind

MAX_MIB = 2048
"""The bound by default."""
MAX_AGE_S = 30 * 86400.0
"""How old what destinations lack may become before it is dropped."""
_MEASURE_S = 1.0


class StoreBacklog:
    """
    The room that is left for a stream.

    Args:
        directory: Of the spool.
        stream: Its name.
        max_bytes: How much of it may wait for the store.
        measure_s: How often it is looked how far the store has come.
    """

    def __init__(
        self, directory: Path, stream: str, *, max_bytes: int, measure_s: float = _MEASURE_S
    ) -> None:
        self._directory = directory
        self._stream = stream
        self._max_bytes = max_bytes
        self._measure_s = measure_s
        self._stored = Place()
        self._waiting = 0
        self._measured_at = time.monotonic()

    def has_room(self, size: int) -> bool:
        """Tell whether this many bytes more may be spooled, and count them as spooled."""
        now = time.monotonic()
        if now - self._measured_at >= self._measure_s:
            self._measured_at = now
            self._measure()
        if self._waiting + size > self._max_bytes:
            return False
        self._waiting += size
        return True

    def _measure(self) -> None:
        status = rendezvous.read(self._directory, rendezvous.STATUS)
        if status is not None and status["stored"] is not None:
            self._stored = max(self._stored, Place(*status["stored"]))
        self._waiting = bytes_behind(self._directory, {self._stream: self._stored})
