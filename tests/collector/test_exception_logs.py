"""Exceptions become log records for who has opted in, and for nobody else."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otel_parsl_collector.exporters.exception_logs import with_exceptions_by

from otel_parsl.config import exception_signals
from otel_parsl.spool import Frame, Place
from otel_parsl.wire import LOGS, TRACES
from tests.support.recorded_stream import RecordedRun, RecordedTask


def _stream() -> list[Frame]:
    run = RecordedRun("broken.py")
    task = RecordedTask(run, 3, 2)
    run.start()
    task.becomes("pending")
    task.launch()
    task.execute(ValueError("no such star"))
    return [Frame(signal, data, Place(1, n)) for n, (signal, data) in enumerate(run.requests, 1)]


def _spans(frames: list[Frame]) -> list[Span]:
    return [
        span
        for item in frames
        if item.signal == TRACES
        for group in ExportTraceServiceRequest.FromString(item.payload).resource_spans
        for span in group.scope_spans[0].spans
    ]


def _exceptions(frames: list[Frame]) -> list[LogRecord]:
    return [
        record
        for item in frames
        if item.signal == LOGS
        for group in ExportLogsServiceRequest.FromString(item.payload).resource_logs
        for record in group.scope_logs[0].log_records
        if record.event_name == "exception"
    ]


@pytest.mark.parametrize(
    ("value", "on_span", "as_log"),
    [("", 1, 0), ("logs", 0, 1), ("logs/dup", 1, 1), ("http, logs", 0, 1), ("http", 1, 0)],
)
def test_variable_says_how_exceptions_are_told(value: str, on_span: int, as_log: int) -> None:
    """An exception is on the span, in a log record, or in both, as the variable says."""
    signals = exception_signals({"OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN": value})
    frames = list(with_exceptions_by(signals, _stream()))
    (span,) = _spans(frames)
    assert [event.name for event in span.events] == ["exception"] * on_span
    assert len(_exceptions(frames)) == as_log
    assert span.status.message == "no such star"


def test_record_is_of_its_span_and_its_task() -> None:
    """The record has the span's ids, its task, and the exception with its stack trace."""
    frames = list(with_exceptions_by(("logs",), _stream()))
    (span,), (record,) = _spans(frames), _exceptions(frames)
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
    assert record.severity_number == 17
    said = {pair.key: pair.value for pair in record.attributes}
    assert said["parsl.task.id"].int_value == 3
    assert said["exception.type"].string_value == "ValueError"
    assert said["exception.message"].string_value == "no such star"
    assert "ValueError: no such star" in said["exception.stacktrace"].string_value


def test_same_frames_give_the_same_bytes() -> None:
    """What is sent again is the same to the byte, and what holds no exception is not touched."""
    stream = _stream()
    once, again = (list(with_exceptions_by(("logs",), stream)) for _ in range(2))
    assert once == again
    assert [item for item in once if item in stream] == [
        item for item in stream if item.signal != TRACES
    ]
