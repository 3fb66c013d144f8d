"""
The configuration of the stand-alone collector, in the OpenTelemetry Collector's shape.

Flow: config_source -> config_reader -> **config** -> service
What a component may be told stands beside it, in its own module.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from otel_parsl_collector.component import Component
from otel_parsl_collector.config_reader import Duration, read_settings, unknown
from otel_parsl_collector.config_source import read_source
from otel_parsl_collector.endpoint import Endpoint, by_set
from otel_parsl_collector.errors import ConfigError
from otel_parsl_collector.registry import KINDS, find
from otel_parsl_collector.routes import Route, find_routes
from otel_parsl_collector.signals import BY_NAME

DEFAULT = """\
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "127.0.0.1:4317"}
      http: {endpoint: "127.0.0.1:4318"}
exporters:
  parsl_sql: {url: "sqlite:///monitoring.db"}
extensions:
  health_check: {endpoint: "127.0.0.1:13133"}
service:
  extensions: [health_check]
  pipelines:
    traces: {receivers: [otlp], exporters: [parsl_sql]}
    metrics: {receivers: [otlp], exporters: [parsl_sql]}
    logs: {receivers: [otlp], exporters: [parsl_sql]}
"""
"""What the collector runs with when it is given no file."""

PAGE = Endpoint("127.0.0.1", 8888)
"""Where the collector's own counters are."""
_WEEK = Duration(7 * 24 * 3600.0)
_SHUTDOWN = Duration(10.0)


@dataclass(frozen=True, kw_only=True)
class PipelineSettings:
    """``service.pipelines.<signal>[/name]``."""

    receivers: tuple[str, ...]
    processors: tuple[str, ...] = ()
    exporters: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SpoolSettings:
    """``service.spool``: what has been acknowledged and is not delivered everywhere yet."""

    directory: str = "otel-parsl-spool"
    max_size_mib: int = 2048
    """Beyond it requests are refused, or, where only some exporters lag, dropped for these."""
    max_age: Duration = _WEEK
    """Older requests are dropped for exporters other than a store."""

    def __post_init__(self) -> None:
        if self.max_size_mib < 1:
            raise ValueError(f"max_size_mib is {self.max_size_mib}; expected at least 1")


@dataclass(frozen=True, kw_only=True)
class PrometheusSettings:
    """Where the page of counters is."""

    host: str = PAGE.host
    port: int = PAGE.port


@dataclass(frozen=True, kw_only=True)
class ReaderExporterSettings:
    """``service.telemetry.metrics.readers[].pull.exporter``."""

    prometheus: PrometheusSettings


@dataclass(frozen=True, kw_only=True)
class PullSettings:
    """``service.telemetry.metrics.readers[].pull``."""

    exporter: ReaderExporterSettings


@dataclass(frozen=True, kw_only=True)
class ReaderSettings:
    """``service.telemetry.metrics.readers[]``; of the OpenTelemetry Collector's, this one."""

    pull: PullSettings


@dataclass(frozen=True, kw_only=True)
class MetricsSettings:
    """``service.telemetry.metrics``: the collector's own counters."""

    level: Literal["none", "basic", "normal", "detailed"] = "normal"
    """``none`` shows no page; the others show the same."""
    address: Endpoint | None = None
    """As the OpenTelemetry Collector had it before ``readers``."""
    readers: tuple[ReaderSettings, ...] = ()

    def endpoints(self) -> dict[str, Endpoint]:
        """Return where the page is to be, by what a user sets to have it elsewhere."""
        if self.level == "none":
            return {}
        metrics = "service.telemetry.metrics"
        found = {} if self.address is None else {by_set(f"{metrics}.address"): self.address}
        for number, reader in enumerate(self.readers):
            prometheus = reader.pull.exporter.prometheus
            setting = f"{metrics}.readers[{number}].pull.exporter.prometheus"
            found[setting] = Endpoint(prometheus.host, prometheus.port)
        return found or {by_set(f"{metrics}.address"): PAGE}


@dataclass(frozen=True, kw_only=True)
class LogsSettings:
    """``service.telemetry.logs``: the collector's own log, on standard error."""

    level: Literal["debug", "info", "warn", "error"] = "info"


@dataclass(frozen=True, kw_only=True)
class TelemetrySettings:
    """``service.telemetry``: what the collector says of itself."""

    metrics: MetricsSettings = MetricsSettings()
    logs: LogsSettings = LogsSettings()


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """``service``: what of all that is defined runs, and how it is joined."""

    extensions: tuple[str, ...] = ()
    pipelines: dict[str, PipelineSettings]
    telemetry: TelemetrySettings = TelemetrySettings()
    spool: SpoolSettings = SpoolSettings()
    shutdown_timeout: Duration = _SHUTDOWN
    """How long exporters go on at the end; what is left stays in the spool."""


