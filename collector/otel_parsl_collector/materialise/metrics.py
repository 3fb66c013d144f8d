"""Metric points to facts: the samples of tries and the reports of managers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from otel_parsl import semconv as names
from otel_parsl_collector.materialise.attributes import Attributes, read_attributes
from otel_parsl_collector.materialise.facts import Facts, ManagerNumbers, ManagerReport, Run, Sample
from otel_parsl_collector.materialise.points import Point, read_metric
from otel_parsl_collector.materialise.sample_layouts import SampleLayouts
from otel_parsl_collector.materialise.views import PointView

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
MANAGER_METRICS = (
    names.MANAGER_WORKERS,
    names.MANAGER_CPUS,
    names.MANAGER_MEMORY,
    names.MANAGER_ACTIVE,
    names.MANAGER_LAST_HEARTBEAT,
    names.MANAGER_TASKS,
    names.MANAGER_LOST,
)
"""The metrics of a manager's report, in the order of ``ManagerNumbers``."""


def add(metrics: Iterable[bytes], resource: Attributes, run: Run | None, facts: Facts) -> None:
    """Add what the encoded metrics of one Resource say to the facts."""
    if run is None:
        facts.unknown += 1
        return
    encoded = list(metrics)
    found = _layouts.read(encoded)
    if found is not None:
        for sample in found:
            _add_sample(*sample, run.run_id, facts)
        return
    manager: dict[str, dict[int, float]] = {}
    samples = _Samples()
    for data in encoded:
        name, points = read_metric(data)
        column = _COLUMN.get(name)
        if column is not None:
            for point in points:
                samples.add(point, column)
        elif name in MANAGER_METRICS:
            of_metric = manager.setdefault(name, {})
            of_metric.update((time_ns, value) for time_ns, value, _ in points)
        else:
            facts.unknown += 1
    samples.finish(run.run_id, facts)
    if manager:
        _add_manager(manager, resource, run.run_id, facts)


def _add_sample(
    time_ns: int,
    attributes: bytes,
    values: tuple[float | None, ...],
    run_id: str,
    facts: Facts,
) -> None:
    said = read_attributes(PointView.FromString(attributes).attributes)
    cpu_num = said.get(names.SAMPLE_CPU_NUM)
    try:
        facts.samples.append(
            Sample(
                run_id,
                said[names.TASK_ID],
                said[names.TRY_ID],
                time_ns,
                said.get(names.SAMPLE_PID),
                said.get(names.SAMPLE_STATUS),
                None if cpu_num is None else str(cpu_num),
                values,
            )
        )
    except KeyError:
        facts.incomplete += 1


_SampleKey = tuple[tuple[int, int], int]
_layouts = SampleLayouts(_COLUMN)


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

    def add(self, point: Point, column: int) -> None:
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
    try:
        which = (
            run_id,
            resource[names.MANAGER_UID],
            resource[names.MANAGER_HOST],
            resource[names.BLOCK_ID],
            resource[names.MANAGER_PYTHON],
            resource.get(names.EXECUTOR_LABEL),
        )
    except KeyError:
        facts.incomplete += 1
        return
    of_columns = [columns.get(name, {}) for name in MANAGER_METRICS]
    times = sorted(set().union(*of_columns))
    values = ([_integer(column.get(time_ns)) for time_ns in times] for column in of_columns)
    for time_ns, *numbers in zip(times, *values, strict=True):
        facts.managers.append(ManagerReport(*which, time_ns, ManagerNumbers(*numbers)))


def _integer(value: float | None) -> int | None:
    return None if value is None else int(value)
