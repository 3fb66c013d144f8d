"""
OTLP requests to facts.

Flow: spool -> **materialise** -> store.writer
Pure: no clock, no I/O, no memory between calls but of Resources already read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_parsl import semconv
from otel_parsl.wire import LOGS, METRICS, TRACES
from otel_parsl_collector.materialise import events, metrics, spans
from otel_parsl_collector.materialise.attributes import Attributes, read_attributes
from otel_parsl_collector.materialise.facts import Facts, Run

_REQUESTS: dict[int, Callable[[], Any]] = {
    TRACES: ExportTraceServiceRequest,
    METRICS: ExportMetricsServiceRequest,
    LOGS: ExportLogsServiceRequest,
}


def materialise(signal: int, payload: bytes, facts: Facts) -> None:
    """
    Add what a request says to the facts.

    Args:
        signal: ``wire.TRACES``, ``METRICS`` or ``LOGS``.
        payload: The Export*ServiceRequest.
        facts: Where to add it.

    Raises:
        DecodeError: The payload is no such request.
    """
    request = _REQUESTS[signal]()
    request.ParseFromString(payload)
    if signal == LOGS:
        for group in request.resource_logs:
            resource, run = _resource(group.resource, facts)
            for scope in group.scope_logs:
                events.add(scope.log_records, resource, run, facts)
    elif signal == TRACES:
        for group in request.resource_spans:
            resource, run = _resource(group.resource, facts)
            for scope in group.scope_spans:
                spans.add(scope.spans, resource, run, facts)
    else:
        for group in request.resource_metrics:
            resource, run = _resource(group.resource, facts)
            for scope in group.scope_metrics:
                metrics.add(scope.metrics, resource, run, facts)


def _resource(resource: Any, facts: Facts) -> tuple[Attributes, Run | None]:
    found, run = _read_resource(resource.SerializeToString())
    if run is not None:
        facts.runs[run.run_id] = run
    return found, run


@lru_cache(maxsize=4096)
def _read_resource(data: bytes) -> tuple[Attributes, Run | None]:
    found = read_attributes(Resource.FromString(data).attributes)
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
        )
    except KeyError:
        return found, None
    return found, run


__all__ = ["DecodeError", "materialise"]