@dataclass(frozen=True, kw_only=True)
class _Sections:
    """The whole file."""

    receivers: dict[str, Any] = field(default_factory=dict)
    processors: dict[str, Any] = field(default_factory=dict)
    connectors: dict[str, Any] = field(default_factory=dict)
    exporters: dict[str, Any] = field(default_factory=dict)
    extensions: dict[str, Any] = field(default_factory=dict)
    service: ServiceSettings


class Named(NamedTuple):
    """A component with its settings."""

    component: Component
    settings: Any


class Config(NamedTuple):
    """What the collector is to do; every reference in it is to something there."""

    receivers: dict[str, Named]
    processors: dict[str, Named]
    connectors: dict[str, Named]
    exporters: dict[str, Named]
    extensions: dict[str, Named]
    service: ServiceSettings
    routes: tuple[Route, ...]


def load_config(
    text: str = DEFAULT,
    *,
    name: str = "(built in)",
    sets: Iterable[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> Config:
    """
    Return the configuration that a text describes.

    Args:
        text: YAML.
        name: Of the file, for messages.
        sets: ``a.b=value``, which override it.
        environment: The variables that it may name.

    Raises:
        ConfigError: It cannot be used.
    """
    source = read_source(text, name=name, sets=sets, environment=environment)
    sections = read_settings(_Sections, source, "")
    named = {kind: _read_components(kind, getattr(sections, kind)) for kind in KINDS}
    service = sections.service
    if not service.pipelines:
        raise ConfigError("collector config: service.pipelines is empty; expected one, as traces:")
    _check_names("service.extensions", "extension", service.extensions, named["extensions"])
    for pipeline, settings in service.pipelines.items():
        _check_pipeline(f"service.pipelines.{pipeline}", pipeline, settings, named)
    routes = find_routes(service.pipelines, named["connectors"].keys())
    _check_stores(routes, named)
    return Config(
        _used(named["receivers"], (p.receivers for p in service.pipelines.values())),
        _used(named["processors"], (p.processors for p in service.pipelines.values())),
        _used(named["connectors"], (p.exporters for p in service.pipelines.values())),
        _used(named["exporters"], (p.exporters for p in service.pipelines.values())),
        _used(named["extensions"], [service.extensions]),
        service,
        tuple(routes),
    )


def _read_components(kind: str, section: Mapping[str, Any]) -> dict[str, Named]:
    found = {}
    for name, value in section.items():
        component = find(kind, name)
        settings = read_settings(component.settings, value, f"{kind}.{name}")
        found[name] = Named(component, settings)
    return found


def _check_pipeline(
    path: str, name: str, settings: PipelineSettings, named: Mapping[str, Mapping[str, Named]]
) -> None:
    signal = name.partition("/")[0]
    if signal not in BY_NAME:
        raise ConfigError(
            f"collector config: {unknown('pipeline', 'service.pipelines', signal, BY_NAME)}"
        )
    for kind in ("receivers", "processors", "exporters"):
        names = getattr(settings, kind)
        joins = {} if kind == "processors" else named["connectors"]
        _check_names(f"{path}.{kind}", kind[:-1], names, {**named[kind], **joins})
        if not names and kind != "processors":
            raise ConfigError(f"collector config: {path}.{kind} is empty; expected at least one")


def _check_stores(routes: Iterable[Route], named: Mapping[str, Mapping[str, Named]]) -> None:
    for route in routes:
        store = route.exporter
        if not named["exporters"][store].component.is_store:
            continue
        for pipeline, kind, name in route.stations:
            if named[kind][name].component.leaves_out:
                raise ConfigError(
                    f"collector config: service.pipelines.{pipeline}.{kind} has {name!r}, which"
                    f" leaves something out, and {store!r} makes tables of everything; put {name!r}"
                    f" into a pipeline without {store!r}, with the same receivers and a name such"
                    " as traces/sampled"
                )


def _check_names(path: str, what: str, names: Iterable[str], known: Mapping[str, Named]) -> None:
    for name in names:
        if name not in known:
            hint = unknown(what, path, name, known)
            raise ConfigError(f"collector config: {hint}; each stands under {what}s: first")


def _used(named: Mapping[str, Named], names: Iterable[Iterable[str]]) -> dict[str, Named]:
    """Return the components that something names, in the order of the file."""
    used = {name for some in names for name in some}
    return {name: component for name, component in named.items() if name in used}
