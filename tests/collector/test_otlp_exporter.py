"""Forwarding to real servers that take, put off or refuse: nothing is lost, nothing held up."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_parsl_collector.exporters import otlp_transport
from otel_parsl_collector.exporters.otlp import MAX_REQUEST_BYTES, OtlpExporter
from otel_parsl_collector.exporters.otlp_transport import Unavailable
from otel_parsl_collector.pump import Pump

from otel_parsl import wire
from otel_parsl.destination import Destination
from otel_parsl.spool import Frame, Place, SpoolWriter, _whole_frames, frame
from otel_parsl.wire import LOGS, METRICS, TRACES
from tests.support.deciding_server import Answer, DecidingServer, Received, start_grpc, start_http
from tests.support.server_process import free_ports, wait_for

START: dict[str, Callable[..., DecidingServer]] = {
    "grpc": start_grpc,
    "http/protobuf": start_http,
}
PROTOCOLS = sorted(START)
CODE = grpc.StatusCode

AWAY = {"grpc": Answer(CODE.UNAVAILABLE), "http/protobuf": Answer(503)}
REFUSED = {"grpc": Answer(CODE.INVALID_ARGUMENT), "http/protobuf": Answer(400)}
UNSUPPORTED = {"grpc": Answer(CODE.UNIMPLEMENTED), "http/protobuf": Answer(404)}

Request = tuple[int, bytes]


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    """Give each transport in turn."""
    return str(request.param)


@pytest.fixture
def server(protocol: str) -> Iterator[DecidingServer]:
    """Give a running server."""
    running = START[protocol]()
    yield running
    running.stop()


def _exporter(server: DecidingServer, protocol: str, directory: Path, **more: Any) -> OtlpExporter:
    url = more.pop("url", server.url)
    return OtlpExporter(Destination(url, protocol, **more), refused_path=directory / "refused.otlp")


def _request(signal: int, name: str, size: int = 0) -> Request:
    """Return a request with one item of that name, and about that size."""
    items = {
        TRACES: wire.span(b"t" * 16, b"s" * 8, None, name, 1, 1, 2, []),
        METRICS: wire.Metric(name, "1").of([wire.Metric(name, "1").point(b"", 0, 1, 1.0)]),
        LOGS: wire.log_record(wire.sized(name.encode()), 1, 2, b"t" * 16, b"s" * 8, []),
    }
    resource = wire.resource([wire.Key("filling").text("x" * size)] if size else [])
    payload = wire.request(resource, wire.scope("test", "1"), [items[signal]], schema_url="u")
    return signal, payload


def _large_request(count: int) -> bytes:
    """Return a request of so many spans of 10 kB."""
    filling = wire.Key("parsl.task.inputs").text("x" * 10_000)
    spans = [wire.span(b"t" * 16, b"s" * 8, None, f"{n}", 1, 1, 2, [filling]) for n in range(count)]
    return wire.request(wire.resource([]), wire.scope("t", "1"), spans, schema_url="u")


def _names(signal: int, payload: bytes) -> list[str]:
    """Return the names of the items in a request."""
    if signal == TRACES:
        spans = ExportTraceServiceRequest.FromString(payload).resource_spans
        return [span.name for group in spans for span in group.scope_spans[0].spans]
    if signal == METRICS:
        metrics = ExportMetricsServiceRequest.FromString(payload).resource_metrics
        return [metric.name for group in metrics for metric in group.scope_metrics[0].metrics]
    logs = ExportLogsServiceRequest.FromString(payload).resource_logs
    return [record.event_name for group in logs for record in group.scope_logs[0].log_records]


def _frames(*requests: Request) -> list[Frame]:
    return [Frame(signal, payload, Place(1, n)) for n, (signal, payload) in enumerate(requests)]


def _accepted(server: DecidingServer) -> list[str]:
    return [name for request in server.accepted for name in _names(*request[:2])]


def _set_aside(directory: Path) -> list[str]:
    path = directory / "refused.otlp"
    data = path.read_bytes() if path.exists() else b""
    return [
        name
        for signal, start, end in _whole_frames(data)
        for name in _names(signal, data[start:end])
    ]


def test_requests_arrive_whole(server: DecidingServer, protocol: str, tmp_path: Path) -> None:
    """Requests of each signal arrive as one, their bytes joined, and are counted as sent."""
    requests = [_request(signal, f"{signal} {n}") for n in range(3) for signal in (1, 2, 3)]
    exporter = _exporter(server, protocol, tmp_path)
    exporter.consume(_frames(*requests), {})
    assert [request[:2] for request in server.accepted] == [
        (signal, b"".join(payload for of, payload in requests if of == signal))
        for signal in (1, 2, 3)
    ]
    assert (exporter.sent, exporter.refused, exporter.last_error) == (9, 0, None)


def test_headers_and_compression_are_sent(
    server: DecidingServer, protocol: str, tmp_path: Path
) -> None:
    """Headers go with every request, and gzip is undone by the server to the same bytes."""
    exporter = _exporter(
        server, protocol, tmp_path, headers=(("X-Token", "secret"),), compression="gzip"
    )
    request = _request(TRACES, "span", size=10_000)
    exporter.consume(_frames(request), {})
    (received,) = server.received
    assert received[:2] == request
    assert received.headers["x-token"] == "secret"
    if protocol == "http/protobuf":
        assert received.headers["content-type"] == "application/x-protobuf"
        assert received.headers["content-encoding"] == "gzip"
        assert int(received.headers["content-length"]) < 1000


@pytest.mark.parametrize("protocol", ["http/protobuf"], indirect=True)
def test_whole_url_and_deflate_are_used_as_they_are(
    server: DecidingServer, protocol: str, tmp_path: Path
) -> None:
    """A URL of one signal gets no path appended, and deflate is undone to the same bytes."""
    url = f"{server.url}/mine/traces?key=1"
    whole = {"url": url, "is_whole": True, "signals": ("traces",), "compression": "deflate"}
    request = _request(TRACES, "span", size=10_000)
    _exporter(server, protocol, tmp_path, **whole).consume(_frames(request), {})
    (received,) = server.received
    assert received[:2] == request
    assert received.headers["path"] == "/mine/traces?key=1"
    assert received.headers["content-encoding"] == "deflate"


@pytest.mark.parametrize("protocol", ["http/protobuf"], indirect=True)
@pytest.mark.parametrize("path", ["", "/", "/otlp", "/otlp/"])
def test_path_of_an_http_endpoint_is_kept(
    server: DecidingServer, tmp_path: Path, path: str
) -> None:
    """The path of each signal is put behind the endpoint's own."""
    exporter = _exporter(server, "http/protobuf", tmp_path, url=server.url + path)
    exporter.consume(_frames(*(_request(signal, "x") for signal in (1, 2, 3))), {})
    base = path.rstrip("/")
    assert [request.headers["path"] for request in server.received] == [
        f"{base}/v1/{name}" for name in ("traces", "metrics", "logs")
    ]


