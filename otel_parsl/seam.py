"""
Where we hold on to Parsl: this file touches its internals, and ``kernel_executors`` beside it.
``htex_interchange`` stands in for a program of Parsl's, in a process of its own.

Everything is done on instances (an executor's ``submit``, a DataFlowKernel's ``add_executors``),
so a DataFlowKernel with Parsl's own hub beside ours is left alone; the one module name replaced,
``start_zmq_receiver`` in HTEX's executor module, acts for our queue alone.
``tests/contracts/test_parsl_surface.py`` fails when Parsl no longer has what is used here.
"""

from __future__ import annotations

import inspect
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from multiprocessing.queues import Queue
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Protocol

import parsl.executors.high_throughput.executor as htex
from parsl.app.errors import RemoteExceptionWrapper
from parsl.curvezmq import ServerContext
from parsl.dataflow.dflow import DataFlowKernel
from parsl.executors.base import ParslExecutor
from parsl.executors.high_throughput.executor import HighThroughputExecutor, HTEXFuture
from parsl.executors.threads import ThreadPoolExecutor
from parsl.monitoring import MonitoringHub
from parsl.monitoring.radios.base import (
    MonitoringRadioReceiver,
    MonitoringRadioSender,
    RadioConfig,
)
from parsl.monitoring.radios.filesystem import FilesystemRadio
from parsl.monitoring.radios.htex import HTEXRadio
from parsl.monitoring.radios.multiprocessing import MultiprocessingQueueRadio
from parsl.serialize import pack_apply_message
from parsl.serialize.errors import SerializationError

from otel_parsl.errors import ParslMismatch
from otel_parsl.interchange_messages import Heard
from otel_parsl.submit.interchange_channel import InterchangeChannel
from otel_parsl.submit.kernel_executors import KernelExecutors, mark_open
from otel_parsl.submit.settling import Tracing, error_of
from otel_parsl.submit.transport import Network, local_addresses
from otel_parsl.worker import RunContext, TracedFunction, TryContext, Writer, call_here

logger = logging.getLogger(__name__)

_TASK, _TRY = "_parsl_monitoring_task_id", "_parsl_monitoring_try_id"
_WORKER_ENTRY = "otel_parsl.worker.execute_task"
_INTERCHANGE = str(Path(__file__).with_name("htex_interchange.py"))
_WITH_FILESYSTEM_RADIO = ("WorkQueueExecutor", "TaskVineExecutor")
"""Names, since to import them takes a while. Others have none, unless the user gives them one."""
_MB_OF_GB = 1024
"""``process_worker_pool`` counts 2**30 bytes as a GB; executors that take MB count 2**20."""
_BUFFER_THRESHOLD = 1 << 20  # as HighThroughputExecutor.submit


class Run(Protocol):
    """What the seam needs of a run."""

    executors: KernelExecutors
    channels: list[InterchangeChannel]
    """Those of its executors' interchanges, which it closes at its end if nobody has."""

    def run_context(self, label: str, network: Network) -> RunContext:
        """Return what an executor's workers have to know."""

    def submit_writer(self) -> Writer:
        """Return the writer for tries that run in the submit process."""

    def take_frames(self, frames: bytes) -> None:
        """Take the telemetry of a try."""

    def submitted(
        self, task_id: int, try_id: int, executor_task_id: object, specification: Any
    ) -> None:
        """Take what only the submission of a try knows."""

    def failed(self, task_id: int, try_id: int, error: Any, *, is_told: bool = True) -> None:
        """
        Take with what a try failed.

        Args:
            task_id: Parsl's task id.
            try_id: Parsl's try id.
            error: The exception, or Parsl's RemoteExceptionWrapper of it.
            is_told: Whether a worker has told it already.
        """

    def untraced(self, label: str, why: str) -> None:
        """Take why an executor's workers cannot trace: it is seen from the submit side only."""

    def take_heard(self, heard: Heard) -> None:
        """Take what an executor's interchange has sent."""


class CarriedRadio(RadioConfig):
    """The radio of an executor whose tries report with their results: it sends nothing."""

    def create_receiver(self, *, run_dir: str, resource_msgs: Queue[Any]) -> _NoReceiver:
        """Return a receiver of nothing."""
        return _NoReceiver()

    def create_sender(self) -> MonitoringRadioSender:
        """
        Refuse: nothing that we trace asks for a sender.

        Raises:
            ParslMismatch: Parsl's own wrapper reached a worker.
        """
        raise ParslMismatch("a try reached a worker with Parsl's own monitoring wrapper around it")

    def __repr__(self) -> str:
        return "CarriedRadio()"


