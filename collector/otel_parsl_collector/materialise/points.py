"""
The points of metrics, out of their bytes.

In the form that we write (name, unit, gauge of one point; time, value, attributes) they need no
protobuf library; any other form it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint

from otel_parsl.wire import varint
from otel_parsl_collector.materialise.views import MetricView

Point = tuple[int, float, bytes]
"""Time, value, and the attributes as they are encoded."""
DOUBLE_TAG, INTEGER_TAG = 0x21, 0x31
_TIME_TAG = 0x19
_VALUE_END = 18
_MOST = 2048
_read_double = Struct("<xQxd").unpack_from
_read_integer = Struct("<xQxq").unpack_from


def _heads() -> dict[int, bytes]:
    found = {}
    for size in range(_VALUE_END, _MOST):
        point = b"\x0a" + varint(size)
        head = b"\x2a" + varint(len(point) + size) + point
        found[len(head) + size] = head
    return found


_HEADS = _heads()
"""What stands before a gauge's only point, by the size of it and the point."""


def single_point(data: bytes) -> int | None:
    """Return where the point of a metric of one point begins; None for a metric of another form."""
    try:
        unit = data[1] + 3
        gauge = unit + data[unit] + 1
        head = _HEADS[len(data) - gauge]
        if data.startswith(head, gauge):
            start = gauge + len(head)
            if data[start] == _TIME_TAG and data[start + 9] in (DOUBLE_TAG, INTEGER_TAG):
                return start
    except LookupError:
        pass
    return None


def read_metric(data: bytes) -> tuple[str, Sequence[Point]]:
    """
    Return the name and the points of a gauge.

    Raises:
        DecodeError: It is no metric.
    """
    metric = MetricView.FromString(data)
    return metric.name, [_read_point(point) for point in metric.gauge.data_points]


def _read_point(data: bytes) -> Point:
    if len(data) >= _VALUE_END and data[0] == _TIME_TAG:
        if data[9] == INTEGER_TAG:
            time_ns, value = _read_integer(data)
            return time_ns, value, data[_VALUE_END:]
        if data[9] == DOUBLE_TAG:
            time_ns, value = _read_double(data)
            return time_ns, value, data[_VALUE_END:]
    point = NumberDataPoint.FromString(data)
    value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
    attributes = NumberDataPoint(attributes=point.attributes).SerializeToString()
    return point.time_unix_nano, value, attributes
