"""A pump carries every frame, in order, at its exporter's pace and whatever that says."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from otel_parsl_collector.pump import BATCH_BYTES, IDLE_S, Pump

from otel_parsl.execution_record import EXECUTION, Ended, Origin, record
from otel_parsl.spool import Frame, Place, SpoolWriter, frame, segment_path
from otel_parsl.wire import TRACES
from tests.support.server_process import wait_for

DEADLINE_S = 20.0
Request = tuple[int, bytes]


class Away(Exception):
    """The exporter cannot take it now."""


class Taker:
    """
    An exporter that decides by a list what it does with each batch.

    Args:
        decisions: What it raises for one batch after the other, None where it takes it; it takes
            all that come after.
    """

    def __init__(self, decisions: Sequence[Exception | None] = ()) -> None:
        self.offered: list[list[Request]] = []
        self.taken: list[Request] = []
        self.places: Mapping[str, Place] = {}
        self._decisions = list(decisions)

    def consume(self, frames: list[Frame], places: Mapping[str, Place]) -> None:
        """Take a batch, or do not."""
        requests = [item[:2] for item in frames]
        self.offered.append(requests)
        decision = self._decisions.pop(0) if self._decisions else None
        if decision is not None:
            raise decision
        self.taken += requests
        self.places = places


def _pump(
    directory: Path,
    consume: Callable[[list[Frame], Mapping[str, Place]], None],
    places: Mapping[str, Place] | None = None,
    delay_s: float = 0.001,
    run: Callable[[], tuple[bytes, ...] | None] | None = None,
) -> Pump:
    return Pump(
        "test",
        directory,
        places or {"submit": Place()},
        consume,
        retryable=(Away,),
        delay_s=lambda _error: delay_s,
        run=run,
    )


def _append(directory: Path, stream: str, payloads: Sequence[bytes]) -> Place:
    writer = SpoolWriter(directory, stream)
    place = writer.append(frame(1, payload) for payload in payloads)
    writer.close()
    return place


def _until(is_so: Callable[[], bool]) -> None:
    wait_for(lambda: is_so() or None, what="the pump", timeout_s=DEADLINE_S)


def _carry_all(pump: Pump) -> None:
    pump.start()
    _until(pump.is_empty)
    pump.stop()


def test_carries_every_stream_in_order(tmp_path: Path) -> None:
    """All frames of all streams come once, each stream's in order, with the places behind them."""
    behind = {
        stream: _append(tmp_path, stream, [b"%s %d" % (stream.encode(), n) for n in range(50)])
        for stream in ("submit", "agent")
    }
    taker = Taker()
    pump = _pump(tmp_path, taker.consume, {"submit": Place(), "agent": Place(), "derived": Place()})
    _carry_all(pump)
    expected = [(1, b"%s %d" % (s, n)) for s in (b"submit", b"agent") for n in range(50)]
    assert taker.taken == expected
    assert taker.places == pump.places == {**behind, "derived": Place()}
    assert pump.failure is None


def test_goes_on_from_its_places(tmp_path: Path) -> None:
    """A pump that begins at the places another came to carries exactly what follows."""
    middle = _append(tmp_path, "submit", [b"carried before"])
    _append(tmp_path, "submit", [b"after"])
    taker = Taker()
    _carry_all(_pump(tmp_path, taker.consume, {"submit": middle}))
    assert taker.taken == [(1, b"after")]


@settings(max_examples=25)
@given(
    st.lists(st.binary(max_size=30), min_size=1, max_size=10),
    st.lists(st.booleans(), max_size=8),
)
def test_what_is_refused_for_now_comes_again_unchanged(
    payloads: list[bytes], refusals: list[bool]
) -> None:
    """However often an exporter is away, each batch is offered again whole until it is taken."""
    decisions = [Away("away") if is_refused else None for is_refused in refusals]
    with tempfile.TemporaryDirectory() as name:
        _append(Path(name), "submit", payloads)
        taker = Taker(decisions)
        _carry_all(_pump(Path(name), taker.consume))
        assert taker.taken == [(1, payload) for payload in payloads]
        leading = refusals.index(False) if False in refusals else len(refusals)
        assert taker.offered[: leading + 1] == [[(1, payload) for payload in payloads]] * (
            leading + 1
        )


