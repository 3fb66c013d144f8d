"""
The directory of a collector's spool: whose it is, how full, and what of it may go.

Each pipeline has a stream in it; a segment of a stream goes when every exporter has carried it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import time
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from otel_parsl.spool import Place, segment_path, segments
from otel_parsl_collector.errors import CollectorError

logger = logging.getLogger(__name__)

_TIGHT = 0.9
"""From this share of what may wait in it on, room is made."""
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")


def stream_name(pipeline: str) -> str:
    """Return the name of a pipeline's stream: letters only, and the same whatever else there is."""
    if re.fullmatch("[a-z]+", pipeline):
        return pipeline
    digest = blake2b(pipeline.encode(), digest_size=4).hexdigest().translate(_LETTERS)
    return re.sub("[^a-z]", "", pipeline.lower()) + digest


class Segment(NamedTuple):
    """One finished segment of a stream."""

    stream: str
    number: int
    path: Path
    size: int
    modified_at: float


class SpoolDirectory:
    """
    A spool directory that this process alone uses.

    Args:
        path: The directory; it is made.
        max_bytes: How much may wait in it.

    Raises:
        CollectorError: It cannot be used, or another collector uses it.
    """

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self.path = path.absolute()
        self.max_bytes = max_bytes
        self.waiting_bytes = 0
        """How much waits for some exporter: as the janitor has measured it, and what came since."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            self._take_lock()
            self.name = self._read_name()
        except OSError as error:
            raise CollectorError(
                f"spool {self.path}: {error.strerror}; expected a directory that can be written."
                " Set service.spool.directory"
            ) from error

    def close(self) -> None:
        """Let another collector have it."""
        os.close(self._lock)

    def has_room(self, size: int) -> bool:
        """Tell whether this many bytes more may be spooled, and count them as waiting."""
        if self.waiting_bytes + size > self.max_bytes:
            return False
        self.waiting_bytes += size
        return True

    def is_tight(self) -> bool:
        """Tell whether it is time to make room."""
        return self.waiting_bytes > _TIGHT * self.max_bytes

    def finished(self, streams: Iterable[str]) -> list[Segment]:
        """Return the segments that nothing is appended to any more, the oldest first."""
        found = []
        for stream in streams:
            for number in segments(self.path, stream)[:-1]:
                path = segment_path(self.path, stream, number)
                status = path.stat()
                found.append(Segment(stream, number, path, status.st_size, status.st_mtime))
        return sorted(found, key=lambda segment: (segment.modified_at, segment.number))

    def remove(self, segment: Segment) -> None:
        """Remove a segment that nobody needs."""
        segment.path.unlink()

    def bytes_behind(self, places: Mapping[str, Place]) -> int:
        """Return how many bytes the streams hold behind these places."""
        waiting = 0
        for stream, place in places.items():
            for number in segments(self.path, stream):
                size = _size(segment_path(self.path, stream, number))
                if number == place.segment:
                    waiting += max(0, size - place.offset)
                elif number > place.segment:
                    waiting += size
        return waiting

    def strangers(self, streams: Iterable[str]) -> dict[str, int]:
        """Return the bytes of streams that are not among these: no pipeline carries them."""
        known = set(streams)
        found: dict[str, int] = {}
        for path in self.path.glob("*-*.spool"):
            stream = path.name.rpartition("-")[0]
            if stream not in known and (size := _size(path)):
                found[stream] = found.get(stream, 0) + size
        return found

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CollectorError(
                f"spool {self.path}: another collector uses it."
                " Stop that one, or set service.spool.directory to another"
            ) from None
        except OSError as error:
            logger.warning(
                "%s cannot be locked (%s): see that no other collector uses it", self.path, error
            )

    def _read_name(self) -> str:
        """Return what databases keep this spool's places under; a new spool has a new name."""
        path = self.path / "name"
        try:
            name = path.read_text().strip()
        except FileNotFoundError:
            name = ""
        if not name:
            name = f"collector-{uuid4()}"
            path.write_text(f"{name}\n")
        return name


def expired(segment: Segment, *, max_age_s: float) -> bool:
    """Tell whether a segment is too old to be kept for exporters that lag."""
    return time.time() - segment.modified_at > max_age_s


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
