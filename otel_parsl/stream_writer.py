"""
Writers of a spool's stream for several threads, within the spool's bound.

``StreamWriter`` raises where the disk takes nothing, for those who can come again with the same.
``PatientWriter`` keeps in memory what the disk does not take, for those who cannot.
"""

from __future__ import annotations

import errno
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from otel_parsl.seldom import Seldom
from otel_parsl.spool import SEGMENT_BYTES, Place, SpoolReader, SpoolWriter

logger = logging.getLogger(__name__)

WAITING_BYTES = 32 << 20
"""What is kept in memory while the disk takes nothing; beyond that the oldest is dropped."""
_AT_ONCE_BYTES = 1 << 20

HasRoom = Callable[[int], bool]
"""Tells whether this many bytes more may be spooled, and counts them as spooled."""


class StreamWriter:
    """
    Append to a stream; its file is begun by the first frame.

    Args:
        directory: Of the spool.
        stream: Its name.
        has_room: Tells whether there is room.
        segment_bytes: How long a segment grows.
    """

    def __init__(
        self,
        directory: Path,
        stream: str,
        *,
        has_room: HasRoom,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._directory = directory
        self._stream = stream
        self._has_room = has_room
        self.segment_bytes = segment_bytes
        """How long a segment grows: a part of what may wait."""
        self._lock = threading.Lock()
        self._writer: SpoolWriter | None = None
        self._is_dirty = False
        self.before_first: Callable[[], None] | None = None
        """Called before the first frame: writes what a reader needs; may raise OSError."""

    @property
    def place(self) -> Place:
        """The place behind everything appended so far."""
        return Place() if self._writer is None else self._writer.place

    def append(self, frames: Iterable[bytes], *, has_room: HasRoom | None = None) -> None:
        """
        Append frames.

        Args:
            frames: As ``spool.frame`` made them.
            has_room: Tells whether there is room for these, if it is another who does.

        Raises:
            OSError: The disk, a quota or the spool's own bound is full; nothing was appended.
        """
        data = b"".join(frames)
        with self._lock:
            if not (has_room or self._has_room)(len(data)):
                raise OSError(errno.EDQUOT, "the spool is full: what it holds cannot be stored yet")
            if self.before_first is not None:
                self.before_first()
                self.before_first = None
            if self._writer is None:
                self._writer = self._begin()
            self._writer.append((data,))
            self._is_dirty = True

    def sync(self) -> None:
        """
        Bring what was appended to the disk's platter.

        Raises:
            OSError: It could not be.
        """
        with self._lock:
            if self._writer is not None and self._is_dirty:
                self._writer.sync()
                self._is_dirty = False

    def pass_torn(self, place: Place) -> None:
        """
        Begin a new segment if what follows a place is torn: nobody is going to complete it.

        Readers skip damage at a stream's end only when they see that nothing more comes there.
        The caller knows that no other process writes the stream any more.

        Raises:
            OSError: It could not be begun.
        """
        with self._lock:
            reader = SpoolReader(self._directory, self._stream, place)
            if next(reader.read(1), None) is not None or reader.at_end():
                return
            before, self._writer = self._writer, self._begin()
            if before is not None:
                before.close()

    def _begin(self) -> SpoolWriter:
        return SpoolWriter(self._directory, self._stream, segment_bytes=self.segment_bytes)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        with self._lock:
            if self._writer is not None:
                self._writer.close()


class PatientWriter:
    """
    Append to a stream, and keep what cannot be written until it can.

    Args:
        writer: Of the stream.
        waiting_bytes: How much is kept; beyond that the oldest is dropped, counted and said.
    """

    def __init__(self, writer: StreamWriter, *, waiting_bytes: int = WAITING_BYTES) -> None:
        self._writer = writer
        self._waiting_bytes = waiting_bytes
        self._at_once_bytes = min(_AT_ONCE_BYTES, writer.segment_bytes)  # more may find no room
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._lock = threading.Lock()
        self._late = Seldom(logger, logging.WARNING)
        self._lost = Seldom(logger, logging.ERROR)
        self.dropped = 0
        """Batches that there was no more room for."""

    @property
    def waiting(self) -> int:
        """How many batches are in memory alone."""
        return len(self._waiting)

    def append(self, batches: Iterable[bytes] = ()) -> bool:
        """
        Append batches of frames behind those that wait.

        Returns:
            Whether all is written.
        """
        with self._lock:
            for batch in batches:
                self._waiting.append(batch)
                self._size += len(batch)
            try:
                while self._waiting:
                    self._write_some()
            except OSError as error:
                self._late.say(
                    "the spool cannot be written: %s; keeping up to %d MiB in memory",
                    error,
                    self._waiting_bytes >> 20,
                )
                self._drop(error)
                return False
        return True

    def _write_some(self) -> None:
        some: list[bytes] = []
        size = 0
        for batch in self._waiting:
            if some and size + len(batch) > self._at_once_bytes:
                break
            some.append(batch)
            size += len(batch)
        self._writer.append(some)
        for _ in some:
            self._waiting.popleft()
        self._size -= size

    def _drop(self, error: OSError) -> None:
        dropped = 0
        while self._size > self._waiting_bytes:
            self._size -= len(self._waiting.popleft())
            dropped += 1
        if dropped:
            self.dropped += dropped
            self._lost.say(
                "%d batches of telemetry are dropped, %d in all so far: the spool cannot be"
                " written: %s",
                dropped,
                self.dropped,
                error,
            )
