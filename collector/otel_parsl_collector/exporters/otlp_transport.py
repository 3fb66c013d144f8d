"""
How a request goes to an OTLP endpoint, by gRPC or by HTTP, and what its answers mean.

Flow: exporters.otlp -> **exporters.otlp_transport** -> the destination
"""

from __future__ import annotations

import gzip
import http.client
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError

from otel_parsl.destination import Destination
from otel_parsl_collector.signals import SIGNALS

_RECONNECT_AFTER_MS = 5_000
"""
How long gRPC waits at most before it connects again.

Until then it fails every call by itself, and by default that grows to 120 s: a server that is back
would not be seen by those who ask for it every few seconds.
"""
_CONNECT_WITHIN_MS = 10_000
"""How long it waits for a host that does not answer; 20 s by default."""


class Answer(NamedTuple):
    """What a destination says of a request that it has taken."""

    rejected: int = 0
    """Items of it that it will never take."""
    message: str = ""


class Refused(Exception):
    """
    The destination will never take this request.

    Args:
        reason: In its words.
        is_about_content: Whether it may take a part of it.
    """

    def __init__(self, reason: str, *, is_about_content: bool) -> None:
        super().__init__(reason)
        self.is_about_content = is_about_content


class Unsupported(Exception):
    """The destination does not take this signal at all."""


class Unavailable(Exception):
    """
    The destination cannot take it now.

    Args:
        reason: In its words.
        retry_after_s: Its own wish, if it has one; 0 leaves it to us.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


Transport = Callable[[int, bytes], Answer]
"""
Sends a request of a signal.

