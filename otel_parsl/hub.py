"""
OTelMonitoringHub: what a user puts into a Parsl Config in MonitoringHub's place.

It says what its arguments mean; ``submit.monitored_run`` does it.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from parsl.monitoring import MonitoringHub

from otel_parsl.config import destinations, given_attributes, site_collector
from otel_parsl.destination import header_pairs
from otel_parsl.errors import ConfigError
from otel_parsl.identity import is_trace_scope
from otel_parsl.parsl_log import ParslLog
from otel_parsl.spool_room import MAX_MIB
from otel_parsl.submit.masked import (
    DatabaseUrl,
    Headers,
    absolute_url,
    database_url,
    without_secrets,
)
from otel_parsl.submit.monitored_run import MonitoredRun, RunSettings, say_once
from otel_parsl.submit.transport import OtlpReceiver, Transport

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
        logging_endpoint: The database as an SQLAlchemy URL, of SQLite or PostgreSQL; by default
            SQLite in the run directory (``runinfo/monitoring.db``).
        monitoring_debug: Write more to the logs: ``parsl.log`` and ``database_manager.log``.
        resource_monitoring_enabled: Sample the tries, and write what workers say of them into
            Parsl's own tables.
        resource_monitoring_interval: Seconds between samples of a try that lasts; 0 takes none.
        endpoint: An OTLP destination for the same telemetry, such as ``http://127.0.0.1:4317``.
            ``OTEL_EXPORTER_OTLP_ENDPOINT`` and its kin name one where this is None.
        collector: A site's collector of ours that keeps the database, such as
            ``https://collector.site.org:4317``, or a mapping of ``destination.Destination``'s
            fields but ``sampling``, ``signals`` and ``is_whole``. None is written here then.
        protocol: ``grpc`` or ``http/protobuf``, for ``endpoint``; without one for ``collector``.
        headers: Sent there with every request.
        certificate: Path of the certificates to trust there.
        forward_to: Further destinations, one or several, each a URL or a mapping of
            ``destination.Destination``'s fields.
        trace_scope: ``auto``: tasks below 1,000 share the run's trace, later ones have one each;
            ``auto:5000``: those below 5,000; ``run`` and ``task`` force one or the other.
        transport: How news of tries that last come from the workers. ``relay``: by the executor's
            own channel, if it has one. ``direct``: by HTTP to ``hub_address`` and ``hub_port``,
            with a token. ``auto``: directly where ``hub_address`` is given or an executor has no
            channel, but by relay from an executor that encrypts its channel.
        resource_attributes: Further attributes of the run, for the destinations: names, and values
            that are str, int, float or bool.
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
        forward_to: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] = (),
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
            self.logging_endpoint = database_url(logging_endpoint)
        if not is_trace_scope(trace_scope):
            raise ConfigError(
                f"trace_scope: {trace_scope!r}; expected auto, run, task, or auto:N for the first N"
                " tasks in the run's trace"
            )
        _check_number(
            "resource_monitoring_interval",
            resource_monitoring_interval,
            "seconds, or 0 for no samples",
        )
        _check_number("shutdown_timeout", shutdown_timeout, "seconds, 0 or more")
        _check_number("spool_max_size_mib", spool_max_size_mib, "a number from 1 on", least=1)
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
        Transport(transport, hub_address, hub_port)  # an argument that cannot be used is said now
        if isinstance(forward_to, str | Mapping):
            forward_to = (forward_to,)
        forward_to = tuple(forward_to or ())
        of_url = {"protocol": protocol, "headers": headers, "certificate": certificate}
        of_none = dict.fromkeys(of_url)
        is_for_collector = collector is not None and endpoint is None
        self._collector = site_collector(collector, **(of_url if is_for_collector else of_none))
        self._destinations = destinations(
            endpoint=endpoint,
            forward_to=forward_to,
            **(of_none if is_for_collector else of_url),
        )
        self.endpoint = endpoint
        self.collector = without_secrets(collector)
        self.protocol = protocol
        self.headers = None if headers is None else Headers(header_pairs(headers, "headers"))
        self.certificate = certificate
        self.forward_to = tuple(without_secrets(further) for further in forward_to)
        self.trace_scope = trace_scope
        self.resource_attributes = given_attributes(resource_attributes)
        self.shutdown_timeout = shutdown_timeout
        self.dashboard = dashboard
        self.spool_max_size_mib = spool_max_size_mib
        self.monitoring_hub_active = False

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
        runinfo = os.path.abspath(config_run_dir)
        if self.logging_endpoint is not None:
            self.logging_endpoint = DatabaseUrl(absolute_url(self.logging_endpoint))
        elif self._collector is None:
            self.logging_endpoint = f"sqlite:///{os.path.join(runinfo, 'monitoring.db')}"
        settings = self._run_settings()
        rundir = Path(os.path.abspath(dfk_run_dir))
        self._log = ParslLog("otel_parsl", is_debugged=self.monitoring_debug)
        try:
            self._run = MonitoredRun(
                self, settings, rundir, Path(runinfo), log_config, on_closed=self._log.close
            )
        except BaseException:
            self._log.close()
            raise
        self.resource_msgs = self._run.messages
        self.monitoring_hub_active = True
        say_once(f"otel-parsl: monitoring goes to {settings.place}")

    def close(self) -> None:
        """Spool what is left and wait for the store; called by ``DataFlowKernel.cleanup``."""
        if self.monitoring_hub_active:
            self.monitoring_hub_active = False
            self._run.close()

    def otlp_receiver(self) -> OtlpReceiver:
        """
        Return where your own OpenTelemetry SDK may send to, while the run goes on.

        What it sends is forwarded with the run's own telemetry; the tables are of Parsl's alone.

        Raises:
            ConfigError: There is no run, the transport opens no port, or none can be opened.
        """
        if not self.monitoring_hub_active:
            raise ConfigError("otlp_receiver: no run goes on; call it after parsl.load")
        return self._run.otlp_receiver()

    def _run_settings(self) -> RunSettings:
        return RunSettings(
            database=None if self._collector else str(self.logging_endpoint),
            collector=self._collector,
            destinations=tuple(self._destinations),
            trace_scope=self.trace_scope,
            monitors_resources=self.resource_monitoring_enabled,
            sample_interval_s=(
                float(self.resource_monitoring_interval) if self.resource_monitoring_enabled else 0
            ),
            resource_attributes=self.resource_attributes,
            shutdown_timeout_s=self.shutdown_timeout,
            spool_max_bytes=int(self.spool_max_size_mib * (1 << 20)),
            transport=(self.transport, self.hub_address, self.hub_port),
            has_dashboard=self.dashboard,
            is_debugged=self.monitoring_debug,
        )


def _check_number(name: str, given: Any, expected: str, *, least: float = 0) -> None:
    is_number = isinstance(given, Real) and not isinstance(given, bool)
    if not (is_number and least <= given < math.inf):
        raise ConfigError(f"{name}: {given!r}; expected {expected}")


def _warn_of_retired(retired: Mapping[str, Any]) -> None:
    for name in retired:
        if name not in _RETIRED:
            raise TypeError(f"OTelMonitoringHub has no argument {name!r}")
        warnings.warn(
            f"OTelMonitoringHub.{name} is unused, as it is in Parsl today",
            DeprecationWarning,
            stacklevel=3,
        )
