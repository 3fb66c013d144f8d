"""
What a user sets about forwarding: arguments of the hub, and OpenTelemetry's own variables.

An argument wins over a variable. The variables are those of the OTLP exporter specification
(https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from otel_parsl.client_tls import ClientTls
from otel_parsl.errors import ConfigError
from otel_parsl.otlp_headers import unfit_header

SIGNALS = ("traces", "metrics", "logs")
PROTOCOLS = ("grpc", "http/protobuf")
TRACE_SCOPES = ("auto", "run", "task")
_PORTS = {"grpc": 4317, "http/protobuf": 4318}


@dataclass(frozen=True)
class Destination:
    """An OTLP endpoint to forward to."""

    endpoint: str
    """A URL; for http/protobuf the base that ``/v1/traces`` and its twins are appended to."""
    protocol: str = "grpc"
    """``grpc`` or ``http/protobuf``."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Sent with every request; never shown."""
    certificate: str | None = None
    """Path of the certificates to trust; the system's where there is none."""
    compression: str = "none"
    """``none`` or ``gzip``."""
    timeout: float = 10.0
    """Seconds for one request; OpenTelemetry's name for it."""
    signals: tuple[str, ...] = SIGNALS
    """Which of traces, metrics and logs to send."""
    sampling: float | None = None
    """Of the tasks in which nothing failed, the share whose spans to send; of those in which
    something did, all are sent. None does as ``OTEL_TRACES_SAMPLER`` says."""
    client_certificate: str | None = None
    """Path of your own certificate, for an endpoint that asks who you are (mutual TLS)."""
    client_key: str | None = None
    """Path of its key, which has no password; in the certificate's file where there is none."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.netloc or not _has_port(parts):
            raise ConfigError(
                f"endpoint: {self.endpoint!r}; expected a URL such as http://127.0.0.1:4317"
            )
        _one_of("protocol", self.protocol, PROTOCOLS)
        _one_of("compression", self.compression, ("none", "gzip"))
        for name in self.signals:
            _one_of("signals", name, SIGNALS)
        if wrong := unfit_header(self.headers, self.protocol):
            raise ConfigError(f"headers: {wrong}")
        if not _is_number(self.timeout) or not 0 < self.timeout < math.inf:
            raise ConfigError(f"timeout: {self.timeout!r}; expected seconds, more than 0")
        if self.sampling is not None and not (
            _is_number(self.sampling) and 0 <= self.sampling <= 1
        ):
            raise ConfigError(f"sampling: {self.sampling!r}; expected a share from 0 to 1")
        if self.client_key is not None and self.client_certificate is None:
            raise ConfigError(f"client_key: {self.client_key!r} without client_certificate")

    def tls(self) -> ClientTls:
        """Return whom to trust and who to be, at an ``https://`` endpoint."""
        return ClientTls(self.certificate, self.client_certificate, self.client_key)

    def check_certificates(self) -> None:
        """
        Refuse certificates that the agent, whose log nobody reads, would stumble over.

        Raises:
            ConfigError: One cannot be read, or is none.
        """
        for tls, given, expected in (
            (
                ClientTls(self.certificate),
                f"certificate: {self.certificate!r}",
                "a file of certificates in PEM",
            ),
            (
                self.tls(),
                f"client_certificate: {self.client_certificate!r}, client_key: {self.client_key!r}",
                "a certificate and its key in PEM, the key without a password",
            ),
        ):
            try:
                tls.context()
            except OSError as error:  # ssl.SSLError is one
                raise ConfigError(
                    f"{given}: {error.strerror or error}; expected {expected}"
                ) from error

    def as_settings(self) -> dict[str, Any]:
        """Return the fields as plain values, for the agent's settings file."""
        fields = asdict(self)
        fields["timeout_s"] = fields.pop("timeout")
        if self.certificate is not None:  # the agent works in another directory
            fields["certificate"] = os.path.abspath(self.certificate)
        return fields


def destinations(
    *,
    endpoint: str | None,
    forward_to: Sequence[str | Mapping[str, Any]],
    protocol: str | None,
    headers: Mapping[str, str] | None,
    certificate: str | None,
    environment: Mapping[str, str] = os.environ,
) -> list[Destination]:
    """
    Return where to forward to.

    Args:
        endpoint: The hub's argument; the variables name a destination where it is None.
        forward_to: Further ones, each a URL or a mapping of a Destination's fields.
        protocol: Of ``endpoint``.
        headers: Of ``endpoint``.
        certificate: Of ``endpoint``.
        environment: The variables.

    Raises:
        ConfigError: A value cannot be used.
    """
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return []
    found = _from_environment(endpoint, protocol, headers, certificate, environment)
    for further in forward_to:
        found.append(_from_mapping("forward_to", further))
    return found