def test_lag_is_the_age_of_what_waits(tmp_path: Path) -> None:
    """While an exporter is away its lag grows; it falls as soon as all is carried."""
    _append(tmp_path, "submit", [b"one"])
    is_back = threading.Event()
    taken = []

    def consume(frames: list[Frame], _places: Mapping[str, Place]) -> None:
        if not is_back.is_set():
            raise Away("away")
        taken.extend(frames)

    pump = _pump(tmp_path, consume, delay_s=0.01)
    pump.start()
    began = time.monotonic()
    _until(lambda: pump.lag_s() > 0.5)
    assert time.monotonic() - began > 0.4

    is_back.set()
    _until(lambda: bool(taken) and pump.lag_s() < 0.4)
    pump.stop()


def test_lag_grows_until_a_backlog_is_carried(tmp_path: Path) -> None:
    """A batch does not end it while there is more behind, however small the frames."""
    _append(tmp_path, "submit", [b"x" * 999] * (4 * BATCH_BYTES // 999))
    waited = []

    def consume(_frames: list[Frame], _places: Mapping[str, Place]) -> None:
        waited.append((time.monotonic() - began, pump.lag_s()))

    pump = _pump(tmp_path, consume)
    began = time.monotonic()
    _carry_all(pump)
    assert len(waited) > 3
    assert all(since <= lag for since, lag in waited)


def test_stop_does_not_wait_for_a_dead_backend(tmp_path: Path) -> None:
    """A pump whose exporter is away stops at once, and the next one carries the same frames."""
    _append(tmp_path, "submit", [b"one", b"two"])
    away = Taker([Away("away")] * 100)
    pump = _pump(tmp_path, away.consume, delay_s=1000.0)
    pump.start()
    _until(lambda: bool(away.offered))
    stopper = threading.Thread(target=pump.stop, daemon=True)
    stopper.start()
    stopper.join(DEADLINE_S)
    assert not stopper.is_alive()
    assert pump.places == {"submit": Place()}
    assert not pump.is_empty()

    taker = Taker()
    _carry_all(_pump(tmp_path, taker.consume, pump.places))
    assert taker.taken == [(1, b"one"), (1, b"two")]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_no_retry_helps_ends_the_pump_and_is_kept(tmp_path: Path) -> None:
    """An error of another kind ends the pump, says so, and moves no place."""
    _append(tmp_path, "submit", [b"one"])
    error = RuntimeError("a fault of ours")
    pump = _pump(tmp_path, Taker([error]).consume)
    pump.start()
    _until(lambda: pump.failure is not None)
    pump.stop()
    assert pump.failure is error
    assert pump.places == {"submit": Place()}


def test_damage_is_counted_and_passed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Damaged bytes are counted, said once with their place, and what follows is carried."""
    _append(tmp_path, "submit", [b"first", b"damaged", b"last"])
    path = segment_path(tmp_path, "submit", 1)
    content = bytearray(path.read_bytes())
    start = len(frame(1, b"first"))
    content[start + 14] ^= 1
    path.write_bytes(content)
    taker = Taker()
    pump = _pump(tmp_path, taker.consume)
    with caplog.at_level(logging.ERROR):
        _carry_all(pump)
    assert taker.taken == [(1, b"first"), (1, b"last")]
    assert pump.corrupt_bytes == len(frame(1, b"damaged"))
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: {pump.corrupt_bytes} bytes from {start} on are no telemetry (a torn write or a"
        " damaged disk) and are skipped; they stay in the file"
    ]


def test_follows_what_is_appended(tmp_path: Path) -> None:
    """Frames that are appended while it runs are carried without being asked for."""
    writer = SpoolWriter(tmp_path, "submit", segment_bytes=200)
    taker = Taker()
    pump = _pump(tmp_path, taker.consume)
    pump.start()
    for number in range(40):
        writer.append([frame(1, b"%d" % number)])
        if number % 20 == 0:
            _until(lambda: len(taker.taken) > number)  # noqa: B023 - at once
    writer.close()
    _until(lambda: len(taker.taken) == 40 and pump.is_empty())
    pump.stop()
    assert taker.taken == [(1, b"%d" % number) for number in range(40)]
    assert pump.places == {"submit": writer.place}


def test_is_not_empty_while_frames_are_in_hand(tmp_path: Path) -> None:
    """Frames that were read and not yet taken count as left."""
    _append(tmp_path, "submit", [b"one"])
    has_come, may_end = threading.Event(), threading.Event()

    def consume(_frames: list[Frame], _places: Mapping[str, Place]) -> None:
        has_come.set()
        assert may_end.wait(DEADLINE_S)

    pump = _pump(tmp_path, consume)
    pump.start()
    assert has_come.wait(DEADLINE_S)
    assert not pump.is_empty()
    may_end.set()
    _until(pump.is_empty)
    pump.stop()


def test_one_that_is_away_holds_up_no_other(tmp_path: Path) -> None:
    """Two pumps on one spool: what one cannot deliver the other delivers."""
    _append(tmp_path, "submit", [b"one"])
    taker = Taker()
    dead = _pump(tmp_path, Taker([Away("away")] * 10_000).consume)
    dead.start()
    _carry_all(_pump(tmp_path, taker.consume))
    dead.stop()
    assert taker.taken == [(1, b"one")]


def test_batches_are_bounded(tmp_path: Path) -> None:
    """A long backlog comes in batches of a few megabytes, whole."""
    payloads = [bytes([n]) * 300_000 for n in range(40)]
    _append(tmp_path, "submit", payloads[:20])
    _append(tmp_path, "agent", payloads[20:])
    taker = Taker()
    _carry_all(_pump(tmp_path, taker.consume, {"submit": Place(), "agent": Place()}))
    assert sorted(taker.taken) == [(1, payload) for payload in payloads]
    sizes = [sum(len(payload) for _, payload in batch) for batch in taker.offered]
    assert max(sizes) <= 2 * BATCH_BYTES + 300_000


@pytest.mark.parametrize("left", range(1, 14))
def test_room_for_a_few_bytes_more_stops_no_pump(tmp_path: Path, left: int) -> None:
    """A first stream that leaves a batch only a few bytes of room does not stop the second."""
    _append(tmp_path, "submit", [bytes(BATCH_BYTES - left)])
    _append(tmp_path, "agent", [b"second"])
    taker = Taker()
    pump = _pump(tmp_path, taker.consume, {"submit": Place(), "agent": Place()})
    pump.start()
    _until(lambda: len(taker.taken) == 2)
    pump.stop()
    assert taker.taken[1] == (1, b"second")


def test_empty_is_never_said_too_early(tmp_path: Path) -> None:
    """Whoever asks without a pause is told of an empty spool only when all has been taken."""
    for number in range(300):
        directory = tmp_path / str(number)
        directory.mkdir()
        _append(directory, "submit", [b"one"])
        taker = Taker([Away("away")] * 3)
        pump = _pump(directory, taker.consume, delay_s=0.0)
        pump.start()
        _spin_until(pump.is_empty)
        assert taker.taken == [(1, b"one")]
        pump.stop()


def _spin_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline


@pytest.mark.parametrize("run", [(b"",), None])
def test_what_workers_wrote_short_is_made_otlp(
    tmp_path: Path, run: tuple[bytes, ...] | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Records become requests of spans behind the other frames; what is none is told, once."""
    origin = Origin("8f1d2a4e-3b6c-4d5e-9f70-123456789abc", "auto", 0, "node", 7, "3.11.7", [])
    ended = Ended(1, 0, "app", "htex", 1, 2, None, False, None)
    writer = SpoolWriter(tmp_path, "submit")
    writer.append([frame(EXECUTION, record(origin.encoded(), ended)), frame(EXECUTION, b"torn")])
    behind = writer.append([frame(1, b"as it is"), frame(EXECUTION, b"torn")])
    writer.close()
    taker = Taker()
    pump = _pump(tmp_path, taker.consume, run=lambda: run)
    _carry_all(pump)
    whole, *made = taker.taken
    assert whole == (1, b"as it is")
    assert [signal for signal, _ in made] == ([TRACES] if run else [])
    assert pump.unreadable == (2 if run else 3)
    assert len(caplog.records) == 1
    assert taker.places == {"submit": behind}


def test_idle_pump_sees_what_comes(tmp_path: Path) -> None:
    """After a time with nothing to do, what is appended, in one piece or two, is carried."""
    _append(tmp_path, "submit", [b"first"])
    taker = Taker()
    pump = _pump(tmp_path, taker.consume, {"submit": Place(), "agent": Place()})
    pump.start()
    writer = SpoolWriter(tmp_path, "agent")
    came = [b"first"]
    for number in range(4):
        _until(lambda: [payload for _, payload in taker.taken] == came)
        time.sleep(3 * IDLE_S)
        data = frame(1, b"%d" % number)
        writer.append([data[: number * 3]])
        time.sleep(number * IDLE_S)
        writer.append([data[number * 3 :]])
        came.append(b"%d" % number)
    _until(lambda: [payload for _, payload in taker.taken] == came)
    _append(tmp_path, "submit", [b"in a new segment"])
    _until(lambda: [payload for _, payload in taker.taken] == [*came, b"in a new segment"])
    writer.close()
    pump.stop()
