"""OTLP's requirements on a receiver, row by row of OTEL.md section 1, against the real servers."""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import (
    OTLPLogExporter as GrpcLogExporter,
)
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (
    OTLPMetricExporter as GrpcMetricExporter,
)
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcSpanExporter,
)
from opentelemetry.exporter.otlp.proto.http import Compression as HttpCompression
from opentelemetry.exporter.otlp.proto.http._log_exporter import (
    OTLPLogExporter as HttpLogExporter,
)
from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
    OTLPMetricExporter as HttpMetricExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpSpanExporter,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from otel_parsl_collector.otlp_json import render
from otel_parsl_collector.signals import SIGNALS

from otel_parsl.wire import LOGS, METRICS, TRACES, sized
from tests.support.collector import (
    Running,
    collector_config,
    requests_in,
    running,
    span_names,
)
from tests.support.http_wire import Answer, connected, post
from tests.support.otlp_requests import logs_request, metrics_request, trace_request
from tests.support.server_process import wait_for

PROTOBUF, JSON = "application/x-protobuf", "application/json"
LIMIT_MIB = 4
TRANSPORTS = ("grpc", "http")
REQUESTS: dict[int, Any] = {
    TRACES: trace_request("span"),
    METRICS: metrics_request(1.0),
    LOGS: logs_request("record"),
}


class Collector:
    """A collector of this module's tests, and where what it takes arrives."""

    def __init__(self, at: Running, out: Path) -> None:
        self.at = at
        self.out = out
        self.channel = grpc.insecure_channel(
            at.grpc, options=[("grpc.max_send_message_length", -1)]
        )

    def call(self, body: bytes, signal: int = TRACES, **options: Any) -> Any:
        """Send a request by gRPC and return the response; an RpcError where it is refused."""
        kind = SIGNALS[signal]
        answer = self.channel.unary_unary(f"/{kind.service}/Export")(body, timeout=30, **options)
        return kind.response.FromString(answer)

    def refusal(self, body: bytes, **options: Any) -> grpc.RpcError:
        """Send a request by gRPC that is to be refused."""
        with pytest.raises(grpc.RpcError) as caught:
            self.call(body, **options)
        return caught.value

    def post(self, body: bytes, type_: str = PROTOBUF, **headers: str) -> Answer:
        """Send a request of traces by HTTP."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return post(self.at.http_port, "/v1/traces", body, {"Content-Type": type_, **named})

    def wait_for_span(self, name: str) -> None:
        """Wait until a span has arrived."""
        wait_for(lambda: name in span_names(self.out) or None, what=f"span {name}")


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    directory = tmp_path_factory.mktemp("conformance")
    config = collector_config(
        directory,
        grpc={"max_recv_msg_size_mib": LIMIT_MIB},
        http={"max_request_body_size": LIMIT_MIB << 20},
    )
    with running(config) as at:
        found = Collector(at, directory / "out.jsonl")
        yield found
        found.channel.close()


def status_of(error: Any) -> status_pb2.Status:
    metadata = dict(error.trailing_metadata() or ())
    return status_pb2.Status.FromString(metadata["grpc-status-details-bin"])


def body_of(**names: int) -> bytes:
    return trace_request(*names).SerializeToString()


# Rows 1 to 4: services, paths, success.


@pytest.mark.parametrize("signal", REQUESTS)
def test_row_1_and_3_every_service_answers(collector: Collector, signal: int) -> None:
    """Each of the three services takes its request and answers with its own, empty response."""
    answer = collector.call(REQUESTS[signal].SerializeToString(), signal)
    assert answer == SIGNALS[signal].response()
    assert not answer.HasField("partial_success")


def test_row_1_an_unknown_service_is_unimplemented(collector: Collector) -> None:
    """A service that is not there, as that of profiles, is UNIMPLEMENTED."""
    method = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"
    with pytest.raises(grpc.RpcError) as caught:
        collector.channel.unary_unary(method)(b"", timeout=30)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("signal", REQUESTS)
@pytest.mark.parametrize("type_", [PROTOBUF, JSON])
def test_row_2_3_17_every_path_answers(collector: Collector, signal: int, type_: str) -> None:
    """Each path takes both encodings, and answers in that of the request, with nothing to say."""
    request = REQUESTS[signal]
    is_json = type_ == JSON
    body = json.dumps(render(request)).encode() if is_json else request.SerializeToString()
    path = f"/v1/{SIGNALS[signal].name}"
    answer = post(collector.at.http_port, path, body, {"Content-Type": type_})
    assert (answer.status, answer.headers["content-type"], answer.body) == (
        200,
        type_,
        b"{}" if is_json else b"",
    )


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE", "OPTIONS"])
def test_row_2_other_methods_are_not_allowed(collector: Collector, method: str) -> None:
    """Only POST is taken."""
    answer = post(collector.at.http_port, "/v1/traces", b"", {}, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/v1development/profiles", "/", "/v1/traces/", "/v1/TRACES"])
def test_row_2_other_paths_are_not_found(collector: Collector, path: str) -> None:
    """What is not a signal's path is not found."""
    assert post(collector.at.http_port, path, b"", {"Content-Type": PROTOBUF}).status == 404


