"""The spool is bounded: who is refused, what is dropped and what never; and group commit."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from otel_parsl_collector.errors import CollectorError
from otel_parsl_collector.receivers.committer import Committer
from otel_parsl_collector.receivers.refusal import Busy
from otel_parsl_collector.signals import SIGNALS
from otel_parsl_collector.spool_directory import SpoolDirectory, stream_name

from otel_parsl.spool import Frame, SpoolReader, frame
from otel_parsl.wire import TRACES
from tests.support.collector import Running, collector_config, running, span_names
from tests.support.http_wire import post
from tests.support.otlp_requests import trace_request
from tests.support.otlp_sink import grpc_sink
from tests.support.server_process import free_ports, wait_for

TYPE = {"Content-Type": "application/x-protobuf"}
STREAM = "traces"


def send(at: Running, name: str) -> Any:
    """Send a span of 50 kB; return the error, None where it was taken."""
    request = trace_request(name)
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.add(key="padding").value.string_value = "x" * 50_000
    with grpc.insecure_channel(at.grpc) as channel:
        export = channel.unary_unary(f"/{SIGNALS[TRACES].service}/Export")
        try:
            export(request.SerializeToString(), timeout=10)
        except grpc.RpcError as error:
            return error
    return None


def wait_until_taken(at: Running, name: str) -> None:
    """Send a span until there is room for it."""
    wait_for(lambda: send(at, name) is None or None, what=f"room for {name}")


@contextmanager
def ticking(at: Running) -> Iterator[None]:
    """Have a collector of this process keep its spool small, as its process would."""
    is_over = threading.Event()
    thread = threading.Thread(target=at.service.watch, args=(is_over,))
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def total(at: Running, name: str, exporter: str) -> float:
    """Return a counter of an exporter."""
    for line in at.service.stats.page().splitlines():
        if line.startswith(f'{name}{{exporter="{exporter}"}} '):
            return float(line.rpartition(" ")[2])
    return 0.0


def test_a_spool_holds_two_gib_by_default(tmp_path: Path) -> None:
    """Where no bound is set it is this one, as the page of counters says."""
    with running(collector_config(tmp_path)) as at:
        assert total(at, "otelcol_exporter_queue_capacity", "file") == 2 << 30


def test_row_8_a_full_spool_refuses_until_it_is_emptied(tmp_path: Path) -> None:
    """The only destination away, the quota reached: UNAVAILABLE and 503; back, all arrives."""
    (port,) = free_ports(1)
    config = collector_config(
        tmp_path,
        exporters={"otlp": {"endpoint": f"http://127.0.0.1:{port}"}},
        service={"spool": {"max_size_mib": 1}, "shutdown_timeout": "100ms"},
    )
    with running(config) as at, ticking(at):
        names = [f"span-{number}" for number in range(40)]
        taken = [name for name in names if (error := send(at, name)) is None]
        error = send(at, "one more")
        words = "the spool is full: what it holds cannot be delivered at present"
        trailers = dict(error.trailing_metadata())
        status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        info = error_details_pb2.RetryInfo()
        assert status.details[0].Unpack(info)
        assert trailers["google.rpc.retryinfo-bin"] == info.SerializeToString()
        assert (error.code(), error.details(), status.message, info.retry_delay.seconds) == (
            grpc.StatusCode.UNAVAILABLE,
            words,
            words,
            1,
        )
        body = trace_request("x" * 60_000).SerializeToString()
        answer = post(at.http_port, "/v1/traces", body, TYPE)
        said = status_pb2.Status.FromString(answer.body)
        assert (answer.status, answer.headers["retry-after"], said.message) == (503, "1", words)
        with grpc_sink(port=port) as sink:
            wait_for(lambda: sink.span_names() == taken or None, what="what was taken")
            wait_until_taken(at, "after")
            wait_for(lambda: sink.span_names()[-1] == "after" or None, what="the last")
        assert 10 < len(taken) < 22


def test_a_dead_destination_does_not_fill_the_spool_for_others(tmp_path: Path) -> None:
    """Beside a destination that is away a file gets all; the other's loss is counted."""
    (port,) = free_ports(1)
    config = collector_config(
        tmp_path,
        exporters={
            "otlp": {"endpoint": f"http://127.0.0.1:{port}", "timeout": "200ms"},
            "file": {"path": str(tmp_path / "out.jsonl")},
        },
        service={"spool": {"max_size_mib": 1}, "shutdown_timeout": "100ms"},
    )
    out = tmp_path / "out.jsonl"
    with running(config) as at, ticking(at):
        names = [f"span-{number}" for number in range(32)]
        for name in names:
            wait_until_taken(at, name)
        dropped = "otelcol_exporter_enqueue_failed_spans"
        assert 8 < total(at, dropped, "otlp") < 32
        assert total(at, dropped, "file") == 0
        wait_for(lambda: len(span_names(out)) >= len(names) or None, what="what the file gets")
    assert span_names(out) == names


