"""
News of tries that last: that they run, and samples at the interval asked for.

Flow: worker -> **live** -> the executor's monitoring channel (relay), or direct -> the run's agent
A helper process takes the samples, since no thread here runs while C code holds the GIL; what it
took meanwhile is sent afterwards, each with its own time.
A try shorter than ``LONG_S`` sends nothing here while it runs: all there is to say leaves with its
result. One that ends its process has none: what does so by an exception, as of ``sys.exit``, sends
all of it here before, and of what does not the start is said in its last words.
Parsl does not drain its channel at the end, so nothing that is promised may depend on it: the
execution's span and the last sample travel with the result, and so do samples that were not sent.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from otel_parsl import relay, semconv, wire
from otel_parsl.direct import DirectSender, Receiver, Unreachable
from otel_parsl.last_words import Will, words
from otel_parsl.sampling.sampler import Baseline, Sample
from otel_parsl.sampling.sampler_client import SamplerProcess
from otel_parsl.seldom import Seldom
from otel_parsl.try_events import running_event, try_event
from otel_parsl.wire import LOGS, Key

if TYPE_CHECKING:
    from otel_parsl.open_tries import OpenTry
    from otel_parsl.worker import TryContext, Writer

logger = logging.getLogger(__name__)

LONG_S = 0.5
"""A try that has lasted this long is reported as running."""
_MOST_UNSENT = 10_000
"""Samples kept for the result while they cannot be sent; then the helper drops and counts them."""

_UNREACHED = wire.sized(semconv.EVENT_AGENT_UNREACHED.encode())
_FAILURE = Key(semconv.TRANSPORT_ERROR)
_TIMES = Key(semconv.TRANSPORT_FAILURES)

Send = Callable[[bytes], None]


class Try(NamedTuple):
    """A try that runs in this process."""

    writer: Writer
    which: TryContext
    start_ns: int
    open: OpenTry

    @property
    def token(self) -> str:
        """What the helper's samples of this try come back with."""
        return str(self.start_ns)

    @property
    def is_sampled(self) -> bool:
        """Whether samples of it were asked for and can be taken: no other try runs beside it."""
        is_wanted = self.which.monitor_resources and self.writer.context.interval_s > 0
        return is_wanted and self.writer.sampler is not None and self.open.has_process


class _Running:
    """A try that runs, and what of it was sent."""

    def __init__(self, of: Try) -> None:
        self.of = of
        self.is_reported = False
        self.unsent: list[Sample] = []


