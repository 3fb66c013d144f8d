"""
OTelMonitoringHub: what a user puts into a Parsl Config in MonitoringHub's place.

It starts the run's agent, takes Parsl's messages and the telemetry of tries, spools them, and at
the end waits until the store has them all.
"""

from __future__ import annotations

import atexit
import datetime
import logging
import os
import pickle
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from parsl.monitoring import MonitoringHub
from parsl.monitoring.message_type import MessageType

from otel_parsl import carrier, rendezvous, seam, semconv
from otel_parsl.config import (
    TRACE_SCOPES,
    destinations,
    exception_signals,
    resource_attributes,
    site_collector,
)
from otel_parsl.dashboard_process import DashboardProcess
from otel_parsl.drain import FLUSH_S, Drain
from otel_parsl.embedded import EmbeddedAgent, start_agent
from otel_parsl.errors import ConfigError
from otel_parsl.executor_watch import ExecutorWatch
from otel_parsl.leftovers import find_leftovers
from otel_parsl.masked import DatabaseUrl, Headers, absolute_url, without_secrets
from otel_parsl.message_queue import MessageQueue
from otel_parsl.messages import run_attributes
from otel_parsl.process_metrics import began_ns, iso_time
from otel_parsl.propagation import baggage_at_load, current_span, propagators, span_at_load
from otel_parsl.spool_room import MAX_MIB
from otel_parsl.time_zone import local_zone
from otel_parsl.trace_sampling import share_from_environment
from otel_parsl.transport import Network, OtlpReceiver, Transport
from otel_parsl.wire import Key
from otel_parsl.worker import RunContext, Writer

logger = logging.getLogger(__name__)

_REVIVE_EVERY_S = 0.5
_LISTEN_TIMEOUT_S = 120.0  # as long as Parsl waits for its own router
_TRACE_API = "opentelemetry.trace"
_RETIRED = frozenset(
    {"client_address", "client_port_range", "logdir", "logging_level", "hub_msg_port"}
)
"""Parameters that MonitoringHub once had."""


