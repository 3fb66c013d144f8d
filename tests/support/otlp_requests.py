"""OTLP requests for tests: small ones of each signal, and the events of a Parsl run."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_parsl import semconv, wire
from otel_parsl.identity import run_key, span_id

TIME_NS = 1_790_000_000_000_000_000
TRACE_ID = bytes(range(16))


def trace_request(*names: str, trace_id: bytes = TRACE_ID) -> ExportTraceServiceRequest:
    """Return a request with a span of each name; the same name is the same span."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    attribute = group.resource.attributes.add(key="service.name")
    attribute.value.string_value = "test"
    scope = group.scope_spans.add()
    for name in names:
        scope.spans.add(
            trace_id=trace_id,
            span_id=span_id(trace_id, "test", name),
            name=name,
            kind=1,
            start_time_unix_nano=TIME_NS,
            end_time_unix_nano=TIME_NS + 1_000_000,
        )
    return request


def metrics_request(*values: float) -> ExportMetricsServiceRequest:
    """Return a request with a gauge that has a point of each value."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="test.gauge")
    for number, value in enumerate(values):
        metric.gauge.data_points.add(time_unix_nano=TIME_NS + number, as_double=value)
    return request


def logs_request(*bodies: str) -> ExportLogsServiceRequest:
    """Return a request with a log record of each body."""
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for body in bodies:
        record: Any = scope.log_records.add(time_unix_nano=TIME_NS, severity_number=9)
        record.body.string_value = body
    return request


def parsl_events(run_id: str, *task_ids: int) -> bytes:
    """Return the events of a run's start and of tasks that are pending: a request of logs."""
    run = run_key(run_id)
    resource = wire.resource(
        [
            wire.Key(semconv.RUN_ID).text(run_id),
            wire.Key(semconv.WORKFLOW_NAME).text("flow"),
            wire.Key(semconv.WORKFLOW_VERSION).text("1"),
            wire.Key(semconv.WORKFLOW_TIME_BEGAN).integer(TIME_NS),
            wire.Key(semconv.WORKFLOW_HOST).text("host"),
            wire.Key(semconv.WORKFLOW_USER).text("user"),
            wire.Key(semconv.WORKFLOW_RUNDIR).text("/runinfo/000"),
            wire.Key(semconv.TIME_ZONE).text("UTC"),
        ]
    )
    records = [
        wire.log_record(
            wire.sized(semconv.EVENT_RUN_STARTED.encode()),
            TIME_NS,
            TIME_NS,
            run,
            span_id(run, "run"),
            [
                wire.Key(semconv.SEQUENCE).integer(1),
                wire.Key(semconv.TASKS_COMPLETED).integer(0),
                wire.Key(semconv.TASKS_FAILED).integer(0),
            ],
        ),
        *(_pending(run, task_id) for task_id in task_ids),
    ]
    scope = wire.scope(semconv.SCOPE, "0")
    return wire.request(resource, scope, records, schema_url=semconv.SCHEMA_URL)


def _pending(run: bytes, task_id: int) -> bytes:
    return wire.log_record(
        wire.sized(semconv.EVENT_TASK_STATE.encode()),
        TIME_NS + task_id,
        TIME_NS + task_id,
        run,
        span_id(run, "task", task_id),
        [
            wire.Key(semconv.SEQUENCE).integer(2 + task_id),
            wire.Key(semconv.TASK_ID).integer(task_id),
            wire.Key(semconv.TRY_ID).integer(0),
            wire.Key(semconv.TASK_STATE).text("pending"),
            wire.Key(semconv.APP_NAME).text("app"),
            wire.Key(semconv.EXECUTOR_LABEL).text("htex"),
            wire.Key(semconv.TASK_MEMOIZE).boolean(value=False),
            wire.Key(semconv.TASK_TIME_INVOKED).integer(TIME_NS + task_id),
        ],
    )
