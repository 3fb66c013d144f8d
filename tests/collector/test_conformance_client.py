"""OTLP's requirements on a client, row by row of OTEL.md section 1, on our own exporter."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from email.utils import formatdate
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from otel_parsl_collector.component import ExporterContext, Outcome
from otel_parsl_collector.exporters.otlp import MAX_REQUEST_BYTES
from otel_parsl_collector.exporters.otlp_grpc import ForwardExporter, OtlpSettings
from otel_parsl_collector.exporters.otlp_transport import Unavailable
from otel_parsl_collector.exporters.splitting import Pieces, split
from otel_parsl_collector.signals import SIGNALS

from otel_parsl.spool import Frame, Place
from otel_parsl.wire import LOGS, METRICS, TRACES
from tests.support.deciding_server import retry_trailer
from tests.support.otlp_requests import logs_request, metrics_request, trace_request
from tests.support.otlp_sink import HttpAnswer, Sink, grpc_sink, http_sink

RETRYABLE_GRPC = {
    "CANCELLED",
    "DEADLINE_EXCEEDED",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNAVAILABLE",
    "DATA_LOSS",
}
RETRYABLE_HTTP = {429, 502, 503, 504}
FRAME = Frame(TRACES, trace_request("a").SerializeToString(), Place(1, 9))
PLACES = {"traces": Place(1, 9)}
PYTHONS_TRAILER = (
    "google.rpc.retryinfo-bin",
    RetryInfo(retry_delay=Duration(seconds=8)).SerializeToString(),
)


def exporter(directory: Path, sink: Sink, protocol: str) -> ForwardExporter:
    context = ExporterContext("test", "spool", directory, {})
    return ForwardExporter(OtlpSettings(endpoint=sink.url), context, protocol)


def ending(code: grpc.StatusCode, *trailers: tuple[str, bytes]) -> Any:
    def answer(context: Any) -> bytes:
        context.set_trailing_metadata(trailers)
        context.abort(code, "told so")
        raise AssertionError

    return answer


@pytest.fixture(params=["grpc", "http/protobuf"])
def accepting(request: pytest.FixtureRequest) -> Iterator[tuple[str, Sink]]:
    """A destination that takes all but says something of a part of it."""
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 1
    answer.partial_success.error_message = "one was bad"
    with ExitStack() as stack:
        if request.param == "grpc":
            sink = stack.enter_context(grpc_sink(lambda _: answer.SerializeToString()))
        else:
            said = HttpAnswer(body=answer.SerializeToString())
            sink = stack.enter_context(http_sink(said))
        yield request.param, sink


def test_row_6_a_partial_success_is_not_sent_again(
    tmp_path: Path, accepting: tuple[str, Sink], caplog: pytest.LogCaptureFixture
) -> None:
    """What was partly refused is done with: sent once, counted and said, the place is kept."""
    protocol, sink = accepting
    client = exporter(tmp_path, sink, protocol)
    assert client.consume([FRAME], PLACES) == Outcome({TRACES: 0}, {TRACES: 1})
    assert [received.body for received in sink.received] == [FRAME.payload]
    assert exporter(tmp_path, sink, protocol).places() == PLACES
    assert caplog.messages == [
        f"{sink.url} took 0 of 1 spans and refused the others for good: one was bad."
        " It does not say which, so they cannot be kept"
    ]


@pytest.mark.parametrize(
    "code", [code for code in grpc.StatusCode if code not in {grpc.StatusCode.OK}]
)
def test_row_10_which_grpc_statuses_are_tried_again(tmp_path: Path, code: grpc.StatusCode) -> None:
    """Of gRPC's statuses the specification's six are tried again, every other is final."""
    with grpc_sink(ending(code)) as sink:
        client = exporter(tmp_path, sink, "grpc")
        if code.name in RETRYABLE_GRPC:
            with pytest.raises(Unavailable, match=code.name):
                client.consume([FRAME], PLACES)
            assert client.places() == {}
        else:
            is_unknown = code == grpc.StatusCode.UNIMPLEMENTED
            outcome = Outcome({}, {}) if is_unknown else Outcome({TRACES: 0}, {TRACES: 1})
            assert client.consume([FRAME], PLACES) == outcome
            assert client.places() == PLACES
        assert len(sink.received) == 1


@pytest.mark.parametrize(
    ("trailers", "delay_s"),
    [
        ([retry_trailer(7)], 7.0),
        ([PYTHONS_TRAILER], 8.0),
        ([("grpc-status-details-bin", b"\xff"), PYTHONS_TRAILER], 8.0),
    ],
    ids=["of the specification", "of the client for Python", "one is broken"],
)
def test_row_9_exhausted_is_tried_again_if_told_when(
    tmp_path: Path, trailers: list[tuple[str, bytes]], delay_s: float
) -> None:
    """RESOURCE_EXHAUSTED with a RetryInfo passes; without one it is final (row 10's test)."""
    with grpc_sink(ending(grpc.StatusCode.RESOURCE_EXHAUSTED, *trailers)) as sink:
        client = exporter(tmp_path, sink, "grpc")
        with pytest.raises(Unavailable, match="RESOURCE_EXHAUSTED") as caught:
            client.consume([FRAME], PLACES)
    assert client.delay_s(caught.value) == delay_s


@pytest.mark.parametrize(
    ("in_s", "earliest_s", "latest_s"), [(3600, 3500, 3600), (-3600, 0.25, 0.75)]
)
def test_row_8_a_server_names_a_date(
    tmp_path: Path, in_s: int, earliest_s: float, latest_s: float
) -> None:
    """A `Retry-After` may be a date: it is waited for, or as long as ever where it has passed."""
    date = formatdate(time.time() + in_s, usegmt=True)
    with http_sink(HttpAnswer(503, {"Retry-After": date})) as sink:
        client = exporter(tmp_path, sink, "http/protobuf")
        with pytest.raises(Unavailable) as caught:
            client.consume([FRAME], PLACES)
    assert earliest_s <= client.delay_s(caught.value) <= latest_s


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 429, 500, 501, 502, 503, 504])
def test_row_11_which_http_statuses_are_tried_again(tmp_path: Path, status: int) -> None:
    """Of HTTP's statuses 429, 502, 503 and 504 are tried again; 500 and 408 are not."""
    with http_sink(HttpAnswer(status, {"Retry-After": "7"})) as sink:
        client = exporter(tmp_path, sink, "http/protobuf")
        if status in RETRYABLE_HTTP:
            with pytest.raises(Unavailable, match=str(status)) as caught:
                client.consume([FRAME], PLACES)
            assert client.delay_s(caught.value) == 7.0
        else:
            outcome = Outcome({}, {}) if status == 404 else Outcome({TRACES: 0}, {TRACES: 1})
            assert client.consume([FRAME], PLACES) == outcome
        assert len(sink.received) == 1


