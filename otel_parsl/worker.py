"""
What runs where a try runs: the execution's span, its totals and its last sample.

Flow: seam (submit side) -> executor -> **worker** -> carrier -> hub
HTEX calls ``execute_task`` in place of Parsl's function of the same name
(``HighThroughputExecutor.submit_payload``), so the user's function is pickled unchanged; other
executors get the function wrapped in a ``TracedFunction``.
Workers import this module: nothing here may load more than the standard library.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from otel_parsl import __version__, carrier, live, open_tries, semconv, spool, user_spans, wire
from otel_parsl.clock import now_ns
from otel_parsl.exceptions import message_of, stacktrace_of, type_name
from otel_parsl.execution_record import (
    EXECUTION,
    Ended,
    Failure,
    Origin,
    execution_id,
    expand,
    origin_resource,
    place_attributes,
    record,
    try_attributes,
)
from otel_parsl.identity import run_key, task_trace_id
from otel_parsl.process_metrics import began_ns, iso_time, process_metrics
from otel_parsl.propagation import DEFAULT
from otel_parsl.sampling.sample_metrics import sample_metrics
from otel_parsl.sampling.sampler import Sample, TrySampler
from otel_parsl.sampling.thread_usage import thread_sample, thread_times
from otel_parsl.trace_sampling import is_sampled
from otel_parsl.wire import LOGS, METRICS, TRACES

logger = logging.getLogger(__name__)


class RunContext(NamedTuple):
    """What a worker has to know of the run; plain values, since it travels with every try."""

    run_id: str
    resource: tuple[bytes, ...]
    """Sized attributes: the workflow's columns, for the Resource of every request."""
    scope: str
    """Which trace a task lives in: see ``identity.task_trace_id``."""
    interval_s: float
    """The sampling interval; 0 takes no samples."""
    service_name: str
    """Of the run's telemetry: the workflow's name, if the user says nothing else."""
    receiver: tuple[tuple[str, ...], int, str] | None = None
    """The fields of a ``direct.Receiver``, where news go directly to the agent."""
    propagators: tuple[str, ...] = DEFAULT
    """In which forms the user's code is given its context, in words of ``OTEL_PROPAGATORS``."""
    baggage: str = ""
    """What the run was loaded with, as W3C writes it."""
    sampled_share: float = 1.0
    """Of tasks whose context says that it is sampled: see ``trace_sampling``."""
    carrier_version: int = 1
    """The newest form of a blob that the submit side understands: see ``carrier``."""
    attributes: tuple[tuple[str, str | int | float | bool], ...] = ()
    """What the user says of the run, for the spans that their code makes."""

    def __repr__(self) -> str:
        return f"RunContext({self.run_id!r})"  # the token is nobody's business


class TryContext(NamedTuple):
    """Which try it is; plain values."""

    task_id: int
    try_id: int
    app: str
    executor: str
    monitor_resources: bool
    """Whether the executor's tries may be sampled (``ParslExecutor.monitor_resources``)."""


class Writer:
    """
    Write the telemetry of one run's tries in one process.

    Args:
        context: The run.
        in_submit_process: True for threads of the process that submits, which is no try's own:
            what it has used is not what a try has used.
    """

    def __init__(self, context: RunContext, *, in_submit_process: bool = False) -> None:
        self.run = run_key(context.run_id)
        self.context = context
        self.pid = os.getpid()
        self.host = platform.node()
        self.sampler = None if in_submit_process else TrySampler()
        self._process_due_at = 0.0
        self._origin = Origin(
            context.run_id,
            context.scope,
            context.interval_s,
            self.host,
            self.pid,
            platform.python_version(),
            _place(),
            iso_time(began_ns()),
        )
        self._head = self._origin.encoded()
        self.scope = wire.scope(semconv.SCOPE, __version__)
        self.resource = origin_resource(self._origin, context.resource)
        self.place = place_attributes(self._origin)
        self.user_resource = {
            **dict(context.attributes),
            "service.name": context.service_name,
            semconv.RUN_ID: context.run_id,
            semconv.SERVICE_INSTANCE_ID: f"{self.host}:{self.pid}",
            semconv.HOST_NAME: self.host,
            semconv.PROCESS_PID: self.pid,
        }
        """Of the spans that the user's code makes."""

    def frame(self, signal: int, items: Sequence[bytes]) -> bytes:
        """Return sized Spans, Metrics or LogRecords as one spool frame."""
        request = wire.request(self.resource, self.scope, items, schema_url=semconv.SCHEMA_URL)
        return spool.frame(signal, request)

    def execution(
        self,
        which: TryContext,
        start_ns: int,
        end_ns: int,
        error: BaseException | None,
        sample: Sample | None = None,
    ) -> bytes:
        """Return the frame of a try that has ended here, with its last sample."""
        ended = Ended(
            which.task_id,
            which.try_id,
            which.app,
            which.executor,
            start_ns,
            end_ns,
            sample,
            which.monitor_resources and self.context.interval_s > 0,
            None if error is None else _failure(error),
        )
        return spool.frame(EXECUTION, record(self._head, ended))

    def process_frame(self, which: TryContext) -> bytes:
        """Return the frame of what this process has used, where it is due; else nothing."""
        interval_s = self.context.interval_s
        if self.sampler is None or interval_s <= 0 or not which.monitor_resources:
            return b""
        now = time.monotonic()
        if now < self._process_due_at:
            return b""
        self._process_due_at = now + interval_s
        metrics = process_metrics(self.sampler.process(), began_ns=began_ns())
        return self.frame(METRICS, metrics)

    def given(self, which: TryContext, start_ns: int) -> user_spans.Given:
        """Return the context that an execution here gives to the user's code."""
        context, task_id = self.context, which.task_id
        return user_spans.Given(
            task_trace_id(self.run, task_id, scope=context.scope),
            execution_id(self._origin, self.run, task_id, which.try_id, start_ns),
            task_id,
            is_sampled(self.run, task_id, context.sampled_share),
            context.baggage,
            context.propagators,
        )

    def sample(self, which: TryContext, sample: Sample) -> bytes:
        """Return the frame of one sample."""
        metrics = sample_metrics(
            sample,
            task_id=which.task_id,
            try_id=which.try_id,
            interval_s=self.context.interval_s,
        )
        return self.frame(METRICS, metrics)

    def try_attributes(self, which: TryContext) -> list[bytes]:
        """Return the attributes that say which try it is, and where it runs."""
        return try_attributes(which.task_id, which.try_id, which.app, which.executor, self.place)


