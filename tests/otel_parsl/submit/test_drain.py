"""What the submit process spools: what cannot be read or written is counted and said, no more."""

from __future__ import annotations

import bisect
import errno
import itertools
import logging
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parsl.monitoring.message_type import MessageType

from otel_parsl import OTelMonitoringHub, rendezvous
from otel_parsl.interchange_messages import Heard, content
from otel_parsl.rendezvous import HEARD, INTERCHANGES, STATUS, SUBMIT
from otel_parsl.spool import CorruptFrame, Frame, SpoolReader, frame, segment_path, segments
from otel_parsl.spool_room import StoreBacklog
from otel_parsl.stream_writer import PatientWriter, StreamWriter
from otel_parsl.submit.drain import FLUSH_S, Drain
from otel_parsl.submit.executor_watch import ExecutorWatch
from otel_parsl.submit.kernel_executors import KernelExecutors
from tests.support.parsl_messages import task_info
from tests.support.platter import Platter, payloads_of
from tests.support.programs import until

RUN_ID = "0c5dba1a-0000-4000-8000-000000000001"


def _payloads(directory: Path) -> list[bytes | CorruptFrame]:
    return payloads_of(directory, SUBMIT)


@pytest.mark.parametrize("torn", [frame(1, b"torn")[:-1], b"oP\x01\0\xff\xff\xff\xff" + bytes(90)])
def test_torn_telemetry_of_a_try_hides_nothing(
    tmp_path: Path, torn: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """What a worker sent torn is cut off, counted and said; what is before and behind it stays."""
    drain = Drain(tmp_path, scope="auto", watch=ExecutorWatch(KernelExecutors()))
    drain.begin(RUN_ID, ())
    drain.put_frames(frame(1, b"before") + torn)
    drain.put_frames(frame(2, b"behind"))
    drain.close()
    assert _payloads(tmp_path) == [b"before", b"behind"]
    assert drain.unreadable == 1
    assert caplog.messages == [
        f"of the {len(torn) + len(frame(1, b'before'))} bytes that came with a result {len(torn)}"
        " are no telemetry and are dropped"
    ]


@pytest.mark.parametrize(("max_mib", "spooled"), [(2048, 12), (1, 5)])
def test_tasks_of_large_inputs_are_spooled_one_after_another(
    tmp_path: Path, max_mib: int, spooled: int
) -> None:
    """Whoever reads the spool has little of it in memory, and one that is full has what it can."""
    watch = ExecutorWatch(KernelExecutors())
    drain = Drain(tmp_path, scope="auto", watch=watch, max_bytes=max_mib << 20)
    drain.begin(RUN_ID, ())
    inputs = "x" * 200_000
    for task_id in range(12):
        drain.put((MessageType.TASK_INFO, task_info(task_id=task_id, task_inputs=inputs)))
    drain.close()
    payloads = [found for found in _payloads(tmp_path) if isinstance(found, bytes)]
    assert max(map(len, payloads)) < 1 << 20
    assert sum(found.count(inputs.encode()) for found in payloads) == spooled


def test_whose_run_it_is_is_written_before_anything_is_spooled(tmp_path: Path) -> None:
    """Who reads the spool always knows whose run it is, on a disk that was full likewise."""
    drain = Drain(tmp_path, scope="auto", watch=ExecutorWatch(KernelExecutors()))
    is_full = True

    def announce() -> None:
        if is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        assert _payloads(tmp_path) == []
        rendezvous.write(tmp_path, rendezvous.RUN, {}, is_durable=True)

    drain.begin(RUN_ID, (), announce)
    drain.put_frames(frame(1, b"one"))
    drain.flush()
    assert _payloads(tmp_path) == []
    is_full = False
    drain.put_frames(frame(1, b"two"))
    drain.close()
    assert (tmp_path / rendezvous.RUN).exists()
    assert _payloads(tmp_path) == [b"one", b"two"]


def test_what_was_spooled_a_second_ago_outlives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a program goes on its spool is synced each second, the names of its files too."""
    platter = Platter(monkeypatch)
    drain = Drain(tmp_path, scope="auto", watch=ExecutorWatch(KernelExecutors()))
    drain.begin(RUN_ID, ())
    for payload in (b"one", b"two"):
        drain.put_frames(frame(1, payload))
        spooled_at, is_due = time.monotonic(), False
        while not is_due:
            time.sleep(FLUSH_S)  # as the hub's own thread
            is_due = time.monotonic() - spooled_at > 1.1
            drain.flush()
        assert platter.payloads(tmp_path, SUBMIT)[-1:] == [payload]
    drain.close()


def test_what_a_program_that_has_ended_spooled_outlives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a hub is closed all its files are on disk, those that it has finished before too."""
    platter = Platter(monkeypatch)
    drain = Drain(tmp_path, scope="auto", watch=ExecutorWatch(KernelExecutors()), max_bytes=8 * 100)
    drain.begin(RUN_ID, ())
    payloads = [b"%02d" % number for number in range(20)]
    for payload in payloads:
        drain.put_frames(frame(1, payload))
        drain.flush()
    drain.close()
    assert len(segments(tmp_path, SUBMIT)) > 2
    assert platter.payloads(tmp_path, SUBMIT) == payloads


@given(st.lists(st.binary(max_size=40), max_size=4), st.data())
def test_torn_end_is_passed_when_its_writer_is_gone(
    contents: list[bytes], data: st.DataObject
) -> None:
    """Cut or changed anywhere, a stream that has ended loses the frames touched alone, and says."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        writer = StreamWriter(directory, SUBMIT, has_room=lambda _size: True)
        frames = [frame(1, content) for content in [*contents, b"the last"]]
        writer.append(frames)
        writer.close()
        path = segment_path(directory, SUBMIT, 1)
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1), label="byte")
        if data.draw(st.booleans(), label="is cut"):
            del content[at:]
        else:
            at += at in {begin + 3 for begin in itertools.accumulate(map(len, frames), initial=0)}
            content[at] ^= 1 << data.draw(st.integers(0, 7), label="bit")
        path.write_bytes(content)

        reader = SpoolReader(directory, SUBMIT)
        found = [*reader.read(), *reader.read()]
        StreamWriter(directory, SUBMIT, has_room=lambda _size: True).pass_torn(reader.place)
        found += [*reader.read(), *reader.read()]

        begins = list(itertools.accumulate(map(len, frames), initial=0))
        touched = bisect.bisect_right(begins, at) - 1
        whole = [item for item in frames if item is not frames[touched]]
        if len(content) < begins[-1]:
            whole = frames[:touched]
        read = [frame(*item[:2]) for item in found if not isinstance(item, CorruptFrame)]
        lost = sum(item.bytes_lost for item in found if isinstance(item, CorruptFrame))
        assert (read, reader.at_end()) == (whole, True)
        assert lost == len(content) - sum(map(len, whole))


class _Disk(StreamWriter):
    """A stream on a disk that is full when the test says so."""

    is_full = False

    def append(self, frames: Iterable[bytes]) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(frames)


def test_what_does_not_fit_on_disk_waits_in_memory_and_then_goes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk costs the oldest beyond what memory may hold, counted and said, in order."""
    disk = _Disk(tmp_path, SUBMIT, has_room=lambda _size: True)
    writer = PatientWriter(disk, waiting_bytes=100)
    batches = [frame(1, b"%02d" % number) for number in range(20)]  # of 14 bytes
    with caplog.at_level(logging.WARNING):
        assert writer.append(batches[:1])
        disk.is_full = True
        for batch in batches[1:]:
            assert not writer.append([batch])
        disk.is_full = False
        assert writer.append()
    assert _payloads(tmp_path) == [b"00", *(b"%02d" % number for number in range(13, 20))]
    assert (writer.dropped, writer.waiting) == (12, 0)
    assert caplog.messages == [
        "the spool cannot be written: [Errno 28] No space left on device;"
        " keeping up to 0 MiB in memory",
        "1 batches of telemetry are dropped, 1 in all so far: the spool cannot be written:"
        " [Errno 28] No space left on device",
    ]


def test_room_is_what_the_store_has_not_yet(tmp_path: Path) -> None:
    """The bound is on what waits for the store: it opens again as the store comes on."""
    backlog = StoreBacklog(tmp_path, max_bytes=100, measure_s=0)
    writer = StreamWriter(tmp_path, SUBMIT, has_room=partial(backlog.has_room, SUBMIT))
    for _ in range(3):
        writer.append([frame(1, bytes(18))])
    with pytest.raises(OSError, match="the spool is full"):
        writer.append([frame(1, bytes(18))])
    rendezvous.write(tmp_path, STATUS, {"stored": [1, 60]})
    writer.append([frame(1, bytes(18))])
    assert writer.place == (1, 120)


def test_interchanges_keep_nothing_of_the_runs_own_out(tmp_path: Path) -> None:
    """What they send may take a quarter of the room, until the agent has read it."""
    backlog = StoreBacklog(tmp_path, max_bytes=400, measure_s=0)
    writer = StreamWriter(tmp_path, INTERCHANGES, has_room=partial(backlog.has_room, INTERCHANGES))
    writer.append([frame(1, bytes(88))])
    with pytest.raises(OSError, match="the spool is full"):
        writer.append([frame(1, b"")])
    own = StreamWriter(tmp_path, SUBMIT, has_room=partial(backlog.has_room, SUBMIT))
    own.append([frame(1, bytes(288))])
    rendezvous.write(tmp_path, HEARD, [1, 100])
    writer.append([frame(1, bytes(88))])
    assert (writer.place, own.place) == ((1, 200), (1, 300))


def test_what_an_interchange_sends_is_spooled_in_small_parts(tmp_path: Path) -> None:
    """A small spool takes them one by one, and has the same messages in the same order."""
    drain = Drain(tmp_path, scope="auto", watch=ExecutorWatch(KernelExecutors()))
    messages = [bytes([number]) * 50_000 for number in range(9)]
    drain.put_heard(Heard("htex", 120.0, messages))
    drain.close()
    parts = [
        content(item.payload)
        for item in SpoolReader(tmp_path, INTERCHANGES).read()
        if isinstance(item, Frame)
    ]
    assert [len(part.messages) for part in parts] == [2, 2, 2, 2, 1]
    assert [message for part in parts for message in part.messages] == messages


def test_two_gib_wait_for_the_store_by_default(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A hub that says nothing of it lets that much wait and no byte more; the rest waits in memory,
    which is said."""
    limit = OTelMonitoringHub().spool_max_size_mib << 20
    drain = Drain(tmp_path, scope="auto", watch=ExecutorWatch(KernelExecutors()), max_bytes=limit)
    with segment_path(tmp_path, SUBMIT, 1).open("wb") as sparse:
        sparse.truncate((2 << 30) - (1 << 20))
    drain.begin(RUN_ID, ())
    batch = frame(1, bytes(1 << 15))  # in the second before it looks they do not fill the room

    def is_said_to_be_full() -> bool:
        drain.put_frames(batch)
        drain.flush()
        return bool(caplog.messages)

    with caplog.at_level(logging.WARNING):
        until(is_said_to_be_full, 20)
    drain.close()
    found = sum(path.stat().st_size for path in tmp_path.glob("*.spool"))
    assert found <= 2 << 30 < found + len(batch)
    assert "the spool is full" in caplog.messages[0]
