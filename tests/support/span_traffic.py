"""The spans of a small run, and how a collector is sent them."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from otel_parsl.wire import TRACES
from tests.support.derived_spans import derived_spans
from tests.support.recorded_stream import RecordedRun, RecordedTask, Request

_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def run_of_two_tasks() -> tuple[list[bytes], list[bytes]]:
    """
    Return the spans of the run ``processed.py``: those of executions, and what the agent derives.

    Its task 0, of app0, succeeds, and task 1, of app1, fails.
    """
    run = RecordedRun("processed.py")
    run.start()
    for task_id, error in enumerate((None, ValueError("always"))):
        task = RecordedTask(run, task_id, 2, task_func_name=f"app{task_id}")
        task.becomes("pending")
        task.launch()
        task.execute(error)
        task.becomes("exec_done" if error is None else "failed")
    run.end(60)
    recording = run.recording()
    return _spans(recording.requests), _spans(derived_spans(recording))


def send_spans(address: str, payloads: Sequence[bytes]) -> None:
    """
    Send requests by gRPC.

    Raises:
        grpc.RpcError: One was refused.
    """
    with grpc.insecure_channel(address) as channel:
        for payload in payloads:
            channel.unary_unary(_EXPORT)(payload, timeout=10)


def _spans(requests: Sequence[Request]) -> list[bytes]:
    return [payload for signal, payload in requests if signal == TRACES]
