"""
How far each host's clock is ahead of the submit host's, as far as causes and effects tell.

Flow: lifecycle -> **clocks** -> spool (stream ``derived``)
A worker begins a try after its launch, and ends it before its return: so each try bounds the
difference from both sides, as in NTP, and all tries of a host together bound it best.
Nothing else is known of it: queues lie between, and no message measures them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otel_parsl import semconv, wire
from otel_parsl.semconv import TERMS

UNMATCHED = 1000
"""Tries whose two halves have not met yet; more are those of workers that died."""

Times = tuple[int, int]
"""Begin and end in UTC nanoseconds, by one host's clock."""


class Clocks:
    """
    Bound the differences, from the tries of one run.

    Args:
        saved: What ``state`` returned.
    """

    def __init__(self, saved: str | None = None) -> None:
        bounds, submitted, executed = json.loads(saved) if saved else ({}, {}, {})
        self._bounds: dict[str, list[int]] = bounds
        self._submitted: dict[str, Times] = submitted
        self._executed: dict[str, tuple[str, Times]] = executed

    def submitted(self, task_id: int, try_id: int, launched_ns: int, returned_ns: int) -> None:
        """Take in the times of a try by the submit host's clock."""
        which, times = f"{task_id}.{try_id}", (launched_ns, returned_ns)
        if (found := self._executed.pop(which, None)) is not None:
            self._bound(times, *found)
        else:
            self._submitted[which] = times
            if len(self._submitted) > UNMATCHED:
                del self._submitted[next(iter(self._submitted))]

    def executed(self, task_id: int, try_id: int, host: str, began_ns: int, ended_ns: int) -> None:
        """Take in the times of a try by its worker's clock."""
        which, times = f"{task_id}.{try_id}", (began_ns, ended_ns)
        if (found := self._submitted.pop(which, None)) is not None:
            self._bound(found, host, times)
        else:
            self._executed[which] = host, times
            if len(self._executed) > UNMATCHED:
                del self._executed[next(iter(self._executed))]

    def state(self) -> str:
        """Return all that is known, as text."""
        return json.dumps((self._bounds, self._submitted, self._executed))

    def metrics(self, now_ns: int) -> Iterator[bytes]:
        """Yield the sized Metrics of now."""
        if not self._bounds:
            return
        names = (semconv.CLOCK_AHEAD_AT_LEAST, semconv.CLOCK_AHEAD_AT_MOST)
        for side, name in enumerate(names):
            metric = Metric(name=name, unit=TERMS[name].unit, description=TERMS[name].meaning)
            for host, bounds in self._bounds.items():
                point = metric.gauge.data_points.add(
                    time_unix_nano=now_ns, as_double=bounds[side] / 1e9
                )
                point.attributes.add(key=semconv.HOST_NAME).value.string_value = host
            yield wire.sized(metric.SerializeToString())

    def _bound(self, submitted: Times, host: str, executed: Times) -> None:
        (launched_ns, returned_ns), (began_ns, ended_ns) = submitted, executed
        at_least_ns, at_most_ns = ended_ns - returned_ns, began_ns - launched_ns
        known = self._bounds.setdefault(host, [at_least_ns, at_most_ns])
        known[0] = max(known[0], at_least_ns)
        known[1] = min(known[1], at_most_ns)