def test_what_is_refused_for_good_is_set_aside(tmp_path: Path) -> None:
    """A refused request is kept in a file, and the line goes on."""
    with http_sink(HttpAnswer(400)) as sink:
        exporter(tmp_path, sink, "http/protobuf").consume([FRAME], PLACES)
    assert FRAME.payload in (tmp_path / "refused.otlp").read_bytes()


# Row 15: sizes.

LIMIT_BYTES = 1000
NAMES = tuple(f"span-{number}" for number in range(100))
REQUESTS: dict[int, Any] = {
    TRACES: trace_request(*NAMES),
    METRICS: metrics_request(*range(200)),
    LOGS: logs_request(*NAMES),
}


@pytest.mark.parametrize("signal", REQUESTS)
def test_row_15_a_large_request_is_split(signal: int) -> None:
    """Every piece is within the limit, together they hold every item once, in order."""
    request = REQUESTS[signal]
    pieces = split(signal, request.SerializeToString(), limit_bytes=LIMIT_BYTES)
    joined = SIGNALS[signal].request()
    for piece in pieces.fitting:
        joined.MergeFromString(piece)
    assert max(map(len, pieces.fitting)) <= LIMIT_BYTES < request.ByteSize()
    assert (pieces.too_large, items_of(signal, joined)) == ([], items_of(signal, request))


def items_of(signal: int, request: Any) -> list[Any]:
    if signal == TRACES:
        return [s for g in request.resource_spans for scope in g.scope_spans for s in scope.spans]
    if signal == LOGS:
        return [r for g in request.resource_logs for s in g.scope_logs for r in s.log_records]
    return [
        (metric.name, point)
        for group in request.resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
        for point in metric.gauge.data_points
    ]


def test_row_15_a_small_request_stays_as_it_is() -> None:
    """What is within the limit is sent as the bytes that it is."""
    payload = trace_request("a").SerializeToString() + b"\x92\x03\x03new"
    assert split(TRACES, payload, limit_bytes=LIMIT_BYTES) == Pieces([payload], [])


def test_row_15_an_item_over_the_limit_is_not_sent_but_counted(tmp_path: Path) -> None:
    """One span that no receiver would take is counted as refused; its neighbours arrive."""
    large = "x" * MAX_REQUEST_BYTES
    payload = trace_request("before", large, "after").SerializeToString()
    with grpc_sink() as sink:
        outcome = exporter(tmp_path, sink, "grpc").consume([Frame(TRACES, payload, Place())], {})
        assert sink.span_names() == ["before", "after"]
    assert outcome == Outcome({TRACES: 2}, {TRACES: 1})
    assert trace_request(large).SerializeToString() in (tmp_path / "refused.otlp").read_bytes()
