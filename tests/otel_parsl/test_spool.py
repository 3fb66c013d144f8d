"""What is appended to a spool is read back, whatever happens to writer, reader and disk."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel_parsl.spool import (
    CorruptFrame,
    Frame,
    Place,
    SpoolReader,
    SpoolWriter,
    frame,
    segment_path,
    segments,
)
from tests.support.filesystems import small_disk

SIGNALS = st.integers(1, 3)
PAYLOADS = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from([b"oP", b"o", b"P", b"\0", b"oP\x01\0"]), max_size=12).map(b"".join),
)
"""Bytes, those among them that look like the beginning of a frame."""
REQUESTS = st.tuples(SIGNALS, PAYLOADS)
BATCHES = st.lists(st.lists(REQUESTS, max_size=4), max_size=8)
Request = tuple[int, bytes]


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _append(directory: Path, batches: list[list[Request]], segment_bytes: int = 1 << 20) -> None:
    writer = SpoolWriter(directory, "submit", segment_bytes=segment_bytes)
    for batch in batches:
        writer.append(frame(*request) for request in batch)
    writer.close()


def _read(reader: SpoolReader, limit_bytes: int = 4 << 20) -> list[Frame | CorruptFrame]:
    """Read until nothing more comes, as a pump does."""
    found: list[Frame | CorruptFrame] = []
    while True:
        before = reader.place
        found += reader.read(limit_bytes)
        if reader.place == before:
            return found


def _requests(found: list[Frame | CorruptFrame]) -> list[Request | CorruptFrame]:
    return [item if isinstance(item, CorruptFrame) else item[:2] for item in found]


@given(BATCHES, st.integers(1, 200), st.integers(12, 400))
@example([[(1, b"a")], [(1, b"")]], 1, 12)
def test_read_gives_back_what_was_appended(
    batches: list[list[Request]], segment_bytes: int, limit_bytes: int
) -> None:
    """Any batches in segments of any size are read back whole and in order, at any pace."""
    with _directory() as directory:
        _append(directory, batches, segment_bytes)
        reader = SpoolReader(directory, "submit")
        assert _requests(_read(reader, limit_bytes)) == [r for batch in batches for r in batch]
        assert reader.at_end()


@pytest.mark.parametrize("limit_bytes", range(1, 14))
def test_read_makes_headway_however_little_may_be_read(tmp_path: Path, limit_bytes: int) -> None:
    """A limit smaller than a frame's header still gives a frame: a pump may have so much left."""
    _append(tmp_path, [[(1, b"first"), (2, b"second")]])
    reader = SpoolReader(tmp_path, "submit")
    results: list[list[Request | CorruptFrame]] = []
    thread = threading.Thread(
        target=lambda: results.append(_requests(_read(reader, limit_bytes))), daemon=True
    )
    thread.start()
    thread.join(timeout=5)
    assert results == [[(1, b"first"), (2, b"second")]]


@given(BATCHES, st.integers(1, 200))
def test_every_frame_says_where_to_go_on(batches: list[list[Request]], segment_bytes: int) -> None:
    """A new reader at the end of any frame reads exactly what follows it."""
    with _directory() as directory:
        _append(directory, batches, segment_bytes)
        found = _read(SpoolReader(directory, "submit"))
        for index, item in enumerate(found):
            assert isinstance(item, Frame)
            rest = _read(SpoolReader(directory, "submit", item.end))
            assert rest == found[index + 1 :]


@given(BATCHES, st.integers(1, 200))
def test_append_says_the_place_behind(batches: list[list[Request]], segment_bytes: int) -> None:
    """The place that the writer gives is where a reader comes to that has read it all."""
    with _directory() as directory:
        writer = SpoolWriter(directory, "submit", segment_bytes=segment_bytes)
        reader = SpoolReader(directory, "submit")
        for batch in batches:
            place = writer.append([frame(*request) for request in batch])
            assert place == writer.place
            assert _requests(_read(reader)) == batch
            assert reader.place == place or not batch


