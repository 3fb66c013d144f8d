"""
The instruments of a run: tasks by state, how long they took and waited, workers and blocks.

Flow: lifecycle -> **run_metrics** -> spool (stream ``derived``)
All are cumulative, so a point that is sent again, or one that is lost, does no harm.
What is kept is a byte a task and a few numbers an app, however long the run.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)

from otel_parsl import semconv, wire
from otel_parsl.semconv import STATES, TERMS

BOUNDS_S = (
    *(0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    *(60.0, 180.0, 600.0, 1800.0, 3600.0, 10800.0, 36000.0, 86400.0),
)
"""Upper bounds of the histograms' buckets: from a no-op to a day."""
UNMATCHED = 1000
"""Tries whose two halves have not met yet; more are those of workers that died."""
CHUNK = 4096

_NUMBER_OF = {state: number for number, state in enumerate(STATES, start=1)}
_STATE_BITS = 4
"""Of a task's byte; the others say of which of its first tries an execution is known."""
_STATE = (1 << _STATE_BITS) - 1
_KEPT_TRIES = 8 - _STATE_BITS

Labels = tuple[str, ...]


class _Histogram:
    """How often a duration was in which bucket."""

    def __init__(self, counts: list[int] | None = None, sum_s: float = 0.0) -> None:
        self.counts = counts or [0] * (len(BOUNDS_S) + 1)
        self.sum_s = sum_s

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds


class RunMetrics:
    """
    Count what happens in one run.

    Args:
        saved: What ``state`` returned.
        chunks: What ``changed_chunks`` returned, the last of each number.
    """

    def __init__(self, saved: str | None = None, chunks: Mapping[int, bytes] | None = None) -> None:
        known: dict[str, Any] = json.loads(saved) if saved else {}
        self._states = bytearray()
        for number, chunk in sorted((chunks or {}).items()):
            self._states[number * CHUNK :] = chunk.ljust(CHUNK, b"\0")
        self._changed: set[int] = set()
        self._tasks: list[int] = known.get("tasks", [0] * (len(STATES) + 1))
        self._durations = _histograms(known.get("durations", ()))
        self._queue_times = _histograms(known.get("queue_times", ()))
        self._returned: dict[str, tuple[str, int]] = {
            which: (executor, ns) for which, executor, ns in known.get("returned", ())
        }
        self._executed: dict[str, int] = dict(known.get("executed", ()))
        self._blocks: dict[Labels, str] = {
            (executor, block): status for executor, block, status in known.get("blocks", ())
        }
        self._block_statuses: set[Labels] = {tuple(pair) for pair in known.get("statuses", ())}

    def task_is(self, task_id: int, state: str) -> None:
        """Take in the state that a task has now."""
        known, now = self._known(task_id), _NUMBER_OF[state]
        before = known & _STATE
        if before == now:
            return
        if before:
            self._tasks[before] -= 1
        self._tasks[now] += 1
        self._know(task_id, known & ~_STATE | now)

    def keep_execution(self, task_id: int, try_id: int) -> None:
        """Keep in mind that an execution of a try is known: of each task's first four tries."""
        if try_id < _KEPT_TRIES:
            self._know(task_id, self._known(task_id) | 1 << _STATE_BITS + try_id)

    def has_execution(self, task_id: int, try_id: int) -> bool:
        """Tell whether an execution of a try is kept in mind."""
        return try_id < _KEPT_TRIES and bool(self._known(task_id) >> _STATE_BITS & 1 << try_id)

    def task_ended(self, app: str, outcome: str, duration_ns: int) -> None:
        """Take in how long a task took, from its call to the end of its future."""
        self._durations.setdefault((app, outcome), _Histogram()).add(max(0, duration_ns) / 1e9)

    def try_returned(self, task_id: int, try_id: int, executor: str, elapsed_ns: int) -> None:
        """Take in the time from the launch of a try to its return, by the submit host's clock."""
        which = f"{task_id}.{try_id}"
        if (ran_ns := self._executed.pop(which, None)) is not None:
            self._waited(executor, elapsed_ns - ran_ns)
        else:
            self._returned[which] = executor, elapsed_ns
            _drop_oldest(self._returned)

    def try_executed(self, task_id: int, try_id: int, ran_ns: int) -> None:
        """Take in how long a worker ran a try, by the worker's clock."""
        which = f"{task_id}.{try_id}"
        if (found := self._returned.pop(which, None)) is not None:
            executor, elapsed_ns = found
            self._waited(executor, elapsed_ns - ran_ns)
        else:
            self._executed[which] = ran_ns
            _drop_oldest(self._executed)

    def block_is(self, executor: str, block_id: str, status: str) -> None:
        """Take in the status that a block has now."""
        self._blocks[executor, block_id] = status
        self._block_statuses.add((executor, status))

    def state(self) -> str:
        """Return all that is known but the states of tasks, as text."""
        return json.dumps(
            {
                "tasks": self._tasks,
                "durations": [
                    (key, found.counts, found.sum_s) for key, found in self._durations.items()
                ],
                "queue_times": [
                    (key, found.counts, found.sum_s) for key, found in self._queue_times.items()
                ],
                "returned": [(which, *found) for which, found in self._returned.items()],
                "executed": list(self._executed.items()),
                "blocks": [(*key, status) for key, status in self._blocks.items()],
                "statuses": sorted(self._block_statuses),
            }
        )

    def changed_chunks(self) -> list[tuple[int, bytes]]:
        """Return the states of tasks, in numbered chunks, that have changed since the last call."""
        changed, self._changed = sorted(self._changed), set()
        return [(n, bytes(self._states[n * CHUNK : (n + 1) * CHUNK])) for n in changed]

    def metrics(self, start_ns: int, now_ns: int, workers: Mapping[str, int]) -> list[bytes]:
        """
        Return the sized Metrics of now.

        Args:
            start_ns: When the run began.
            now_ns: The time of the points.
            workers: Connected workers, by executor.
        """
        span = (start_ns, now_ns)
        tasks: dict[Labels, int] = {
            (state,): self._tasks[number]
            for state, number in _NUMBER_OF.items()
            if self._tasks[number] or state in ("pending", "launched")
        }
        blocks: dict[Labels, int] = dict.fromkeys(sorted(self._block_statuses), 0)
        for (executor, _), status in self._blocks.items():
            blocks[executor, status] += 1
        connected: dict[Labels, int] = {
            (executor,): count for executor, count in sorted(workers.items())
        }
        made = [
            _sum(semconv.RUN_TASKS, (semconv.TASK_STATE,), tasks, span),
            _sum(semconv.RUN_BLOCKS, (semconv.EXECUTOR_LABEL, semconv.BLOCK_STATUS), blocks, span),
            _sum(semconv.RUN_WORKERS, (semconv.EXECUTOR_LABEL,), connected, span),
            _histogram(
                semconv.TASK_DURATION, (semconv.APP_NAME, semconv.OUTCOME), self._durations, span
            ),
            _histogram(semconv.TASK_QUEUE_TIME, (semconv.EXECUTOR_LABEL,), self._queue_times, span),
        ]
        return [wire.sized(metric.SerializeToString()) for metric in made if metric is not None]

    def _known(self, task_id: int) -> int:
        return self._states[task_id] if task_id < len(self._states) else 0

    def _know(self, task_id: int, known: int) -> None:
        if task_id >= len(self._states):
            grown = (task_id // CHUNK + 1) * CHUNK
            self._states.extend(bytes(grown - len(self._states)))
        self._states[task_id] = known
        self._changed.add(task_id // CHUNK)

    def _waited(self, executor: str, waited_ns: int) -> None:
        self._queue_times.setdefault((executor,), _Histogram()).add(max(0, waited_ns) / 1e9)


def _histograms(saved: Iterable[Any]) -> dict[Labels, _Histogram]:
    return {tuple(key): _Histogram(counts, sum_s) for key, counts, sum_s in saved}


def _drop_oldest(waiting: dict[str, Any]) -> None:
    if len(waiting) > UNMATCHED:
        del waiting[next(iter(waiting))]


def _sum(
    name: str, keys: Labels, values: Mapping[Labels, int], span: tuple[int, int]
) -> Metric | None:
    if not values:
        return None
    metric = Metric(name=name, unit=TERMS[name].unit, description=TERMS[name].meaning)
    metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    for labels, value in values.items():
        point = metric.sum.data_points.add(as_int=value)
        _label(point, keys, labels, span)
    return metric


def _histogram(
    name: str, keys: Labels, found: Mapping[Labels, _Histogram], span: tuple[int, int]
) -> Metric | None:
    if not found:
        return None
    metric = Metric(name=name, unit=TERMS[name].unit, description=TERMS[name].meaning)
    metric.histogram.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    for labels, histogram in found.items():
        point = metric.histogram.data_points.add(
            count=sum(histogram.counts),
            sum=histogram.sum_s,
            bucket_counts=histogram.counts,
            explicit_bounds=BOUNDS_S,
        )
        _label(point, keys, labels, span)
    return metric


def _label(
    point: NumberDataPoint | HistogramDataPoint,
    keys: Labels,
    labels: Labels,
    span: tuple[int, int],
) -> None:
    point.start_time_unix_nano, point.time_unix_nano = span
    for key, label in zip(keys, labels, strict=True):
        point.attributes.add(key=key).value.string_value = label
