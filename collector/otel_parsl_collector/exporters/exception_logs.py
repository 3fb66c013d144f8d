"""
Exceptions as log records, for who has opted in by ``OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN``.

Flow: spool -> **exception_logs** -> exporters.otlp
On the spool an exception is an event of its span, since the tables are made of spans; here it
becomes a record of its own. Pure: what is sent again is the same to the byte.
Spans that the user's own code made are left as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_parsl import semconv
from otel_parsl.spool import Frame
from otel_parsl.wire import LOGS, TRACES

_MARK = semconv.EXCEPTION_TYPE.encode()
_SAMPLED = 0x01
_OF_SPAN = frozenset(
    {semconv.TASK_ID, semconv.TRY_ID, semconv.APP_NAME, semconv.EXECUTOR_LABEL, semconv.FATE}
)


def with_exceptions_by(signals: Collection[str], frames: Iterable[Frame]) -> Iterator[Frame]:
    """
    Yield frames whose exceptions are told by the signals wanted.

    Args:
        signals: ``traces``, ``logs`` or both.
        frames: As they were spooled.
    """
    for item in frames:
        if item.signal != TRACES or "logs" not in signals or _MARK not in item.payload:
            yield item
            continue
        request = ExportTraceServiceRequest.FromString(item.payload)
        logs = ExportLogsServiceRequest()
        for group in request.resource_spans:
            of_group = logs.resource_logs.add(resource=group.resource, schema_url=group.schema_url)
            for scope in group.scope_spans:
                if scope.scope.name == semconv.SCOPE:
                    of_scope = of_group.scope_logs.add(
                        scope=scope.scope, schema_url=scope.schema_url
                    )
                    for span in scope.spans:
                        of_scope.log_records.extend(_records(span))
                        if "traces" not in signals:
                            _remove(span)
        is_changed = "traces" not in signals
        yield item._replace(payload=request.SerializeToString()) if is_changed else item
        yield item._replace(signal=LOGS, payload=logs.SerializeToString())


def _records(span: Span) -> Iterator[LogRecord]:
    about = [pair for pair in span.attributes if pair.key in _OF_SPAN]
    for event in span.events:
        if event.name == semconv.EVENT_EXCEPTION:
            yield LogRecord(
                time_unix_nano=event.time_unix_nano,
                observed_time_unix_nano=event.time_unix_nano,
                severity_number=SeverityNumber.SEVERITY_NUMBER_ERROR,
                event_name=semconv.EVENT_EXCEPTION,
                attributes=[*about, *event.attributes],
                trace_id=span.trace_id,
                span_id=span.span_id,
                flags=_SAMPLED,
            )


def _remove(span: Span) -> None:
    kept = [
        Span.Event.FromString(event.SerializeToString())
        for event in span.events
        if event.name != semconv.EVENT_EXCEPTION
    ]
    del span.events[:]
    span.events.extend(kept)