def test_signals_that_are_not_wanted_are_not_sent(
    server: DecidingServer, protocol: str, tmp_path: Path
) -> None:
    """A destination of some signals gets those alone."""
    exporter = _exporter(server, protocol, tmp_path, signals=("metrics",))
    exporter.consume(_frames(*(_request(signal, f"{signal}") for signal in (1, 2, 3))), {})
    assert _accepted(server) == ["2"]


_STATUSES: list[tuple[str, Any, str]] = [
    *(
        ("grpc", code, "again")
        for code in (
            CODE.CANCELLED,
            CODE.DEADLINE_EXCEEDED,
            CODE.ABORTED,
            CODE.OUT_OF_RANGE,
            CODE.UNAVAILABLE,
            CODE.DATA_LOSS,
        )
    ),
    *(
        ("grpc", code, "refused")
        for code in (
            CODE.INVALID_ARGUMENT,
            CODE.NOT_FOUND,
            CODE.PERMISSION_DENIED,
            CODE.UNAUTHENTICATED,
            CODE.FAILED_PRECONDITION,
            CODE.RESOURCE_EXHAUSTED,
            CODE.INTERNAL,
            CODE.UNKNOWN,
        )
    ),
    ("grpc", CODE.UNIMPLEMENTED, "off"),
    *(("http/protobuf", code, "again") for code in (429, 502, 503, 504)),
    *(("http/protobuf", code, "refused") for code in (400, 401, 403, 413, 500, 501)),
    ("http/protobuf", 404, "off"),
]


