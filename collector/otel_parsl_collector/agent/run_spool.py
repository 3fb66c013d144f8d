"""
The spool of one run, as its agent keeps it: who carries from it, and within which bound.

A destination's backlog is dropped, the oldest first, before it can cost the store anything; what
the store has not is never dropped here.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from otel_parsl.rendezvous import AGENT, DERIVED, DIRECT, INTERCHANGES, SUBMIT
from otel_parsl.seldom import Seldom
from otel_parsl.spool import Frame, Place, segment_bytes, segment_path, segments
from otel_parsl.stream_writer import PatientWriter, StreamWriter
from otel_parsl_collector.janitor import Janitor
from otel_parsl_collector.signals import count_by_signal
from otel_parsl_collector.spool_space import SpoolSpace

logger = logging.getLogger(__name__)

STORED = (SUBMIT, AGENT, DIRECT)
"""The streams that rows are made of."""
STREAMS = (*STORED, DERIVED)
"""Those that anybody is sent."""
_FILES = (*STREAMS, INTERCHANGES)
END = Place(sys.maxsize)
"""Behind everything: the place of whoever is done."""


class Reads(Protocol):
    """Whoever reads streams of the spool."""

    @property
    def places(self) -> Mapping[str, Place]:
        """How far it has come."""


class Carrier:
    """
    One reader of the agent, before it runs, while it does and after.

    Args:
        name: What the log calls it.
        streams: What it carries.
        is_store: Whether nothing may be dropped for it.
    """

    def __init__(self, name: str, streams: Iterable[str], *, is_store: bool = False) -> None:
        self.name = name
        self.is_store = is_store
        self.reader: Reads | None = None
        self.is_done = False
        """Whether it needs nothing more."""
        self.dropped: Counter[int] = Counter()
        """Items that it will not get, by signal."""
        self._streams = tuple(streams)

    def places(self) -> Mapping[str, Place]:
        """Return how far it has carried each stream."""
        if self.is_done:
            return dict.fromkeys(self._streams, END)
        if self.reader is None:
            return dict.fromkeys(self._streams, Place())
        return self.reader.places

    def count_dropped(self, frames: Iterable[Frame]) -> Mapping[int, int]:
        """Count frames that it will not get; return how many items they have, by signal."""
        counts = count_by_signal((item.signal, item.payload) for item in frames)
        self.dropped.update(counts)
        return counts


class RunSpool:
    """
    The spool of a run.

    Args:
        directory: Where it is.
        carriers: Who carries from it.
        max_bytes: How much may wait in it.
        max_age_s: How old what only destinations lack may become.
    """

    def __init__(
        self, directory: Path, carriers: Iterable[Carrier], *, max_bytes: int, max_age_s: float
    ) -> None:
        self._directory = directory
        self.space = SpoolSpace(directory, max_bytes=max_bytes)
        self._janitor = Janitor(self.space, _FILES, tuple(carriers), max_age_s=max_age_s)
        self._trouble = Seldom(logger, logging.WARNING)
        self._writers = {stream: self._writer(stream) for stream in STREAMS}
        self.received = PatientWriter(self._writers[AGENT])
        """Takes what cannot be asked for again."""

    def tidy(self, *, is_over: bool = False) -> None:
        """
        Write what waits in memory, and remove what can go.

        What was received since the last time is what a power cut may take.

        Args:
            is_over: Whether the run has ended, and nothing of it comes any more.
        """
        if self.received.waiting:
            self.received.append()
        try:
            self._writers[AGENT].sync()
            self._janitor.tidy(is_over=is_over)
        except OSError as error:
            self._trouble.say("the spool cannot be tidied: %s", error)

    def receive(self, frames: Iterable[bytes]) -> None:
        """
        Spool what was made of bytes that were spooled already, and are needed no more then.

        It asks for no room, which those bytes have taken, but waits where room has to be made.

        Raises:
            OSError: It could not be.
        """
        self._writers[AGENT].append(frames, has_room=self.space.takes_more)

    def derive(self, frames: Iterable[bytes]) -> None:
        """
        Spool what was derived, on the disk's platter: what it is made of may go then.

        Raises:
            OSError: It could not be.
        """
        self._writers[DERIVED].append(frames)
        self._writers[DERIVED].sync()

    def pass_torn(self, places: Iterable[Mapping[str, Place]]) -> None:
        """
        Let readers skip what is torn at the end of a stream: the run is over, nobody completes it.

        Args:
            places: How far each reader is.
        """
        for of_reader in places:
            for stream, place in of_reader.items():
                try:
                    self._writers[stream].pass_torn(place)
                except OSError as error:
                    self._trouble.say("what is torn cannot be passed over: %s", error)

    def clear(self) -> None:
        """Remove all of it: everything is delivered."""
        for stream in _FILES:
            for number in segments(self._directory, stream):
                segment_path(self._directory, stream, number).unlink()

    def _writer(self, stream: str) -> StreamWriter:
        return StreamWriter(
            self._directory,
            stream,
            has_room=self.space.has_room,
            segment_bytes=segment_bytes(self.space.max_bytes),
        )
