"""OTLP as it is written by hand is OTLP as the real library reads it."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.internal.decoder import _DecodeVarint
from google.protobuf.internal.encoder import _VarintBytes
from google.protobuf.message import Message
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from otel_parsl import wire
from tests.support.otlp_text import INT64, SCALARS, TEXT, UINT64, as_sent

Scalar = str | int | float | bool
Pairs = list[tuple[str, Scalar]]

PAIRS = st.lists(st.tuples(TEXT, SCALARS), max_size=6)
TRACE_ID = st.binary(min_size=16, max_size=16)
SPAN_ID = st.binary(min_size=8, max_size=8)
SPAN_EVENTS = st.lists(st.tuples(TEXT, UINT64, PAIRS), max_size=3)
SPAN_LINKS = st.lists(st.tuples(TRACE_ID, SPAN_ID, PAIRS), max_size=3)
POINTS = st.lists(st.tuples(PAIRS, UINT64, UINT64), max_size=4)


def _pair(name: str, value: Scalar) -> KeyValue:
    if isinstance(value, bool):
        return KeyValue(key=as_sent(name), value=AnyValue(bool_value=value))
    if isinstance(value, int):
        return KeyValue(key=as_sent(name), value=AnyValue(int_value=value))
    if isinstance(value, float):
        return KeyValue(key=as_sent(name), value=AnyValue(double_value=value))
    return KeyValue(key=as_sent(name), value=AnyValue(string_value=as_sent(value)))


def _pairs(pairs: Pairs) -> list[KeyValue]:
    return [_pair(name, value) for name, value in pairs]


def _written(pairs: Pairs) -> list[bytes]:
    return [wire.Key(name).any(value) for name, value in pairs]


def _unsized(data: bytes) -> bytes:
    """Return what follows a length in front, which must be right."""
    length, start = _DecodeVarint(data, 0)
    assert length == len(data) - start
    return data[start:]


def _assert_same(expected: Message, data: bytes) -> None:
    """Compare what was written with what the library writes: by bytes, since NaN equals nothing."""
    decoded = type(expected).FromString(data)
    assert expected.SerializeToString(deterministic=True) == decoded.SerializeToString(
        deterministic=True
    )


@given(UINT64)
@example(0)
@example(127)
@example(128)
@example(4095)
@example(4096)
@example((1 << 64) - 1)
def test_varint_is_protobufs(number: int) -> None:
    """A number is written as protobuf writes it."""
    assert wire.varint(number) == _VarintBytes(number)


@given(TEXT, SCALARS)
@example("", "")
@example("lone", "\ud800 and \udfff")
@example("nul", "a\0b")
@example("astral", "\U0001f9ec é 漢")
@example("negative", -1)
@example("least", -(1 << 63))
@example("greatest", (1 << 63) - 1)
@example("zero", 0)
@example("minus zero", -0.0)
@example("infinite", float("inf"))
@example("no number", float("nan"))
@example("true", True)
@example("k" * 5000, "v" * 5000)
def test_attribute_has_name_type_and_value(name: str, value: Scalar) -> None:
    """An attribute of whatever scalar type is read with its name, its type and its value."""
    _assert_same(_pair(name, value), _unsized(wire.Key(name).any(value)))


@given(st.integers(-(1 << 70), 1 << 70))
@example(1 << 63)
@example((1 << 64) - 1)
@example(1 << 64)
def test_integer_beyond_64_bits_keeps_the_low_ones(value: int) -> None:
    """An integer that OTLP has no room for wraps, and never makes a request undecodable."""
    wrapped = (value + (1 << 63)) % (1 << 64) - (1 << 63)
    _assert_same(_pair("n", wrapped), _unsized(wire.Key("n").integer(value)))


@pytest.mark.parametrize("size", [(1 << 14) - 1, 1 << 14, (1 << 21) - 4, 1 << 21, 5 << 20])
def test_huge_text_is_whole(size: int) -> None:
    """A text at and beyond each border of its length's length is read whole."""
    text = "é" * (size // 2) + "x" * (size % 2)
    _assert_same(_pair("t", text), _unsized(wire.Key("t").text(text)))


@given(PAIRS)
def test_resource_has_its_attributes(pairs: Pairs) -> None:
    """A Resource is read with its attributes, in order."""
    _assert_same(Resource(attributes=_pairs(pairs)), _unsized(wire.resource(_written(pairs))))


@given(TEXT, TEXT)
def test_scope_has_name_and_version(name: str, version: str) -> None:
    """A scope is read with its name and version."""
    expected = InstrumentationScope(name=as_sent(name), version=as_sent(version))
    _assert_same(expected, _unsized(wire.scope(name, version)))


@given(TEXT, UINT64, UINT64, TRACE_ID, SPAN_ID, PAIRS, st.integers(1, 24))
def test_log_record_has_all_it_was_given(
    name: str,
    time_ns: int,
    observed_ns: int,
    trace_id: bytes,
    span_id: bytes,
    pairs: Pairs,
    severity: int,
) -> None:
    """An event is read with its name, both times, its ids, its severity and its attributes."""
    data = wire.log_record(
        wire.sized(wire.utf8(name)),
        time_ns,
        observed_ns,
        trace_id,
        span_id,
        _written(pairs),
        severity=severity,
    )
    expected = LogRecord(
        event_name=as_sent(name),
        time_unix_nano=time_ns,
        observed_time_unix_nano=observed_ns,
        trace_id=trace_id,
        span_id=span_id,
        attributes=_pairs(pairs),
        severity_number=severity,  # type: ignore[arg-type]
    )
    _assert_same(expected, _unsized(data))


@given(
    ids=st.tuples(TRACE_ID, SPAN_ID, st.none() | SPAN_ID),
    name=TEXT,
    kind=st.integers(wire.INTERNAL, wire.CONSUMER),
    times=st.tuples(UINT64, UINT64),
    pairs=PAIRS,
    events=SPAN_EVENTS,
    links=SPAN_LINKS,
    dropped_links=st.integers(0, (1 << 32) - 1),
    error=st.none() | TEXT,
)
def test_span_has_all_it_was_given(
    *,
    ids: tuple[bytes, bytes, bytes | None],
    name: str,
    kind: int,
    times: tuple[int, int],
    pairs: Pairs,
    events: list[tuple[str, int, Pairs]],
    links: list[tuple[bytes, bytes, Pairs]],
    dropped_links: int,
    error: str | None,
) -> None:
    """A span is read with ids, name, kind, times, attributes, events, links, status and flags."""
    data = wire.span(
        *ids,
        name,
        kind,
        *times,
        _written(pairs),
        events=[
            wire.span_event(wire.sized(wire.utf8(title)), time_ns, _written(of_event))
            for title, time_ns, of_event in events
        ],
        links=[wire.span_link(trace, span, _written(of_link)) for trace, span, of_link in links],
        dropped_links=dropped_links,
        error=error,
    )
    expected = Span(
        trace_id=ids[0],
        span_id=ids[1],
        parent_span_id=ids[2] or b"",
        name=as_sent(name),
        kind=kind,  # type: ignore[arg-type]
        start_time_unix_nano=times[0],
        end_time_unix_nano=min(max(times[0] + 1, times[1]), (1 << 64) - 1),
        attributes=_pairs(pairs),
        events=[
            Span.Event(name=as_sent(title), time_unix_nano=time_ns, attributes=_pairs(of_event))
            for title, time_ns, of_event in events
        ],
        links=[
            Span.Link(trace_id=trace, span_id=span, attributes=_pairs(of_link))
            for trace, span, of_link in links
        ],
        dropped_links_count=dropped_links,
        flags=0x101,  # sampled; that its parent is not remote is known
    )
    if error is not None:
        expected.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=as_sent(error)))
    _assert_same(expected, _unsized(data))


