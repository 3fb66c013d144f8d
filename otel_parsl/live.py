"""
News of tries that last: that they run, and samples at the interval asked for.

Flow: worker -> **live** -> the executor's monitoring channel (relay) -> the run's agent
A try shorter than ``LONG_S`` costs nothing here: all there is to say leaves with its result.
Parsl does not drain this channel at the end, so nothing that is promised may depend on it: the
execution's span and the last sample travel with the result.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
from typing import TYPE_CHECKING

from otel_parsl import semconv, wire
from otel_parsl.identity import span_id, task_trace_id
from otel_parsl.wire import LOGS, Key

if TYPE_CHECKING:
    from otel_parsl.worker import TryContext, Writer

LONG_S = 0.5
"""A try that has lasted this long is reported as running."""

MESSAGE_TAG = "otel_parsl"
"""First item of what is put on the executor's monitoring channel; the second is spool frames."""

_RUNNING = Key(semconv.EXECUTION_TIME_RUNNING)
_NAME = wire.sized(semconv.EVENT_TRY_RUNNING.encode())

_current: tuple[Writer, TryContext, int] | None = None
_reporter: threading.Thread | None = None
_reporter_pid = 0


def began(writer: Writer, which: TryContext, start_ns: int) -> None:
    """Note that a try has begun in this process."""
    global _current, _reporter, _reporter_pid
    _current = (writer, which, start_ns)
    if _reporter is None or _reporter_pid != os.getpid():
        _reporter_pid = os.getpid()
        _reporter = threading.Thread(target=_report, name="otel-parsl-live", daemon=True)
        _reporter.start()


def ended() -> None:
    """Note that the try has ended."""
    global _current
    _current = None


def _report() -> None:
    while True:
        time.sleep(LONG_S)
        running = _current
        if running is not None and time.time_ns() - running[2] > LONG_S * 1e9:
            _follow(*running)


def _follow(writer: Writer, which: TryContext, start_ns: int) -> None:
    """Report one try until it ends."""
    send = _channel()
    if send is None:
        _wait_for_end(start_ns, None)
        return
    send(writer.frame(LOGS, (_running_event(writer, which, start_ns),)))
    interval_s = writer.context.interval_s
    if not (which.monitor_resources and interval_s > 0 and writer.sampler is not None):
        _wait_for_end(start_ns, None)
        return
    while True:
        send(writer.sample(which, writer.sampler.sample()))
        if _wait_for_end(start_ns, interval_s):
            return


def _wait_for_end(start_ns: int, timeout_s: float | None) -> bool:
    """Tell whether the try has ended within the timeout; looks twice a second."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        rest = LONG_S if deadline is None else min(LONG_S, deadline - time.monotonic())
        if rest <= 0:
            return False
        time.sleep(rest)
        running = _current
        if running is None or running[2] != start_ns:
            return True


def _running_event(writer: Writer, which: TryContext, start_ns: int) -> bytes:
    return wire.log_record(
        _NAME,
        start_ns,
        time.time_ns(),
        task_trace_id(writer.run, which.task_id, scope=writer.context.scope),
        span_id(writer.run, "try", which.task_id, which.try_id),
        [*writer.try_attributes(which), _RUNNING.integer(start_ns)],
    )


class _Send:
    """Put frames on HTEX's monitoring channel (``parsl/monitoring/radios/htex.py``)."""

    def __init__(self, queue: object) -> None:
        self._queue = queue

    def __call__(self, frames: bytes) -> None:
        message = {"type": "monitoring", "payload": (MESSAGE_TAG, frames)}
        self._queue.put(pickle.dumps(message))  # type: ignore[attr-defined]


def _channel() -> _Send | None:
    """Return the way to the submit side while a try runs, if the executor has one."""
    import sys

    info = sys.modules.get("parsl.executors.high_throughput.monitoring_info")
    queue = getattr(info, "result_queue", None)
    return None if queue is None else _Send(queue)
