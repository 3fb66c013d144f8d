"""
How far the clocks of hosts are apart, as metrics.

Flow: lifecycle -> **clocks** -> spool (stream ``derived``)
"""

from __future__ import annotations

from collections.abc import Iterator

from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otel_parsl import semconv, wire
from otel_parsl.semconv import TERMS
from otel_parsl_collector.clock_bounds import ClockBounds


def clock_metrics(bounds: ClockBounds, now_ns: int) -> Iterator[bytes]:
    """Yield the sized Metrics of now; none while nothing is known of any host."""
    if not bounds.by_host:
        return
    names = (semconv.CLOCK_AHEAD_AT_LEAST, semconv.CLOCK_AHEAD_AT_MOST)
    for side, name in enumerate(names):
        metric = Metric(name=name, unit=TERMS[name].unit, description=TERMS[name].meaning)
        for host, sides in bounds.by_host.items():
            point = metric.gauge.data_points.add(time_unix_nano=now_ns, as_double=sides[side] / 1e9)
            point.attributes.add(key=semconv.HOST_NAME).value.string_value = host
        yield wire.sized(metric.SerializeToString())
