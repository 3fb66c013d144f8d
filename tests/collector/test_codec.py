"""Bytes to requests: protobuf, OTLP/JSON, compression, and the ids that are let in."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otel_parsl_collector.otlp_json import fill, render
from otel_parsl_collector.receivers.codec import Request, read_json, read_protobuf, response
from otel_parsl_collector.receivers.compression import decompress, is_compressed
from otel_parsl_collector.receivers.refusal import Malformed, TooLarge
from otel_parsl_collector.signals import SIGNALS

from otel_parsl.wire import LOGS, METRICS, TRACES
from tests.support.otlp_requests import TIME_NS, logs_request, metrics_request, trace_request

LIMIT_BYTES = 1 << 20
SIGNAL_OF = {"resourceSpans": TRACES, "resourceMetrics": METRICS, "resourceLogs": LOGS}
HEX_TRACE, HEX_SPAN = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


def span_json(**more: Any) -> dict[str, Any]:
    return {
        "resourceSpans": [
            {"scopeSpans": [{"spans": [{"traceId": HEX_TRACE, "spanId": HEX_SPAN, **more}]}]}
        ]
    }


def read_span(value: dict[str, Any]) -> Span:
    request = read_json(TRACES, json.dumps(value).encode())
    return (
        ExportTraceServiceRequest.FromString(request.payload)
        .resource_spans[0]
        .scope_spans[0]
        .spans[0]
    )


def any_value(**value: Any) -> AnyValue:
    return AnyValue(**value)


@pytest.mark.parametrize(
    ("signal", "request_", "items"),
    [
        (TRACES, trace_request("a", "b"), 2),
        (METRICS, metrics_request(1.0, 2.0, 3.0), 3),
        (LOGS, logs_request("x"), 1),
    ],
)
def test_protobuf_is_passed_on_byte_for_byte(signal: int, request_: Any, items: int) -> None:
    """A sound request is spooled as the very bytes that were sent, with unknown fields too."""
    body = request_.SerializeToString() + b"\x92\x03\x03new"
    assert read_protobuf(signal, body) == Request(signal, body, items, 0, "")


@pytest.mark.parametrize("body", [b"", b"\n\x00", b"\n\x02\x12\x00"])
def test_empty_requests_are_taken(body: bytes) -> None:
    """Zero bytes and envelopes without items are requests of no items."""
    assert read_protobuf(TRACES, body) == Request(TRACES, body, 0, 0, "")


@pytest.mark.parametrize(
    "body",
    [
        trace_request("name").SerializeToString()[:-3],
        b"\x1f\x8b garbage",
        b"\n\xff\xff\xff\xff\x0f",
        trace_request("name").SerializeToString().replace(b"name", b"\xff\xfe\xfd\xfc"),
    ],
    ids=["truncated", "garbage", "impossible length", "no UTF-8"],
)
def test_what_is_no_protobuf_is_malformed(body: bytes) -> None:
    """What cannot be decoded is refused for good, with the name of what was expected."""
    with pytest.raises(Malformed, match="the body is no ExportTraceServiceRequest"):
        read_protobuf(TRACES, body)


@pytest.mark.parametrize("trace_id", [HEX_TRACE, HEX_TRACE.upper()])
def test_json_ids_are_hexadecimal_in_either_case(trace_id: str) -> None:
    """Trace and span ids are hex in every message, links included; other bytes are base64."""
    span = read_span(
        span_json(
            traceId=trace_id,
            parentSpanId=HEX_SPAN.upper(),
            links=[{"traceId": trace_id, "spanId": HEX_SPAN}],
            attributes=[{"key": "b", "value": {"bytesValue": "AQID"}}],
        )
    )
    expected = Span(
        trace_id=bytes.fromhex(HEX_TRACE),
        span_id=bytes.fromhex(HEX_SPAN),
        parent_span_id=bytes.fromhex(HEX_SPAN),
    )
    expected.links.add(trace_id=bytes.fromhex(HEX_TRACE), span_id=bytes.fromhex(HEX_SPAN))
    expected.attributes.add(key="b").value.bytes_value = b"\x01\x02\x03"
    assert span == expected


def test_json_exemplar_ids_are_hexadecimal() -> None:
    """The ids of an exemplar are hex, as everywhere."""
    point = {
        "timeUnixNano": str(TIME_NS),
        "asInt": "-7",
        "exemplars": [{"traceId": HEX_TRACE, "spanId": HEX_SPAN, "asDouble": 1}],
    }
    metric = {"name": "m", "sum": {"dataPoints": [point], "aggregationTemporality": 2}}
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}
    request = read_json(METRICS, json.dumps(body).encode())
    expected = metrics_request()
    expected.Clear()
    added = expected.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    added.sum.aggregation_temporality = 2
    data = added.sum.data_points.add(time_unix_nano=TIME_NS, as_int=-7)
    data.exemplars.add(
        trace_id=bytes.fromhex(HEX_TRACE), span_id=bytes.fromhex(HEX_SPAN), as_double=1.0
    )
    assert request == Request(METRICS, expected.SerializeToString(), 1, 0, "")


@pytest.mark.parametrize("time", [TIME_NS, str(TIME_NS)])
def test_json_integers_are_numbers_or_strings(time: object) -> None:
    """64-bit integers are taken as decimal strings and as numbers."""
    span = read_span(
        span_json(
            startTimeUnixNano=time,
            kind=2,
            attributes=[{"key": "i", "value": {"intValue": str(-(2**63))}}],
        )
    )
    assert (span.start_time_unix_nano, span.kind, span.attributes[0].value.int_value) == (
        TIME_NS,
        2,
        -(2**63),
    )


def test_json_unknown_keys_are_ignored() -> None:
    """Keys of a newer protocol are ignored at every level, null is absence."""
    value = span_json(name="n", kind=None, somethingNew={"deep": [1, {"a": 2}]})
    value["another"] = 1
    assert read_span(value) == read_span(span_json(name="n"))


def test_json_enums_may_be_named() -> None:
    """Enums are integers; their names are understood too, as by the OpenTelemetry Collector."""
    assert read_span(span_json(kind="SPAN_KIND_SERVER")).kind == 2


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"stringValue": ""},
        {"boolValue": False},
        {"arrayValue": {}},
        {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}, {}]}},
        {"kvlistValue": {"values": [{"key": "k", "value": {"kvlistValue": {"values": []}}}]}},
        {"bytesValue": ""},
    ],
)
def test_json_values_of_every_shape_are_taken(value: dict[str, Any]) -> None:
    """Empty values, bytes, mixed arrays and nested lists may stand anywhere, and come back."""
    attributes = [{"key": "a", "value": value}]
    span = read_span(span_json(attributes=attributes))
    again = Span()
    fill(again, render(span))
    assert again == span
    assert (
        span.attributes[0].value.WhichOneof("value")
        == {
            "stringValue": "string_value",
            "boolValue": "bool_value",
            "arrayValue": "array_value",
            "kvlistValue": "kvlist_value",
            "bytesValue": "bytes_value",
            None: None,
        }[next(iter(value), None)]
    )


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ('{"resourceSpans": [', "no JSON"),
        ("", "no JSON"),
        ("[]", r"\[\]; expected an object"),
        ('{"resourceSpans": {}}', r"resourceSpans: \{\}; expected a list"),
        (json.dumps(span_json(name=1)), r"resourceSpans\[0\].scopeSpans\[0\].spans\[0\].name: 1;"),
        (json.dumps(span_json(traceId="xyz")), "traceId: 'xyz'; expected hexadecimal"),
        (json.dumps(span_json(traceId="abc")), "traceId: 'abc'; expected hexadecimal"),
        (json.dumps(span_json(startTimeUnixNano=-1)), "startTimeUnixNano: "),
        (json.dumps(span_json(startTimeUnixNano=True)), "startTimeUnixNano: True; expected an int"),
        (json.dumps(span_json(startTimeUnixNano="1" * 400)), "startTimeUnixNano: '111"),
        (json.dumps(span_json(name="\ud800")), "name: "),
        (
            json.dumps(span_json(events=[{"timeUnixNano": "noon"}])),
            r"events\[0\].timeUnixNano: 'noon'",
        ),
        ('{"resourceSpans": NaN}', "NaN is no JSON"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_broken_json_is_malformed_and_says_where(body: str, where: str) -> None:
    """What is no OTLP/JSON is refused for good, with the path of what is wrong."""
    with pytest.raises(Malformed, match=where):
        read_json(TRACES, body.encode(errors="surrogatepass"))


def test_json_nested_deeper_than_decoders_go_is_malformed() -> None:
    """What protobuf's decoders could not read back from the spool does not come in."""
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(60):
        value = {"arrayValue": {"values": [value]}}
    with pytest.raises(Malformed, match="nested too deep"):
        read_span(span_json(attributes=[{"key": "a", "value": value}]))


