"""
The exporter that forwards spooled requests to an OTLP endpoint.

It sends the spooled bytes themselves: what is sent again is the same to the byte, which is how
Jaeger knows a span it has. The SDK's exporters are not used, since they drop a batch after 10 s.
"""

from __future__ import annotations

import gzip
import http.client
import logging
import random
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from otel_parsl.spool import Frame, Place, frame
from otel_parsl.wire import LOGS, METRICS, TRACES
from otel_parsl_collector.exporters.splitting import split

logger = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 4 << 20
_FIRST_DELAY_S, _MAX_DELAY_S = 0.5, 30.0
SIGNALS = {"traces": TRACES, "metrics": METRICS, "logs": LOGS}
_NAMES = {number: name for name, number in SIGNALS.items()}
_SERVICES = {
    TRACES: "opentelemetry.proto.collector.trace.v1.TraceService",
    METRICS: "opentelemetry.proto.collector.metrics.v1.MetricsService",
    LOGS: "opentelemetry.proto.collector.logs.v1.LogsService",
}


class Destination(NamedTuple):
    """Where to forward to; the fields mean what OpenTelemetry's ``OTEL_EXPORTER_OTLP_*`` mean."""

    endpoint: str
    protocol: str = "grpc"
    """``grpc`` or ``http/protobuf``."""
    headers: tuple[tuple[str, str], ...] = ()
    certificate: str | None = None
    """Path of the certificates to trust; the system's where there is none."""
    compression: str = "none"
    """``none`` or ``gzip``."""
    timeout_s: float = 10.0
    signals: tuple[str, ...] = ("traces", "metrics", "logs")


class Refused(Exception):
    """The destination will never take this request."""


class Unsupported(Refused):
    """The destination does not take this signal at all."""