@pytest.mark.parametrize(("protocol", "status", "becomes"), _STATUSES, indirect=["protocol"])
def test_status_means_what_the_specification_says(
    server: DecidingServer, protocol: str, status: Any, becomes: str, tmp_path: Path
) -> None:
    """Each status is tried again, set aside or takes the signal off, as OTLP has it."""
    server.decisions = [Answer(status)]
    exporter = _exporter(server, protocol, tmp_path)
    frames = _frames(_request(TRACES, "one"))
    if becomes == "again":
        with pytest.raises(Unavailable):
            exporter.consume(frames, {})
    else:
        exporter.consume(frames, {})
    assert _set_aside(tmp_path) == (["one"] if becomes == "refused" else [])
    assert exporter.refused == (1 if becomes == "refused" else 0)
    exporter.consume(_frames(_request(TRACES, "two")), {})
    assert _accepted(server) == ([] if becomes == "off" else ["two"])


def test_what_is_sent_again_is_the_same_to_the_byte(
    server: DecidingServer, protocol: str, tmp_path: Path
) -> None:
    """A request that was put off comes again unchanged, which is how Jaeger knows a span it has."""
    server.decisions = [AWAY[protocol]] * 2
    exporter = _exporter(server, protocol, tmp_path)
    frames = _frames(*(_request(TRACES, f"{n}") for n in range(3)))
    for _ in range(2):
        with pytest.raises(Unavailable):
            exporter.consume(frames, {})
    exporter.consume(frames, {})
    assert len(server.received) == 3
    assert len({request[:2] for request in server.received}) == 1


def test_exhausted_server_that_names_a_delay_is_tried_again(tmp_path: Path) -> None:
    """RESOURCE_EXHAUSTED is for good unless the server says when to come again."""
    server = start_grpc()
    server.decisions = [Answer(CODE.RESOURCE_EXHAUSTED, retry_after_s=7)]
    exporter = _exporter(server, "grpc", tmp_path)
    with pytest.raises(Unavailable):
        exporter.consume(_frames(_request(TRACES, "one")), {})
    server.stop()


def test_wish_of_the_server_is_granted(
    server: DecidingServer, protocol: str, tmp_path: Path
) -> None:
    """A server that says how long to wait is left alone for so long."""
    server.decisions = [AWAY[protocol]._replace(retry_after_s=7)]
    exporter = _exporter(server, protocol, tmp_path)
    with pytest.raises(Unavailable) as raised:
        exporter.consume(_frames(_request(TRACES, "one")), {})
    assert exporter.delay_s(raised.value) == 7


