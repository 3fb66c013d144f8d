"""What the hub heard of interchanges is read once, whatever befalls the agent or the disk."""

from __future__ import annotations

import errno
import json
import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from otel_parsl_collector.agent.interchanges import Interchanges
from otel_parsl_collector.agent.run import Run
from otel_parsl_collector.agent.run_spool import RunSpool
from otel_parsl_collector.receivers.htex import HtexMessages

from otel_parsl import rendezvous, semconv
from otel_parsl.interchange_messages import Heard, frame
from otel_parsl.messages import to_ns
from otel_parsl.rendezvous import AGENT, INTERCHANGES
from otel_parsl.spool import Frame, SpoolReader, SpoolWriter, segments
from otel_parsl.wire import Key
from tests.support.parsl_messages import node_info


def _report(manager: str) -> bytes:
    return frame(Heard("htex", 120.0, [pickle.dumps((3, {**node_info(), "uid": manager}))]))


def _say_whose_run(directory: Path) -> None:
    rendezvous.write(directory, rendezvous.RUN, {"run_id": "a run", "resource": []})


def _agent(directory: Path) -> tuple[Interchanges, RunSpool]:
    interchanges = Interchanges(directory, Run(directory))
    return interchanges, RunSpool(
        directory, (interchanges.carrier,), max_bytes=1 << 30, max_age_s=1e9
    )


def _managers(directory: Path) -> list[str]:
    """Return the managers of the reports that are spooled, in order."""
    return [
        attribute.value.string_value
        for item in SpoolReader(directory, AGENT).read(1 << 30)
        if isinstance(item, Frame)
        for group in ExportMetricsServiceRequest.FromString(item.payload).resource_metrics
        for attribute in group.resource.attributes
        if attribute.key == semconv.MANAGER_UID
    ]


def _take_all(agent: tuple[Interchanges, RunSpool]) -> None:
    interchanges, spool = agent
    while interchanges.take(spool):
        pass


def test_next_agent_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    """Nothing is read before it is known whose run it is; then each frame once."""
    writer = SpoolWriter(tmp_path, INTERCHANGES)
    writer.append([_report("one"), _report("two")])
    first = _agent(tmp_path)
    assert not first[0].take(first[1])
    assert _managers(tmp_path) == []
    _say_whose_run(tmp_path)
    _take_all(first)
    writer.append([_report("three")])
    _take_all(first)
    writer.append([_report("four")])
    _take_all(_agent(tmp_path))
    assert _managers(tmp_path) == ["one", "two", "three", "four"]


