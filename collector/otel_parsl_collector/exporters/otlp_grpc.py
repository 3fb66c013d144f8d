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
from otel_parsl_collector.exporters.otlp import OtlpExporter
from otel_parsl_collector.exporters.otlp_transport import Unavailable
from otel_parsl_collector.place_file import PlaceFile

_TIMEOUT = Duration(5.0)


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
class OtlpSettings:
    """``exporters.otlp_grpc`` and ``exporters.otlp_http``."""

    endpoint: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    compression: Literal["none", "gzip"] = "gzip"
    timeout: Duration = _TIMEOUT
    """For one request; there is no end to how often it is sent again."""
    tls: ClientTlsSettings = ClientTlsSettings()
    auth: ClientAuthSettings | None = None

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
        self._exporter = OtlpExporter(destination, refused_path=context.directory / "refused.otlp")
        self._kept = PlaceFile(context.directory / "places.json")

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
