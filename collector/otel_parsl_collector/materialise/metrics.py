"""Metric points to facts: the samples of tries and the reports of managers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint

from otel_parsl import semconv as names
from otel_parsl_collector.materialise.attributes import Attributes, read_attributes
from otel_parsl_collector.materialise.facts import Facts, ManagerReport, Run, Sample
from otel_parsl_collector.materialise.views import MetricView, PointView

SAMPLE_METRICS = (
    names.TRY_SAMPLE,
    names.TRY_CPU_USER,
    names.TRY_CPU_SYSTEM,
    names.TRY_MEMORY_RESIDENT,
    names.TRY_MEMORY_VIRTUAL,
    names.TRY_MEMORY_PERCENT,
    names.TRY_CHILDREN,
    names.TRY_DISK_READ,
    names.TRY_DISK_WRITE,
    names.TRY_SWITCHES_VOLUNTARY,
    names.TRY_SWITCHES_INVOLUNTARY,
)
"""The metrics of a sample, in the order of ``Sample.values``; the first is the interval."""

_COLUMN = {name: column for column, name in enumerate(SAMPLE_METRICS)}
_MANAGER = (
    names.MANAGER_WORKERS,
    names.MANAGER_CPUS,
    names.MANAGER_MEMORY,
    names.MANAGER_ACTIVE,
    names.MANAGER_LAST_HEARTBEAT,
)


def add(metrics: Iterable[bytes], resource: Attributes, run: Run | None, facts: Facts) -> None:
    """Add what the encoded metrics of one Resource say to the facts."""
    if run is None:
        facts.unknown += 1
        return
    manager: dict[str, dict[int, float]] = {}
    samples = _Samples()
    for data in metrics:
        name, points = _read_metric(data)
        column = _COLUMN.get(name)
        if column is not None:
            for point in points:
                samples.add(point, column)
        elif name.startswith("parsl.manager."):
            of_metric = manager.setdefault(name, {})
            for time_ns, value, _ in points:
                of_metric[time_ns] = value
        else:
            facts.unknown += 1
    samples.finish(run.run_id, facts)
    if manager:
        _add_manager(manager, resource, run.run_id, facts)


_SampleKey = tuple[tuple[int, int], int]
_Point = tuple[int, float, bytes]
"""Time, value, and the attributes as they are encoded."""
_TIME_TAG, _DOUBLE_TAG, _INTEGER_TAG = 0x19, 0x21, 0x31
_VALUE_END = 18
_read_double = Struct("<xQxd").unpack_from
_read_integer = Struct("<xQxq").unpack_from


_ENDS = [b"\x2a%c\x0a%c" % (size + 2, size) for size in range(126)]
"""What stands before a gauge's only point, by the size of the point."""
_NAMES = {
    b"\x0a%c%b\x1a" % (len(name), name.encode()): name
    for name in (*SAMPLE_METRICS, *_MANAGER, names.MANAGER_TASKS)
}


def _read_metric(data: bytes) -> tuple[str, Sequence[_Point]]:
    """
    Return the name and the points of a metric.

    A sample's have one point each, and are most of all messages there are: in the form that we give
    them (name, unit, gauge; every length in one byte) they need no protobuf library.
    """
    try:
        name_end = data[1] + 3
        name = _NAMES.get(data[:name_end])
        if name is not None:
            start = name_end + data[name_end] + 5
            if data[start - 4 : start] == _ENDS[len(data) - start]:
                return name, (_read_point(data[start:]),)
    except IndexError:
        pass
    metric = MetricView.FromString(data)
    return metric.name, [_read_point(point) for point in metric.gauge.data_points]


def _read_point(data: bytes) -> _Point:
    """
    Return what a NumberDataPoint says.

    One of ours is a time and a value of 8 bytes each, then the attributes; any other is put into
    that form.
    """
    if len(data) >= _VALUE_END and data[0] == _TIME_TAG:
        if data[9] == _INTEGER_TAG:
            time_ns, value = _read_integer(data)
            return time_ns, value, data[_VALUE_END:]
        if data[9] == _DOUBLE_TAG:
            time_ns, value = _read_double(data)
            return time_ns, value, data[_VALUE_END:]
    point = NumberDataPoint.FromString(data)
    value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
    attributes = NumberDataPoint(attributes=point.attributes).SerializeToString()
    return point.time_unix_nano, value, attributes


class _Samples:
    """
    The samples of a request, put together from the points of their metrics.

    Reading which try a point is about is what costs, and the points of one sample say the same in
    the same bytes: those bytes are remembered with what they say.
    """

    def __init__(self) -> None:
        self._rows: dict[_SampleKey, list[Any]] = {}
        self._texts: dict[_SampleKey, Attributes] = {}
        self._ids: dict[bytes, tuple[int, int]] = {}
        self._keyless = 0

    def add(self, point: _Point, column: int) -> None:
        time_ns, value, attributes = point
        ids = self._ids.get(attributes) or self._read(attributes, time_ns, has_texts=column == 0)
        if ids is None:
            self._keyless += 1
            return
        key = (ids, time_ns)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = [None] * len(SAMPLE_METRICS)
        row[column] = value

    def finish(self, run_id: str, facts: Facts) -> None:
        facts.incomplete += self._keyless
        for key, row in self._rows.items():
            (task_id, try_id), time_ns = key
            texts = self._texts.get(key, {})
            cpu_num = texts.get(names.SAMPLE_CPU_NUM)
            facts.samples.append(
                Sample(
                    run_id,
                    task_id,
                    try_id,
                    time_ns,
                    texts.get(names.SAMPLE_PID),
                    texts.get(names.SAMPLE_STATUS),
                    None if cpu_num is None else str(cpu_num),
                    tuple(row),
                )
            )

    def _read(self, attributes: bytes, time_ns: int, *, has_texts: bool) -> tuple[int, int] | None:
        """Return which try a point is about, and remember it; keep what else the point says."""
        found = read_attributes(PointView.FromString(attributes).attributes)
        try:
            ids = (found[names.TASK_ID], found[names.TRY_ID])
        except KeyError:
            return None
        if has_texts:
            self._texts[ids, time_ns] = found
        else:
            self._ids[attributes] = ids
        return ids


def _add_manager(
    columns: dict[str, dict[int, float]], resource: Attributes, run_id: str, facts: Facts
) -> None:
    held = columns.get(names.MANAGER_TASKS, {})
    try:
        workers, cpus, memory, active, heartbeat = (columns[name] for name in _MANAGER)
        for time_ns, count in workers.items():
            facts.managers.append(
                ManagerReport(
                    run_id,
                    resource[names.MANAGER_UID],
                    resource[names.MANAGER_HOST],
                    resource[names.BLOCK_ID],
                    resource[names.MANAGER_PYTHON],
                    time_ns,
                    int(count),
                    int(cpus[time_ns]),
                    int(memory[time_ns]),
                    int(active[time_ns]),
                    int(heartbeat[time_ns]),
                    int(held[time_ns]) if time_ns in held else None,
                )
            )
    except KeyError:
        facts.incomplete += 1
