"""
News of tries that last: that they run, and samples at the interval asked for.

Flow: worker -> **live** -> the executor's monitoring channel (relay) -> the run's agent
A helper process takes the samples, since no thread here runs while C code holds the GIL; what it
took meanwhile is sent afterwards, each with its own time.
A try shorter than ``LONG_S`` sends nothing here: all there is to say leaves with its result.
Parsl does not drain this channel at the end, so nothing that is promised may depend on it: the
execution's span and the last sample travel with the result, and so do samples not yet sent.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_parsl import semconv, wire
from otel_parsl.identity import span_id, task_trace_id
from otel_parsl.rendezvous import MESSAGE_TAG
from otel_parsl.sampler_client import SamplerProcess
from otel_parsl.sampling import Baseline, Sample
from otel_parsl.wire import LOGS, Key

if TYPE_CHECKING:
    from otel_parsl.worker import TryContext, Writer

LONG_S = 0.5
"""A try that has lasted this long is reported as running."""

_RUNNING = Key(semconv.EXECUTION_TIME_RUNNING)
_NAME = wire.sized(semconv.EVENT_TRY_RUNNING.encode())

Send = Callable[[bytes], None]


class Try(NamedTuple):
    """A try that runs in this process."""

    writer: Writer
    which: TryContext
    start_ns: int

    @property
    def token(self) -> str:
        """What the helper's samples of this try come back with."""
        return str(self.start_ns)

    @property
    def is_sampled(self) -> bool:
        """Whether samples of it were asked for and can be taken."""
        is_wanted = self.which.monitor_resources and self.writer.context.interval_s > 0
        return is_wanted and self.writer.sampler is not None


class _Process:
    """What one worker process has for this: a helper and a thread, made by its first try."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.current: Try | None = None
        self.helper: SamplerProcess | None = None
        self._reported: Try | None = None
        self._thread = threading.Thread(target=self._watch, name="otel-parsl-live", daemon=True)
        self._thread.start()

    def begin(self, of: Try, baseline: Baseline | None) -> None:
        if of.is_sampled:
            if self.helper is None:
                self.helper = SamplerProcess()
            self.helper.begin(of.token, of.writer.context.interval_s, baseline)
        self.current = of

    def end(self) -> list[Sample]:
        """End the current try and return the samples of it that were not sent yet."""
        ended, self.current = self.current, None
        if self.helper is None or ended is None or not ended.is_sampled:
            return []
        self.helper.end()
        return [sample for token, sample in self.helper.read() if token == ended.token]

    def _watch(self) -> None:
        while True:
            time.sleep(LONG_S)
            running = self.current
            if running is None or time.time_ns() - running.start_ns < LONG_S * 1e9:
                continue
            send = _channel()
            if send is None:
                continue
            if self._reported is not running:
                self._reported = running
                send(running.writer.frame(LOGS, (running_event(running),)))
                self._sample_here(running, send)
            self._send_samples(running, send)

    def _send_samples(self, running: Try, send: Send) -> None:
        for token, sample in self.helper.read() if self.helper is not None else ():
            if token == running.token and running.writer.sampler is not None:
                running.writer.sampler.include(sample)
                send(running.writer.sample(running.which, sample))

    def _sample_here(self, running: Try, send: Send) -> None:
        """Send a first sample at once: the helper takes its first after an interval."""
        if not running.is_sampled or running.writer.sampler is None:
            return
        sample = running.writer.sampler.sample()
        if self.current is running:  # else it is of the next try
            send(running.writer.sample(running.which, sample))


_process: _Process | None = None


def began(of: Try, baseline: Baseline | None) -> None:
    """Note that a try has begun in this process."""
    global _process
    if _process is None or _process.pid != os.getpid():
        _process = _Process()
    _process.begin(of, baseline)


def ended() -> list[Sample]:
    """Note that the try has ended, and return the samples of it that were not sent yet."""
    assert _process is not None
    return _process.end()


def running_event(running: Try) -> bytes:
    """Return the event that says that a try runs."""
    writer, which, start_ns = running
    return wire.log_record(
        _NAME,
        start_ns,
        time.time_ns(),
        task_trace_id(writer.run, which.task_id, scope=writer.context.scope),
        span_id(writer.run, "try", which.task_id, which.try_id),
        [*writer.try_attributes(which), _RUNNING.integer(start_ns)],
    )


def _channel() -> Send | None:
    """
    Return the way to the submit side while a try runs, if the executor has one.

    HTEX's: ``parsl/monitoring/radios/htex.py``.
    """
    info = sys.modules.get("parsl.executors.high_throughput.monitoring_info")
    queue: Any = getattr(info, "result_queue", None)
    if queue is None:
        return None

    def send(frames: bytes) -> None:
        queue.put(pickle.dumps({"type": "monitoring", "payload": (MESSAGE_TAG, frames)}))

    return send