def test_the_example_of_the_specification_comes_back() -> None:
    """JSON to protobuf and back gives what was there, ids in lower case, 64 bits as strings."""
    value = {
        "resourceLogs": [
            {
                "resource": {
                    "attributes": [{"key": "service.name", "value": {"stringValue": "s"}}]
                },
                "scopeLogs": [
                    {
                        "scope": {"name": "my.library", "version": "1.0.0"},
                        "logRecords": [
                            {
                                "timeUnixNano": "1544712660300000000",
                                "severityNumber": 10,
                                "severityText": "Information",
                                "traceId": HEX_TRACE,
                                "spanId": HEX_SPAN,
                                "body": {"stringValue": "Example log record"},
                                "attributes": [
                                    {"key": "double", "value": {"doubleValue": 637.704}},
                                    {"key": "infinite", "value": {"doubleValue": "-Infinity"}},
                                    {"key": "int", "value": {"intValue": "10"}},
                                ],
                            }
                        ],
                    }
                ],
            }
        ]
    }
    request = logs_request()
    request.Clear()
    fill(request, value)
    assert render(request) == value


EXAMPLES = sorted((Path(__file__).parent / "otlp_examples").glob("*.json"))
_HEX_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_examples_of_opentelemetry_proto_are_read_and_come_back(path: Path) -> None:
    """They say to us what they say to protobuf's own reader, whose ids are in base64."""
    value = json.loads(path.read_text())
    signal = SIGNAL_OF[next(iter(value))]
    request = SIGNALS[signal].request()
    fill(request, value)
    expected = SIGNALS[signal].request()
    ParseDict(_with_ids_in_base64(value), expected)
    assert request == expected
    again = SIGNALS[signal].request()
    fill(again, json.loads(json.dumps(render(request))))
    assert again == expected


