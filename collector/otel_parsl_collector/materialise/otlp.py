"""
OTLP requests to facts.

Flow: spool -> **materialise** -> store.writer
Pure: no clock, no I/O, no memory between calls but of Resources already read.
"""

from __future__ import annotations

from functools import lru_cache

from google.protobuf.message import DecodeError
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_parsl import semconv
from otel_parsl.wire import LOGS, METRICS, TRACES
from otel_parsl_collector.materialise import events, metrics, spans
from otel_parsl_collector.materialise.attributes import Attributes, read_attributes
from otel_parsl_collector.materialise.facts import Facts, Run
from otel_parsl_collector.materialise.views import LogsView, MetricsView, TracesView

_READERS = {
    TRACES: (TracesView, spans.add),
    METRICS: (MetricsView, metrics.add),
    LOGS: (LogsView, events.add),
}


def materialise(signal: int, payload: bytes, facts: Facts) -> None:
    """
    Add what a request says to the facts.

    Args:
        signal: ``wire.TRACES``, ``METRICS`` or ``LOGS``.
        payload: The Export*ServiceRequest.
        facts: Where to add it.

    Raises:
        DecodeError: The payload is no such request; some of it may have been added.
    """
    view, add = _READERS[signal]
    for group in view.FromString(payload).groups:
        resource, run = _read_resource(group.resource)
        if run is not None:
            facts.runs[run.run_id] = run
        for scope in group.scopes:
            add(scope.items, resource, run, facts)


@lru_cache(maxsize=4096)
def _read_resource(data: bytes) -> tuple[Attributes, Run | None]:
    pairs = Resource.FromString(data).attributes
    found = read_attributes(pair.SerializeToString() for pair in pairs)
    try:
        run = Run(
            run_id=found[semconv.RUN_ID],
            name=found.get(semconv.WORKFLOW_NAME),
            version=found.get(semconv.WORKFLOW_VERSION),
            began_ns=found[semconv.WORKFLOW_TIME_BEGAN],
            host=found[semconv.WORKFLOW_HOST],
            user=found[semconv.WORKFLOW_USER],
            rundir=found[semconv.WORKFLOW_RUNDIR],
            zone=found[semconv.TIME_ZONE],
            parsl_version=found.get(semconv.PARSL_VERSION),
            monitors_resources=found.get(semconv.MONITORS_RESOURCES, True),
        )
    except KeyError:
        return found, None
    return found, run


__all__ = ["DecodeError", "materialise"]
