"""
What is known of a run's managers, from the reports of HTEX's interchange.

Flow: spool (stream ``agent``) -> **managers** -> lifecycle
A manager may report 20,000 times; what is kept of it is its first report and its last.
"""

from __future__ import annotations

import json
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from otel_parsl import semconv
from otel_parsl.spans import Manager

_MARK = b"parsl.manager."
_RESOURCE = frozenset(
    {
        semconv.MANAGER_UID,
        semconv.EXECUTOR_LABEL,
        semconv.BLOCK_ID,
        semconv.MANAGER_HOST,
        semconv.MANAGER_PYTHON,
    }
)


class Managers:
    """
    Keep what is known of managers.

    Args:
        saved: What ``state`` returned.
    """

    def __init__(self, saved: str | None = None) -> None:
        known = json.loads(saved) if saved else {}
        self._managers: dict[str, Manager] = {
            uid: Manager(uid, *fields) for uid, fields in known.items()
        }

    def read(self, payload: bytes) -> bool:
        """Take in a request of metrics; tell whether it was of a manager."""
        if _MARK not in payload:
            return False
        for group in ExportMetricsServiceRequest.FromString(payload).resource_metrics:
            said = {
                pair.key: pair.value.string_value
                for pair in group.resource.attributes
                if pair.key in _RESOURCE
            }
            if semconv.MANAGER_UID not in said:
                continue
            points = {
                metric.name: {point.time_unix_nano: point.as_int for point in points}
                for scope in group.scope_metrics
                for metric in scope.metrics
                if (points := metric.gauge.data_points)
            }
            self._take(said, points)
        return True

    def workers(self) -> dict[str, int]:
        """Return how many workers are connected, by executor."""
        found: dict[str, int] = {}
        for manager in self._managers.values():
            found.setdefault(manager.executor, 0)
            if manager.is_active:
                found[manager.executor] += manager.workers
        return found

    def all(self) -> list[Manager]:
        """Return every manager, by its uid."""
        return [self._managers[uid] for uid in sorted(self._managers)]

    def state(self) -> str:
        """Return all that is known, as text."""
        return json.dumps({uid: manager[1:] for uid, manager in self._managers.items()})

    def _take(self, said: dict[str, str], points: dict[str, dict[int, int]]) -> None:
        active: dict[int, int] = points.get(semconv.MANAGER_ACTIVE, {})
        if not active:
            return
        uid = said[semconv.MANAGER_UID]
        first_ns, last_ns = min(active), max(active)
        known = self._managers.get(uid)
        if known is None or first_ns < known.first_ns:
            fresh = Manager(
                uid,
                said.get(semconv.EXECUTOR_LABEL, ""),
                said.get(semconv.BLOCK_ID, ""),
                said.get(semconv.MANAGER_HOST, ""),
                said.get(semconv.MANAGER_PYTHON, ""),
                points.get(semconv.MANAGER_WORKERS, {}).get(first_ns, 0),
                points.get(semconv.MANAGER_CPUS, {}).get(first_ns, 0),
                points.get(semconv.MANAGER_MEMORY, {}).get(first_ns, 0),
                first_ns,
                last_ns,
                is_active=True,
            )
            known = fresh if known is None else fresh._replace(**_last(known))
        if last_ns >= known.last_ns:
            lost = points.get(semconv.MANAGER_LOST, {})
            known = known._replace(
                last_ns=last_ns,
                is_active=bool(active[last_ns]),
                is_lost=bool(lost.get(last_ns)),
            )
        self._managers[uid] = known


def _last(manager: Manager) -> dict[str, Any]:
    return {
        "last_ns": manager.last_ns,
        "is_active": manager.is_active,
        "is_lost": manager.is_lost,
    }