def _place() -> list[tuple[str, str]]:
    named = (
        (semconv.BLOCK_ID, "PARSL_WORKER_BLOCK_ID"),
        (semconv.WORKER_RANK, "PARSL_WORKER_RANK"),
        (semconv.MANAGER_UID, "PARSL_WORKER_POOL_ID"),
    )
    return [(name, os.environ[variable]) for name, variable in named if variable in os.environ]


def _failure(error: BaseException) -> Failure:
    exit_code = getattr(error, "exitcode", None)
    return Failure(
        type_name(error),
        message_of(error),
        stacktrace_of(error),
        exit_code if isinstance(exit_code, int) else None,
    )


_writers: dict[str, Writer] = {}


def writer(context: RunContext) -> Writer:
    """Return this process's writer for a run; a forked child gets its own."""
    found = _writers.get(context.run_id)
    if found is None or found.pid != os.getpid():
        is_here = carrier.is_taken_here(context.run_id)
        found = _writers[context.run_id] = Writer(context, in_submit_process=is_here)
    return found


def execute_task(buffer: bytes, context: tuple[Any, ...], which: tuple[Any, ...]) -> Any:
    """
    Run a task's buffer as Parsl's ``execute_task`` does, and return its result carried.

    What the user's function raises, or a result that cannot be pickled, is returned as Parsl's
    RemoteExceptionWrapper, which Parsl treats as the exception, so that the telemetry of a failure
    has a carrier too.

    Args:
        buffer: What Parsl's ``pack_apply_message`` packed.
        context: The fields of a RunContext; a newer submit side may add some at the end.
        which: The fields of a TryContext, likewise.

    Raises:
        ImportError: The submit side is older than this worker can read; nothing of the user's has
            run, and the submit side sends the task again, untraced.
    """
    from parsl.executors.execute_task import execute_task as run

    return _traced(*_contexts(context, which), lambda: run(buffer))


def _contexts(context: tuple[Any, ...], which: tuple[Any, ...]) -> tuple[RunContext, TryContext]:
    """
    Return what a submit side sent, which may be of another version.

    Raises:
        ImportError: It cannot be read.
    """
    try:
        return (
            RunContext(*context[: len(RunContext._fields)]),
            TryContext(*which[: len(TryContext._fields)]),
        )
    except TypeError as error:
        message = f"otel_parsl {__version__} cannot read what the submit side sent: {error}"
        raise ImportError(message, name="otel_parsl.worker") from error


class TracedFunction:
    """A user's function that traces its call; picklable wherever the function is."""

    def __init__(
        self, function: Callable[..., Any], context: RunContext, which: TryContext
    ) -> None:
        self._function = function
        # Plain, since a worker of another version has other fields.
        self._context = tuple(context)
        self._which = tuple(which)
        self.__name__ = which.app

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        contexts = _contexts(self._context, self._which)
        return _traced(*contexts, lambda: self._function(*args, **kwargs))


def call_here(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    writer: Writer,
    which: TryContext,
    sink: Callable[[bytes], None],
    failed: Callable[[int, int, BaseException], None],
) -> Any:
    """Call a function in the submit process (threads and join apps) and trace the call."""
    observed = _Observed.begin(lambda: writer, which)
    error: BaseException | None = None
    if observed is not None:
        _hand_over(lambda: sink(observed.running()))
    try:
        result = function(*args, **kwargs)
        error = _returned_failure(result)
        return result
    except BaseException as raised:
        error = raised
        raise
    finally:
        if observed is not None:
            observed.end()
            _hand_over(lambda: sink(observed.frames(error)))
        if error is not None:
            failure = error
            _hand_over(lambda: failed(which.task_id, which.try_id, failure))