Raises Refused, Unsupported or Unavailable.
"""


def transport(destination: Destination) -> Transport:
    """Return the transport that a destination asks for."""
    if destination.protocol == "grpc":
        return _Grpc(destination)
    return _Http(destination)


def _answer(signal: int, body: bytes) -> Answer:
    """Return what a response says; one that cannot be read says nothing: the status has said it."""
    kind = SIGNALS[signal]
    try:
        partial = kind.response.FromString(body).partial_success
    except DecodeError:
        return Answer()
    return Answer(max(0, getattr(partial, kind.rejected)), partial.error_message)


class _Grpc:
    """OTLP/gRPC; which status may be tried again is said by the OTLP specification."""

    def __init__(self, destination: Destination) -> None:
        import grpc

        self._grpc = grpc
        self._destination = destination
        self._lock = threading.Lock()
        self._calls: Mapping[int, Any] = {}
        gzipped = destination.compression == "gzip"
        self._compression = grpc.Compression.Gzip if gzipped else grpc.Compression.NoCompression
        self._metadata = [(name.lower(), value) for name, value in destination.headers]
        self._timeout_s = destination.timeout
        code = grpc.StatusCode
        self._retryable = {
            code.CANCELLED,
            code.DEADLINE_EXCEEDED,
            code.ABORTED,
            code.OUT_OF_RANGE,
            code.UNAVAILABLE,
            code.DATA_LOSS,
        }
        self._about_content = {
            code.INVALID_ARGUMENT,
            code.RESOURCE_EXHAUSTED,
            code.INTERNAL,
            code.UNKNOWN,
        }

    def __call__(self, signal: int, payload: bytes) -> Answer:
        try:
            body = self._opened()[signal](
                payload,
                timeout=self._timeout_s,
                metadata=self._metadata,
                compression=self._compression,
            )
        except self._grpc.RpcError as error:
            raise self._meaning(error) from error
        except OSError as error:  # a certificate, which may be put back
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        return _answer(signal, body)

    def _opened(self) -> Mapping[int, Any]:
        """Return the call of each signal; the channel is made by the first."""
        with self._lock:
            if not self._calls:
                channel = self._channel()
                self._calls = {
                    number: channel.unary_unary(f"/{signal.service}/Export")
                    for number, signal in SIGNALS.items()
                }
            return self._calls

    def _channel(self) -> Any:
        parts = urlsplit(self._destination.endpoint)
        target = parts.netloc or self._destination.endpoint
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_reconnect_backoff_ms", _RECONNECT_AFTER_MS),
            ("grpc.min_reconnect_backoff_ms", _CONNECT_WITHIN_MS),
        ]
        if parts.scheme != "https":
            return self._grpc.insecure_channel(target, options)
        return self._grpc.secure_channel(target, self._destination.tls().credentials(), options)

    def _meaning(self, error: Any) -> Refused | Unsupported | Unavailable:
        code = error.code()
        reason = self._destination.tls().explained(f"{code.name}: {error.details()}")
        if code == self._grpc.StatusCode.UNIMPLEMENTED:
            return Unsupported(reason)
        after_s = _delay_of_trailers(error.trailing_metadata() or ())
        exhausted = code == self._grpc.StatusCode.RESOURCE_EXHAUSTED and after_s is not None
        if code in self._retryable or exhausted:
            return Unavailable(reason, after_s)
        return Refused(reason, is_about_content=code in self._about_content)


def _delay_of_trailers(trailers: Iterable[tuple[str, bytes]]) -> float | None:
    """
    Return the delay of google.rpc.RetryInfo, in s.

    Servers put it among the details of google.rpc.Status, which gRPC sends as
    ``grpc-status-details-bin``; OpenTelemetry's client for Python looks for it on its own.
    """
    from google.rpc.error_details_pb2 import RetryInfo
    from google.rpc.status_pb2 import Status

    info = RetryInfo()
    for name, value in trailers:
        try:
            if name == "google.rpc.retryinfo-bin":
                info.ParseFromString(value)
                return _seconds(info)
            if name == "grpc-status-details-bin":
                for detail in Status.FromString(value).details:
                    if detail.Unpack(info):
                        return _seconds(info)
        except DecodeError:
            continue  # the other one may be whole
    return None


def _seconds(info: Any) -> float:
    return max(0.0, float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9))


def _delay_of_header(text: str) -> float | None:
    """Return the delay, in s, that a ``Retry-After`` asks for: by a number or by a date."""
    if text.isdecimal():
        return float(text)
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    in_utc = then if then.tzinfo else then.replace(tzinfo=timezone.utc)  # which HTTP's dates are
    return max(0.0, in_utc.timestamp() - time.time())


class _Http:
    """OTLP/HTTP with protobuf; ``http.client`` keeps the connection between requests."""

    _RETRYABLE = frozenset({429, 502, 503, 504})
    _ABOUT_CONTENT = frozenset({400, 413, 422, 500})

    def __init__(self, destination: Destination) -> None:
        self._parts = urlsplit(destination.endpoint)
        self._destination = destination
        self._connection: http.client.HTTPConnection | None = None
        self._lock = threading.Lock()

    def __call__(self, signal: int, payload: bytes) -> Answer:
        headers = {"Content-Type": "application/x-protobuf", **dict(self._destination.headers)}
        if self._destination.compression == "gzip":
            payload = gzip.compress(payload, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        elif self._destination.compression == "deflate":  # which in HTTP is zlib's format
            payload = zlib.compress(payload, level=1)
            headers["Content-Encoding"] = "deflate"
        path = self._destination.path(SIGNALS[signal].name)
        try:
            with self._lock:
                response = self._post(path, payload, headers)
                body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection = None
            reason = f"{type(error).__name__}: {error}"
            raise Unavailable(self._destination.tls().explained(reason)) from error
        status = response.status
        if 200 <= status < 300:
            return _answer(signal, body)
        reason = f"HTTP {status} {response.reason}: {body[:200]!r}"
        if status == 404:
            raise Unsupported(reason)
        if status in self._RETRYABLE:
            raise Unavailable(reason, _delay_of_header(response.getheader("Retry-After", "")))
        raise Refused(reason, is_about_content=status in self._ABOUT_CONTENT)

    def _post(self, path: str, payload: bytes, headers: dict[str, str]) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request("POST", path, payload, headers)
        return self._connection.getresponse()

    def _connect(self) -> http.client.HTTPConnection:
        host, timeout_s = self._parts.netloc, self._destination.timeout
        if self._parts.scheme != "https":
            return http.client.HTTPConnection(host, timeout=timeout_s)
        context = self._destination.tls().context()
        return http.client.HTTPSConnection(host, timeout=timeout_s, context=context)
