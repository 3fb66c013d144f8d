"""The OTLP receiver: gRPC and HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from otel_parsl_collector.component import Component, ReceiverContext
from otel_parsl_collector.endpoint import Endpoint, by_set, check_exposure
from otel_parsl_collector.errors import ConfigError
from otel_parsl_collector.receivers.codec import MAX_REQUEST_BYTES
from otel_parsl_collector.receivers.intake import Intake
from otel_parsl_collector.receivers.listener import Listener, ServerTls

_MIB = 1 << 20
_GRPC = Endpoint("127.0.0.1", 4317)
_HTTP = Endpoint("127.0.0.1", 4318)


@dataclass(frozen=True, kw_only=True)
class ServerTlsSettings:
    """``tls`` of a receiver."""

    cert_file: str
    key_file: str
    client_ca_file: str | None = None
    """Clients have to show a certificate of this authority."""


@dataclass(frozen=True, kw_only=True)
class ServerAuthSettings:
    """``auth`` of a receiver."""

    authenticator: str


@dataclass(frozen=True, kw_only=True)
class GrpcSettings:
    """``receivers.otlp.protocols.grpc``."""

    endpoint: Endpoint = _GRPC
    max_recv_msg_size_mib: int = MAX_REQUEST_BYTES // _MIB
    tls: ServerTlsSettings | None = None
    auth: ServerAuthSettings | None = None


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """``receivers.otlp.protocols.http``."""

    endpoint: Endpoint = _HTTP
    max_request_body_size: int = MAX_REQUEST_BYTES
    """In bytes."""
    tls: ServerTlsSettings | None = None
    auth: ServerAuthSettings | None = None


@dataclass(frozen=True, kw_only=True)
class ProtocolsSettings:
    """``receivers.otlp.protocols``; what is not named is not served."""

    grpc: GrpcSettings | None = None
    http: HttpSettings | None = None

    def __post_init__(self) -> None:
        if self.grpc is None and self.http is None:
            raise ValueError("grpc or http has to be named, or both")


@dataclass(frozen=True, kw_only=True)
class OtlpReceiverSettings:
    """``receivers.otlp``."""

    protocols: ProtocolsSettings


class _Transport(Protocol):
    port: int

    def start(self) -> None: ...
    def stop(self) -> None: ...


class OtlpReceiver:
    """
    Receive OTLP.

    Args:
        settings: Where and how.
        context: Where it goes.

    Raises:
        ConfigError: An address can be reached by others and is not guarded, a certificate cannot
            be read, or an authenticator does not run.
    """

    def __init__(self, settings: OtlpReceiverSettings, context: ReceiverContext) -> None:
        self._context = context
        self._intake = Intake(context.name, context.streams, context.committer, context.stats)
        self._transports: list[_Transport] = []
        protocols = settings.protocols
        if protocols.grpc is not None:
            from otel_parsl_collector.receivers.otlp_grpc import GrpcServer

            limit = protocols.grpc.max_recv_msg_size_mib * _MIB
            listener = self._listener("grpc", protocols.grpc, limit)
            self._transports.append(GrpcServer(listener, self._intake))
        if protocols.http is not None:
            from otel_parsl_collector.receivers.otlp_http import HttpServer

            limit = protocols.http.max_request_body_size
            listener = self._listener("http", protocols.http, limit)
            self._transports.append(HttpServer(listener, self._intake))

    def start(self) -> None:
        """
        Listen.

        Raises:
            CollectorError: An address cannot be had.
        """
        for transport in self._transports:
            transport.start()

    def stop(self) -> None:
        for transport in self._transports:
            transport.stop()

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that it listens on: of gRPC, then of HTTP."""
        return tuple(transport.port for transport in self._transports)

    def _listener(
        self, protocol: str, settings: GrpcSettings | HttpSettings, limit_bytes: int
    ) -> Listener:
        path = f"receivers.{self._context.name}.protocols.{protocol}"
        tls = settings.tls
        check_exposure(
            f"{path}.endpoint",
            settings.endpoint,
            is_guarded=tls is not None and settings.auth is not None,
            is_insecure=self._context.is_insecure,
            advice="set tls and auth beside it (a certificate, and a token by bearertokenauth)",
        )
        known = self._context.authenticators
        if settings.auth is not None and settings.auth.authenticator not in known:
            raise ConfigError(
                f"collector config: {path}.auth.authenticator is {settings.auth.authenticator!r};"
                " expected an extension that stands in service.extensions"
            )
        return Listener(
            settings.endpoint,
            limit_bytes,
            None if tls is None else ServerTls.read(f"{path}.tls", **tls.__dict__),
            None if settings.auth is None else known[settings.auth.authenticator].is_known,
            by_set(f"{path}.endpoint"),
        )


COMPONENT = Component(OtlpReceiverSettings, OtlpReceiver)
