"""The three signals of OTLP: how each is called, and the messages it travels in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otel_parsl.wire import LOGS, METRICS, TRACES
from otel_parsl_collector.partial_messages import BYTES, MANY, Field, message_classes


class Signal(NamedTuple):
    """One signal."""

    number: int
    """``wire.TRACES``, ``METRICS`` or ``LOGS``."""
    name: str
    """As a pipeline and a URL call it."""
    items: str
    """What its items are called in the OpenTelemetry Collector's own metrics."""
    service: str
    """Its gRPC service."""
    groups: str
    """The request's only field, in OTLP/JSON."""
    rejected: str
    """The field of a partial success that counts what was not taken."""
    request: Any
    response: Any

    def count(self, request: Any) -> int:
        """Return how many items a request holds."""
        return _COUNTS[self.number](request)


def _count_spans(request: Any) -> int:
    return sum(len(scope.spans) for group in request.resource_spans for scope in group.scope_spans)


def _count_points(request: Any) -> int:
    return sum(
        len(getattr(metric, kind).data_points)
        for group in request.resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
        if (kind := metric.WhichOneof("data")) is not None
    )


def _count_records(request: Any) -> int:
    return sum(
        len(scope.log_records) for group in request.resource_logs for scope in group.scope_logs
    )


_COUNTS = {TRACES: _count_spans, METRICS: _count_points, LOGS: _count_records}

_SERVICE = "opentelemetry.proto.collector"
SIGNALS = {
    TRACES: Signal(
        TRACES,
        "traces",
        "spans",
        f"{_SERVICE}.trace.v1.TraceService",
        "resourceSpans",
        "rejected_spans",
        ExportTraceServiceRequest,
        ExportTraceServiceResponse,
    ),
    METRICS: Signal(
        METRICS,
        "metrics",
        "metric_points",
        f"{_SERVICE}.metrics.v1.MetricsService",
        "resourceMetrics",
        "rejected_data_points",
        ExportMetricsServiceRequest,
        ExportMetricsServiceResponse,
    ),
    LOGS: Signal(
        LOGS,
        "logs",
        "log_records",
        f"{_SERVICE}.logs.v1.LogsService",
        "resourceLogs",
        "rejected_log_records",
        ExportLogsServiceRequest,
        ExportLogsServiceResponse,
    ),
}
"""The signals, by number."""

BY_NAME = {signal.name: signal for signal in SIGNALS.values()}


_DATA = {5: "gauge", 7: "sum", 9: "histogram", 10: "exponential_histogram", 11: "summary"}
# What OTLP may have many of stands here once, and protobuf joins all that come for one: so all
# items of a request are in one list, and no group, scope or metric needs a look in Python.
_JOINED = message_classes(
    "otel_parsl.joined",
    {
        "Request": (Field(1, "group", "Group"),),
        "Group": (Field(2, "scope", "Scope"),),
        "Scope": (Field(2, "items", BYTES, MANY),),
        "MetricRequest": (Field(1, "group", "MetricGroup"),),
        "MetricGroup": (Field(2, "scope", "MetricScope"),),
        "MetricScope": (Field(2, "metric", "Metric"),),
        "Metric": [Field(number, name, "Data") for number, name in _DATA.items()],
        "Data": (Field(1, "data_points", BYTES, MANY),),
    },
)


def count_items(signal: int, payload: bytes) -> int:
    """Return how many items a request holds; one that cannot be decoded counts as one."""
    if signal not in SIGNALS:
        return 1
    try:
        if signal != METRICS:
            return len(_JOINED["Request"].FromString(payload).group.scope.items)
        metric = _JOINED["MetricRequest"].FromString(payload).group.scope.metric
    except DecodeError:
        return 1
    return sum(len(getattr(metric, name).data_points) for name in _DATA.values())


def count_by_signal(requests: Iterable[tuple[int, bytes]]) -> Counter[int]:
    """Return how many items requests hold, by signal, of signals and payloads."""
    counts: Counter[int] = Counter()
    for signal, payload in requests:
        counts[signal] += count_items(signal, payload)
    return counts