@pytest.mark.parametrize("body", [b"", b"\n\x00", b"\n\x02\x12\x00"])
def test_row_4_empty_requests_succeed(collector: Collector, body: bytes) -> None:
    """Zero bytes and envelopes without spans are taken by both transports."""
    assert collector.call(body) == ExportTraceServiceResponse()
    assert (answer := collector.post(body)).status == 200
    assert answer.body == b""


# Rows 5 to 8: partial success, and the two kinds of refusal.


def partly_bad_request() -> Any:
    request = trace_request("good-1", "good-2", "good-3")
    for name in ("bad-1", "bad-2"):
        request.resource_spans[0].scope_spans[0].spans.add(name=name, trace_id=b"x")
    return request


def test_row_5_what_is_partly_refused_is_counted(collector: Collector) -> None:
    """Three good and two bad spans: OK, with the count of two and why, in every encoding."""
    request = partly_bad_request()
    body = request.SerializeToString()
    by_grpc = collector.call(body)
    by_http = ExportTraceServiceResponse.FromString(collector.post(body).body)
    by_json = collector.post(json.dumps(render(request)).encode(), JSON).json
    assert by_grpc.partial_success.rejected_spans == 2
    assert by_grpc.partial_success.error_message.startswith("2 spans refused: trace_id must be")
    assert by_http == by_grpc
    assert by_json == render(by_grpc)
    collector.wait_for_span("good-3")
    assert "bad-1" not in span_names(collector.out)


def test_row_6_a_warning_refuses_nothing(collector: Collector) -> None:
    """A log record that is taken without its wrong ids: nothing is refused, but it is said."""
    request = logs_request("warned")
    request.resource_logs[0].scope_logs[0].log_records[0].span_id = b"123"
    answer = collector.call(request.SerializeToString(), LOGS).partial_success
    assert (answer.rejected_log_records, bool(answer.error_message)) == (0, True)


def test_row_7_truncated_protobuf_is_invalid(collector: Collector) -> None:
    """A truncated request is INVALID_ARGUMENT with a BadRequest, and HTTP 400."""
    body = trace_request("truncated").SerializeToString()[:-4]
    error = collector.refusal(body)
    status = status_of(error)
    detail = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(detail)
    assert (error.code(), status.code, detail.field_violations[0].field) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        3,
        "body",
    )
    assert collector.post(body).status == 400


