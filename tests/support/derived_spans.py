"""Derive the hub's spans from a recording with the connector that the agent runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from otel_parsl_collector.connectors.lifecycle import Lifecycle

from otel_parsl import semconv
from otel_parsl.spool import Frame, Place, _whole_frames
from otel_parsl.wire import LOGS
from tests.support.recorded_stream import Recording, Request


def derived_spans(recording: Recording, *, scope: str = "auto") -> list[Request]:
    """Return the requests that each run's Lifecycle spools for a recording."""
    frames: list[bytes] = []
    with tempfile.TemporaryDirectory() as directory:
        for number, (run_id, logs) in enumerate(logs_by_run(recording).items()):
            path = Path(directory) / f"{number}.db"
            lifecycle = Lifecycle(path, run_id, scope=scope, emit=frames.extend)
            for frame in logs:
                lifecycle.consume([frame], {"submit": frame.end})
            lifecycle.close()
    return requests_of(frames)


def without_logs(recording: Recording) -> tuple[Request, ...]:
    """Return a stream with the spans that the agent derives in place of the log signal."""
    others = (request for request in recording.requests if request[0] != LOGS)
    return (*others, *derived_spans(recording))


def requests_of(frames: Iterable[bytes]) -> list[Request]:
    """Return the requests in frames."""
    return [
        (signal, data[start:end]) for data in frames for signal, start, end in _whole_frames(data)
    ]


def logs_by_run(recording: Recording) -> dict[str, list[Frame]]:
    """Return the hub's events as frames of a spool, by run id."""
    found: dict[str, list[Frame]] = {}
    for signal, payload in recording.requests:
        if signal == LOGS:
            of_run = found.setdefault(_run_id(payload), [])
            of_run.append(Frame(signal, payload, Place(1, len(of_run) + 1)))
    return found


def _run_id(payload: bytes) -> str:
    (group,) = ExportLogsServiceRequest.FromString(payload).resource_logs
    run_id: str = next(
        pair.value.string_value for pair in group.resource.attributes if pair.key == semconv.RUN_ID
    )
    return run_id
