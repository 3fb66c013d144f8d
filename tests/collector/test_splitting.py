"""A request that is split still has whole samples, since the points of one make one row."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from otel_parsl_collector.exporters.splitting import split

from otel_parsl.wire import METRICS

_TIMES = st.lists(st.integers(1, 6), max_size=6)


def _request(groups: list[list[list[int]]]) -> Any:
    """Return groups of metrics, each with points of some times; gauges and sums in turn."""
    request = ExportMetricsServiceRequest()
    for place, metrics in enumerate(groups):
        group = request.resource_metrics.add()
        group.resource.attributes.add(key="place").value.int_value = place
        scope = group.scope_metrics.add()
        for number, times in enumerate(metrics):
            metric = scope.metrics.add(name=f"metric {number}")
            kind = metric.sum if number % 2 else metric.gauge
            kind.SetInParent()
            for time_ns in times:
                kind.data_points.add(time_unix_nano=time_ns, as_int=number)
    return request


def _points(request: Any) -> list[tuple[int, int, str, int]]:
    """Return place, time, metric and value of each point."""
    return [
        (place, point.time_unix_nano, metric.name, point.as_int)
        for group in request.resource_metrics
        for place in [group.resource.attributes[0].value.int_value]
        for scope in group.scope_metrics
        for metric in scope.metrics
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]


@given(st.lists(st.lists(_TIMES, max_size=4), min_size=1, max_size=3))
def test_points_of_one_time_are_never_parted(groups: list[list[list[int]]]) -> None:
    """As long as they fit, what has one time is in one piece; each point is in one of them."""
    request = _request(groups)
    whole = [
        _request([[[each for each in times if each == time_ns] for times in metrics]])
        for metrics in groups
        for time_ns in range(1, 7)
    ]
    limit_bytes = max(each.ByteSize() for each in whole)

    pieces = split(METRICS, request.SerializeToString(), limit_bytes=limit_bytes)
    found = [_points(ExportMetricsServiceRequest.FromString(piece)) for piece in pieces.fitting]

    assert pieces.too_large == []
    assert Counter(point for piece in found for point in piece) == Counter(_points(request))
    pieces_of = Counter(which for piece in found for which in {(p[0], p[1]) for p in piece})
    assert set(pieces_of.values()) <= {1}