@given(st.lists(REQUESTS, max_size=3), REQUESTS)
def test_torn_end_is_seen_as_still_being_written(before: list[Request], last: Request) -> None:
    """Cut at every byte of the last frame, all before is read, and the frame once it is whole."""
    with _directory() as directory:
        _append(directory, [before])
        path = segment_path(directory, "submit", 1)
        whole = path.stat().st_size
        data = frame(*last)
        for cut in range(len(data)):
            with open(path, "r+b") as file:
                file.truncate(whole)
                file.seek(whole)
                file.write(data[:cut])
            reader = SpoolReader(directory, "submit")
            assert _requests(_read(reader)) == before
            assert reader.at_end() == (cut == 0)
            with open(path, "ab") as file:
                file.write(data[cut:])
            assert _requests(_read(reader)) == [last]
            assert reader.at_end()


@given(st.lists(REQUESTS, max_size=3), REQUESTS, st.lists(REQUESTS, min_size=1, max_size=3))
def test_new_writer_leaves_a_torn_tail_behind(
    before: list[Request], torn: Request, after: list[Request]
) -> None:
    """After a killed writer's torn frame a new writer's are read, the torn bytes said once."""
    with _directory() as directory:
        _append(directory, [before])
        path = segment_path(directory, "submit", 1)
        start = path.stat().st_size
        data = frame(*torn)
        for cut in range(1, len(data)):
            with open(path, "r+b") as file:
                file.truncate(start)
                file.seek(start)
                file.write(data[:cut])
            for number in segments(directory, "submit")[1:]:
                segment_path(directory, "submit", number).unlink()
            _append(directory, [after])
            damage = CorruptFrame(Place(1, start), path, cut)
            assert _requests(_read(SpoolReader(directory, "submit"))) == [*before, damage, *after]


@given(st.lists(REQUESTS, min_size=1, max_size=4), st.data())
def test_flipped_byte_loses_the_damaged_frame_alone(
    requests: list[Request], data: st.DataObject
) -> None:
    """A byte changed anywhere in a frame costs that frame, said once; all others are read."""
    frames = [frame(*request) for request in requests]
    damaged = data.draw(st.integers(0, len(frames) - 1), label="damaged frame")
    at = data.draw(st.integers(0, len(frames[damaged]) - 1).filter(lambda n: n != 3), label="byte")
    flip = data.draw(st.integers(1, 255), label="flip")
    start = sum(map(len, frames[:damaged]))
    with _directory() as directory:
        _append(directory, [requests])
        path = segment_path(directory, "submit", 1)
        content = bytearray(path.read_bytes())
        content[start + at] ^= flip
        path.write_bytes(content)
        _append(directory, [[(3, b"a later writer's")]])
        damage = CorruptFrame(Place(1, start), path, len(frames[damaged]))
        expected = [*requests[:damaged], damage, *requests[damaged + 1 :], (3, b"a later writer's")]
        reader = SpoolReader(directory, "submit")
        assert _requests(_read(reader)) == expected
        assert _read(reader) == []


def test_damage_in_several_frames_is_said_as_often(tmp_path: Path) -> None:
    """Two damaged frames apart are two reports, with what lies between them read."""
    requests = [(1, b"zero"), (1, b"one"), (1, b"two"), (1, b"three"), (1, b"four")]
    _append(tmp_path, [requests])
    path = segment_path(tmp_path, "submit", 1)
    content = bytearray(path.read_bytes())
    sizes = [len(frame(*request)) for request in requests]
    content[sizes[0] + 5] ^= 1
    content[sum(sizes[:3]) + 1] ^= 1
    path.write_bytes(content)
    assert _requests(_read(SpoolReader(tmp_path, "submit"))) == [
        requests[0],
        CorruptFrame(Place(1, sizes[0]), path, sizes[1]),
        requests[2],
        CorruptFrame(Place(1, sum(sizes[:3])), path, sizes[3]),
        requests[4],
    ]