def test_row_7_and_18_broken_json_is_bad(collector: Collector) -> None:
    """Broken JSON is HTTP 400, with a Status in JSON that says where it breaks."""
    answer = collector.post(b'{"resourceSpans": [', JSON)
    assert (answer.status, answer.headers["content-type"]) == (400, JSON)
    assert answer.json["code"] == 3
    assert answer.json["message"].startswith("the body is no ExportTraceServiceRequest in JSON")


# Rows 12 to 14: sizes.


def test_row_12_and_13_a_request_at_the_limit_is_taken(collector: Collector) -> None:
    """What is just within the limit is taken, what is just over it is permanently refused."""
    limit = LIMIT_MIB << 20
    name = "n" * (limit - 200)
    body = trace_request(name).SerializeToString()
    within = trace_request(name + "n" * (limit - len(body))).SerializeToString()
    over = trace_request(name + "n" * (limit - len(body) + 1)).SerializeToString()
    assert (len(within), len(over)) == (limit, limit + 1)
    assert collector.call(within) == ExportTraceServiceResponse()
    assert collector.post(within).status == 200
    error = collector.refusal(over)
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "google.rpc.retryinfo-bin" not in dict(error.trailing_metadata() or ())
    assert collector.post(over).status == 413


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_row_12_and_13_a_zip_bomb_is_too_large(collector: Collector, encoding: str) -> None:
    """200 KB that would become 200 MB are refused as too large by both transports."""
    compress = gzip.compress if encoding == "gzip" else zlib.compress
    bomb = compress(bytes(200_000_000))
    answer = collector.post(bomb, content_encoding=encoding)
    # gRPC's client cannot be told that it is compressed already; the server looks for itself.
    error = collector.refusal(bomb)
    assert (answer.status, error.code()) == (413, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert "google.rpc.retryinfo-bin" not in dict(error.trailing_metadata() or ())


def test_row_13_a_chunked_body_over_the_limit_is_too_large(collector: Collector) -> None:
    """A body of unknown length is refused when it passes the limit, and the client sees why."""
    with connected(collector.at.http_port) as wire:
        wire.send(
            b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: application/x-protobuf\r\n\r\n"
        )
        for _ in range(LIMIT_MIB + 1):
            wire.send(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
        wire.send(b"0\r\n\r\n")
        answer = wire.receive()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert wire.is_closed()


def test_row_14_the_response_stays_small(collector: Collector) -> None:
    """A million refused spans give a response of a few hundred bytes."""
    spans = b"\x12\x00" * 1_000_000  # a span each, that says nothing
    answer = collector.call(b"\x0a" + sized(b"\x12" + sized(spans)))
    assert answer.partial_success.rejected_spans == 1_000_000
    assert answer.ByteSize() < 1000


def test_row_14_a_refusal_quotes_little(collector: Collector) -> None:
    """Of a wrong id of three megabytes the response has the beginning."""
    span = {"traceId": "x" * 3_000_000}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    answer = collector.post(json.dumps(body).encode(), JSON)
    assert (answer.status, answer.json["code"]) == (400, 3)
    assert "spans[0].traceId: 'xxxxx" in answer.json["message"]
    assert len(answer.body) < 1000


# Rows 16 to 18: encodings.


@pytest.mark.parametrize(
    "compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate]
)
def test_row_16_grpc_compression(collector: Collector, compression: grpc.Compression) -> None:
    """Uncompressed, gzip and deflate arrive alike."""
    name = f"grpc-{compression.name}"
    padding = ["p" * 1000] * 5  # gRPC sends what compression would not shorten as it is
    body = trace_request(name, *padding).SerializeToString()
    assert collector.call(body, compression=compression) == ExportTraceServiceResponse()
    collector.wait_for_span(name)


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("identity", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress)],
)
@pytest.mark.parametrize("type_", [PROTOBUF, JSON])
def test_row_16_http_compression(
    collector: Collector, encoding: str, compress: Any, type_: str
) -> None:
    """Each encoding of the body arrives alike, in protobuf and in JSON."""
    name = f"http-{encoding}-{type_}"
    request = trace_request(name)
    is_json = type_ == JSON
    body = json.dumps(render(request)).encode() if is_json else request.SerializeToString()
    assert collector.post(compress(body), type_, content_encoding=encoding).status == 200
    collector.wait_for_span(name)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("br", b"x"),
        ("gzip", body_of(a=1)),
        ("gzip", gzip.compress(body_of(a=1))[:-5]),
        ("deflate", gzip.compress(body_of(a=1))),
    ],
    ids=["unknown", "not compressed", "truncated", "another encoding"],
)
def test_row_16_wrong_compression_is_bad(collector: Collector, encoding: str, body: bytes) -> None:
    """An unknown encoding, or a body that is not of it, is HTTP 400."""
    answer = collector.post(body, content_encoding=encoding)
    status = status_pb2.Status.FromString(answer.body)
    assert (answer.status, status.code) == (400, 3)