def test_delays_grow_to_a_bound_and_begin_anew(
    server: DecidingServer, protocol: str, tmp_path: Path
) -> None:
    """Delays double from half a second to half a minute, with jitter, and a success resets them."""
    exporter = _exporter(server, protocol, tmp_path)
    steps = [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    for step in steps:
        assert 0.5 * step <= exporter.delay_s(Unavailable("away")) <= 1.5 * step
    exporter.consume(_frames(_request(TRACES, "one")), {})
    assert 0.25 <= exporter.delay_s(Unavailable("away")) <= 0.75


def test_server_that_hangs_is_tried_again(
    server: DecidingServer, protocol: str, tmp_path: Path
) -> None:
    """A server that does not answer in time is away, and the next request gets through."""
    server.decisions = [Answer(hang_s=20)]
    exporter = _exporter(server, protocol, tmp_path, timeout=0.3)
    with pytest.raises(Unavailable):
        exporter.consume(_frames(_request(TRACES, "one")), {})
    exporter = _exporter(server, protocol, tmp_path)
    exporter.consume(_frames(_request(TRACES, "one")), {})
    assert _accepted(server) == ["one"]


def _is_sent(exporter: OtlpExporter, frames: list[Frame]) -> bool | None:
    try:
        exporter.consume(frames, {})
    except Unavailable:
        return None
    return True


def test_server_that_is_not_there_yet_gets_everything_later(protocol: str, tmp_path: Path) -> None:
    """What cannot be sent while nobody listens is sent when somebody does."""
    (port,) = free_ports(1)
    exporter = OtlpExporter(
        Destination(f"http://127.0.0.1:{port}", protocol), refused_path=tmp_path / "refused"
    )
    frames = _frames(_request(TRACES, "one"))
    with pytest.raises(Unavailable):
        exporter.consume(frames, {})
    assert exporter.last_error is not None
    server = START[protocol](port)

    wait_for(lambda: _is_sent(exporter, frames), what="the server to be reached", timeout_s=20)
    server.stop()
    assert _accepted(server) == ["one"]
    assert exporter.last_error is None


def test_server_is_seen_soon_however_long_it_was_away(
    protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attempts to connect do not grow rarer with an outage: gRPC's own would, up to 120 s."""
    monkeypatch.setattr(otlp_transport, "_RECONNECT_AFTER_MS", 200)
    (port,) = free_ports(1)
    exporter = OtlpExporter(
        Destination(f"http://127.0.0.1:{port}", protocol), refused_path=tmp_path / "refused"
    )
    frames = _frames(_request(TRACES, "one"))

    with pytest.raises(TimeoutError):  # gRPC's attempts would be at 0, 1, 2.6 and 5.2 s
        wait_for(lambda: _is_sent(exporter, frames), what="nobody", timeout_s=3.2)
    server = START[protocol](port)
    try:
        wait_for(lambda: _is_sent(exporter, frames), what="the server to be seen", timeout_s=1)
    finally:
        server.stop()


def test_server_that_comes_back_gets_everything(protocol: str, tmp_path: Path) -> None:
    """A server that is restarted in the middle costs nothing, on the same connection's exporter."""
    first = START[protocol]()
    exporter = _exporter(first, protocol, tmp_path)
    exporter.consume(_frames(_request(TRACES, "before")), {})
    first.stop()
    port = int(first.url.rpartition(":")[2])
    second = START[protocol](port)
    frames = _frames(_request(TRACES, "after"))

    wait_for(lambda: _is_sent(exporter, frames), what="the server to be reached", timeout_s=20)
    second.stop()
    assert (_accepted(first), _accepted(second)) == (["before"], ["after"])


def test_signal_that_a_backend_has_not_is_switched_off_and_said_once(
    server: DecidingServer, protocol: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Jaeger takes traces alone: the other signals are no longer sent, and traces go on."""
    server.always = dict.fromkeys((METRICS, LOGS), UNSUPPORTED[protocol])
    exporter = _exporter(server, protocol, tmp_path)
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            exporter.consume(_frames(*(_request(s, f"{s} {number}") for s in (1, 2, 3))), {})
    assert _accepted(server) == ["1 0", "1 1", "1 2"]
    assert [request.signal for request in server.received] == [1, 2, 3, 1, 1]
    said = [record.getMessage() for record in caplog.records]
    assert [message.partition(" (")[0] for message in said] == [
        f"{server.url} takes no {name}" for name in ("metrics", "logs")
    ]
    assert (exporter.refused, _set_aside(tmp_path)) == (0, [])


def _refusing(protocol: str, *bad: str) -> Callable[[Received], Answer | None]:
    """Return a judge that refuses requests with an item of any of these names."""

    def judge(request: Received) -> Answer | None:
        found = _names(request.signal, request.payload)
        return REFUSED[protocol] if set(bad) & set(found) else None

    return judge


def test_one_bad_item_is_set_aside_alone(
    server: DecidingServer, protocol: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A refused item is counted, said and kept in a file; what was joined with it is taken."""
    server.judge = _refusing(protocol, "span 3", "log 0")
    exporter = _exporter(server, protocol, tmp_path)
    spans = [wire.span(b"t" * 16, b"s" * 8, None, f"span {n}", 1, 1, 2, []) for n in range(5)]
    joined = wire.request(wire.resource([]), wire.scope("t", "1"), spans, schema_url="u")
    more = [_request(TRACES, f"span {n}") for n in range(5, 9)]
    logs = [_request(LOGS, f"log {n}") for n in range(2)]
    with caplog.at_level(logging.ERROR):
        exporter.consume(_frames((TRACES, joined), *more, *logs), {})
    assert sorted(_accepted(server)) == ["log 1", *(f"span {n}" for n in range(9) if n != 3)]
    assert _set_aside(tmp_path) == ["span 3", "log 0"]
    assert (exporter.sent, exporter.refused) == (9, 2)
    (record,) = caplog.records  # the second is counted and said within a minute
    path = tmp_path / "refused.otlp"
    told = f"1 spans are set aside in {path}: {server.url} refused them: "
    assert record.getMessage().startswith(told)


def test_a_part_that_a_destination_cannot_read_is_set_aside_alone(
    server: DecidingServer, protocol: str, tmp_path: Path
) -> None:
    """Bytes that are no request spoil what they are joined with for nobody."""

    def judge(request: Received) -> Answer | None:
        try:
            _names(request.signal, request.payload)
        except DecodeError:
            return REFUSED[protocol]
        return None

    server.judge = judge
    exporter = _exporter(server, protocol, tmp_path)
    exporter.consume(
        _frames(_request(TRACES, "one"), (TRACES, b"\xff" * 9), _request(TRACES, "two")), {}
    )
    assert _accepted(server) == ["one", "two"]
    assert (exporter.sent, exporter.refused) == (2, 1)
    assert b"\xff" * 9 in (tmp_path / "refused.otlp").read_bytes()


NOBODY = {"grpc": Answer(CODE.UNAUTHENTICATED), "http/protobuf": Answer(401)}


def test_whoever_may_not_send_at_all_is_told_once_a_request(
    server: DecidingServer, protocol: str, tmp_path: Path
) -> None:
    """A wrong password is not asked of every single item: what was joined is set aside whole."""
    server.always = {TRACES: NOBODY[protocol]}
    exporter = _exporter(server, protocol, tmp_path)
    exporter.consume(_frames(*(_request(TRACES, f"{n}") for n in range(9))), {})
    assert len(server.received) == 1
    assert _set_aside(tmp_path) == [f"{n}" for n in range(9)]
    assert exporter.refused == 9


def test_server_that_refuses_all_is_not_asked_without_end(
    server: DecidingServer, protocol: str, tmp_path: Path
) -> None:
    """The search for what is wrong has a bound, and nothing of it is lost."""
    server.always = {TRACES: REFUSED[protocol]}
    exporter = _exporter(server, protocol, tmp_path)
    exporter.consume(_frames(*(_request(TRACES, f"{n}") for n in range(900))), {})
    assert len(server.received) < 100
    assert sorted(_set_aside(tmp_path), key=int) == [f"{n}" for n in range(900)]
    assert exporter.refused == 900


def test_after_an_error_it_goes_on_where_it_was(
    server: DecidingServer, protocol: str, tmp_path: Path
) -> None:
    """Of a long batch what was taken is not sent, set aside or counted again."""
    requests = [_request(TRACES, f"{n}", size=900_000) for n in range(11)]
    server.decisions = [NOBODY[protocol], Answer(), AWAY[protocol]]
    exporter = _exporter(server, protocol, tmp_path)
    frames = _frames(*requests)
    with pytest.raises(Unavailable):
        exporter.consume(frames, {})
    exporter.consume(frames, {})
    assert len(server.received) == 4
    assert _accepted(server) + _set_aside(tmp_path) == [f"{n}" for n in (*range(4, 11), *range(4))]
    assert (exporter.sent, exporter.refused) == (7, 4)


def test_no_piece_follows_a_signal_that_is_switched_off(
    server: DecidingServer, protocol: str, tmp_path: Path
) -> None:
    """Of a request that is sent in many pieces, none follows the one that was not understood."""
    server.always = {TRACES: UNSUPPORTED[protocol]}
    exporter = _exporter(server, protocol, tmp_path)
    exporter.consume(_frames((TRACES, _large_request(600))), {})
    assert len(server.received) == 1
    assert (exporter.sent, exporter.refused) == (0, 0)


def test_item_that_is_too_large_is_set_aside_and_said(
    server: DecidingServer, protocol: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A span that no receiver would take is kept in a file, and the log says which file."""
    exporter = _exporter(server, protocol, tmp_path)
    with caplog.at_level(logging.ERROR):
        exporter.consume(_frames(_request(TRACES, "large", size=MAX_REQUEST_BYTES + 1)), {})
    assert (server.received, _set_aside(tmp_path)) == ([], ["large"])
    (record,) = caplog.records
    assert record.getMessage() == (
        f"1 spans are set aside in {tmp_path / 'refused.otlp'}: {server.url} refused them:"
        f" an item is larger than the {MAX_REQUEST_BYTES} bytes that receivers take"
    )


def test_disk_that_is_full_keeps_what_is_refused_for_later(
    server: DecidingServer, protocol: str, tmp_path: Path
) -> None:
    """What was refused and cannot be kept is not lost: it is tried again when there is room."""
    server.always = {TRACES: REFUSED[protocol]}
    exporter = OtlpExporter(
        Destination(server.url, protocol), refused_path=tmp_path / "later" / "refused.otlp"
    )
    frames = _frames(_request(TRACES, "one"))
    with pytest.raises(OSError, match="No such file"):
        exporter.consume(frames, {})
    assert exporter.refused == 0
    (tmp_path / "later").mkdir()
    exporter.consume(frames, {})
    assert (exporter.refused, _set_aside(tmp_path / "later")) == (1, ["one"])


def test_joined_requests_are_no_larger_than_every_receiver_takes(
    server: DecidingServer, protocol: str, tmp_path: Path
) -> None:
    """Requests are joined up to 4 MiB and no further, and none is left out."""
    requests = [_request(TRACES, f"{n}", size=900_000) for n in range(11)]
    _exporter(server, protocol, tmp_path).consume(_frames(*requests), {})
    assert _accepted(server) == [f"{n}" for n in range(11)]
    assert max(len(request.payload) for request in server.received) <= MAX_REQUEST_BYTES
    assert len(server.received) == 3


def test_request_that_is_too_large_is_split(
    server: DecidingServer, protocol: str, tmp_path: Path
) -> None:
    """One spooled request of more than 4 MiB is sent in parts that every receiver takes."""
    exporter = _exporter(server, protocol, tmp_path)
    exporter.consume(_frames((TRACES, _large_request(600))), {})
    assert exporter.sent == 600
    assert sorted(_accepted(server), key=int) == [f"{n}" for n in range(600)]
    assert max(len(request.payload) for request in server.received) <= MAX_REQUEST_BYTES


class _Impatient(OtlpExporter):
    """An exporter that waits less than is polite, so that a test may see many tries."""

    def delay_s(self, error: Unavailable) -> float:
        return 0.001


def _mixed(protocol: str) -> st.SearchStrategy[list[Answer]]:
    return st.lists(
        st.sampled_from([Answer(), AWAY[protocol], REFUSED[protocol]]), min_size=1, max_size=12
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=15)
@given(data=st.data())
def test_whatever_a_server_decides_nothing_is_lost(protocol: str, data: st.DataObject) -> None:
    """Every item ends up taken or set aside, once, and nothing is tried again after a refusal."""
    decisions: Sequence[Answer] = data.draw(_mixed(protocol))
    counts = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    names = [
        (signal, f"{signal} {batch} {number}")
        for batch, count in enumerate(counts)
        for signal in (1, 2, 3)
        for number in range(count)
    ]
    server = START[protocol]()
    server.decisions = list(decisions)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        writer = SpoolWriter(directory, "submit")
        exporter = _Impatient(
            Destination(server.url, protocol), refused_path=directory / "refused.otlp"
        )
        pump = Pump(
            "forward",
            directory,
            {"submit": Place()},
            exporter.consume,
            retryable=(Unavailable,),
            delay_s=lambda _error: 0.001,
        )
        for signal, item in names:
            writer.append([frame(*_request(signal, item))])
        pump.start()
        wait_for(lambda: pump.is_empty() or None, what="the pump", timeout_s=30)
        pump.stop()
        server.stop()
        writer.close()
        refused = _set_aside(directory)
    accepted = set(_accepted(server))
    # A request that was taken is sent again with its batch when a later one of it was put off.
    assert accepted | set(refused) == {item for _, item in names}
    assert pump.failure is None