def test_torn_frame_full_of_magic_is_looked_through_quickly(tmp_path: Path) -> None:
    """A megabyte that looks like frames at every second byte does not stop the reader."""
    _append(tmp_path, [[(1, b"before")]])
    path = segment_path(tmp_path, "submit", 1)
    with open(path, "ab") as file:
        file.write(frame(1, b"oP" * (1 << 19))[:-1])
    began = time.process_time()
    assert _requests(_read(SpoolReader(tmp_path, "submit"))) == [(1, b"before")]
    assert time.process_time() - began < 5


def test_reader_follows_a_writer(tmp_path: Path) -> None:
    """Frames appended while a reader reads all come, in order, none of them as damage."""
    requests = [(1 + n % 3, bytes([n % 251]) * (n * 7 % 3000)) for n in range(1500)]

    def write() -> None:
        writer = SpoolWriter(tmp_path, "submit", segment_bytes=50_000)
        for start in range(0, len(requests), 5):
            writer.append([frame(*request) for request in requests[start : start + 5]])
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    reader = SpoolReader(tmp_path, "submit")
    found: list[Frame | CorruptFrame] = []
    deadline = time.monotonic() + 30
    while len(found) < len(requests) and time.monotonic() < deadline:
        found += reader.read(20_000)
    thread.join()
    assert _requests(found) == requests
    assert reader.at_end()


def test_streams_share_a_directory(tmp_path: Path) -> None:
    """Each stream has frames of its own, and files that are no segments are nobody's."""
    for stream in ("submit", "agent"):
        writer = SpoolWriter(tmp_path, stream)
        writer.append([frame(1, stream.encode())])
        writer.close()
    (tmp_path / "submit-1.spool").write_bytes(b"no segment")
    (tmp_path / "agent.log").write_bytes(b"no segment")
    assert _requests(_read(SpoolReader(tmp_path, "submit"))) == [(1, b"submit")]
    assert _requests(_read(SpoolReader(tmp_path, "agent"))) == [(1, b"agent")]
    assert segments(tmp_path, "derived") == []


def test_reader_comes_before_the_writer(tmp_path: Path) -> None:
    """A stream that nobody has begun, or whose directory is not there yet, is empty."""
    reader = SpoolReader(tmp_path / "later", "submit")
    assert _read(reader) == []
    assert reader.at_end()
    (tmp_path / "later").mkdir()
    _append(tmp_path / "later", [[(1, b"come")]])
    assert not reader.at_end()
    assert _requests(_read(reader)) == [(1, b"come")]


def test_removed_segments_are_passed_over(tmp_path: Path) -> None:
    """A reader whose segment was carried by all and removed goes on with the next."""
    _append(tmp_path, [[(1, b"first")], [(1, b"second")], [(1, b"third")]], segment_bytes=1)
    reader = SpoolReader(tmp_path, "submit")
    assert _requests(list(reader.read(1)))[:1] == [(1, b"first")]
    for number in (1, 2):
        segment_path(tmp_path, "submit", number).unlink()
    again = SpoolReader(tmp_path, "submit", Place(1, 17))
    assert _requests(_read(again)) == [(1, b"third")]
    assert again.at_end()


_FILL = """
import sys
from pathlib import Path
from otel_parsl.spool import SpoolWriter, frame
{limit}
writer = SpoolWriter(Path(sys.argv[1]), "submit")
stored = 0
try:
    while True:
        batch = [frame(1, b"%05d" % (stored + n) * 100) for n in range(3)]
        writer.append(batch)
        stored += 3
except OSError as error:
    print(stored, error.errno, *writer.place)
"""