def test_a_store_is_never_skipped(tmp_path: Path) -> None:
    """A store that is away, however long and full the spool: refused, but nothing is dropped."""
    database = tmp_path / "later" / "monitoring.db"
    config = collector_config(
        tmp_path,
        exporters={
            "parsl_sql": {"url": f"sqlite:///{database}"},
            "file": {"path": str(tmp_path / "out.jsonl")},
        },
        service={"spool": {"max_size_mib": 1, "max_age": "0s"}, "shutdown_timeout": "10s"},
    )
    with running(config) as at, ticking(at):
        taken = [n for n in range(40) if send(at, f"span-{n}") is None]
        assert send(at, "refused").code() == grpc.StatusCode.UNAVAILABLE
        assert total(at, "otelcol_exporter_enqueue_failed_spans", "parsl_sql") == 0
        database.parent.mkdir()
        wait_until_taken(at, "after")
    assert total(at, "otelcol_exporter_sent_spans", "parsl_sql") == len(taken) + 1


def test_what_is_too_old_is_dropped_for_a_destination(tmp_path: Path) -> None:
    """A segment past its age is dropped for a destination that is away, and counted."""
    config = collector_config(
        tmp_path,
        exporters={"otlp": {"endpoint": "http://127.0.0.1:9"}},
        service={
            "spool": {"max_size_mib": 2, "max_age": "0s"},
            "shutdown_timeout": "100ms",
        },
    )
    with running(config) as at, ticking(at):
        for number in range(20):  # several segments of 256 KiB
            assert send(at, f"span-{number}") is None
        dropped = "otelcol_exporter_enqueue_failed_spans"
        wait_for(lambda: total(at, dropped, "otlp") >= 15 or None, what="the old to be dropped")
        assert total(at, dropped, "otlp") < 20


def test_finished_segments_go(tmp_path: Path) -> None:
    """What every exporter has is removed: the spool stays as small as what waits."""
    config = collector_config(tmp_path, service={"spool": {"max_size_mib": 1}})
    spool = tmp_path / "spool"
    with running(config) as at, ticking(at):
        for number in range(40):
            wait_until_taken(at, f"span-{number}")
        wait_for(lambda: len(list(spool.glob("traces-*.spool"))) == 1 or None, what="one segment")


def committer(directory: Path, has_room: Any = lambda _: True) -> Committer:
    return Committer(directory, [STREAM], has_room=has_room)


def test_commits_of_many_threads_are_whole(tmp_path: Path) -> None:
    """Whatever is committed at once is in the stream, each frame once and whole."""
    writer = committer(tmp_path)
    payloads = [b"%d" % number * 50 for number in range(400)]

    def commit(payload: bytes) -> None:
        writer.commit((STREAM,), frame(TRACES, payload), deadline=time.monotonic() + 10)

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(commit, payloads))
    writer.close()
    found = [item.payload for item in SpoolReader(tmp_path, STREAM).read() if type(item) is Frame]
    assert sorted(found) == sorted(payloads)


def test_a_commit_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    """While the disk hangs, a sender is answered at its deadline; later ones at once."""
    is_free = threading.Event()

    def has_room(_: int) -> bool:
        return is_free.wait(30)

    writer = committer(tmp_path, has_room)
    try:
        with pytest.raises(Busy, match="the spool's disk is too slow"):
            writer.commit((STREAM,), frame(TRACES, b"x"), deadline=time.monotonic() + 0.2)
        wait_for(lambda: not writer.is_running() or None, what="the committer to be stuck")
        began = time.monotonic()
        with pytest.raises(Busy, match="the spool's disk is too slow"):
            writer.commit((STREAM,), frame(TRACES, b"y"), deadline=began + 30)
        assert time.monotonic() - began < 15
    finally:
        is_free.set()
        writer.close()


def test_a_closed_committer_refuses(tmp_path: Path) -> None:
    """What comes after the end is refused as busy, so that its sender keeps it."""
    writer = committer(tmp_path)
    writer.close()
    with pytest.raises(Busy, match="the collector is stopping"):
        writer.commit((STREAM,), frame(TRACES, b"x"), deadline=time.monotonic() + 1)


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [("traces", "traces"), ("traces/2", r"traces[a-p]{8}"), ("logs/Site-A", r"logssitea[a-p]{8}")],
)
def test_a_pipeline_has_one_stream_for_ever(pipeline: str, expected: str) -> None:
    """A stream's name is letters, the same for a pipeline whatever else is configured."""
    assert re.fullmatch(expected, stream_name(pipeline))
    assert stream_name(pipeline) == stream_name(pipeline)
    assert stream_name(pipeline) != stream_name(pipeline + "x")


def test_a_spool_in_the_way_of_a_file_is_said(tmp_path: Path) -> None:
    """A path that is a file ends the start with a sentence."""
    (tmp_path / "spool").write_text("")
    with pytest.raises(CollectorError, match="expected a directory that can be written"):
        SpoolDirectory(tmp_path / "spool", max_bytes=1)