class OTelMonitoringHub(MonitoringHub):
    """
    Monitor a run: the rows that Parsl's MonitoringHub would write, and the same as OpenTelemetry.

    Args:
        hub_address: The address at which workers can reach this host, for direct transport; by
            default any of its addresses that they do reach. With relay, Parsl's own warning.
        hub_port_range: As MonitoringHub's: unused, and Parsl's own warning.
        hub_port: The port there; any free one by default. With relay, Parsl's own warning.
        workflow_name: The workflow's name; the script's by default.
        workflow_version: The workflow's version; the time it began by default.
        logging_endpoint: The database as an SQLAlchemy URL; by default SQLite in the run directory
            (``runinfo/monitoring.db``).
        monitoring_debug: Write more to the logs.
        resource_monitoring_enabled: Record what happens on the workers.
        resource_monitoring_interval: Seconds between samples of a try that lasts; 0 takes none.
        endpoint: An OTLP destination for the same telemetry, such as ``http://127.0.0.1:4317``.
            ``OTEL_EXPORTER_OTLP_ENDPOINT`` and its kin name one where this is None.
        collector: A site's collector of ours that keeps the database, such as
            ``https://collector.site.org:4317``, or a mapping of ``config.Destination``'s fields
            but ``sampling`` and ``signals``. None is written here then.
        protocol: ``grpc`` or ``http/protobuf``, for ``endpoint``; without one for ``collector``.
        headers: Sent there with every request.
        certificate: Path of the certificates to trust there.
        forward_to: Further destinations: URLs, or mappings of ``config.Destination``'s fields.
        trace_scope: ``auto``: tasks below 1,000 share the run's trace, later ones have one each;
            ``run`` and ``task`` force one or the other.
        transport: How news of tries that last come from the workers. ``relay``: by the executor's
            own channel, if it has one. ``direct``: by HTTP to ``hub_address`` and ``hub_port``,
            with a token. ``auto``: directly where ``hub_address`` is given, but by relay from an
            executor that encrypts its channel.
        resource_attributes: Further attributes of the run, for the destinations.
        shutdown_timeout: Seconds that cleanup may wait for the store.
        spool_max_size_mib: How much of a run may wait on disk. Beyond it what destinations lack is
            dropped, the oldest first; what the store lacks is kept, and what comes then is dropped.
        dashboard: Show the run in a browser while it goes on: the pages of ``otel-parsl
            visualize``, on 127.0.0.1 of this host, and their address on standard error.

    Raises:
        ConfigError: An argument or an ``OTEL_`` variable cannot be used.
    """

    def __init__(  # noqa: PLR0913 - MonitoringHub's parameters, and ours
        self,
        hub_address: Any = None,
        hub_port_range: Any = None,
        hub_port: Any = None,
        workflow_name: str | None = None,
        workflow_version: str | None = None,
        logging_endpoint: str | None = None,
        monitoring_debug: bool = False,
        resource_monitoring_enabled: bool = True,
        resource_monitoring_interval: float = 30,
        *,
        endpoint: str | None = None,
        collector: str | Mapping[str, Any] | None = None,
        protocol: str | None = None,
        headers: Mapping[str, str] | None = None,
        certificate: str | None = None,
        forward_to: Sequence[str | Mapping[str, Any]] = (),
        trace_scope: str = "auto",
        transport: str = "auto",
        resource_attributes: Mapping[str, str | int | float | bool] | None = None,
        shutdown_timeout: float = 30,
        spool_max_size_mib: int = MAX_MIB,
        dashboard: bool = False,
        **retired: Any,
    ) -> None:
        _warn_of_retired(retired)
        is_relayed = transport == "relay"
        super().__init__(
            hub_address=hub_address if is_relayed else None,
            hub_port_range=hub_port_range,
            hub_port=hub_port if is_relayed else None,
            workflow_name=workflow_name,
            workflow_version=workflow_version,
            logging_endpoint=logging_endpoint,
            monitoring_debug=monitoring_debug,
            resource_monitoring_enabled=resource_monitoring_enabled,
            resource_monitoring_interval=resource_monitoring_interval,
        )
        if logging_endpoint is not None:
            self.logging_endpoint = DatabaseUrl(logging_endpoint)
        if trace_scope not in TRACE_SCOPES:
            raise ConfigError(
                f"trace_scope: {trace_scope!r}; expected one of {', '.join(TRACE_SCOPES)}"
            )
        if resource_monitoring_interval < 0:
            raise ConfigError(
                f"resource_monitoring_interval: {resource_monitoring_interval!r};"
                " expected seconds, or 0 for no samples"
            )
        if collector is not None and logging_endpoint is not None:
            raise ConfigError(
                "logging_endpoint: the database is the collector's where collector is given;"
                " expected one of the two"
            )
        if dashboard and collector is not None:
            raise ConfigError(
                "dashboard: the database is the collector's where collector is given; expected"
                " one of the two. Run otel-parsl visualize where that database is"
            )
        self.hub_address, self.hub_port = hub_address, hub_port
        self.transport = transport
        if spool_max_size_mib < 1:
            raise ConfigError(
                f"spool_max_size_mib: {spool_max_size_mib!r}; expected a number from 1 on"
            )
        Transport(transport, hub_address, hub_port)  # an argument that cannot be used is said now
        self.endpoint = endpoint
        self.collector = without_secrets(collector)
        self.protocol = protocol
        self.headers = None if headers is None else Headers(headers)
        self.certificate = certificate
        self.forward_to = tuple(without_secrets(further) for further in forward_to)
        self.trace_scope = trace_scope
        self.resource_attributes = resource_attributes
        self.shutdown_timeout = shutdown_timeout
        self.dashboard = dashboard
        of_url = {"protocol": protocol, "headers": headers, "certificate": certificate}
        of_none = dict.fromkeys(of_url)
        is_for_collector = collector is not None and endpoint is None
        self._collector = site_collector(collector, **(of_url if is_for_collector else of_none))
        self.spool_max_size_mib = spool_max_size_mib
        self._destinations = destinations(
            endpoint=endpoint,
            forward_to=forward_to,
            **(of_none if is_for_collector else of_url),
        )
        self.monitoring_hub_active = False
        self.late_messages = 0

    def start(
        self, dfk_run_dir: str, config_run_dir: str | os.PathLike[str], log_config: Any
    ) -> None:
        """
        Start the agent; called by ``DataFlowKernel.__init__``.

        Args:
            dfk_run_dir: The run's own directory.
            config_run_dir: The directory of all runs, which the database is in by default.
            log_config: How Parsl's processes log; None for Parsl's default.
        """
        for destination in filter(None, (self._collector, *self._destinations)):
            destination.check_certificates()
        if self.logging_endpoint is None and self._collector is None:
            database = os.path.join(os.path.abspath(config_run_dir), "monitoring.db")
            self.logging_endpoint = f"sqlite:///{database}"
        elif self.logging_endpoint is not None:
            self.logging_endpoint = DatabaseUrl(absolute_url(self.logging_endpoint))
        self._formats = propagators()
        self._caller = span_at_load(self._formats)
        self._baggage = baggage_at_load(self._formats)
        self._sampled_share = share_from_environment(self._caller)
        leftovers = find_leftovers(Path(os.path.abspath(config_run_dir)))
        self._directory = Path(os.path.abspath(dfk_run_dir)) / "otel-parsl"
        self._directory.mkdir(parents=True, exist_ok=True)
        settings = self._agent_settings()
        rendezvous.write(self._directory, rendezvous.SETTINGS, settings, is_durable=True)
        if log_config is not None:
            rendezvous.write_bytes(self._directory, rendezvous.LOG_CONFIG, pickle.dumps(log_config))
        self.resource_msgs = MessageQueue(self, self._take)
        self._context: RunContext | None = None
        self._submit_writer: Writer | None = None
        self._transport = Transport(self.transport, self.hub_address, self.hub_port)
        self._is_over = threading.Event()
        self._pid = os.getpid()
        self.executors = seam.attach(self)
        self._drain = Drain(
            self._directory,
            scope=self.trace_scope,
            watch=ExecutorWatch(self.executors),
            max_bytes=self.spool_max_size_mib << 20,
        )
        self._agent = EmbeddedAgent(self._directory)
        self._transport.start(self._agent)
        self._dashboard = self._start_dashboard() if self.dashboard else None
        for directory in leftovers:
            logger.info("an earlier run left telemetry in %s: an agent delivers it now", directory)
            start_agent(directory)
        self._thread = threading.Thread(target=self._serve, name="otel-parsl-drain", daemon=True)
        self._thread.start()
        self.monitoring_hub_active = True
        atexit.register(self._close_uncleaned)
        logger.info("monitoring goes to %s, by agent %d", self._database, self._agent.pid)
        _say_once(f"otel-parsl: monitoring goes to {self._database}")

    def close(self) -> None:
        """Spool what is left and wait for the store; called by ``DataFlowKernel.cleanup``."""
        if not self.monitoring_hub_active:
            return
        self.monitoring_hub_active = False
        atexit.unregister(self._close_uncleaned)
        self.resource_msgs.stop_reading()
        self._is_over.set()
        self._thread.join()
        closing_at = time.monotonic()
        self._drain.close(timeout_s=self.shutdown_timeout)
        timeout_s = max(0.0, self.shutdown_timeout - (time.monotonic() - closing_at))
        if self._context is not None:
            carrier.unregister(self._context.run_id)
        left = self._agent.finish(self._drain.place, timeout_s=timeout_s)
        if left is not None:
            logger.warning(
                "monitoring: after %.0f s not all is in %s: %s. What is left is in %s; the next"
                " run here, or otel-parsl flush, delivers it if the agent cannot",
                self.shutdown_timeout,
                self._database,
                left,
                self._directory,
            )
        if self._dashboard is not None:
            self._dashboard.close()
        for trouble in self._agent.troubles():
            logger.warning("monitoring: %s", trouble)
        self._transport.say_at_end()
        unreadable = self._drain.unreadable + self.resource_msgs.unreadable
        if unreadable or self._drain.dropped:
            logger.error(
                "monitoring: %d messages could not be read, %d batches were dropped",
                unreadable,
                self._drain.dropped,
            )

    def run_context(self, label: str, network: Network) -> RunContext:
        """
        Return what an executor's workers have to know of the run.

        Args:
            label: The executor.
            network: What lies between its workers and this host.
        """
        assert self._context is not None, "the DataFlowKernel says who it is before it submits"
        receiver = self._transport.receiver_for(label, network)
        if receiver is None:
            return self._context
        hosts, port, token = receiver
        return self._context._replace(receiver=(hosts, port, token))

    def otlp_receiver(self) -> OtlpReceiver:
        """
        Return where your own OpenTelemetry SDK may send to, while the run goes on.

        What it sends is forwarded with the run's own telemetry; the tables are of Parsl's alone.

        Raises:
            ConfigError: There is no run, the transport opens no port, or none can be opened.
        """
        if not self.monitoring_hub_active:
            raise ConfigError("otlp_receiver: no run goes on; call it after parsl.load")
        return self._transport.own_receiver()

    def submit_writer(self) -> Writer:
        """Return the writer for tries that run in the submit process."""
        if self._submit_writer is None:
            assert self._context is not None, "the DataFlowKernel says who it is before it submits"
            self._submit_writer = Writer(self._context, in_submit_process=True)
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

    def listen(self, label: str, socket: dict[str, Any]) -> int:
        """Have the agent listen for an executor's interchange and return the port."""
        return self._agent.listen(label, socket, timeout_s=_LISTEN_TIMEOUT_S)

    def stop_listening(self, label: str) -> None:
        """Tell the agent that an executor's interchange is gone."""
        self._agent.stop_listening(label)

    def _start_dashboard(self) -> DashboardProcess | None:
        try:
            return DashboardProcess(
                str(self.logging_endpoint),
                self._directory / "dashboard.log",
                lambda lines: _say_once("\n".join(f"otel-parsl: {line}" for line in lines)),
            )
        except OSError as error:
            logger.warning("the dashboard cannot be started, the run goes on: %s", error)
            return None

    @property
    def _database(self) -> str:
        """Where the database is, for people."""
        if self._collector is not None:
            return f"the database of the collector at {self._collector.endpoint}"
        from sqlalchemy.engine import make_url

        return make_url(str(self.logging_endpoint)).render_as_string(hide_password=True)

    def _take(self, message: Any) -> None:
        if not self.monitoring_hub_active and self._is_over.is_set():
            if not self.late_messages:
                atexit.register(self._say_late)
            self.late_messages += 1
            return
        tag, said = message
        caller = None
        if tag is MessageType.WORKFLOW_INFO and "python_version" in said:
            self._begin(said)
            caller = self._caller
        elif (
            _TRACE_API in sys.modules
            and tag is MessageType.TASK_INFO
            and said["task_status_name"] == "pending"
            and said["try_id"] == 0
        ):
            caller = current_span()  # this is the thread that called the app
        self._drain.put(message, caller)

    def _begin(self, message: Mapping[str, Any]) -> None:
        """Learn which run this is: the hub is started before Parsl has given it an id."""
        attributes = run_attributes(message, zone=local_zone())
        given: dict[str, str | int | float | bool] = {"service.name": str(message["workflow_name"])}
        given |= resource_attributes(self.resource_attributes)
        resource = (*attributes, *(Key(name).any(value) for name, value in given.items()))
        run_id = message["run_id"]
        self._context = RunContext(
            run_id,
            resource,
            self.trace_scope,
            float(self.resource_monitoring_interval),
            str(given["service.name"]),
            propagators=self._formats,
            baggage=self._baggage,
            sampled_share=self._recorded_share(),
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
        if any(destination.sampling is not None for destination in self._destinations):
            return 1.0
        return self._sampled_share

    def _serve(self) -> None:
        revived_at = time.monotonic()
        while not self._is_over.wait(FLUSH_S):
            self._drain.flush()
            if time.monotonic() - revived_at > _REVIVE_EVERY_S:
                self._agent.revive()
                revived_at = time.monotonic()

    def _close_uncleaned(self) -> None:
        """Close a run whose DataFlowKernel is not cleaned up when Python ends: it is unfinished."""
        if os.getpid() != self._pid:
            return  # a fork of the user's ends, with this hub in its memory
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
            self.late_messages,
        )

    def _agent_settings(self) -> dict[str, Any]:
        process = psutil.Process()
        return {
            "database": None if self._collector else str(self.logging_endpoint),
            "collector": self._collector and self._collector.as_settings(),
            "destinations": [destination.as_settings() for destination in self._destinations],
            "trace_scope": self.trace_scope,
            "sampled_share": self._sampled_share,
            "exception_signals": exception_signals(),
            "spool_max_bytes": self.spool_max_size_mib << 20,
            "hub_pid": process.pid,
            "hub_started": process.create_time(),
            "debug": self.monitoring_debug,
        }


def _warn_of_retired(retired: Mapping[str, Any]) -> None:
    for name in retired:
        if name not in _RETIRED:
            raise TypeError(f"OTelMonitoringHub has no argument {name!r}")
        warnings.warn(
            f"OTelMonitoringHub.{name} is unused, as it is in Parsl today",
            DeprecationWarning,
            stacklevel=3,
        )


_said: set[str] = set()


def _say_once(words: str) -> None:
    """Say something to whoever runs the program: by itself Parsl shows its log to nobody."""
    if words not in _said:
        _said.add(words)
        sys.stderr.write(f"{words}\n")
