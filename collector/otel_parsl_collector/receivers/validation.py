"""
Check the ids of a request.

Requests are forwarded joined with others, and most receivers refuse a whole request for one id of
the wrong length: so what is wrong must not come in.
A span without proper ids is refused; a log record or an exemplar whose ids are wrong is taken as
belonging to no trace, as the protocol asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from otel_parsl.wire import LOGS, METRICS, TRACES
from otel_parsl_collector.partial_messages import BYTES, MANY, REQUIRED, Field, message_classes

_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)


class Verdict(NamedTuple):
    """What was found; the request has been changed where either number is not zero."""

    rejected: int
    """Items taken out of the request."""
    cleared: int
    """Items whose ids were taken out."""


def validate(signal: int, request: Any, payload: bytes | None) -> Verdict:
    """
    Take out of a request what no receiver would take.

    Args:
        signal: ``wire.TRACES``, ``METRICS`` or ``LOGS``.
        request: The request.
        payload: The same, encoded; None where it was not protobuf.
    """
    if signal == METRICS and payload is not None and not _has_exemplars(payload):
        return Verdict(0, 0)
    return _CHECKS[signal](request)


_Metrics = message_classes(
    "otel_parsl.exemplars",
    {
        "Request": (Field(1, "groups", "Group", MANY),),
        "Group": (Field(2, "scopes", "Scope", MANY),),
        "Scope": (Field(2, "items", "Metric", MANY),),
        "Metric": (
            Field(5, "gauge", "Numbers"),
            Field(7, "sum", "Numbers"),
            Field(9, "histogram", "Histograms"),
            Field(10, "exponential_histogram", "ExponentialHistograms"),
        ),
        "Numbers": (Field(1, "data_points", "Number", MANY),),
        "Histograms": (Field(1, "data_points", "Histogram", MANY),),
        "ExponentialHistograms": (Field(1, "data_points", "ExponentialHistogram", MANY),),
        "Number": (Field(5, "exemplars", "Exemplar", MANY),),
        "Histogram": (Field(8, "exemplars", "Exemplar", MANY),),
        "ExponentialHistogram": (Field(11, "exemplars", "Exemplar", MANY),),
        "Exemplar": (Field(1000, "never_there", BYTES, REQUIRED),),
    },
)["Request"]


def _has_exemplars(payload: bytes) -> bool:
    """
    Tell whether any point of encoded metrics has an exemplar, without a look at each in Python.

    An Exemplar here requires a field that none has, so a request with one is not whole, which the
    protobuf library finds out by itself.
    """
    return not _Metrics.FromString(payload).IsInitialized()


def _validate_traces(request: Any) -> Verdict:
    rejected = 0
    for group in request.resource_spans:
        for scope in group.scope_spans:
            bad = [number for number, span in enumerate(scope.spans) if not _is_sound(span)]
            for number in reversed(bad):
                del scope.spans[number]
            rejected += len(bad)
    return Verdict(rejected, 0)


def _is_sound(span: Any) -> bool:
    return (
        len(trace_id := span.trace_id) == 16
        and trace_id != _NO_TRACE
        and len(span_id := span.span_id) == 8
        and span_id != _NO_SPAN
        and len(span.parent_span_id) in (0, 8)
        and all(_has_lengths(link) for link in span.links)
    )


def _validate_logs(request: Any) -> Verdict:
    return Verdict(
        0,
        _clear(
            record
            for group in request.resource_logs
            for scope in group.scope_logs
            for record in scope.log_records
        ),
    )


def _validate_metrics(request: Any) -> Verdict:
    return Verdict(
        0,
        _clear(
            exemplar
            for group in request.resource_metrics
            for scope in group.scope_metrics
            for metric in scope.metrics
            if (kind := metric.WhichOneof("data")) not in (None, "summary")
            for point in getattr(metric, kind).data_points
            for exemplar in point.exemplars
        ),
    )


def _clear(items: Iterable[Any]) -> int:
    cleared = 0
    for item in items:
        if not _has_lengths(item):
            item.ClearField("trace_id")
            item.ClearField("span_id")
            cleared += 1
    return cleared


def _has_lengths(item: Any) -> bool:
    return len(item.trace_id) in (0, 16) and len(item.span_id) in (0, 8)


_CHECKS: dict[int, Callable[[Any], Verdict]] = {
    TRACES: _validate_traces,
    METRICS: _validate_metrics,
    LOGS: _validate_logs,
}