class _NoReceiver(MonitoringRadioReceiver):
    def shutdown(self) -> None:
        """Do nothing: there is nothing to shut down."""


class KernelStart:
    """
    Whether a DataFlowKernel comes to its end of starting: where it raises, nobody cleans it up.

    Args:
        kernel: It, held until that is known.
        frame: That of its ``__init__``, which runs in this thread.
    """

    def __init__(self, kernel: DataFlowKernel, frame: FrameType) -> None:
        self._thread = threading.get_ident()
        self._starting: tuple[DataFlowKernel, FrameType] | None = (kernel, frame)

    def has_failed(self) -> bool:
        """Tell whether it has raised; True once."""
        if self._starting is None:
            return False
        kernel, starting = self._starting
        is_started = hasattr(kernel, "tasks")  # set once its executors have started
        frame = None if is_started else sys._current_frames().get(self._thread)
        while frame is not None:
            if frame is starting:
                return False
            frame = frame.f_back
        self.let_go()
        return not is_started

    def let_go(self) -> None:
        """Keep the DataFlowKernel and its tasks in memory no longer."""
        self._starting = None


class Attached(NamedTuple):
    """What is held of a DataFlowKernel."""

    executors: KernelExecutors
    """What its executors say of themselves."""
    start: KernelStart


def attach(hub: MonitoringHub, run: Run) -> Attached:
    """
    Hold on to the DataFlowKernel that is starting a hub, and to its executors.

    Args:
        hub: The hub.
        run: Its run, which is told.

    Raises:
        ParslMismatch: ``MonitoringHub.start`` was not called by ``DataFlowKernel.__init__``.
    """
    kernel, frame = _starting_kernel(hub)
    add_executors = kernel.add_executors
    known = KernelExecutors()
    is_wrapped = bool(hub.resource_monitoring_enabled)

    def add(executors: Any) -> None:
        try:
            for executor in executors:
                _trace(executor, run, known, is_wrapped=is_wrapped)
                known.add(executor)
            add_executors(executors)
        except BaseException:
            known.restore(executors)
            raise

    kernel.add_executors = add
    if not is_wrapped:
        _note_launches(kernel)
    _replace_start_zmq_receiver()
    return Attached(known, KernelStart(kernel, frame))


def _starting_kernel(hub: MonitoringHub) -> tuple[DataFlowKernel, FrameType]:
    frame = inspect.currentframe()
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, DataFlowKernel) and owner.monitoring is hub:
            return owner, frame
        frame = frame.f_back
    raise ParslMismatch(
        "OTelMonitoringHub.start: not called by a DataFlowKernel that has this hub as its"
        " monitoring; pass the hub to parsl.config.Config(monitoring=...)"
    )


class _Launching(threading.local):
    """The try that a thread is about to hand to its executor, where Parsl does not wrap it."""

    which: tuple[int, int] | None = None


_launching = _Launching()


def _note_launches(kernel: DataFlowKernel) -> None:
    """
    Know which try is launched where Parsl does not say so to the executor.

    With ``resource_monitoring_enabled=False`` the function goes to the executor as it is, without
    the wrapper that is given the ids.
    """
    launch_task = kernel.launch_task

    def launch(task_record: Any) -> Future[Any]:
        before = _launching.which
        _launching.which = task_record["id"], task_record["fail_count"]
        try:
            return launch_task(task_record)
        finally:
            _launching.which = before

    kernel.launch_task = launch


class _Submitted(NamedTuple):
    """A try on its way to its executor."""

    task_id: int
    try_id: int
    func: Callable[..., Any]
    """The user's own."""


def _submitted(func: Callable[..., Any], kwargs: dict[str, Any]) -> _Submitted | None:
    """Return which try is submitted; None if it is none of Parsl's."""
    if _TASK in kwargs:
        # From inside Parsl's monitor_wrapper.
        bare: Callable[..., Any] = func.__wrapped__  # type: ignore[attr-defined]
        return _Submitted(kwargs.pop(_TASK), kwargs.pop(_TRY), bare)
    if _launching.which is None:
        return None
    return _Submitted(*_launching.which, func)


