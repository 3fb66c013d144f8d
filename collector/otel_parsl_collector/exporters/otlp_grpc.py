"""The exporters that forward to an OTLP endpoint; this one by gRPC, otlp_http by HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from otel_parsl.destination import Destination
from otel_parsl.errors import ConfigError as UnfitDestination
from otel_parsl.spool import Frame, Place
from otel_parsl_collector.component import Component, ExporterContext, Outcome
from otel_parsl_collector.config_reader import Duration
from otel_parsl_collector.errors import ConfigError
from otel_parsl_collector.exporters.otlp import FIRST_DELAY_S, MAX_DELAY_S, OtlpExporter
from otel_parsl_collector.exporters.otlp_transport import Unavailable

_TIMEOUT = Duration(5.0)
_FIRST_DELAY, _MAX_DELAY = Duration(FIRST_DELAY_S), Duration(MAX_DELAY_S)
_NEVER = Duration(0.0)


@dataclass(frozen=True, kw_only=True)
class ClientTlsSettings:
    """``tls`` of an exporter."""

    insecure: bool = False
    """Speak without TLS; for an endpoint without ``http://`` or ``https://``."""
    ca_file: str | None = None
    """Certificates to trust; the system's where there is none."""
    cert_file: str | None = None
    """The collector's own certificate, for an endpoint that asks who it is (mutual TLS)."""
    key_file: str | None = None
    """Its key, which has no password; in the certificate's file where there is none."""

    def __post_init__(self) -> None:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError(f"key_file is {self.key_file!r}; expected a cert_file beside it")


@dataclass(frozen=True, kw_only=True)
class ClientAuthSettings:
    """``auth`` of an exporter."""

    authenticator: str


@dataclass(frozen=True, kw_only=True)
class RetrySettings:
    """``retry_on_failure`` of an exporter, with the OpenTelemetry Collector's names."""

    enabled: bool = True
    """Only true: what is acknowledged is delivered."""
    initial_interval: Duration = _FIRST_DELAY
    """How long to wait after the first failure; each time twice as long, give or take a half."""
    max_interval: Duration = _MAX_DELAY
    """How long to wait at most, but for a wish of the destination's."""
    max_elapsed_time: Duration = _NEVER
    """Only 0s, which is never: ``service.spool`` says what is dropped, and when."""

    def __post_init__(self) -> None:
        if not self.enabled:
            raise ValueError("enabled is false; expected true: what is acknowledged is delivered")
        if self.max_elapsed_time > 0:
            raise ValueError(
                "max_elapsed_time is set; expected 0s: it is tried until service.spool.max_age"
            )
        if not 0 < self.initial_interval <= self.max_interval:
            raise ValueError("initial_interval is out of range; expected 0s < it <= max_interval")


@dataclass(frozen=True, kw_only=True)
class QueueSettings:
    """``sending_queue`` of an exporter, with the OpenTelemetry Collector's names."""

    enabled: bool = True
    """Only true: the spool is the queue, on disk."""
    queue_size: int | None = None
    """Without effect: ``service.spool.max_size_mib`` says how much may wait."""
    num_consumers: int | None = None
    """Without effect: one request is underway at a time, in the order they came."""
    storage: str | None = None
    """Without effect: the queue is on disk anyway."""

    def __post_init__(self) -> None:
        if not self.enabled:
            raise ValueError("enabled is false; expected true: the spool on disk is the queue")


@dataclass(frozen=True, kw_only=True)
class OtlpSettings:
    """``exporters.otlp_grpc`` and ``exporters.otlp_http``."""

    endpoint: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    compression: Literal["none", "gzip"] = "gzip"
    timeout: Duration = _TIMEOUT
    """For one request; there is no end to how often it is sent again."""
    tls: ClientTlsSettings = ClientTlsSettings()
    auth: ClientAuthSettings | None = None
    retry_on_failure: RetrySettings = RetrySettings()
    sending_queue: QueueSettings = QueueSettings()

    def __post_init__(self) -> None:
        if not urlsplit(self.url()).hostname:
            raise ValueError(
                f"endpoint is {self.endpoint!r}; expected host:port or a URL"
                " such as http://127.0.0.1:4317"
            )

    def url(self) -> str:
        """Return the endpoint as a URL."""
        if self.endpoint.startswith(("http://", "https://")):
            return self.endpoint
        return f"{'http' if self.tls.insecure else 'https'}://{self.endpoint}"


class ForwardExporter:
    """
    Forward requests, and keep how far it has come.

    Args:
        settings: Where to.
        context: Where it keeps its place and what is refused for good.
        protocol: ``grpc`` or ``http/protobuf``.

    Raises:
        ConfigError: The authenticator that it names does not run, or no request can be sent so.
    """

    retryable = (Unavailable, OSError)

    def __init__(self, settings: OtlpSettings, context: ExporterContext, protocol: str) -> None:
        headers = dict(settings.headers)
        if settings.auth is not None:
            name, value = _authorization(settings.auth.authenticator, context)
            headers[name] = value
        try:
            destination = Destination(
                endpoint=settings.url(),
                protocol=protocol,
                headers=tuple(headers.items()),
                certificate=settings.tls.ca_file,
                compression=settings.compression,
                timeout=settings.timeout,
                client_certificate=settings.tls.cert_file,
                client_key=settings.tls.key_file,
            )
        except UnfitDestination as error:
            raise ConfigError(f"collector config: exporters.{context.name}.{error}") from error
        retry = settings.retry_on_failure
        self._exporter = OtlpExporter(
            destination,
            refused_path=context.directory / "refused.otlp",
            first_delay_s=retry.initial_interval,
            max_delay_s=retry.max_interval,
        )
        self._kept = context.place_file()

    def places(self) -> Mapping[str, Place]:
        return self._kept.places

    def consume(self, frames: list[Frame], places: Mapping[str, Place]) -> Outcome:
        """
        Forward frames.

        Raises:
            Unavailable: Some may have been sent; sending them again does no harm.
            OSError: Its place, or what is refused, cannot be kept for now.
        """
        outcome = self._exporter.consume(frames, places)
        self._kept.save(places)
        return outcome

    def delay_s(self, error: Exception) -> float:
        assert isinstance(error, self.retryable)
        return self._exporter.delay_s(error)

    def close(self) -> None:
        """It holds nothing that needs an end."""


def _authorization(name: str, context: ExporterContext) -> tuple[str, str]:
    if name not in context.authenticators:
        raise ConfigError(
            f"collector config: exporters.{context.name}.auth.authenticator is {name!r};"
            " expected an extension that stands in service.extensions"
        )
    return context.authenticators[name].header()


def _create(settings: OtlpSettings, context: ExporterContext) -> ForwardExporter:
    return ForwardExporter(settings, context, "grpc")


COMPONENT = Component(OtlpSettings, _create)
