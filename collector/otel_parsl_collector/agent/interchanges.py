"""
What the hub heard of HTEX's interchanges, made telemetry once for all who carry it.

Flow: spool (stream ``interchange``) -> receivers.htex -> spool (stream ``agent``)
An agent that is killed between the two streams leaves some to be made again by the next, which the
store takes for the same, as it does any repetition.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path

from otel_parsl import rendezvous
from otel_parsl.interchange_messages import INTERCHANGE, content
from otel_parsl.rendezvous import INTERCHANGES
from otel_parsl.seldom import Seldom
from otel_parsl.spool import CorruptFrame, Frame, Place, SpoolReader
from otel_parsl_collector.agent.run import Run
from otel_parsl_collector.agent.run_spool import Carrier, RunSpool
from otel_parsl_collector.directory_watch import DirectoryWatch
from otel_parsl_collector.receivers.htex import HtexMessages

logger = logging.getLogger(__name__)

_AGAIN_S = 1.0
_AT_ONCE_BYTES = 1 << 20
"""What is read in one go, beside all else that the agent's thread does."""


class Interchanges:
    """
    Read the interchanges' stream on.

    Args:
        directory: Of the spool.
        run: Whose telemetry it is.
    """

    def __init__(self, directory: Path, run: Run) -> None:
        self._directory = directory
        self._run = run
        place = rendezvous.read(directory, rendezvous.HEARD)
        self._place = Place() if place is None else Place(*place)
        self._reader = SpoolReader(directory, INTERCHANGES, self._place)
        self._watch = DirectoryWatch(directory)
        self._is_at_end = False
        self._again_at = 0.0
        self._messages = HtexMessages()
        self._trouble = Seldom(logger, logging.WARNING)
        self._unreadable = Seldom(logger, logging.ERROR)
        self.carrier = Carrier("interchanges", (INTERCHANGES,), is_store=True)
        self.carrier.reader = self
        self.corrupt_bytes = 0
        """Bytes of the stream that are no frame."""

    @property
    def places(self) -> Mapping[str, Place]:
        """How far the stream is read, and what was made of it spooled."""
        return {INTERCHANGES: self._place}

    def take(self, spool: RunSpool) -> bool:
        """
        Spool what has come since the last time, some of it where it is much.

        Returns:
            Whether more may be there.
        """
        attributes = self._run.attributes()
        if attributes is None or (self._is_at_end and not self._is_more()):
            return False
        if time.monotonic() < self._again_at:
            return True
        try:
            frames, damaged = self._read(attributes, spool)
            self._is_at_end = self._reader.place == self._place
            if frames:
                spool.receive(frames)
        except OSError as error:
            self._trouble.say("news of interchanges wait, the spool cannot be written: %s", error)
            self._reader.place = self._place
            self._is_at_end = False
            self._again_at = time.monotonic() + _AGAIN_S
            return True
        if self._is_at_end:
            return False
        self.corrupt_bytes += damaged
        self._place = self._reader.place
        try:
            rendezvous.write(self._directory, rendezvous.HEARD, self._place)
        except OSError as error:  # the next agent begins where this one last could say
            self._trouble.say("%s cannot be written: %s", rendezvous.HEARD, error)
        return True

    def _read(self, run: tuple[bytes, ...], spool: RunSpool) -> tuple[list[bytes], int]:
        """Return what is made of the next part of the stream, and how much of it was damaged."""
        frames: list[bytes] = []
        damaged = 0
        for item in self._reader.read(min(_AT_ONCE_BYTES, spool.space.max_bytes // 8)):
            if isinstance(item, CorruptFrame):
                self._unreadable.say("%s: %d bytes are damaged", item.path, item.bytes_lost)
                damaged += item.bytes_lost
                continue
            made = self._made(item, run)
            if made is None:
                damaged += len(item.payload)
            else:
                frames += made
        return frames, damaged

    def _is_more(self) -> bool:
        has_changed = self._watch.has_changed()
        return has_changed or self._reader.has_grown()

    def _made(self, item: Frame, run: tuple[bytes, ...]) -> list[bytes] | None:
        """Return what is made of a frame; None of one that cannot be read."""
        try:
            if item.signal != INTERCHANGE:
                raise ValueError(f"signal {item.signal}")
            return self._messages.frames(content(item.payload), run)
        except Exception as error:  # noqa: BLE001 - a border: the next agent would begin with it
            self._unreadable.say(
                "a frame of what interchanges sent cannot be read and is dropped: %s",
                type(error).__name__,
            )
            return None
