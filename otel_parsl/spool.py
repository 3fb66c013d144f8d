"""
A spool: OTLP requests on disk, appended by one process and tailed by another.

Flow: hub (or a receiver of the collector) -> **spool** -> collector

A stream is a row of segment files ``<stream>-000001.spool``; a new segment says that the one
before it is finished.
A frame is magic (2 bytes), signal (1), a spare byte (0), length (4), CRC-32 of the payload begun
with the signal (4, all little-endian) and the payload: an Export*ServiceRequest.
Whole frames are appended by single writes, so a killed writer leaves at most one torn frame, at
the end, where a reader sees it by its length or checksum.
"""

from __future__ import annotations

import errno
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from struct import Struct
from typing import NamedTuple

_HEADER = Struct("<2sBxII")
_MAGIC = b"oP"
SEGMENT_BYTES = 16 << 20
"""A segment is finished when it has grown past this."""

_NAME = re.compile(r"^(?P<stream>[a-z]+)-(?P<number>\d{6,})\.spool$")


class Place(NamedTuple):
    """A place in a stream: everything before it has been dealt with."""

    segment: int = 1
    offset: int = 0


BEGINNING = Place()


class Frame(NamedTuple):
    """One request, and the place behind it."""

    signal: int
    payload: bytes
    end: Place


class CorruptFrame(NamedTuple):
    """Bytes that are no frame: from ``start`` to the end of their segment."""

    start: Place
    path: Path
    bytes_lost: int


def frame(signal: int, payload: bytes) -> bytes:
    """Return a payload framed for a spool."""
    return _HEADER.pack(_MAGIC, signal, len(payload), zlib.crc32(payload, signal)) + payload


def parts(items: Iterable[bytes], most_bytes: int) -> Iterator[list[bytes]]:
    """Yield what frames are made of in parts that are no longer, but for a single item that is."""
    some: list[bytes] = []
    size = 0
    for item in items:
        if some and size + len(item) > most_bytes:
            yield some
            some, size = [], 0
        some.append(item)
        size += len(item)
    if some:
        yield some


def sound_bytes(data: bytes) -> int:
    """Return how many bytes from the front are whole, sound frames."""
    return max((end for _, _, end in _whole_frames(data)), default=0)


