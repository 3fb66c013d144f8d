"""
How far the clocks of hosts are apart, as metrics.

Flow: lifecycle -> **clocks** -> spool (stream ``derived``)
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otel_parsl import semconv, wire
from otel_parsl.semconv import TERMS
from otel_parsl_collector.clock_bounds import Bounds, Times, bound

UNMATCHED = 1000
"""Tries whose two halves have not met yet; more are those of workers that died."""


class Clocks:
    """
    Bound the differences, from the tries of one run.

    Args:
        saved: What ``state`` returned.
    """

    def __init__(self, saved: str | None = None) -> None:
        bounds, submitted, executed = json.loads(saved) if saved else ({}, {}, {})
        self._bounds = {host: Bounds(*sides) for host, sides in bounds.items()}
        self._submitted: dict[str, Times] = submitted
        self._executed: dict[str, tuple[str, Times]] = executed

    def submitted(self, task_id: int, try_id: int, launched_ns: int, returned_ns: int) -> None:
        """Take in the times of a try by the submit host's clock."""
        which, times = f"{task_id}.{try_id}", (launched_ns, returned_ns)
        if (found := self._executed.pop(which, None)) is not None:
            self._add(times, *found)
        else:
            self._submitted[which] = times
            if len(self._submitted) > UNMATCHED:
                del self._submitted[next(iter(self._submitted))]

    def executed(self, task_id: int, try_id: int, host: str, began_ns: int, ended_ns: int) -> None:
        """Take in the times of a try by its worker's clock."""
        which, times = f"{task_id}.{try_id}", (began_ns, ended_ns)
        if (found := self._submitted.pop(which, None)) is not None:
            self._add(found, host, times)
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

    def _add(self, submitted: Times, host: str, executed: Times) -> None:
        found = bound(submitted, executed)
        self._bounds[host] = self._bounds.get(host, found).narrowed(found)
