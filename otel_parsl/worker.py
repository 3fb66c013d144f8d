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
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from otel_parsl import __version__, carrier, live, semconv, spool, user_spans, wire
from otel_parsl.exceptions import message_of, stacktrace_of, type_name
from otel_parsl.execution_record import (
    EXECUTION,
    Ended,
    Failure,
    Origin,
    execution_id,
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
        in_submit_process: True for threads, whose process is not the try's own: totals of the
            process would be those of all its threads, so none are taken.
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
        self._scope = wire.scope(semconv.SCOPE, __version__)
        self._resource = origin_resource(self._origin, context.resource)
        self._place = place_attributes(self._origin)
        self.user_resource = {
            "service.name": context.service_name,
            semconv.RUN_ID: context.run_id,
            semconv.SERVICE_INSTANCE_ID: f"{self.host}:{self.pid}",
            semconv.HOST_NAME: self.host,
            semconv.PROCESS_PID: self.pid,
        }
        """Of the spans that the user's code makes."""

    def frame(self, signal: int, items: Sequence[bytes]) -> bytes:
        """Return sized Spans, Metrics or LogRecords as one spool frame."""
        request = wire.request(self._resource, self._scope, items, schema_url=semconv.SCHEMA_URL)
        return spool.frame(signal, request)

    def last_sample(self) -> Sample | None:
        """Return what the try has used; None where that cannot be told from its process."""
        return None if self.sampler is None else self.sampler.sample()

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
        self.sampler.sample()
        metrics = process_metrics(self.sampler.process(), began_ns=began_ns())
        return self.frame(METRICS, metrics)

    def execution_id(self, which: TryContext, start_ns: int) -> bytes:
        """Return the id of the span of an execution here."""
        return execution_id(self._origin, self.run, which.task_id, which.try_id, start_ns)

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
        return try_attributes(which.task_id, which.try_id, which.app, which.executor, self._place)


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
        found = _writers[context.run_id] = Writer(context)
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

    try:
        of_run = RunContext(*context[: len(RunContext._fields)])
        of_try = TryContext(*which[: len(TryContext._fields)])
    except TypeError as error:
        message = f"otel_parsl {__version__} cannot read what the submit side sent: {error}"
        raise ImportError(message, name="otel_parsl.worker") from error
    return _traced(of_run, of_try, lambda: run(buffer))


class TracedFunction:
    """A user's function that traces its call; picklable wherever the function is."""

    def __init__(
        self, function: Callable[..., Any], context: RunContext, which: TryContext
    ) -> None:
        self._function = function
        self._context = context
        self._which = which
        self.__name__ = which.app

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _traced(self._context, self._which, lambda: self._function(*args, **kwargs))


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
    start_ns = now_ns()
    error: BaseException | None = None
    try:
        sink(writer.frame(LOGS, (live.running_event(live.Try(writer, which, start_ns)),)))
    except Exception:
        logger.exception("the telemetry of a try could not begin")
    try:
        result = function(*args, **kwargs)
        error = _returned_failure(result)
        return result
    except BaseException as raised:
        error = raised
        raise
    finally:
        try:
            sink(writer.execution(which, start_ns, now_ns(), error))
            if error is not None:
                failed(which.task_id, which.try_id, error)
        except Exception:
            logger.exception("the telemetry of a try could not be written")


def now_ns() -> int:
    """Return the time in UTC nanoseconds, to the microsecond: as fine as Parsl's tables."""
    return time.time_ns() // 1000 * 1000


def _traced(context: RunContext, which: TryContext, call: Callable[[], Any]) -> bytes:
    observed = _Observed.begin(context, which)
    error: BaseException | None = None
    payload = None
    try:
        result = call()
        error = _returned_failure(result)
    except Exception as raised:  # noqa: BLE001 - every failure of a try is the try's result
        error = raised
        payload = carrier.pack_failure(error)
    finally:
        if observed is not None:
            observed.end()
    if payload is None:
        try:
            payload = carrier.pack(result)
        except Exception as raised:  # noqa: BLE001 - as above: the result cannot be pickled
            error = raised
            payload = carrier.pack_failure(error)
    frames = b"" if observed is None else observed.frames(error)
    return carrier.carried(context.run_id.encode() + b"\0" + frames, payload)


class _Observed:
    """
    A try under observation.

    Nothing here may fail the try: what goes wrong is logged where the worker logs, and the try goes
    on without telemetry.
    """

    def __init__(self, context: RunContext, which: TryContext) -> None:
        self._which = which
        self._writer = writer(context)
        self._start_ns = now_ns()
        self._end_ns = 0
        self._sample: Sample | None = None
        self._unsent: list[Sample] = []
        self._made: bytes | None = None

    @classmethod
    def begin(cls, context: RunContext, which: TryContext) -> _Observed | None:
        """Begin to observe; None where that fails."""
        try:
            observed = cls(context, which)
            observed._begin()
        except Exception:
            logger.exception("the telemetry of a try could not begin")
            return None
        return observed

    def end(self) -> None:
        """Take what the try has used and made."""
        try:
            self._unsent = live.ended()
            self._made = user_spans.end()
            self._sample = self._writer.last_sample()
        except Exception:
            logger.exception("the telemetry of a try could not be taken whole")
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
            of_try = live.Try(of_run, which, self._start_ns)
            if (trouble := live.trouble_event(of_try)) is not None:
                frames.append(of_run.frame(LOGS, (trouble,)))
        except Exception:
            logger.exception("the telemetry of a try could not be written")
            return b""
        return b"".join(frames)

    def _begin(self) -> None:
        of_run, which, start_ns = self._writer, self._which, self._start_ns
        baseline = None if of_run.sampler is None else of_run.sampler.begin()
        context = of_run.context
        given = user_spans.Given(
            task_trace_id(of_run.run, which.task_id, scope=context.scope),
            of_run.execution_id(which, start_ns),
            which.task_id,
            is_sampled(of_run.run, which.task_id, context.sampled_share),
            context.baggage,
            context.propagators,
        )
        user_spans.begin(given, of_run.user_resource)
        live.began(live.Try(of_run, which, start_ns), baseline)


def _returned_failure(result: Any) -> BaseException | None:
    """Return the exception inside a failure that Parsl's apps return as a value."""
    if type(result).__name__ != "RemoteExceptionWrapper":
        return None
    error: BaseException = result.get_exception()
    return error
