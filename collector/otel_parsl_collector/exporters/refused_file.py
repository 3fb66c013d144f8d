"""The file that takes what a destination will never take, so that its line can go on."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from otel_parsl.seldom import Seldom
from otel_parsl.spool import frame
from otel_parsl_collector.signals import SIGNALS, count_items

logger = logging.getLogger(__name__)

MAX_BYTES = 256 << 20
"""How long the file grows: a destination may refuse all there is, for a wrong password."""


class RefusedFile:
    """
    Requests set aside, as spool frames.

    Args:
        path: The file; it is made by the first.
        max_bytes: How long it may grow; what comes then is counted and said alone.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._kept = Seldom(logger, logging.ERROR)
        self._lost = Seldom(logger, logging.ERROR)

    def add(self, signal: int, payload: bytes, reason: object) -> int:
        """
        Set a request aside; return how many items it has.

        Args:
            signal: Its number.
            payload: The request, or what should have been one.
            reason: Why; said in the log.

        Raises:
            OSError: The disk is full; nothing of it is in the file.
        """
        items = count_items(signal, payload)
        what = SIGNALS[signal].items if signal in SIGNALS else f"signal {signal}, which is none,"
        data = frame(signal, payload)
        if self._append(data):
            self._kept.say("%d %s are set aside in %s: %s", items, what, self.path, reason)
        else:
            self._lost.say(
                "%d %s are dropped: %s. %s holds its most, %d bytes, already",
                items,
                what,
                reason,
                self.path,
                self._max_bytes,
            )
        return items

    def _append(self, data: bytes) -> bool:
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            before = os.fstat(fd).st_size
            if before + len(data) > self._max_bytes:
                return False
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
            except OSError:
                os.ftruncate(fd, before)
                raise
        finally:
            os.close(fd)
        return True