def test_row_16_wrong_compression_is_invalid_by_grpc(collector: Collector) -> None:
    """A gRPC message that only begins like gzip is INVALID_ARGUMENT."""
    error = collector.refusal(gzip.compress(body_of(a=1))[:-5])
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_row_17_the_types_parameters_are_ignored(collector: Collector) -> None:
    """A charset beside the type changes nothing; case does not either."""
    body = json.dumps(render(trace_request("charset"))).encode()
    assert collector.post(body, "Application/JSON; charset=utf-8").status == 200


@pytest.mark.parametrize("type_", ["text/plain", "", "application/x-www-form-urlencoded"])
def test_row_17_other_types_are_unsupported(collector: Collector, type_: str) -> None:
    """Any other type is HTTP 415."""
    assert collector.post(b"x", type_).status == 415


def test_row_18_refusals_are_a_status(collector: Collector) -> None:
    """The body of a refusal is a google.rpc.Status in the request's encoding."""
    answer = collector.post(b"\xff", PROTOBUF)
    status = status_pb2.Status.FromString(answer.body)
    assert (answer.status, answer.headers["content-type"], status.code) == (400, PROTOBUF, 3)
    assert status.message.startswith("the body is no ExportTraceServiceRequest")


@pytest.mark.parametrize("type_", [PROTOBUF, JSON])
@pytest.mark.parametrize(
    ("path", "method", "encoding", "status", "said"),
    [
        ("/v1/spans", "POST", "identity", 404, "expected one of /v1/traces"),
        ("/v1/traces", "PUT", "identity", 405, "POST"),
        ("/v1/traces", "POST", "gzip", 413, "larger than the 4194304 bytes"),
        ("/v1/traces", "POST", "lzma", 400, "lzma"),
    ],
)
def test_row_18_every_refusal_is_a_status(
    collector: Collector,
    type_: str,
    path: str,
    method: str,
    encoding: str,
    status: int,
    said: str,
) -> None:
    """Whatever is wrong, the body says so in the encoding that the client speaks."""
    body = gzip.compress(bytes((LIMIT_MIB + 1) << 20)) if encoding == "gzip" else b"{}"
    headers = {"Content-Type": type_, "Content-Encoding": encoding}

    answer = post(collector.at.http_port, path, body, headers, method=method)

    assert (answer.status, answer.headers["content-type"]) == (status, type_)
    if type_ == JSON:
        message = json.loads(answer.body)["message"]
    else:
        message = status_pb2.Status.FromString(answer.body).message
    assert said in message


# Rows 19 to 23 are in test_codec; here once over the real server.