def _trace(executor: ParslExecutor, run: Run, known: KernelExecutors, *, is_wrapped: bool) -> None:
    if _has_default_interchange(executor) and _is_python(sys.executable):
        known.replace(executor, "interchange_launch_cmd", [sys.executable, _INTERCHANGE])
    has_default_radio = _has_default_radio(executor)
    if is_wrapped and not has_default_radio:
        radio = executor.remote_monitoring_radio
        logger.warning(
            "executor %s keeps its own %s: its tries are monitored by Parsl's wrapper. That radio"
            " may start a process by multiprocessing, which needs an"
            " 'if __name__ == \"__main__\":' in your script; without the radio nothing does",
            executor.label,
            type(radio).__name__,
        )
        known.replace(executor, "submit", _telling_submit(executor, run))
        return
    if has_default_radio:
        known.replace(executor, "remote_monitoring_radio", CarriedRadio())
    if isinstance(executor, HighThroughputExecutor):
        submit = _htex_submit(executor, run)
    elif isinstance(executor, ThreadPoolExecutor):
        submit = _thread_submit(executor, run)
    else:
        submit = _wrapping_submit(executor, run)
    known.replace(executor, "submit", submit)


def _is_python(executable: str) -> bool:
    """Tell whether a program runs Python's scripts, as one that embeds Python does not."""
    is_frozen = getattr(sys, "frozen", False)
    return not is_frozen and Path(executable).name.lower().startswith(("python", "pypy"))


def _has_default_interchange(executor: ParslExecutor) -> bool:
    """Tell whether an executor runs the interchange that comes with Parsl."""
    return (
        isinstance(executor, HighThroughputExecutor)
        and executor.interchange_launch_cmd == htex.DEFAULT_INTERCHANGE_LAUNCH_CMD
    )


def _has_default_radio(executor: ParslExecutor) -> bool:
    """Tell whether an executor's radio is the one its constructor puts in place of None."""
    radio = executor.remote_monitoring_radio
    if radio is None:
        return True
    if isinstance(executor, HighThroughputExecutor):
        return type(radio) is HTEXRadio
    if isinstance(executor, ThreadPoolExecutor):
        return type(radio) is MultiprocessingQueueRadio
    names = {each.__name__ for each in type(executor).__mro__}
    return type(radio) is FilesystemRadio and not names.isdisjoint(_WITH_FILESYSTEM_RADIO)


Submit = Callable[..., "Future[Any]"]


