"""
One run in the submit process, from the start of its DataFlowKernel to the end of its cleanup.

Flow: DataFlowKernel, executors -> **monitored_run** -> drain -> spool -> agent
"""

from __future__ import annotations

import atexit
import datetime
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from parsl.monitoring import MonitoringHub
from parsl.monitoring.message_type import MessageType

from otel_parsl import __version__, carrier, rendezvous, seam, semconv
from otel_parsl.config import exception_signals, resource_attributes
from otel_parsl.destination import Destination
from otel_parsl.interchange_messages import Heard
from otel_parsl.leftovers import find_leftovers
from otel_parsl.messages import run_attributes
from otel_parsl.process_metrics import began_ns, iso_time
from otel_parsl.propagation import baggage_at_load, current_span, propagators, span_at_load
from otel_parsl.seldom import Seldom
from otel_parsl.submit.dashboard_process import DashboardProcess
from otel_parsl.submit.drain import FLUSH_S, Drain
from otel_parsl.submit.embedded import EmbeddedAgent, reap, start_agent
from otel_parsl.submit.executor_watch import ExecutorWatch
from otel_parsl.submit.interchange_channel import InterchangeChannel
from otel_parsl.submit.message_queue import MessageQueue
from otel_parsl.submit.transport import Network, OtlpReceiver, Transport
from otel_parsl.submit_process import this_process
from otel_parsl.time_zone import local_zone
from otel_parsl.trace_sampling import share_from_environment
from otel_parsl.user_spans import execution_of_caller
from otel_parsl.wire import Key
from otel_parsl.worker import RunContext, Writer

logger = logging.getLogger(__name__)

_REVIVE_EVERY_S = 0.5
_LOOK_EVERY_S = 5.0


class RunSettings(NamedTuple):
    """What a hub's arguments, and the environment's, mean for a run."""

    database: str | None
    """SQLAlchemy's URL; None where a site's collector keeps the database."""
    collector: Destination | None
    """That collector."""
    destinations: tuple[Destination, ...]
    trace_scope: str
    monitors_resources: bool
    """Whether Parsl's tables have what workers say."""
    sample_interval_s: float
    """Seconds between samples of a try that lasts; 0 takes none."""
    resource_attributes: Mapping[str, str | int | float | bool] | None
    shutdown_timeout_s: float
    spool_max_bytes: int
    transport: tuple[str, Any, Any]
    """Its kind, address and port."""
    has_dashboard: bool
    is_debugged: bool

    @property
    def place(self) -> str:
        """Where the database is, for people."""
        if self.collector is not None:
            return f"the database of the collector at {self.collector.endpoint}"
        from sqlalchemy.engine import make_url

        return make_url(str(self.database)).render_as_string(hide_password=True)