def test_row_19_to_23_json_arrives_as_protobuf_does(collector: Collector) -> None:
    """JSON with upper-case ids, both forms of integers, unknown keys and odd values arrives."""
    span = {
        "traceId": "ABCDEF0123456789ABCDEF0123456789",
        "spanId": "ABCDEF0123456789",
        "name": "json",
        "kind": 2,
        "startTimeUnixNano": 1790000000000000000,
        "endTimeUnixNano": "1790000000000000001",
        "unknown": {"x": 1},
        "attributes": [
            {"key": "empty", "value": {}},
            {"key": "mixed", "value": {"arrayValue": {"values": [{"intValue": 1}, {}]}}},
        ],
    }
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    assert collector.post(json.dumps(body).encode(), JSON).status == 200
    collector.wait_for_span("json")
    (found,) = (
        written
        for request in requests_in(collector.out)
        for group in request.get("resourceSpans", ())
        for scope in group.get("scopeSpans", ())
        for written in scope["spans"]
        if written["name"] == "json"
    )
    assert found == {
        "traceId": "abcdef0123456789abcdef0123456789",
        "spanId": "abcdef0123456789",
        "name": "json",
        "kind": 2,
        "startTimeUnixNano": "1790000000000000000",
        "endTimeUnixNano": "1790000000000000001",
        "attributes": [
            {"key": "empty", "value": {}},
            {"key": "mixed", "value": {"arrayValue": {"values": [{"intValue": "1"}, {}]}}},
        ],
    }


# Row 24: connections.


def test_row_24_many_calls_on_one_channel(collector: Collector) -> None:
    """Sixteen calls in flight on one channel, and as many HTTP connections, are all answered."""
    names = [f"flight-{number}" for number in range(64)]

    def send(name: str) -> int:
        body = trace_request(name).SerializeToString()
        collector.call(body)
        return collector.post(body).status

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(send, names)) == [200] * 64
    for name in names:
        collector.wait_for_span(name)


def test_row_24_pings_are_not_answered_with_goaway(collector: Collector) -> None:
    """A client that pings again and again without a call is answered each time, and stays."""
    preface, settings, pings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 4, 30
    with socket.create_connection(("127.0.0.1", collector.at.grpc_port), timeout=30) as raw:
        raw.sendall(preface + frame_of(settings, b""))
        stream = raw.makefile("rb")
        answered = []
        for number in range(pings):
            payload = b"ping%04d" % number
            raw.sendall(frame_of(PING, payload))
            while (received := receive_frame(stream)) != (PING, 1, payload):
                assert received[0] != GOAWAY
            answered.append(payload)
    assert len(answered) == pings


PING, GOAWAY = 6, 7


def frame_of(kind: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, 0, 0, 0, 0, 0]) + payload


def receive_frame(stream: Any) -> tuple[int, int, bytes]:
    head = stream.read(9)
    return head[3], head[4], stream.read(int.from_bytes(head[:3], "big"))


def test_row_24_http_connections_are_kept(collector: Collector) -> None:
    """Requests follow one another on one connection, refused ones between them included."""
    body = body_of(kept=1)
    head = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
    with connected(collector.at.http_port) as wire:
        statuses = []
        for data in (body, b"\xff", body):
            wire.send(head + b"Content-Length: %d\r\n\r\n" % len(data) + data)
            statuses.append(wire.receive().status)
    assert statuses == [200, 400, 200]


def test_http_continue_is_said_when_the_body_is_wanted(collector: Collector) -> None:
    """Expect: 100-continue is answered before the body; what is refused anyway is not asked for."""
    body = body_of(continued=1)
    head = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n"
    with connected(collector.at.http_port) as wire:
        wire.send(head % len(body) + b"Content-Type: application/x-protobuf\r\n\r\n")
        assert wire.receive().status == 100
        wire.send(body)
        assert wire.receive().status == 200
    with connected(collector.at.http_port) as wire:
        wire.send(head % (1 << 40) + b"Content-Type: application/x-protobuf\r\n\r\n")
        assert wire.receive().status == 413
        assert wire.is_closed()