def _fill(directory: Path, limit: str) -> tuple[int, int, Place]:
    """Append batches of three in a process of its own until the disk takes no more."""
    result = subprocess.run(
        [sys.executable, "-c", _FILL.format(limit=limit), str(directory)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    stored, errno, segment, offset = map(int, result.stdout.split())
    return stored, errno, Place(segment, offset)


def _assert_filled_cleanly(directory: Path, stored: int, place: Place) -> None:
    """Assert that what was taken is there, nothing of what was refused, and no torn frame."""
    reader = SpoolReader(directory, "submit")
    expected = [(1, b"%05d" % n * 100) for n in range(stored)]
    assert _requests(_read(reader)) == expected
    assert reader.at_end()
    assert reader.place == place


def test_quota_leaves_no_torn_frame(tmp_path: Path) -> None:
    """A file that may not grow further refuses a batch whole, with an OSError."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))"
    stored, errno, place = _fill(tmp_path, limit)
    assert (stored, errno) == (39, 27)  # EFBIG
    _assert_filled_cleanly(tmp_path, stored, place)


def test_full_disk_leaves_no_torn_frame_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """A full disk refuses a batch whole; with room made, the next batch is written and read."""
    with small_disk(tmp_path / "disk", kib=64) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 30_000)
        stored, errno, place = _fill(disk, "")
        assert errno == 28  # ENOSPC
        assert stored > 0
        _assert_filled_cleanly(disk, stored, place)

        writer = SpoolWriter(disk, "submit")
        with pytest.raises(OSError, match="No space left"):
            writer.append([frame(1, b"y" * 40_000)])
        ballast.unlink()
        writer.append([frame(1, b"room")])
        writer.close()
        assert _requests(_read(SpoolReader(disk, "submit", place))) == [(1, b"room")]


def _peak_bytes(directory: Path, limit_bytes: int) -> int:
    """Return the most that one read holds at a time, over a whole stream."""
    reader = SpoolReader(directory, "submit")
    tracemalloc.start()
    try:
        while list(reader.read(limit_bytes)):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("segment_bytes", [16 << 20, 1 << 14])
def test_read_holds_no_more_than_it_may(tmp_path: Path, segment_bytes: int) -> None:
    """However long the backlog and however many its segments, a read holds about its limit."""
    limit = 1 << 17
    payload = bytes(1000)
    _append(tmp_path, [[(1, payload)] * 16] * 256, segment_bytes)
    assert _peak_bytes(tmp_path, limit) < 4 * limit


@pytest.mark.parametrize("segment_bytes", [1 << 20, 100])
def test_read_gives_its_limit_and_a_frame_at_most(tmp_path: Path, segment_bytes: int) -> None:
    """One read gives no more bytes than asked for and one frame, however many the segments."""
    _append(tmp_path, [[(1, bytes(88))] for _ in range(100)], segment_bytes)
    reader = SpoolReader(tmp_path, "submit")
    sizes = []
    while found := list(reader.read(1000)):
        sizes.append(len(found))
    assert sum(sizes) == 100
    assert max(sizes) <= 11


def test_one_frame_beyond_the_limit_is_read(tmp_path: Path) -> None:
    """A frame greater than the limit is read whole, and alone."""
    _append(tmp_path, [[(1, b"x" * 5000), (1, b"next")]])
    reader = SpoolReader(tmp_path, "submit")
    assert _requests(list(reader.read(100))) == [(1, b"x" * 5000)]
    assert _requests(list(reader.read(100))) == [(1, b"next")]


def test_close_may_be_called_twice(tmp_path: Path) -> None:
    """A writer that is closed can be closed again, and what it wrote is on disk."""
    writer = SpoolWriter(tmp_path, "submit")
    writer.append([frame(1, b"x")])
    writer.sync()
    writer.close()
    writer.close()
    assert _requests(_read(SpoolReader(tmp_path, "submit"))) == [(1, b"x")]


def test_segments_are_the_owners_alone(tmp_path: Path) -> None:
    """Nobody but its owner may read a segment: telemetry has arguments of tasks in it."""
    _append(tmp_path, [[(1, b"x")]])
    assert os.stat(segment_path(tmp_path, "submit", 1)).st_mode & 0o777 == 0o600
