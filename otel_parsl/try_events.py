"""
What is said of a try that runs, as events.

Flow: live, last_words -> **try_events** -> agent
Workers import this module: nothing here may load more than the standard library.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from otel_parsl import semconv, wire
from otel_parsl.identity import span_id, task_trace_id
from otel_parsl.wire import Key

_RUNNING = Key(semconv.EXECUTION_TIME_RUNNING)
_PID = Key(semconv.SAMPLE_PID)
_NAME = wire.sized(semconv.EVENT_TRY_RUNNING.encode())


def running_event(
    run: bytes,
    task_id: int,
    try_id: int,
    start_ns: int,
    *,
    scope: str,
    pid: int,
    attributes: Iterable[bytes],
) -> bytes:
    """
    Return the event that a try runs, as a sized LogRecord.

    Args:
        run: The run's key: see ``identity.run_key``.
        task_id: Whose try it is.
        try_id: Which one.
        start_ns: When it began.
        scope: Which trace a task lives in: see ``identity.task_trace_id``.
        pid: The process that it runs in.
        attributes: Those that say which try it is, and where it runs.
    """
    said = [*attributes, _RUNNING.integer(start_ns), _PID.integer(pid)]
    return try_event(
        _NAME, run, task_id, try_id, start_ns, time.time_ns(), scope=scope, attributes=said
    )


def try_event(
    name: bytes,
    run: bytes,
    task_id: int,
    try_id: int,
    time_ns: int,
    observed_ns: int,
    *,
    scope: str,
    attributes: Iterable[bytes],
) -> bytes:
    """Return a sized LogRecord on a try's span; ``name`` is sized, else as ``running_event``."""
    return wire.log_record(
        name,
        time_ns,
        observed_ns,
        task_trace_id(run, task_id, scope=scope),
        span_id(run, "try", task_id, try_id),
        attributes,
    )