class _Process:
    """What one worker process has for this: a helper and a thread, made by its first try."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.running: dict[OpenTry, _Running] = {}
        self.helper: SamplerProcess | None = None
        self.direct: DirectSender | None = None
        self._left_by: Writer | None = None
        self._failures_told = 0
        self._lock = threading.Lock()
        """Held for ``running`` and what is unsent, which belong together; never while sending."""
        self._thread = threading.Thread(target=self._watch, name="otel-parsl-live", daemon=True)
        self._thread.start()

    def begin(self, of: Try, baseline: Baseline | None) -> None:
        if self.helper is None:
            self.helper = SamplerProcess()
        if of.open.has_process:
            interval_s = of.writer.context.interval_s if of.is_sampled else 0.0
            if of.writer is not self._left_by:
                self.helper.leave(will_of(of.writer).encoded())
                self._left_by = of.writer
            self.helper.begin(of.token, interval_s, baseline, words(of.which, of.start_ns))
        else:
            self.helper.end()  # the process beside it is no try's own any more
        with self._lock:
            self.running[of.open] = _Running(of)

    def end(self, of: Try) -> list[Sample]:
        """End a try and return the samples of it that are not known to have arrived."""
        with self._lock:
            ended = self.running.pop(of.open, None)
        unsent = [] if ended is None else ended.unsent
        if self.helper is None or not of.open.has_process:
            return unsent
        self.helper.end()
        if not of.is_sampled:
            return unsent
        # A short try has none, and is not to pay for looking.
        lasted_s = (time.time_ns() - of.start_ns) / 1e9
        if 0 <= lasted_s < of.writer.context.interval_s / 2:
            return unsent
        return unsent + self._seen_beside(of)

    def send(self, of: Try, frames: bytes) -> None:
        """Send frames by the first way that takes them."""
        any(_is_sent(send, frames) for send in self._ways(of))

    def trouble(self) -> tuple[str, int] | None:
        """Return why news could not be sent directly, and how often since the last call."""
        direct = self.direct
        if direct is None or direct.failures == self._failures_told:
            return None
        times = direct.failures - self._failures_told
        self._failures_told += times
        return direct.failure, times

    def _watch(self) -> None:
        unsent = Seldom(logger, logging.ERROR)
        while True:
            time.sleep(LONG_S)
            with self._lock:
                found = list(self.running.values())
            for running in found:
                if time.time_ns() - running.of.start_ns < LONG_S * 1e9:
                    continue
                try:
                    sends = self._ways(running.of)
                    if sends:
                        self._tell(running, sends)
                except Exception as error:  # noqa: BLE001 - a border: this thread serves all tries to come
                    unsent.say("news of a try cannot be sent: %r", error)

    def _tell(self, running: _Running, sends: list[Send]) -> None:
        """Send what is new of a try by the first way that takes it."""
        frames = []
        of = running.of
        if not running.is_reported:
            frames.append(of.writer.frame(LOGS, (event_of(of),)))
        samples = self._samples(running)
        frames += (of.writer.sample(of.which, sample) for sample in samples)
        if of_process := of.writer.process_frame(of.which):
            frames.append(of_process)
        if frames and any(_is_sent(send, b"".join(frames)) for send in sends):
            running.is_reported = True
            with self._lock:
                if of.open in self.running:
                    del running.unsent[: len(samples)]

    def _samples(self, running: _Running) -> list[Sample]:
        """
        Return the samples of a try that wait to be sent.

        At first one is taken here: the helper takes its first after an interval.
        """
        of, sampler = running.of, running.of.writer.sampler
        if not of.is_sampled or sampler is None:
            return list(running.unsent)
        with self._lock:
            if of.open not in self.running:
                return []
            if len(running.unsent) < _MOST_UNSENT:
                running.unsent += self._seen_beside(of)
            if running.is_reported or running.unsent:
                return list(running.unsent)
        here = sampler.sample()
        with self._lock:
            if of.open not in self.running or not of.is_sampled:
                return []  # what was taken here is of the next try too
            running.unsent.append(here)
            return list(running.unsent)

    def _seen_beside(self, of: Try) -> list[Sample]:
        """Return what has come from the helper of a try that is the one begun last."""
        sampler = of.writer.sampler
        if sampler is None or self.helper is None:
            return []
        return [
            sampler.include(sample) for token, sample in self.helper.read() if token == of.token
        ]

    def _ways(self, running: Try) -> list[Send]:
        """Return the ways to the submit side that may take something now, the best one first."""
        ways: list[Send] = []
        fields = running.writer.context.receiver
        if fields is not None:
            receiver = Receiver(*fields)
            if self.direct is None or self.direct.receiver != receiver:
                self.direct = DirectSender(receiver)
                self._failures_told = 0
            if self.direct.is_due():
                ways.append(self.direct.send)
        queue = relay.queue_here()
        return ways if queue is None else [*ways, partial(relay.put, queue)]


def _is_sent(send: Send, frames: bytes) -> bool:
    try:
        send(frames)
    except Unreachable as error:
        logger.warning("news of a try cannot be sent directly: %s", error)
        return False
    return True


_process: _Process | None = None
_making = threading.Lock()


def began(of: Try, baseline: Baseline | None) -> None:
    """Note that a try has begun in this process."""
    global _process
    if _process is None or _process.pid != os.getpid():
        with _making:
            if _process is None or _process.pid != os.getpid():
                _process = _Process()
    _process.begin(of, baseline)


def ended(of: Try) -> list[Sample]:
    """Note that a try has ended, and return the samples of it that were not sent yet."""
    return [] if _process is None else _process.end(of)


def send(of: Try, frames: bytes) -> None:
    """
    Send frames by the first way that takes them.

    Args:
        of: What they are of.
        frames: Spool frames of OTLP requests.

    Raises:
        OSError: No way to the submit side is left.
    """
    if _process is not None:
        _process.send(of, frames)


def will_of(writer: Writer) -> Will:
    """Return what the process leaves for its tries: see ``last_words``."""
    return Will(
        writer.run,
        writer.context.scope,
        writer.pid,
        writer.resource,
        writer.scope,
        writer.place,
        writer.context.receiver,
        relay.address_here(),
    )


def event_of(of: Try) -> bytes:
    """Return the event that says that a try runs."""
    writer, which, start_ns, _ = of
    return running_event(
        writer.run,
        which.task_id,
        which.try_id,
        start_ns,
        scope=writer.context.scope,
        pid=writer.pid,
        attributes=writer.try_attributes(which),
    )


def trouble_event(of: Try) -> bytes | None:
    """
    Return the event that says that news could not be sent directly; None if nothing is amiss.

    It leaves with the result, which needs no way but its own.
    """
    found = None if _process is None else _process.trouble()
    if found is None:
        return None
    failure, times = found
    now_ns = time.time_ns()
    writer, which, *_ = of
    told = [_FAILURE.text(failure), _TIMES.integer(times)]
    return try_event(
        _UNREACHED,
        writer.run,
        which.task_id,
        which.try_id,
        now_ns,
        now_ns,
        scope=writer.context.scope,
        attributes=[*writer.try_attributes(which), *told],
    )