def site_collector(
    collector: str | Mapping[str, Any] | None,
    *,
    protocol: str | None,
    headers: Mapping[str, str] | None,
    certificate: str | None,
) -> Destination | None:
    """
    Return the collector that keeps the database; None where the run's own agent does.

    Args:
        collector: The hub's argument: a URL or a mapping of a Destination's fields. It is sent
            every signal and every task, whatever a variable says: the tables are made of them.
        protocol: For what the mapping does not say.
        headers: Likewise.
        certificate: Likewise.

    Raises:
        ConfigError: A value cannot be used.
    """
    if collector is None:
        return None
    given = {"protocol": protocol, "headers": headers, "certificate": certificate}
    settings = {"endpoint": collector} if isinstance(collector, str) else collector
    filled = {name: value for name, value in given.items() if value is not None}
    return _from_mapping("collector", {**filled, **settings}, unknown=("sampling", "signals"))


def resource_attributes(
    given: Mapping[str, str | int | float | bool] | None,
    environment: Mapping[str, str] = os.environ,
) -> dict[str, str | int | float | bool]:
    """Return ``OTEL_RESOURCE_ATTRIBUTES`` and ``OTEL_SERVICE_NAME`` overlaid by the argument."""
    found: dict[str, str | int | float | bool] = dict(
        _pairs(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""), "OTEL_RESOURCE_ATTRIBUTES")
    )
    if name := environment.get("OTEL_SERVICE_NAME"):
        found["service.name"] = name
    return {**found, **(given or {})}


def exception_signals(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the signals that exceptions are told by: ``OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN``."""
    wanted = environment.get("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "")
    named = {name.strip().lower() for name in wanted.split(",")}
    if "logs/dup" in named:
        return ["traces", "logs"]
    return ["logs"] if "logs" in named else ["traces"]


def _from_environment(
    endpoint: str | None,
    protocol: str | None,
    headers: Mapping[str, str] | None,
    certificate: str | None,
    environment: Mapping[str, str],
) -> list[Destination]:
    """
    Return the destination of each signal; signals that share all settings share one.

    A variable of one signal names the whole URL for http/protobuf, so the signal's path is taken
    off again where it is the usual one.
    """
    by_settings: dict[Destination, list[str]] = {}
    for signal in SIGNALS:
        if environment.get(f"OTEL_{signal.upper()}_EXPORTER") == "none":
            continue

        def variable(name: str, signal: str = signal) -> str | None:
            own = environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}")
            return own or environment.get(f"OTEL_EXPORTER_OTLP_{name}") or None

        url = endpoint or variable("ENDPOINT")
        if url is None:
            continue
        of_protocol = protocol or variable("PROTOCOL") or _guess_protocol(url)
        if of_protocol == "http/protobuf":
            url = url.removesuffix(f"/v1/{signal}")
        given = _pairs(variable("HEADERS") or "", "OTEL_EXPORTER_OTLP_HEADERS")
        destination = Destination(
            endpoint=url,
            protocol=of_protocol,
            headers=tuple(given) if headers is None else _header_items(headers),
            certificate=certificate or variable("CERTIFICATE"),
            compression=variable("COMPRESSION") or "none",
            timeout=_seconds(variable("TIMEOUT") or "10", "OTEL_EXPORTER_OTLP_TIMEOUT"),
            client_certificate=variable("CLIENT_CERTIFICATE"),
            client_key=variable("CLIENT_KEY"),
        )
        by_settings.setdefault(destination, []).append(signal)
    return [
        Destination(**{**destination.__dict__, "signals": tuple(signals)})
        for destination, signals in by_settings.items()
    ]


def _guess_protocol(url: str) -> str:
    """Return the protocol whose registered port a URL has; gRPC is OTLP's first."""
    is_http = urlsplit(url).netloc.endswith(f":{_PORTS['http/protobuf']}")
    return "http/protobuf" if is_http else "grpc"


def _has_port(parts: SplitResult) -> bool:
    """Tell whether a URL's port, if it names one, is one."""
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _seconds(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{name}: {text!r}; expected a number of seconds") from None


def _from_mapping(
    argument: str, given: str | Mapping[str, Any], unknown: Sequence[str] = ()
) -> Destination:
    """Return what a URL or a mapping of an argument stands for; ``unknown`` are not its fields."""
    settings = {"endpoint": given} if isinstance(given, str) else given
    known = set(Destination.__dataclass_fields__) - set(unknown)
    for name in settings:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"{argument}: unknown setting {name!r}.{hint}")
    values = dict(settings)
    if "headers" in values:
        values["headers"] = _header_items(values["headers"])
    if "signals" in values:
        values["signals"] = tuple(values["signals"])
    if "endpoint" not in values:
        raise ConfigError(f"{argument}: a destination of {sorted(settings)} has no 'endpoint'")
    values.setdefault("protocol", _guess_protocol(values["endpoint"]))
    return Destination(**values)


def _header_items(headers: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(headers, Mapping):
        raise ConfigError(f"headers: a {type(headers).__name__}; expected names with their values")
    return tuple(headers.items())


def _pairs(text: str, name: str) -> list[tuple[str, str]]:
    """Return ``key=value,key=value`` as pairs; values are percent-encoded."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, separator, value = part.partition("=")
        if not separator:
            found_text = "a part without '='" if name.endswith("HEADERS") else repr(part)
            raise ConfigError(f"{name}: {found_text}; expected key=value pairs joined by commas")
        found.append((key.strip(), unquote(value.strip())))
    return found


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}: {value!r}; expected one of {', '.join(allowed)}")