class Unavailable(Exception):
    """The destination cannot take it now; ``retry_after_s`` is its own wish, if it has one."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class OtlpExporter:
    """
    Forward frames to one destination.

    Args:
        destination: Where to.
        refused_path: A file that takes what the destination refuses for good, as spool frames.
    """

    def __init__(self, destination: Destination, *, refused_path: Path) -> None:
        self.destination = destination
        self.sent = 0
        self.refused = 0
        self.last_error: str | None = None
        self._refused_path = refused_path
        self._send = _transport(destination)
        self._off = {number for name, number in SIGNALS.items() if name not in destination.signals}
        self._delay_s = 0.0

    def consume(self, frames: Iterable[Frame], places: Mapping[str, Place]) -> None:
        """
        Send frames; returns when all are taken, or refused for good and set aside.

        Raises:
            Unavailable: Some may have been sent; sending them again does no harm.
        """
        for signal, payload, count in _batches(frames):
            if signal in self._off:
                continue
            pieces = split(signal, payload, limit_bytes=MAX_REQUEST_BYTES)
            for piece in pieces.fitting:
                self._send_one(signal, piece, count)
            for item in pieces.too_large:
                self.refused += 1
                self._set_aside(signal, item)

    def delay_s(self, error: Unavailable) -> float:
        """Return how long to wait before the next try: exponential, with jitter, or as told."""
        self._delay_s = min(max(self._delay_s * 2, _FIRST_DELAY_S), _MAX_DELAY_S)
        if error.retry_after_s is not None:
            return error.retry_after_s
        return self._delay_s * random.uniform(0.5, 1.5)

    def _send_one(self, signal: int, payload: bytes, count: int) -> None:
        try:
            self._send(signal, payload)
        except Unsupported as error:
            self._off.add(signal)
            logger.warning(
                "%s takes no %s (%s): they are not sent there",
                self.destination.endpoint,
                _NAMES[signal],
                error,
            )
        except Refused as error:
            self.refused += count
            self.last_error = str(error)
            logger.error(  # noqa: TRY400 - the traceback says nothing more
                "%s refused %d requests of %s: %s; they are kept in %s",
                self.destination.endpoint,
                count,
                _NAMES[signal],
                error,
                self._refused_path,
            )
            self._set_aside(signal, payload)
        except Unavailable as error:
            self.last_error = str(error)
            raise
        else:
            self.sent += count
            self._delay_s = 0.0
            self.last_error = None

    def _set_aside(self, signal: int, payload: bytes) -> None:
        with open(self._refused_path, "ab") as file:
            file.write(frame(signal, payload))


def _batches(frames: Iterable[Frame]) -> Iterable[tuple[int, bytes, int]]:
    """
    Join requests of one signal up to the size that every receiver takes.

    Protobuf messages of one type are merged by joining their bytes.
    """
    waiting: dict[int, list[bytes]] = {}
    sizes: dict[int, int] = {}
    for item in frames:
        size = sizes.get(item.signal, 0)
        if size and size + len(item.payload) > MAX_REQUEST_BYTES:
            parts = waiting.pop(item.signal)
            yield item.signal, b"".join(parts), len(parts)
            size = 0
        waiting.setdefault(item.signal, []).append(item.payload)
        sizes[item.signal] = size + len(item.payload)
    for signal, parts in waiting.items():
        yield signal, b"".join(parts), len(parts)


def _transport(destination: Destination) -> Callable[[int, bytes], None]:
    if destination.protocol == "grpc":
        return _Grpc(destination)
    return _Http(destination)


class _Grpc:
    """OTLP/gRPC; which status may be tried again is said by the OTLP specification."""

    def __init__(self, destination: Destination) -> None:
        import grpc

        self._grpc = grpc
        parts = urlsplit(destination.endpoint)
        target = parts.netloc or destination.endpoint
        options = [("grpc.max_send_message_length", -1)]
        if parts.scheme == "https":
            trusted = (
                Path(destination.certificate).read_bytes() if destination.certificate else None
            )
            self._channel = grpc.secure_channel(
                target, grpc.ssl_channel_credentials(trusted), options
            )
        else:
            self._channel = grpc.insecure_channel(target, options)
        gzipped = destination.compression == "gzip"
        self._compression = grpc.Compression.Gzip if gzipped else grpc.Compression.NoCompression
        self._metadata = [(name.lower(), value) for name, value in destination.headers]
        self._timeout_s = destination.timeout_s
        self._calls = {
            signal: self._channel.unary_unary(f"/{service}/Export")
            for signal, service in _SERVICES.items()
        }
        code = grpc.StatusCode
        self._retryable = {
            code.CANCELLED,
            code.DEADLINE_EXCEEDED,
            code.ABORTED,
            code.OUT_OF_RANGE,
            code.UNAVAILABLE,
            code.DATA_LOSS,
        }

    def __call__(self, signal: int, payload: bytes) -> None:
        try:
            self._calls[signal](
                payload,
                timeout=self._timeout_s,
                metadata=self._metadata,
                compression=self._compression,
            )
        except self._grpc.RpcError as error:
            self._raise(error)

    def _raise(self, error: Any) -> None:
        code, reason = error.code(), f"{error.code().name}: {error.details()}"
        if code == self._grpc.StatusCode.UNIMPLEMENTED:
            raise Unsupported(reason) from error
        after_s = _retry_after_s(error.trailing_metadata() or ())
        exhausted = code == self._grpc.StatusCode.RESOURCE_EXHAUSTED and after_s is not None
        if code in self._retryable or exhausted:
            raise Unavailable(reason, after_s) from error
        raise Refused(reason) from error


def _retry_after_s(metadata: Iterable[tuple[str, bytes]]) -> float | None:
    """Return the delay of google.rpc.RetryInfo, where OpenTelemetry's own clients look for it."""
    from google.protobuf.message import DecodeError
    from google.rpc.error_details_pb2 import RetryInfo

    for name, value in metadata:
        if name == "google.rpc.retryinfo-bin":
            try:
                delay: float = RetryInfo.FromString(value).retry_delay.ToTimedelta().total_seconds()
            except DecodeError:
                return 0.0
            return delay
    return None


class _Http:
    """OTLP/HTTP with protobuf; ``http.client`` keeps the connection between requests."""

    _RETRYABLE = frozenset({429, 502, 503, 504})

    def __init__(self, destination: Destination) -> None:
        self._parts = urlsplit(destination.endpoint)
        self._destination = destination
        self._connection: http.client.HTTPConnection | None = None
        self._lock = threading.Lock()

    def __call__(self, signal: int, payload: bytes) -> None:
        headers = {"Content-Type": "application/x-protobuf", **dict(self._destination.headers)}
        if self._destination.compression == "gzip":
            payload = gzip.compress(payload, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        path = f"{self._parts.path.rstrip('/')}/v1/{_NAMES[signal]}"
        try:
            with self._lock:
                response = self._post(path, payload, headers)
                body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection = None
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        status = response.status
        if 200 <= status < 300:
            return
        reason = f"HTTP {status} {response.reason}: {body[:200]!r}"
        if status == 404:
            raise Unsupported(reason)
        if status in self._RETRYABLE:
            after = response.getheader("Retry-After", "")
            raise Unavailable(reason, float(after) if after.isdecimal() else None)
        raise Refused(reason)

    def _post(self, path: str, payload: bytes, headers: dict[str, str]) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request("POST", path, payload, headers)
        return self._connection.getresponse()

    def _connect(self) -> http.client.HTTPConnection:
        host, timeout_s = self._parts.netloc, self._destination.timeout_s
        if self._parts.scheme != "https":
            return http.client.HTTPConnection(host, timeout=timeout_s)
        context = ssl.create_default_context(cafile=self._destination.certificate)
        return http.client.HTTPSConnection(host, timeout=timeout_s, context=context)
