"""Metric points to facts: the samples of tries and the reports of managers."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Any

from otel_parsl import semconv as names
from otel_parsl_collector.materialise.attributes import Attributes, read_attributes
from otel_parsl_collector.materialise.facts import Facts, ManagerReport, Run, Sample

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


def add(metrics: Iterable[Any], resource: Attributes, run: Run | None, facts: Facts) -> None:
    """Add what the metrics of one Resource say to the facts."""
    if run is None:
        facts.unknown += 1
        return
    manager: dict[str, dict[int, float]] = {}
    samples = _Samples()
    for metric in metrics:
        name = metric.name
        column = _COLUMN.get(name)
        if column is not None:
            samples.add(metric.gauge.data_points, column)
        elif name.startswith("parsl.manager."):
            points = manager.setdefault(name, {})
            points.update((p.time_unix_nano, _value(p)) for p in metric.gauge.data_points)
        else:
            facts.unknown += 1
    samples.finish(run.run_id, facts)
    if manager:
        _add_manager(manager, resource, run.run_id, facts)


def _value(point: Any) -> float:
    value: float = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
    return value


_SampleKey = tuple[tuple[int, int], int]
_TIME_TAG, _DOUBLE_TAG, _INTEGER_TAG = 0x19, 0x21, 0x31
_VALUE_TAGS = (_DOUBLE_TAG, _INTEGER_TAG)
_VALUE_END = 18
_read_point = Struct("<xQBd").unpack_from


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

    def add(self, points: Iterable[Any], column: int) -> None:
        rows, known = self._rows, self._ids
        for point in points:
            data = point.SerializeToString()
            ids = known.get(data[_VALUE_END:])
            # A point of ours is a time and a value of 8 bytes each, then the attributes; any other
            # is read field by field.
            if ids is not None and data[0] == _TIME_TAG and data[9] in _VALUE_TAGS:
                time_ns, tag, value = _read_point(data)
                if tag == _INTEGER_TAG:
                    value = point.as_int
            else:
                ids = self._read(point, data)
                if ids is None:
                    self._keyless += 1
                    continue
                time_ns, value = point.time_unix_nano, _value(point)
            key = (ids, time_ns)
            row = rows.get(key)
            if row is None:
                row = rows[key] = [None] * len(SAMPLE_METRICS)
            row[column] = value
            if column == 0:
                self._texts[key] = read_attributes(point.attributes)

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

    def _read(self, point: Any, data: bytes) -> tuple[int, int] | None:
        found = read_attributes(point.attributes)
        try:
            ids = (found[names.TASK_ID], found[names.TRY_ID])
        except KeyError:
            return None
        if len(data) > _VALUE_END and data[0] == _TIME_TAG and data[9] in _VALUE_TAGS:
            self._ids[data[_VALUE_END:]] = ids
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
