"""
A pytest plugin that puts a hub in MonitoringHub's place whose rows are made of spans and metrics.

A stand-alone collector keeps each run's database, and its pipeline of logs ends elsewhere.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import parsl.monitoring
import parsl.monitoring.monitoring
from sqlalchemy.engine import make_url

from otel_parsl import OTelMonitoringHub
from otel_parsl.config import site_collector
from tests.support.collector import CollectorProcess


class HubWithoutLogs(OTelMonitoringHub):
    """A hub whose database is kept by a collector that is not shown the log signal."""

    def start(
        self, dfk_run_dir: str, config_run_dir: str | os.PathLike[str], log_config: Any
    ) -> None:
        """Start the collector, and the run that sends to it."""
        default = f"sqlite:///{os.path.join(config_run_dir, 'monitoring.db')}"
        url = make_url(self.logging_endpoint or default)
        url = url.set(database=os.path.abspath(url.database or ""))
        self._site = CollectorProcess(
            Path(tempfile.mkdtemp()),
            exporters={"parsl_sql": {"url": url.render_as_string(hide_password=False)}},
            elsewhere={"logs": "debug"},
        )
        self._site.start()
        self._collector = site_collector(
            f"http://{self._site.grpc}", protocol=None, headers=None, certificate=None
        )
        super().start(dfk_run_dir, config_run_dir, log_config)

    def close(self) -> None:
        """End the run, and the collector, which stores what it has taken before it ends."""
        is_running = self.monitoring_hub_active
        super().close()
        if is_running:
            self._site.stop()


parsl.monitoring.MonitoringHub = HubWithoutLogs
parsl.monitoring.monitoring.MonitoringHub = HubWithoutLogs
