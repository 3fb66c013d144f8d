"""
The exporter that shows metrics of runs on a page for Prometheus.

Metrics of whole runs and of worker processes are there, and those of other programs; what single
tries have used (``parsl.try.*``) is not: that is in the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from otel_parsl.spool import Frame, Place
from otel_parsl.wire import METRICS
from otel_parsl_collector.component import Component, ExporterContext, NotYet, Outcome
from otel_parsl_collector.config_reader import Duration
from otel_parsl_collector.endpoint import Endpoint, by_set, check_exposure
from otel_parsl_collector.errors import CollectorError
from otel_parsl_collector.exporters.prometheus_page import PrometheusPage
from otel_parsl_collector.http_page import HttpPage, Page

_ENDPOINT = Endpoint("127.0.0.1", 8889)
_EXPIRATION = Duration(300.0)


@dataclass(frozen=True, kw_only=True)
class PrometheusExporterSettings:
    """``exporters.prometheus``."""

    endpoint: Endpoint = _ENDPOINT
    """The page is at ``/metrics`` there."""
    metric_expiration: Duration = _EXPIRATION
    """A series that has no new point for so long is shown no more."""


class PrometheusExporter:
    """
    Show the last points of metrics; a restart begins with an empty page.

    Args:
        settings: Where.
        context: Where it keeps its place.

    Raises:
        ConfigError: The address can be reached by others.
        NotYet: The address cannot be had.
    """

    retryable: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, settings: PrometheusExporterSettings, context: ExporterContext) -> None:
        setting = f"exporters.{context.name}.endpoint"
        check_exposure(
            setting,
            settings.endpoint,
            is_guarded=False,
            is_insecure=context.is_insecure,
            advice="this page has neither TLS nor a token",
        )
        self._kept = context.place_file()
        self._page = PrometheusPage(settings.metric_expiration)
        try:
            self._server = HttpPage(
                settings.endpoint, "/metrics", self._render, elsewhere=by_set(setting)
            )
        except CollectorError as error:
            raise NotYet(str(error)) from error
        self.port = self._server.port

    def places(self) -> Mapping[str, Place]:
        return self._kept.places

    def consume(self, frames: list[Frame], places: Mapping[str, Place]) -> Outcome:
        """
        Put metrics on the page; other signals have no place there.

        Raises:
            OSError: The place cannot be kept.
        """
        sent = refused = 0
        for item in frames:
            if item.signal == METRICS:
                request = ExportMetricsServiceRequest.FromString(item.payload)
                taken, not_shown = self._page.take(request.resource_metrics)
                sent += taken
                refused += not_shown
        self._kept.save(places)
        return Outcome({METRICS: sent}, {METRICS: refused} if refused else {})

    def delay_s(self, error: Exception) -> float:
        return 1.0

    def close(self) -> None:
        self._server.stop()

    def _render(self) -> Page:
        return Page(200, "text/plain; version=0.0.4; charset=utf-8", self._page.text())


COMPONENT = Component(PrometheusExporterSettings, PrometheusExporter)
