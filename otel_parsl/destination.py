"""One OTLP endpoint to send to: its settings, checked, for the submit side and the collector."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from otel_parsl.client_tls import ClientTls
from otel_parsl.errors import ConfigError
from otel_parsl.otlp_headers import unfit_header

SIGNALS = ("traces", "metrics", "logs")
PROTOCOLS = ("grpc", "http/protobuf")
_COMPRESSIONS = {"grpc": ("none", "gzip"), "http/protobuf": ("none", "gzip", "deflate")}
_HTTP_PORT = 4318


@dataclass(frozen=True)
class Destination:
    """An OTLP endpoint to send to."""

    endpoint: str
    """A URL; for http/protobuf the base that ``/v1/traces`` and its twins are appended to."""
    protocol: str = "grpc"
    """``grpc`` or ``http/protobuf``."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Sent with every request; never shown."""
    certificate: str | None = None
    """Path of the certificates to trust; the system's where there is none."""
    compression: str = "none"
    """``none`` or ``gzip``, and for http/protobuf ``deflate``."""
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
    is_whole: bool = False
    """Whether ``endpoint`` is used as it is, with no path appended: for http/protobuf and one
    signal."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.netloc or not _has_port(parts):
            raise ConfigError(
                f"endpoint: {self.endpoint!r}; expected a URL such as http://127.0.0.1:4317"
            )
        _one_of("protocol", self.protocol, PROTOCOLS)
        _one_of("compression", self.compression, _COMPRESSIONS[self.protocol])
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
        if self.is_whole and (self.protocol == "grpc" or len(self.signals) != 1):
            raise ConfigError(
                f"is_whole: {self.protocol} with signals {', '.join(self.signals)};"
                " expected http/protobuf with one signal"
            )

    def path(self, signal: str) -> str:
        """Return the path that requests of a signal are posted to by HTTP."""
        parts = urlsplit(self.endpoint)
        if not self.is_whole:
            return f"{parts.path.rstrip('/')}/v1/{signal}"
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

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
        for path in ("certificate", "client_certificate", "client_key"):
            if fields[path] is not None:  # the agent works in another directory
                fields[path] = os.path.abspath(fields[path])
        return fields

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Destination:
        """Return what ``as_settings`` gave, and JSON kept."""
        fields = dict(settings)
        fields["timeout"] = fields.pop("timeout_s")
        fields["headers"] = tuple(tuple(pair) for pair in fields["headers"])
        fields["signals"] = tuple(fields["signals"])
        return cls(**fields)


def given_destination(
    argument: str, given: str | Mapping[str, Any], unknown: Sequence[str] = ()
) -> Destination:
    """
    Return what a URL or a mapping stands for.

    Args:
        argument: Of the hub, for messages.
        given: Its value.
        unknown: Fields of a destination that it has not.

    Raises:
        ConfigError: It cannot be used.
    """
    settings = {"endpoint": given} if isinstance(given, str) else given
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{argument}: {given!r}; expected a URL, or a mapping with an 'endpoint'")
    known = set(Destination.__dataclass_fields__) - set(unknown)
    for name in settings:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"{argument}: unknown setting {name!r}.{hint}")
    values = dict(settings)
    if "headers" in values:
        values["headers"] = header_pairs(values["headers"], f"{argument}: headers")
    if "signals" in values:
        values["signals"] = _names(values["signals"])
    if "endpoint" not in values:
        raise ConfigError(f"{argument}: a destination of {sorted(settings)} has no 'endpoint'")
    values.setdefault("protocol", guess_protocol(values["endpoint"]))
    values["endpoint"] = with_scheme(values["endpoint"], values["protocol"])
    return Destination(**values)


def with_scheme(endpoint: str, protocol: str, *, is_insecure: bool = False) -> str:
    """Return an endpoint as a URL: for gRPC it may be ``host:port``, as OpenTelemetry has it."""
    is_bare = protocol == "grpc" and endpoint and "://" not in endpoint
    return f"{'http' if is_insecure else 'https'}://{endpoint}" if is_bare else endpoint


def guess_protocol(endpoint: str) -> str:
    """Return the protocol whose registered port an endpoint has; gRPC is OTLP's first."""
    netloc = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}").netloc
    return "http/protobuf" if netloc.endswith(f":{_HTTP_PORT}") else "grpc"


def header_pairs(given: Any, name: str) -> tuple[tuple[str, str], ...]:
    """
    Return headers, given as a mapping or as the variable's text.

    Raises:
        ConfigError: They are neither; without what was found, which may be a secret.
    """
    if isinstance(given, str):
        found = []
        for key, value in split_pairs(given):
            if value is None:
                raise ConfigError(
                    f"{name}: a part without '='; expected key=value pairs joined by commas"
                )
            found.append((key, value))
        return tuple(found)
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"{name}: a {type(given).__name__}; expected a mapping of names to values,"
            " or key=value pairs joined by commas"
        )
    return tuple(given.items())


def split_pairs(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield ``key=value,key=value`` as pairs, values percent-decoded; None where no ``=`` is."""
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, separator, value = part.partition("=")
        yield key.strip(), unquote(value.strip()) if separator else None


def _names(given: Any) -> tuple[str, ...]:
    """Return signals, given as a list or joined by commas."""
    if isinstance(given, str):
        return tuple(name.strip() for name in given.split(","))
    if not isinstance(given, list | tuple | set | frozenset):
        raise ConfigError(f"signals: {given!r}; expected a list of {', '.join(SIGNALS)}")
    return tuple(given)


def _has_port(parts: SplitResult) -> bool:
    """Tell whether a URL's port, if it names one, is one."""
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}: {value!r}; expected one of {', '.join(allowed)}")