@given(TEXT, TEXT, st.booleans(), POINTS, st.data())
def test_metric_has_its_points(
    name: str, unit: str, is_sum: bool, points: list[tuple[Pairs, int, int]], data: st.DataObject
) -> None:
    """A gauge or a cumulative sum is read with its points, exact to the last bit."""
    is_integer = data.draw(st.booleans())
    values = [data.draw(INT64 if is_integer else st.floats()) for _ in points]
    is_monotonic = data.draw(st.booleans())
    metric = wire.Metric(
        name, unit, is_sum=is_sum, is_integer=is_integer, is_monotonic=is_monotonic
    )
    written = metric.of(
        metric.point(wire.point_attributes(_written(pairs)), start_ns, time_ns, value)
        for (pairs, start_ns, time_ns), value in zip(points, values, strict=True)
    )
    expected_points = [
        NumberDataPoint(
            attributes=_pairs(pairs),
            start_time_unix_nano=start_ns if is_sum else 0,
            time_unix_nano=time_ns,
            **{"as_int" if is_integer else "as_double": value},  # type: ignore[arg-type]
        )
        for (pairs, start_ns, time_ns), value in zip(points, values, strict=True)
    ]
    expected = Metric(name=as_sent(name), unit=as_sent(unit))
    if is_sum:
        expected.sum.CopyFrom(
            Sum(
                data_points=expected_points,
                aggregation_temporality=2,  # type: ignore[arg-type]
                is_monotonic=is_monotonic,
            )
        )
    else:
        expected.gauge.CopyFrom(Gauge(data_points=expected_points))
    # A start of 0 is the wire's default, which the library does not write and ours does.
    _assert_same(expected, _unsized(written))