def payloads(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield signal and payload of each whole, sound frame from the front."""
    for signal, start, end in _whole_frames(data):
        yield signal, data[start:end]


def segments(directory: Path, stream: str) -> list[int]:
    """Return the numbers of a stream's segments on disk, in order."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    matches = (_NAME.match(name) for name in names)
    return sorted(int(m["number"]) for m in matches if m and m["stream"] == stream)


def segment_path(directory: Path, stream: str, number: int) -> Path:
    """Return the path of one segment."""
    return directory / f"{stream}-{number:06d}.spool"


def segment_bytes(max_bytes: int) -> int:
    """Return how long a segment of a spool may grow: what is dropped at once is a part of all."""
    return min(SEGMENT_BYTES, max_bytes // 8)


def bytes_behind(directory: Path, places: Mapping[str, Place]) -> int:
    """Return how many bytes streams hold behind these places."""
    waiting = 0
    for stream, place in places.items():
        for number in segments(directory, stream):
            size = size_of(segment_path(directory, stream, number))
            if number == place.segment:
                waiting += max(0, size - place.offset)
            elif number > place.segment:
                waiting += size
    return waiting


def size_of(path: Path) -> int:
    """Return how long a file is; 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class SpoolWriter:
    """
    Append frames to a stream.

    One writer a stream; it always begins a segment of its own, so that what an earlier writer left
    torn stays where it is.

    Raises:
        OSError: From ``append`` when the disk is full or a quota is reached. What was written of
            the frame has been cut off again; nothing of it is in the stream.
    """

    def __init__(self, directory: Path, stream: str, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._directory = directory
        self._stream = stream
        self._segment_bytes = segment_bytes
        self._number = 0
        self._fd = -1
        self._size = 0
        self._is_torn = False
        self._is_named = False
        self._next_segment()

    @property
    def place(self) -> Place:
        """The place behind everything appended so far."""
        return Place(self._number, self._size)

    def append(self, frames: Iterable[bytes]) -> Place:
        """Append frames, as ``frame`` made them, and return the place behind them."""
        data = b"".join(frames)
        is_long = self._size and self._size + len(data) > self._segment_bytes
        if is_long or self._is_torn:
            self._next_segment()
        try:
            self._write(data)
        except OSError:
            self._cut()
            raise
        self._size += len(data)
        return self.place

    def sync(self) -> None:
        """Bring what was appended to the disk's platter, and the names of its files."""
        os.fdatasync(self._fd)
        if not self._is_named:
            sync_names(self._directory)
            self._is_named = True

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def _cut(self) -> None:
        """Take back the part of a frame that was written; where that fails, write behind it."""
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            self._is_torn = True

    def _next_segment(self) -> None:
        number = max([self._number, *segments(self._directory, self._stream)]) + 1
        path = segment_path(self._directory, self._stream, number)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        before, self._fd, self._number, self._size = self._fd, fd, number, 0
        self._is_torn = self._is_named = False
        if before >= 0:
            try:
                os.fdatasync(before)
            finally:
                os.close(before)


def sync_names(directory: Path) -> None:
    """Bring a directory to disk: a file that a power cut leaves without a name holds nothing."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some filesystems cannot, or need not
            raise
    finally:
        os.close(fd)


class SpoolReader:
    """Read a stream from a place on; it never changes the files."""

    def __init__(self, directory: Path, stream: str, place: Place = BEGINNING) -> None:
        self._directory = directory
        self._stream = stream
        self.place = place

    def read(self, limit_bytes: int = 4 << 20) -> Iterator[Frame | CorruptFrame]:
        """
        Yield the whole frames that are there now, and advance ``place`` past each.

        Ends when the stream has no further whole frame or ``limit_bytes`` were read.
        Damage is yielded as a ``CorruptFrame``, once, and reading goes on at the next sound frame;
        a torn end of the last segment is taken as still being written.
        """
        room = limit_bytes
        while room > 0:
            data = self._data(room)
            begin = self.place
            for signal, start, end in _whole_frames(data):
                room -= begin.offset + end - self.place.offset
                self.place = Place(begin.segment, begin.offset + end)
                yield Frame(signal, data[start:end], self.place)
            if self.place != begin:
                continue
            following = self._following()
            rest = self._data(_ALL)  # read again: what follows was begun after the last write here
            sound = _next_sound(rest)
            if sound == 0 and rest:
                continue
            if sound is not None:
                yield self._skip_to(Place(begin.segment, begin.offset + sound), sound)
            elif following is None:
                return
            elif rest:
                yield self._skip_to(Place(following, 0), len(rest))
            else:
                self.place = Place(following, 0)

    def has_grown(self) -> bool:
        """Tell whether the segment of the place goes on behind it: a look that reads nothing."""
        path = segment_path(self._directory, self._stream, self.place.segment)
        try:
            return os.stat(path).st_size > self.place.offset
        except FileNotFoundError:
            return False

    def end(self) -> Place:
        """Return the place behind the last byte that is there now."""
        number = max(segments(self._directory, self._stream), default=self.place.segment)
        return Place(number, size_of(segment_path(self._directory, self._stream, number)))

    def at_end(self) -> bool:
        """Tell whether no byte is left behind the place."""
        return not self._data(1) and self._following() is None

    def _data(self, limit: int) -> bytes:
        path = segment_path(self._directory, self._stream, self.place.segment)
        try:
            with open(path, "rb") as file:
                # To ask for more than there is would have Python make room for it all the same.
                there = os.fstat(file.fileno()).st_size - self.place.offset
                if there <= 0:
                    return b""
                file.seek(self.place.offset)
                data = file.read(there if limit == _ALL else min(there, max(limit, _HEADER.size)))
                need = _bytes_needed(data)
                if limit >= 0 and len(data) < need <= there:
                    data += file.read(need - len(data))
                return data
        except FileNotFoundError:
            return b""

    def _following(self) -> int | None:
        later = [n for n in segments(self._directory, self._stream) if n > self.place.segment]
        return later[0] if later else None

    def _skip_to(self, place: Place, bytes_lost: int) -> CorruptFrame:
        start, self.place = self.place, place
        path = segment_path(self._directory, self._stream, start.segment)
        return CorruptFrame(start, path, bytes_lost)


_ALL = -1


def _bytes_needed(data: bytes) -> int:
    """Return how many bytes the first frame has in all, as far as its header tells."""
    if len(data) < _HEADER.size:
        return 0
    magic, _, length, _ = _HEADER.unpack_from(data)
    return _HEADER.size + length if magic == _MAGIC else 0


def _next_sound(data: bytes) -> int | None:
    """Return where the first whole, sound frame begins; None where there is none."""
    position = data.find(_MAGIC)
    while position >= 0:
        if next(_whole_frames(memoryview(data)[position:]), None) is not None:
            return position
        position = data.find(_MAGIC, position + 1)
    return None


def _whole_frames(data: bytes | memoryview) -> Iterator[tuple[int, int, int]]:
    """Yield signal, start and end of the payload of each whole, sound frame from the front."""
    position = 0
    view = memoryview(data)
    while position + _HEADER.size <= len(data):
        magic, signal, length, checksum = _HEADER.unpack_from(data, position)
        start = position + _HEADER.size
        end = start + length
        if magic != _MAGIC or end > len(data) or zlib.crc32(view[start:end], signal) != checksum:
            return
        yield signal, start, end
        position = end