def _with_ids_in_base64(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_ids_in_base64(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(each)).decode()
        if key in _HEX_IDS
        else _with_ids_in_base64(each)
        for key, each in value.items()
    }


_SCALARS = st.one_of(
    st.builds(any_value, string_value=st.text()),
    st.builds(any_value, bool_value=st.booleans()),
    st.builds(any_value, int_value=st.integers(-(2**63), 2**63 - 1)),
    st.builds(any_value, double_value=st.floats(allow_nan=False)),
    st.builds(any_value, bytes_value=st.binary()),
    st.just(AnyValue()),
)


def _lists(inner: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[AnyValue]:
    def build(values: list[AnyValue]) -> AnyValue:
        value = AnyValue()
        value.array_value.values.extend(values)
        return value

    return st.lists(inner, max_size=3).map(build)


@settings(max_examples=60)
@given(st.recursive(_SCALARS, _lists, max_leaves=8))
def test_any_value_survives_json(value: AnyValue) -> None:
    """Every value is the same after protobuf -> JSON text -> protobuf."""
    again = AnyValue()
    fill(again, json.loads(json.dumps(render(value))))
    assert again == value


def test_spans_with_bad_ids_are_left_out_and_counted() -> None:
    """Three good spans and four bad ones: three are spooled, four are counted and explained."""
    request = trace_request("a", "b", "c")
    expected = request.SerializeToString()
    spans = request.resource_spans[0].scope_spans[0].spans
    good = bytes(range(1, 9))
    spans.add(trace_id=b"short", span_id=good)
    spans.insert(0, Span(trace_id=bytes(16), span_id=good))
    spans.insert(2, Span(trace_id=bytes(range(16)), span_id=b""))
    linked = spans.add(trace_id=bytes(range(16)), span_id=good)
    linked.links.add(trace_id=b"1", span_id=good)
    read = read_protobuf(TRACES, request.SerializeToString())
    assert (read.payload, read.items, read.rejected) == (expected, 3, 4)
    answer = response(read).partial_success
    assert (answer.rejected_spans, answer.error_message) == (4, read.warning)
    assert read.warning.startswith("4 spans refused: trace_id must be 16 bytes")


def test_log_records_with_bad_ids_are_taken_without_them() -> None:
    """A log record whose ids are wrong belongs to no trace; the sender is told, nothing lost."""
    request = logs_request("x", "y")
    request.resource_logs[0].scope_logs[0].log_records[0].trace_id = b"short"
    read = read_protobuf(LOGS, request.SerializeToString())
    assert (read.payload, read.items, read.rejected) == (
        logs_request("x", "y").SerializeToString(),
        2,
        0,
    )
    answer = response(read).partial_success
    assert (answer.rejected_log_records, answer.error_message) == (
        0,
        "1 items taken without their trace_id and span_id, whose length is wrong",
    )


def test_success_says_nothing() -> None:
    """Where all is taken, the response has no partial_success."""
    answer = response(read_protobuf(TRACES, trace_request("a").SerializeToString()))
    assert answer == ExportTraceServiceResponse()
    assert not answer.HasField("partial_success")


def _bare_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("", bytes),
        ("identity", bytes),
        ("gzip", gzip.compress),
        (" GZip ", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
        ("deflate", zlib.compress),
        ("deflate", _bare_deflate),
    ],
)
def test_bodies_are_decompressed(encoding: str, compress: Any) -> None:
    """Each encoding gives back what was compressed, at lengths around the limit too."""
    for size in (0, 1, 100_000, LIMIT_BYTES):
        data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        assert decompress(compress(data), encoding, limit_bytes=LIMIT_BYTES) == data


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gzip", b"no gzip"),
        ("gzip", b""),
        ("gzip", gzip.compress(b"x" * 1000)[:-6]),
        ("gzip", gzip.compress(b"x") + b"garbage"),
        ("gzip", gzip.compress(b"") * 100),
        ("deflate", b"\xff\xff\xff"),
        ("br", b"x"),
        ("gzip, gzip", b"x"),
    ],
)
def test_what_is_wrongly_compressed_is_malformed(encoding: str, data: bytes) -> None:
    """Truncated, garbage, or of an encoding that is not known: refused for good."""
    with pytest.raises(Malformed):
        decompress(data, encoding, limit_bytes=LIMIT_BYTES)


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_a_bomb_is_stopped_while_decompressing(compress: Any) -> None:
    """A small body that would become 64 MB is refused once it passes the limit of 1 MiB."""
    encoding = is_compressed(bomb := compress(bytes(64_000_000)))
    with pytest.raises(TooLarge, match="larger than the 1048576 bytes allowed"):
        decompress(bomb, encoding, limit_bytes=LIMIT_BYTES)


def test_grpc_messages_tell_how_they_are_compressed() -> None:
    """gRPC hides its flag, but no request begins like gzip or zlib."""
    plain = trace_request("a").SerializeToString()
    found = [is_compressed(data) for data in (b"", plain, gzip.compress(plain), zlib.compress(b""))]
    assert found == ["", "", "gzip", "deflate"]


def test_base64_is_taken_in_both_alphabets() -> None:
    """Bytes are base64, in the standard or the URL's alphabet, padded or not."""
    data = bytes([251, 255, 190, 1])
    texts = [
        base64.b64encode(data).decode(),
        base64.urlsafe_b64encode(data).decode(),
        base64.b64encode(data).decode().rstrip("="),
    ]
    found = []
    for text in texts:
        value = AnyValue()
        fill(value, {"bytesValue": text})
        found.append(value.bytes_value)
    assert found == [data] * 3