def _groups(signal: int, items: list[Any], pairs: Pairs, name: str, url: str) -> Message:
    """Return the request that ``wire.request`` should have written, built by the library."""
    resource = Resource(attributes=_pairs(pairs))
    scope = InstrumentationScope(name=as_sent(name), version="1")
    if signal == wire.TRACES:
        spans = ScopeSpans(scope=scope, spans=items, schema_url=url)
        of_spans = ResourceSpans(resource=resource, scope_spans=[spans], schema_url=url)
        return ExportTraceServiceRequest(resource_spans=[of_spans])
    if signal == wire.METRICS:
        metrics = ScopeMetrics(scope=scope, metrics=items, schema_url=url)
        of_metrics = ResourceMetrics(resource=resource, scope_metrics=[metrics], schema_url=url)
        return ExportMetricsServiceRequest(resource_metrics=[of_metrics])
    logs = ScopeLogs(scope=scope, log_records=items, schema_url=url)
    of_logs = ResourceLogs(resource=resource, scope_logs=[logs], schema_url=url)
    return ExportLogsServiceRequest(resource_logs=[of_logs])


_ITEMS: dict[int, tuple[type[Message], list[bytes]]] = {
    wire.TRACES: (Span, [wire.span(b"t" * 16, b"s" * 8, None, "n", 1, 1, 2, [])]),
    wire.METRICS: (Metric, [wire.Metric("m", "s").of(())]),
    wire.LOGS: (LogRecord, [wire.log_record(b"\x01e", 1, 2, b"t" * 16, b"s" * 8, [])]),
}


@given(st.sampled_from(sorted(_ITEMS)), PAIRS, TEXT, st.integers(0, 3))
def test_request_of_each_signal_has_resource_scope_and_items(
    signal: int, pairs: Pairs, name: str, count: int
) -> None:
    """A request of each signal is read with its Resource, scope, schema URLs and items."""
    kind, items = _ITEMS[signal]
    url = "https://opentelemetry.io/schemas/1.44.0"
    data = wire.request(
        wire.resource(_written(pairs)), wire.scope(name, "1"), items * count, schema_url=url
    )
    decoded = [kind.FromString(_unsized(item)) for item in items * count]
    _assert_same(_groups(signal, decoded, pairs, name, url), data)