class MonitoredRun:
    """
    Take what a run's DataFlowKernel and executors say, and have it delivered.

    Args:
        hub: What the starting DataFlowKernel has as its monitoring.
        settings: How.
        rundir: The run's own directory; the directory of all runs may hold what earlier ones left.
        runinfo: That one.
        log_config: How Parsl's processes log; None for Parsl's default.
        on_closed: Called when the run has said its last.

    Raises:
        ConfigError: An argument of the transport cannot be used.
        ParslMismatch: No DataFlowKernel is starting.
    """

    def __init__(
        self,
        hub: MonitoringHub,
        settings: RunSettings,
        rundir: Path,
        runinfo: Path,
        log_config: Any,
        on_closed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._on_closed = on_closed
        self._formats = propagators()
        self._caller = span_at_load(self._formats)
        self._baggage = baggage_at_load(self._formats)
        self._sampled_share = share_from_environment(self._caller)
        leftovers = find_leftovers(runinfo)
        self._directory = rundir / "otel-parsl"
        self.messages = MessageQueue(self, self._take)
        """Where Parsl puts its messages, in this process and others."""
        self._context: RunContext | None = None
        self._submit_writer: Writer | None = None
        self._transport = Transport(*settings.transport)
        self._is_over = threading.Event()
        self._late_messages = 0
        self._undelivered_before = carrier.undelivered
        self._pid = os.getpid()
        self.executors, self._start = seam.attach(hub, self)
        """What the executors say of themselves, and whether the DataFlowKernel starts."""
        self._drain = Drain(
            self._directory,
            scope=settings.trace_scope,
            watch=ExecutorWatch(self.executors),
            max_bytes=settings.spool_max_bytes,
        )
        self.channels: list[InterchangeChannel] = []
        """Those of the executors' interchanges."""
        self._agent = EmbeddedAgent(self._directory, self._agent_needs(log_config))
        self._transport.start(self._agent)
        self._dashboard = self._start_dashboard() if settings.has_dashboard else None
        if leftovers:
            _deliver(leftovers)
        self._thread = threading.Thread(target=self._serve, name="otel-parsl-drain", daemon=True)
        self._thread.start()
        atexit.register(self._close_uncleaned)
        logger.info("monitoring goes to %s, by agent %s", settings.place, self._agent.pid)

    def close(self) -> None:
        """Spool what is left and wait for the store, once."""
        if self._is_over.is_set():
            return
        atexit.unregister(self._close_uncleaned)
        try:
            self._close(self._settings.shutdown_timeout_s)
        except KeyboardInterrupt:  # it ends the wait, and not what was waited for
            self._close(0.0)
            raise
        finally:
            self._start.let_go()
            self.executors.restore()  # the same Config may be loaded again
            self._on_closed()

    def _close(self, patience_s: float) -> None:
        """Spool what is left and wait so long; safe to call again."""
        self.messages.stop_reading()
        for channel in self.channels:
            channel.close()
        self._is_over.set()
        self._thread.join()
        closing_at = time.monotonic()
        self._drain.close(timeout_s=patience_s)
        timeout_s = max(0.0, patience_s - (time.monotonic() - closing_at))
        if self._context is not None:
            carrier.unregister(self._context.run_id)
        left = self._agent.finish(self._drain.place, timeout_s=timeout_s)
        if left is not None:
            logger.warning(
                "monitoring: after %.0f s not all is in %s: %s. What is left is in %s; the next"
                " run here, or otel-parsl flush, delivers it if the agent cannot",
                patience_s,
                self._settings.place,
                left,
                self._directory,
            )
        if self._dashboard is not None:
            self._dashboard.close()
        for trouble in self._agent.troubles():
            logger.warning("monitoring: %s", trouble)
        self._transport.close()
        unreadable = self._drain.unreadable + self.messages.unreadable
        if unreadable or self._drain.dropped:
            logger.error(
                "monitoring: %d messages could not be read, %d batches were dropped",
                unreadable,
                self._drain.dropped,
            )
        undelivered = carrier.undelivered - self._undelivered_before
        if undelivered:
            logger.error(
                "monitoring: what came with %d results could not be taken: it is of a version of"
                " otel-parsl that this one (%s) does not understand, or of a run that is over."
                " What the submit side knows of these tries is recorded",
                undelivered,
                __version__,
            )

    def run_context(self, label: str, network: Network) -> RunContext:
        """
        Return what an executor's workers have to know of the run.

        Args:
            label: The executor.
            network: What lies between its workers and this host.
        """
        context = self._known_context()
        receiver = self._transport.receiver_for(label, network)
        if receiver is None:
            return context
        hosts, port, token = receiver
        return context._replace(receiver=(hosts, port, token))

    def otlp_receiver(self) -> OtlpReceiver:
        """
        Return where a user's own OpenTelemetry SDK may send to.

        Raises:
            ConfigError: The transport opens no port, or none can be opened.
        """
        return self._transport.own_receiver()

    def submit_writer(self) -> Writer:
        """Return the writer for tries that run in the submit process."""
        if self._submit_writer is None:
            self._submit_writer = Writer(self._known_context(), in_submit_process=True)
        return self._submit_writer

    def take_frames(self, frames: bytes) -> None:
        """Take the telemetry of a try."""
        self._drain.put_frames(frames)
        self._transport.took(frames)

    def submitted(
        self, task_id: int, try_id: int, executor_task_id: object, specification: Any
    ) -> None:
        """Take what only the submission of a try knows."""
        self._drain.submitted(task_id, try_id, executor_task_id, specification)

    def failed(self, task_id: int, try_id: int, error: Any, *, is_told: bool = True) -> None:
        """Take with what a try failed."""
        self._drain.failed(task_id, try_id, error, is_told=is_told)

    def untraced(self, label: str, why: str) -> None:
        """Take why an executor's workers cannot trace: it is seen from the submit side only."""
        self._drain.untraced(label, why)

    def take_heard(self, heard: Heard) -> None:
        """Take what an executor's interchange has sent."""
        self._drain.put_heard(heard)

    def _known_context(self) -> RunContext:
        assert self._context is not None, "the DataFlowKernel says who it is before it submits"
        return self._context

    def _start_dashboard(self) -> DashboardProcess | None:
        try:
            return DashboardProcess(
                str(self._settings.database),
                self._directory / "dashboard.log",
                self._say_address,
            )
        except OSError as error:
            logger.warning("the dashboard cannot be started, the run goes on: %s", error)
            return None

    def _say_address(self, lines: Sequence[str]) -> None:
        if lines:
            # Not parsl-visualize: that may be Parsl's own.
            later = f"Afterwards  otel-parsl visualize {self._settings.place}"
            say_once("\n".join(f"otel-parsl: {line}" for line in (*lines, later)))

    def _take(self, message: Any) -> None:
        if self._is_over.is_set():
            if not self._late_messages:
                atexit.register(self._say_late)
            self._late_messages += 1
            return
        tag, said = message
        caller = None
        if tag is MessageType.WORKFLOW_INFO and "python_version" in said:
            self._begin(said)
            caller = self._caller
        elif (
            tag is MessageType.TASK_INFO
            and said["task_status_name"] == "pending"
            and said["try_id"] == 0
        ):
            # This is the thread that called the app: the user's span, or a join app's execution.
            caller = current_span() or execution_of_caller()
        self._drain.put(message, caller)

    def _begin(self, message: Mapping[str, Any]) -> None:
        """Learn which run this is: the hub is started before Parsl has given it an id."""
        attributes = run_attributes(
            message,
            zone=local_zone(),
            monitors_resources=self._settings.monitors_resources,
        )
        given: dict[str, str | int | float | bool] = {"service.name": str(message["workflow_name"])}
        given |= resource_attributes(self._settings.resource_attributes)
        resource = (*attributes, *(Key(name).any(value) for name, value in given.items()))
        run_id = message["run_id"]
        self._context = RunContext(
            run_id,
            resource,
            self._settings.trace_scope,
            self._settings.sample_interval_s,
            str(given["service.name"]),
            propagators=self._formats,
            baggage=self._baggage,
            sampled_share=self._recorded_share(),
            carrier_version=carrier.VERSION,
            attributes=tuple(given.items()),
        )
        own = (
            Key(semconv.SERVICE_INSTANCE_ID).text(f"{message['host']}:{os.getpid()}"),
            Key(semconv.HOST_NAME).text(str(message["host"])),
            Key(semconv.PROCESS_PID).integer(os.getpid()),
            Key(semconv.PYTHON_VERSION).text(message["python_version"]),
            Key(semconv.PROCESS_CREATION_TIME).text(iso_time(began_ns())),
        )
        run = {"run_id": run_id, "resource": [attribute.hex() for attribute in resource]}

        def announce() -> None:
            rendezvous.write(self._directory, rendezvous.RUN, run, is_durable=True)

        self._drain.begin(run_id, (*resource, *own), announce)
        carrier.register(run_id, self.take_frames)

    def _recorded_share(self) -> float:
        """Return of which share of tasks the user's own spans are recorded: what anybody wants."""
        if any(destination.sampling is not None for destination in self._settings.destinations):
            return 1.0
        return self._sampled_share

    def _serve(self) -> None:
        revived_at = looked_at = time.monotonic()
        failed = Seldom(logger, logging.ERROR)
        while not self._is_over.wait(FLUSH_S):
            try:
                self._drain.flush()
                now = time.monotonic()
                if now - revived_at > _REVIVE_EVERY_S:
                    revived_at = now
                    self._agent.revive()
                if now - looked_at > _LOOK_EVERY_S:
                    looked_at = now
                    self._agent.say_what_the_store_lacks()
                    if self._start.has_failed():
                        # In a thread of its own, which waits for this one.
                        threading.Thread(
                            target=self._close_uncleaned, name="otel-parsl-end"
                        ).start()
                        return
            except Exception as error:  # noqa: BLE001 - a border: without this thread all stops
                failed.say("monitoring goes on after %r", error)

    def _close_uncleaned(self) -> None:
        """
        Close a run whose DataFlowKernel nobody cleans up: it is unfinished.

        That is seen when Python ends, and where ``parsl.load`` raises in a program that goes on.
        """
        if os.getpid() != self._pid:
            return  # a fork of the user's ends, with this run in its memory
        if self._context is not None:
            now = datetime.datetime.now()  # noqa: DTZ005 - Parsl's messages have naive local times
            message = {
                "time_completed": now,
                "outcome": "unfinished",
                "run_id": self._context.run_id,
            }
            self._drain.put((MessageType.WORKFLOW_INFO, message))
        self.close()

    def _say_late(self) -> None:
        logger.warning(
            "monitoring: %d messages came after the end of the run and are in no table",
            self._late_messages,
        )

    def _agent_needs(self, log_config: Any) -> dict[str, bytes]:
        """Return the files that an agent begins with, the one that tells of a run last."""
        settings = self._settings
        needs = {} if log_config is None else _log_config_needs(log_config)
        told = {
            "database": settings.database,
            "collector": settings.collector and settings.collector.as_settings(),
            "destinations": [destination.as_settings() for destination in settings.destinations],
            "trace_scope": settings.trace_scope,
            "sampled_share": self._sampled_share,
            "exception_signals": exception_signals(),
            "spool_max_bytes": settings.spool_max_bytes,
            **this_process(),
            "debug": settings.is_debugged,
        }
        return needs | {rendezvous.SETTINGS: json.dumps(told).encode()}


def _log_config_needs(log_config: Any) -> dict[str, bytes]:
    """
    Return the file of a LogConfig, by value where it is of the script: the agent has another one.

    Where there is none the agent's log is a plain one.
    """
    import dill  # type: ignore[import-untyped]

    try:
        # Recursively, else its functions would look for their globals in the agent's own __main__.
        return {rendezvous.LOG_CONFIG: dill.dumps(log_config, recurse=True)}
    except Exception as error:  # noqa: BLE001 - whatever the user's class raises
        logger.warning(
            "the LogConfig cannot be sent to the monitoring agent, whose log is a plain one: %r",
            error,
        )
        return {}


def _deliver(leftovers: Sequence[Path]) -> None:
    logger.info(
        "earlier runs left telemetry in %s: an agent delivers it now, one after another",
        ", ".join(map(str, leftovers)),
    )
    try:
        reap(start_agent(*leftovers))
    except OSError as error:
        logger.warning("it cannot be started, and the next run here tries again: %s", error)


_said: set[str] = set()


def say_once(words: str) -> None:
    """Say something to whoever runs the program: by itself Parsl shows its log to nobody."""
    if words not in _said:
        _said.add(words)
        sys.stderr.write(f"{words}\n")
