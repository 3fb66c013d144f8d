"""The room in a spool: how much waits in it, within which bound, and which files may go."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from otel_parsl.spool import Place, bytes_behind, segment_path, segments

_TIGHT = 0.9
"""From this share of what may wait in it on, room is made."""


class Segment(NamedTuple):
    """One finished segment of a stream."""

    stream: str
    number: int
    path: Path
    size: int
    modified_at: float


class SpoolSpace:
    """
    The files of a spool.

    Args:
        path: Its directory.
        max_bytes: How much may wait in it.
    """

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.waiting_bytes = 0
        """How much waits for some exporter: as the janitor has measured it, and what came since."""

    def has_room(self, size: int) -> bool:
        """Tell whether this many bytes more may be spooled, and count them as waiting."""
        if self.waiting_bytes + size > self.max_bytes:
            return False
        self.waiting_bytes += size
        return True

    def takes_more(self, size: int) -> bool:
        """Tell whether it is not yet time to make room, and count so many bytes as waiting."""
        if self.is_tight():
            return False
        self.waiting_bytes += size
        return True

    def is_tight(self) -> bool:
        """Tell whether it is time to make room."""
        return self.waiting_bytes > _TIGHT * self.max_bytes

    def finished(self, streams: Iterable[str]) -> list[Segment]:
        """Return the segments that nothing is appended to any more, the oldest first."""
        found = [
            self._segment(stream, number)
            for stream in streams
            for number in segments(self.path, stream)[:-1]
        ]
        return sorted(found, key=lambda segment: (segment.modified_at, segment.number))

    def newest(self, streams: Iterable[str]) -> list[Segment]:
        """Return the last segment of each stream, which may still be appended to."""
        return [
            self._segment(stream, number)
            for stream in streams
            for number in segments(self.path, stream)[-1:]
        ]

    def _segment(self, stream: str, number: int) -> Segment:
        path = segment_path(self.path, stream, number)
        status = path.stat()
        return Segment(stream, number, path, status.st_size, status.st_mtime)

    def remove(self, segment: Segment) -> None:
        """Remove a segment that nobody needs."""
        segment.path.unlink()

    def bytes_behind(self, places: Mapping[str, Place]) -> int:
        """Return how many bytes the streams hold behind these places."""
        return bytes_behind(self.path, places)


def expired(segment: Segment, *, max_age_s: float) -> bool:
    """Tell whether a segment is too old to be kept for exporters that lag."""
    return time.time() - segment.modified_at > max_age_s
