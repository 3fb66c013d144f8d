"""Metric points to facts: the samples of tries and the reports of managers."""

from __future__ import annotations

from collections.abc import Iterable
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
    samples: dict[tuple[int, int, int], list[Any]] = {}
    keys = _PointKeys()
    for metric in metrics:
        name = metric.name
        column = _COLUMN.get(name)
        if column is not None:
            facts.incomplete += _add_points(metric.gauge.data_points, column, keys, samples)
        elif name.startswith("parsl.manager."):
            manager[name] = {p.time_unix_nano: _value(p) for p in metric.gauge.data_points}
        else:
            facts.unknown += 1
    for (task_id, try_id, time_ns), row in samples.items():
        pid, status, cpu_num = row[-3:]
        facts.samples.append(
            Sample(run.run_id, task_id, try_id, time_ns, pid, status, cpu_num, tuple(row[:-3]))
        )
    if manager:
        _add_manager(manager, resource, run.run_id, facts)


def _add_points(
    points: Iterable[Any],
    column: int,
    keys: _PointKeys,
    samples: dict[tuple[int, int, int], list[Any]],
) -> int:
    """Put one metric's points into the rows of their samples; return how many have no key."""
    keyless = 0
    for point in points:
        key = keys.of(point)
        if key is None:
            keyless += 1
            continue
        row = samples.get(key)
        if row is None:
            row = samples[key] = [None] * (len(SAMPLE_METRICS) + 3)
        row[column] = _value(point)
        if column == 0:
            row[-3:] = keys.texts(point)
    return keyless


def _value(point: Any) -> float:
    value: float = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
    return value


class _PointKeys:
    """
    Read which try a point is about.

    The points of one sample stand one after another with the same attributes, so the last ones are
    remembered.
    """

    def __init__(self) -> None:
        self._attributes: Any = None
        self._ids: tuple[int, int] | None = None

    def of(self, point: Any) -> tuple[int, int, int] | None:
        attributes = point.attributes
        if self._attributes is None or attributes != self._attributes:
            found = read_attributes(attributes)
            try:
                self._ids = (found[names.TASK_ID], found[names.TRY_ID])
            except KeyError:
                return None
            self._attributes = attributes
        assert self._ids is not None
        return (*self._ids, point.time_unix_nano)

    @staticmethod
    def texts(point: Any) -> tuple[int | None, str | None, str | None]:
        found = read_attributes(point.attributes)
        cpu_num = found.get(names.SAMPLE_CPU_NUM)
        return (
            found.get(names.SAMPLE_PID),
            found.get(names.SAMPLE_STATUS),
            None if cpu_num is None else str(cpu_num),
        )


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
