"""
What workers relay through their executor, checked before it is spooled.

Flow: receivers.htex -> **receivers.relay** -> spool
What is spooled is read by every exporter and sent joined with others, so a worker's bad frame must
not come in: it would be found again by each of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from otel_parsl.seldom import Seldom
from otel_parsl.spool import frame, payloads, sound_bytes
from otel_parsl_collector.receivers.codec import read_protobuf
from otel_parsl_collector.receivers.refusal import Malformed
from otel_parsl_collector.signals import SIGNALS

logger = logging.getLogger(__name__)


class Relay:
    """The way in for frames of workers; for one thread."""

    def __init__(self) -> None:
        self._refused = Seldom(logger, logging.ERROR)
        self.refused = 0
        """Frames, or what should have been some, that are not spooled."""
        self.rejected = 0
        """Items that were taken out of frames, their ids being none."""

    def sound(self, content: bytes, label: str) -> bytes:
        """
        Return the frames of a message that every exporter can read.

        Args:
            content: The message.
            label: The executor's, for the log.
        """
        sound = sound_bytes(content)
        if sound < len(content):
            self._refuse(label, f"its last {len(content) - sound} bytes are no frame")
        return b"".join(self._checked(content[:sound], label))

    def _checked(self, content: bytes, label: str) -> Iterator[bytes]:
        for signal, payload in payloads(content):
            if signal not in SIGNALS:
                self._refuse(label, f"{signal} is no signal")
                continue
            try:
                request = read_protobuf(signal, payload)
            except Malformed as error:
                self._refuse(label, str(error))
                continue
            if request.rejected:
                self.rejected += request.rejected
                self._refused.say("a worker of %s: %s", label, request.warning)
            if request.items:
                yield frame(signal, request.payload)

    def _refuse(self, label: str, reason: str) -> None:
        self.refused += 1
        self._refused.say("a worker of %s sent what is no telemetry: %s", label, reason)