def _hand_over(telemetry: Callable[[], None]) -> None:
    try:
        telemetry()
    except Exception:
        logger.exception("the telemetry of a try could not be handed over")


def _traced(context: RunContext, which: TryContext, call: Callable[[], Any]) -> bytes:
    observed = _Observed.begin(lambda: writer(context), which)
    error: BaseException | None = None
    leaving: BaseException | None = None
    payload = None
    try:
        result = call()
        error = _returned_failure(result)
    except Exception as raised:  # noqa: BLE001 - every failure of a try is the try's result
        error = raised
        payload = carrier.pack_failure(error)
    except BaseException as raised:  # as of sys.exit: it ends the worker, and there is no result
        leaving = raised
        raise
    finally:
        if observed is not None:
            observed.end()
            if leaving is not None:
                observed.send(leaving)
    if payload is None:
        try:
            payload = carrier.pack(result)
        except Exception as raised:  # noqa: BLE001 - as above: the result cannot be pickled
            error = raised
            payload = carrier.pack_failure(error)
    frames = b"" if observed is None else observed.frames(error)
    version = min(context.carrier_version, carrier.VERSION)
    return carrier.carried(context.run_id.encode() + b"\0" + frames, payload, version)


class _Observed:
    """
    A try under observation.

    Nothing here may fail the try: what goes wrong is logged where the worker logs, and the try goes
    on without telemetry.
    """

    def __init__(self, writer: Writer, which: TryContext) -> None:
        self._which = which
        self._writer = writer
        self._start_ns = now_ns()
        self._end_ns = 0
        self._sample: Sample | None = None
        self._unsent: list[Sample] = []
        self._made: bytes | None = None
        self._open = open_tries.enter(is_workers=writer.sampler is not None)
        self._times = thread_times()
        self._try = live.Try(writer, which, self._start_ns, self._open)
        self._begun: user_spans.Begun | None = None

    @classmethod
    def begin(cls, writer: Callable[[], Writer], which: TryContext) -> _Observed | None:
        """Begin to observe; None where that fails."""
        observed = None
        try:
            observed = cls(writer(), which)
            observed._begin()
        except Exception:
            logger.exception("the telemetry of a try could not begin")
            if observed is not None:
                observed.end()
            return None
        return observed

    def running(self) -> bytes:
        """Return the news that the try runs."""
        return self._writer.frame(LOGS, (live.event_of(self._try),))

    def end(self) -> None:
        """Take what the try has used and made."""
        try:
            self._unsent = live.ended(self._try)
            if self._begun is not None:
                self._made = user_spans.end(self._begun)
            self._sample = self._used()
        except Exception:
            logger.exception("the telemetry of a try could not be taken whole")
        open_tries.leave(self._open)
        self._end_ns = now_ns()

    def frames(self, error: BaseException | None) -> bytes:
        """Return the telemetry of the try."""
        try:
            of_run, which = self._writer, self._which
            frames = [of_run.execution(which, self._start_ns, self._end_ns, error, self._sample)]
            frames += (of_run.sample(which, earlier) for earlier in self._unsent)
            frames.append(of_run.process_frame(which))
            if self._made is not None:
                frames.append(spool.frame(TRACES, self._made))
            if (trouble := live.trouble_event(self._try)) is not None:
                frames.append(of_run.frame(LOGS, (trouble,)))
        except Exception:
            logger.exception("the telemetry of a try could not be written")
            return b""
        return b"".join(frames)

    def send(self, error: BaseException) -> None:
        """Send the telemetry of the try at once, which no result will carry."""
        frames = _as_otlp(self.frames(error), self._writer.context.resource)
        _hand_over(lambda: live.send(self._try, b"".join(frames)))

    def _begin(self) -> None:
        of_run, which = self._writer, self._which
        sampler = of_run.sampler if self._open.has_process else None
        baseline = None if sampler is None else sampler.begin()
        given = of_run.given(which, self._start_ns)
        self._begun = user_spans.begin(given, of_run.user_resource, self._open)
        if of_run.sampler is not None:  # of threads the submit process hears without it
            live.began(self._try, baseline)

    def _used(self) -> Sample | None:
        """Return what the try has used, as far as it can be told from what others have."""
        sampler = self._writer.sampler
        if sampler is not None and self._open.has_process:
            sample = sampler.sample()
            if self._open.has_process:  # still: another may have begun meanwhile
                return sample
        return thread_sample(self._times)


def _as_otlp(frames: bytes, run: tuple[bytes, ...]) -> Iterator[bytes]:
    """Yield frames as others than the hub take them: without records of ended tries."""

    def unreadable(_: bytes, error: Exception) -> None:
        raise error

    for signal, payload in spool.payloads(frames):
        if signal == EXECUTION:
            yield from (spool.frame(*each) for each in expand((payload,), run, unreadable))
        else:
            yield spool.frame(signal, payload)


def _returned_failure(result: Any) -> BaseException | None:
    """Return the exception inside a failure that Parsl's apps return as a value."""
    if type(result).__name__ != "RemoteExceptionWrapper":
        return None
    error: BaseException = result.get_exception()
    return error
