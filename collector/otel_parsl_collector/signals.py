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


def count_items(signal: int, payload: bytes) -> int:
    """Return how many items a request holds; one that cannot be decoded counts as one."""
    kind = SIGNALS.get(signal)
    if kind is None:
        return 1
    try:
        return kind.count(kind.request.FromString(payload))
    except DecodeError:
        return 1


def count_by_signal(requests: Iterable[tuple[int, bytes]]) -> Counter[int]:
    """Return how many items requests hold, by signal, of signals and payloads."""
    counts: Counter[int] = Counter()
    for signal, payload in requests:
        counts[signal] += count_items(signal, payload)
    return counts