@pytest.fixture
def live_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Give what sets this process's time zone."""

    def live_in(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield live_in
    monkeypatch.undo()
    time.tzset()


def test_next_agent_may_have_another_time_zone(
    tmp_path: Path, live_in: Callable[[str], None]
) -> None:
    """What a job in one time zone left is the same where a login node in another one reads it."""
    attributes = [Key(semconv.TIME_ZONE).text("America/New_York").hex()]
    run = {"run_id": "a run", "resource": attributes}
    made = []
    for zone in ("America/New_York", "Asia/Tokyo"):
        live_in(zone)
        directory = tmp_path / zone
        directory.mkdir(parents=True)
        rendezvous.write(directory, rendezvous.RUN, run)
        SpoolWriter(directory, INTERCHANGES).append([_report("one")])
        _take_all(_agent(directory))
        made += [
            ExportMetricsServiceRequest.FromString(item.payload)
            for item in SpoolReader(directory, AGENT).read()
            if isinstance(item, Frame)
        ]
    first, second = made
    began = node_info()["timestamp"].replace(tzinfo=ZoneInfo("America/New_York"))
    (scope,) = first.resource_metrics[0].scope_metrics
    assert {
        point.time_unix_nano for metric in scope.metrics for point in metric.gauge.data_points
    } == {to_ns(began)}
    assert first == second


def test_agent_killed_between_the_streams_leaves_some_for_the_next(tmp_path: Path) -> None:
    """It has spooled what it made, and not said so: the next makes the very same again."""
    _say_whose_run(tmp_path)
    SpoolWriter(tmp_path, INTERCHANGES).append([_report("one")])
    _take_all(_agent(tmp_path))
    (tmp_path / rendezvous.HEARD).unlink()
    _take_all(_agent(tmp_path))
    once, again = (item for item in SpoolReader(tmp_path, AGENT).read() if isinstance(item, Frame))
    assert once.payload == again.payload


def test_full_disk_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be written now is not taken for read, and is said once."""
    _say_whose_run(tmp_path)
    SpoolWriter(tmp_path, INTERCHANGES).append([_report("one")])
    interchanges, spool = _agent(tmp_path)

    def full(_self: RunSpool, _frames: Iterable[bytes]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(RunSpool, "receive", full)
        assert interchanges.take(spool)
        assert interchanges.take(spool), "more may be there, so that the run is not taken for over"
    assert interchanges.places == {INTERCHANGES: (1, 0)}
    _take_all((interchanges, spool))
    assert _managers(tmp_path) == ["one"]
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "news of interchanges wait, the spool cannot be written"
    ]


def test_damage_is_passed_over_and_counted(tmp_path: Path) -> None:
    """Bytes that are no frame, and a frame that is torn, cost what they hold."""
    _say_whose_run(tmp_path)
    writer = SpoolWriter(tmp_path, INTERCHANGES)
    writer.append([_report("one"), b"rubbish", _report("two")])
    writer.append([frame(Heard("htex", 120.0, []))[:-1]])
    SpoolWriter(tmp_path, INTERCHANGES).append([_report("three")])
    agent = _agent(tmp_path)
    _take_all(agent)
    assert _managers(tmp_path) == ["one", "two", "three"]
    assert agent[0].corrupt_bytes == len(b"rubbish") + len(frame(Heard("htex", 120.0, []))) - 1


def test_what_no_code_can_read_is_dropped_and_not_met_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a message does to who reads it, the next one is read, by this agent and another."""
    _say_whose_run(tmp_path)
    SpoolWriter(tmp_path, INTERCHANGES).append([_report("one"), _report("two")])
    frames = HtexMessages.frames

    def hurt(reader: HtexMessages, heard: Heard, run: tuple[bytes, ...]) -> list[bytes]:
        if b"one" in heard.messages[0]:
            raise RecursionError
        return frames(reader, heard, run)

    monkeypatch.setattr(HtexMessages, "frames", hurt)
    agent = _agent(tmp_path)
    _take_all(agent)
    _take_all(_agent(tmp_path))
    assert _managers(tmp_path) == ["two"]
    assert agent[0].corrupt_bytes > 0
    assert [message.rpartition(": ")[2] for message in caplog.messages] == ["RecursionError"]


@pytest.mark.parametrize("is_tight", [False, True])
def test_what_is_moved_within_a_spool_asks_for_no_room(tmp_path: Path, is_tight: bool) -> None:
    """Else a spool that is nearly full could never be emptied; one that is has to be first."""
    _say_whose_run(tmp_path)
    SpoolWriter(tmp_path, INTERCHANGES).append([_report("one")])
    interchanges, spool = _agent(tmp_path)
    spool.space.waiting_bytes = int(spool.space.max_bytes * 0.9) + (1 if is_tight else -1)
    interchanges.take(spool)
    assert _managers(tmp_path) == ([] if is_tight else ["one"])


def test_segments_that_are_read_are_removed(tmp_path: Path) -> None:
    """The stream takes no room beside what is made of it."""
    _say_whose_run(tmp_path)
    writer = SpoolWriter(tmp_path, INTERCHANGES, segment_bytes=1)
    for manager in ("one", "two", "three"):
        writer.append([_report(manager)])
    interchanges, spool = _agent(tmp_path)
    spool.tidy()
    assert segments(tmp_path, INTERCHANGES) == [1, 2, 3]
    _take_all((interchanges, spool))
    spool.tidy()
    assert segments(tmp_path, INTERCHANGES) == [3]
    assert json.loads((tmp_path / rendezvous.HEARD).read_text())[0] == 3
