"""
Group commit: many requests, one fsync.

While a group is being brought to disk, the next one gathers, so a lone sender waits for no more
than its own fsync and many senders share one.

Flow: receivers -> **receivers.committer** -> spool
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from otel_parsl.spool import SEGMENT_BYTES, Place, SpoolWriter
from otel_parsl_collector.receivers.refusal import Busy

_GROUP_BYTES = 64 << 20
_STUCK_S = 2.0
"""A write that takes longer has senders refused at once, as they would wait in vain."""


class _Entry:
    __slots__ = ("data", "done", "error", "streams")

    def __init__(self, streams: tuple[str, ...], data: bytes) -> None:
        self.streams = streams
        self.data = data
        self.done = threading.Event()
        self.error: str | None = None


class Committer:
    """
    The writer of a spool's streams, for any number of threads.

    Args:
        directory: Of the spool.
        streams: Their names.
        has_room: Tells whether this many bytes more may be spooled.
        guards: Each says why nothing can be taken at present, if so.
        segment_bytes: How long a segment grows.
    """

    def __init__(
        self,
        directory: Path,
        streams: Iterable[str],
        *,
        has_room: Callable[[int], bool],
        guards: Iterable[Callable[[], str | None]] = (),
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._has_room = has_room
        self._guards = tuple(guards)
        self._writers = {
            stream: SpoolWriter(directory, stream, segment_bytes=segment_bytes)
            for stream in streams
        }
        self._changed = threading.Condition()
        self._waiting: list[_Entry] = []
        self._writing_since: float | None = None
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    def place(self, stream: str) -> Place:
        """Return the place behind all that a stream holds."""
        return self._writers[stream].place

    def commit(self, streams: tuple[str, ...], frame: bytes, *, deadline: float) -> None:
        """
        Put a frame into streams, and return when it is on disk in all of them.

        Args:
            streams: Where to.
            frame: What ``spool.frame`` made.
            deadline: When to give up, by ``time.monotonic``.

        Raises:
            Busy: The disk is full, too slow, or the collector is stopping, or a guard says so.
                The frame may be in the spool or not: the sender is to send it again.
        """
        for guard in self._guards:
            if (reason := guard()) is not None:
                raise Busy(reason)
        entry = _Entry(streams, frame)
        with self._changed:
            if self._is_closing:
                raise Busy("the collector is stopping")
            if time.monotonic() >= deadline or self._is_stuck():
                raise Busy("the spool's disk is too slow")
            self._waiting.append(entry)
            self._changed.notify()
        if not entry.done.wait(max(0.0, deadline - time.monotonic())):
            with self._changed:
                if entry in self._waiting:
                    self._waiting.remove(entry)
            raise Busy("the spool's disk is too slow")
        if entry.error is not None:
            raise Busy(entry.error)

    def close(self) -> None:
        """Write what waits and stop; what comes later is refused."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()
        for writer in self._writers.values():
            writer.close()

    def is_running(self) -> bool:
        """Tell whether requests are being taken to disk."""
        return self._thread.is_alive() and not self._is_stuck()

    def _is_stuck(self) -> bool:
        since = self._writing_since
        return since is not None and time.monotonic() - since > _STUCK_S

    def _run(self) -> None:
        while True:
            with self._changed:
                self._writing_since = None
                self._changed.wait_for(lambda: self._waiting or self._is_closing)
                group = self._next_group()
                self._writing_since = time.monotonic()
            if not group:
                return
            self._write(group)
            for entry in group:
                entry.done.set()

    def _next_group(self) -> list[_Entry]:
        size = count = 0
        for entry in self._waiting:
            size += len(entry.data)
            if count and size > _GROUP_BYTES:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    def _write(self, group: list[_Entry]) -> None:
        by_stream: dict[str, list[_Entry]] = defaultdict(list)
        for entry in group:
            for stream in entry.streams:
                by_stream[stream].append(entry)
        needed = sum(len(entry.data) * len(entry.streams) for entry in group)
        if not self._has_room(needed):
            _fail(group, "the spool is full: what it holds cannot be delivered at present")
            return
        for stream, entries in by_stream.items():
            try:
                self._append(stream, entries)
            except OSError as error:
                _fail(entries, f"the spool cannot be written: {error.strerror or error}")

    def _append(self, stream: str, entries: list[_Entry]) -> None:
        writer = self._writers[stream]
        writer.append(entry.data for entry in entries)
        writer.sync()


def _fail(entries: Iterable[_Entry], reason: str) -> None:
    for entry in entries:
        entry.error = reason