def _htex_submit(executor: HighThroughputExecutor, run: Run) -> Submit:
    original = executor.submit
    monitors = bool(executor.monitor_resources())
    label = executor.label
    tracing = Tracing(label, run.untraced)
    addresses = set(executor.all_addresses)
    if executor.address is None:
        addresses |= set(local_addresses())
    network = Network(True, bool(executor.encrypted), tuple(sorted(addresses)))
    context = tuple(run.run_context(label, network))
    failed = run.failed
    # HTEX takes no memory of a single task: its workers have as much each.
    asked = {"memory": executor.mem_per_worker * _MB_OF_GB} if executor.mem_per_worker else {}

    def submit(
        func: Callable[..., Any], resource_specification: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Future[Any]:
        submitted = _submitted(func, kwargs)
        if submitted is None:
            return original(func, resource_specification, *args, **kwargs)
        task_id, try_id, func = submitted

        app = func.__name__
        try:
            executor.validate_resource_spec(resource_specification)
            buffer = _packed(func, args, kwargs)
            plain: dict[str, Any] = {}
            if resource_specification:
                plain["resource_spec"] = resource_specification
            which = (task_id, try_id, app, label, monitors)
            traced = {
                **plain,
                "task_executor": {"f": _WORKER_ENTRY, "a": (context, which)},
            }
            is_traced = tracing.is_possible
            again = partial(_send, executor, buffer, task_id, try_id, app, plain)
            inner = _send(executor, buffer, task_id, try_id, app, traced) if is_traced else again()
        except Exception as error:
            run.failed(task_id, try_id, error, is_told=False)
            raise
        specification = (
            {**asked, **(resource_specification or {})} if asked else resource_specification
        )
        run.submitted(task_id, try_id, inner.parsl_executor_task_id, specification)
        outer = HTEXFuture(inner.parsl_executor_task_id)
        tracing.settle(outer, inner, (task_id, try_id), again, failed, is_traced=is_traced)
        return outer

    return submit


def _send(
    executor: HighThroughputExecutor,
    buffer: bytes,
    task_id: int,
    try_id: int,
    app: str,
    context: dict[str, Any],
) -> HTEXFuture:
    future = executor.submit_payload(context, buffer)
    mark_open(future, task_id, try_id, app)
    return future


def _telling_submit(executor: ParslExecutor, run: Run) -> Submit:
    """Trace nothing, but tell what the submit side knows of a try."""
    original = executor.submit

    def submit(
        func: Callable[..., Any], resource_specification: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Future[Any]:
        if _TASK not in kwargs:
            return original(func, resource_specification, *args, **kwargs)
        which = kwargs[_TASK], kwargs[_TRY]

        def done(future: Future[Any]) -> None:
            error: Any = error_of(future)
            if error is None and isinstance(future.result(), RemoteExceptionWrapper):
                error = future.result()
            if error is not None:  # else what the app returned, which may be an exception too
                run.failed(*which, error, is_told=False)  # Parsl's wrapper tells of none

        try:
            future = original(func, resource_specification, *args, **kwargs)
        except Exception as error:
            run.failed(*which, error, is_told=False)
            raise
        mark_open(future, *which, func.__name__)
        executor_task_id = getattr(future, "parsl_executor_task_id", None)
        run.submitted(*which, executor_task_id, resource_specification)
        future.add_done_callback(done)
        return future

    return submit


def _packed(func: Callable[..., Any], args: Any, kwargs: Any) -> bytes:
    try:
        return pack_apply_message(func, args, kwargs, buffer_threshold=_BUFFER_THRESHOLD)
    except TypeError as error:
        raise SerializationError(func.__name__) from error


def _thread_submit(executor: ThreadPoolExecutor, run: Run) -> Submit:
    original = executor.submit
    label = executor.label

    def submit(
        func: Callable[..., Any], resource_specification: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Future[Any]:
        submitted = _submitted(func, kwargs)
        if submitted is None:
            return original(func, resource_specification, *args, **kwargs)
        task_id, try_id, func = submitted
        which = TryContext(task_id, try_id, func.__name__, label, False)
        writer = run.submit_writer()
        told = (run.take_frames, run.failed)
        call = (func, args, kwargs, writer, which, *told)
        try:
            future = original(call_here, resource_specification, *call)
        except Exception as error:
            run.failed(task_id, try_id, error, is_told=False)
            raise
        run.submitted(task_id, try_id, None, resource_specification)
        return future

    return submit


def _wrapping_submit(executor: ParslExecutor, run: Run) -> Submit:
    """Trace on any other executor: the function is wrapped, as Parsl's own monitoring does."""
    original = executor.submit
    monitors = bool(executor.monitor_resources())
    label = executor.label
    tracing = Tracing(label, run.untraced)
    context = run.run_context(label, Network(False, False, ()))

    def submit(
        func: Callable[..., Any], resource_specification: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Future[Any]:
        submitted = _submitted(func, kwargs)
        if submitted is None:
            return original(func, resource_specification, *args, **kwargs)
        task_id, try_id, func = submitted
        which = TryContext(task_id, try_id, func.__name__, label, monitors)
        is_traced = tracing.is_possible
        sent = TracedFunction(func, context, which) if is_traced else func
        try:
            inner = original(sent, resource_specification, *args, **kwargs)
        except Exception as error:
            run.failed(task_id, try_id, error, is_told=False)
            raise
        executor_task_id = getattr(inner, "parsl_executor_task_id", None)
        run.submitted(task_id, try_id, executor_task_id, resource_specification)
        outer: Future[Any] = Future()
        if executor_task_id is not None:
            outer.parsl_executor_task_id = executor_task_id  # type: ignore[attr-defined]
        again = partial(original, func, resource_specification, *args, **kwargs)
        tracing.settle(outer, inner, (task_id, try_id), again, run.failed, is_traced=is_traced)
        return outer

    return submit


def _replace_start_zmq_receiver() -> None:
    """Listen for the interchanges of our runs ourselves; Parsl's router is a process a run more."""
    original = htex.start_zmq_receiver
    if getattr(original, "acts_for_otel_parsl", False):
        return

    def start_zmq_receiver(*, monitoring_messages: Any, **settings: Any) -> Any:
        run = getattr(monitoring_messages, "run", None)
        if run is None:
            return original(monitoring_messages=monitoring_messages, **settings)
        executor = run.executors.with_logdir(settings["logdir"])
        who = executor.label, executor.heartbeat_threshold
        channel = InterchangeChannel(
            ServerContext(cert_dir=settings.get("cert_dir")),  # since Parsl 2026.8
            settings["loopback_address"],
            settings["port_range"],
            lambda messages: run.take_heard(Heard(*who, messages)),
        )
        run.channels.append(channel)
        return channel

    start_zmq_receiver.acts_for_otel_parsl = True  # type: ignore[attr-defined]
    htex.start_zmq_receiver = start_zmq_receiver