def test_http_chunked_bodies_are_taken(collector: Collector) -> None:
    """A body of unknown length, with extensions and trailers, is taken; the connection is kept."""
    body = body_of(chunked=1)
    head = (
        b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/x-protobuf\r\n\r\n"
    )
    chunks = b"5;ext=1\r\n" + body[:5] + b"\r\n%X\r\n" % (len(body) - 5) + body[5:] + b"\r\n"
    with connected(collector.at.http_port) as wire:
        for _ in range(2):
            wire.send(head + chunks + b"0\r\nTrailer: x\r\n\r\n")
            assert wire.receive().status == 200
    collector.wait_for_span("chunked")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: -1\r\n",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
    ],
)
def test_http_bodies_of_no_clear_length_are_bad(collector: Collector, head: bytes) -> None:
    """A body whose end cannot be told for sure is refused, and the connection ended."""
    with connected(collector.at.http_port) as wire:
        wire.send(
            b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            + head
            + b"\r\n3\r\n{}\r\n"
        )
        answer = wire.receive()
        assert (answer.status, answer.json["code"]) == (400, 3)
        assert wire.is_closed()


def test_a_client_that_goes_in_the_middle_leaves_no_trace(collector: Collector) -> None:
    """Half a request on a connection that ends is not taken, and others go on."""
    body = body_of(halved=1)
    with connected(collector.at.http_port) as wire:
        wire.send(
            b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body[:-2]
        )
    collector.post(body_of(after=1))
    collector.wait_for_span("after")
    assert "halved" not in span_names(collector.out)


@pytest.mark.parametrize("line", [b"NONSENSE\r\n\r\n", b"BREW /v1/traces HTTP/1.1\r\n\r\n"])
def test_what_is_no_http_is_refused_with_a_status(collector: Collector, line: bytes) -> None:
    """A broken request line and an unknown method are answered, not with a page of HTML."""
    with connected(collector.at.http_port) as wire:
        wire.send(line)
        if line.startswith(b"BREW"):
            assert wire.receive().json["code"] == 3
        else:
            assert b'"code"' in wire._file.read()


# The real SDK, all signals, both transports.


def sdk_exporters(collector: Collector, transport: str) -> tuple[Any, Any, Any]:
    if transport == "grpc":
        options = {"endpoint": f"http://{collector.at.grpc}", "compression": grpc.Compression.Gzip}
        return (
            GrpcSpanExporter(**options),
            GrpcMetricExporter(**options),
            GrpcLogExporter(**options),
        )
    base, deflate = collector.at.http, HttpCompression.Deflate
    return (
        HttpSpanExporter(f"{base}/v1/traces", compression=deflate),
        HttpMetricExporter(f"{base}/v1/metrics", compression=HttpCompression.Gzip),
        HttpLogExporter(f"{base}/v1/logs"),
    )


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_sdk_sends_all_signals(collector: Collector, transport: str) -> None:
    """Spans, metrics and log records of the OpenTelemetry SDK arrive by either transport."""
    spans, metrics, logs = sdk_exporters(collector, transport)
    traced, metered, logged = f"sdk-{transport}-span", f"sdk.{transport}.count", f"sdk-{transport}"
    tracer_provider = TracerProvider(shutdown_on_exit=False)
    tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
    with tracer_provider.get_tracer("test").start_as_current_span(traced):
        pass
    meter_provider = MeterProvider(
        [PeriodicExportingMetricReader(metrics, export_interval_millis=3_600_000)],
        shutdown_on_exit=False,
    )
    meter_provider.get_meter("test").create_counter(metered).add(3)
    meter_provider.force_flush()
    logger_provider = LoggerProvider(shutdown_on_exit=False)
    logger_provider.add_log_record_processor(SimpleLogRecordProcessor(logs))
    logger_provider.get_logger("test").emit(body="said", event_name=logged)
    for provider in (tracer_provider, meter_provider, logger_provider):
        provider.shutdown()

    def arrived() -> bool | None:
        text = collector.out.read_text()
        return all(f'"{name}"' in text for name in (traced, metered, logged)) or None

    wait_for(arrived, what="all three signals")
