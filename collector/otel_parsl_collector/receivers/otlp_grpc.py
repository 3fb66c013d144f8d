"""OTLP/gRPC: handlers on the bytes themselves, so that what is spooled is what was sent."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from otel_parsl_collector.endpoint import cannot_listen
from otel_parsl_collector.receivers.codec import Request, read_protobuf, response
from otel_parsl_collector.receivers.compression import decompress, is_compressed
from otel_parsl_collector.receivers.intake import Intake
from otel_parsl_collector.receivers.listener import Listener
from otel_parsl_collector.receivers.refusal import Busy, Malformed, Refusal

_THREADS = 32
"""More requests than these wait, and are answered that the collector is busy after 2 s."""
_GRACE_S = 2.0
_MAX_WORDS = 1000
"""Of a status' message: clients take 8 KiB of headers in all."""
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_OPTIONS = [
    # Two collectors on one port would share the requests between them, unseen.
    ("grpc.so_reuseport", 0),
    # gRPC's own decompression knows no limit until it is done.
    ("grpc.per_message_decompression", 0),
    # Clients may ping as often as they like: OTLP's keep connections open through firewalls.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1000),
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
]


class GrpcServer:
    """
    The OTLP services over gRPC.

    Args:
        listener: Where, and to whom.
        intake: Takes what is read.
    """

    def __init__(self, listener: Listener, intake: Intake) -> None:
        self.port = listener.endpoint.port
        self._listener = listener
        self._intake = intake
        self._signals = {f"/{signal.service}/Export": signal for signal in intake.signals}
        self._server: Any = None

    def start(self) -> None:
        """
        Listen.

        Raises:
            CollectorError: The address cannot be had.
        """
        self._server = grpc.server(
            ThreadPoolExecutor(_THREADS, thread_name_prefix="otlp-grpc"),
            handlers=[self],
            options=[("grpc.max_receive_message_length", self._listener.limit_bytes), *_OPTIONS],
        )
        try:
            self.port = self._bind(str(self._listener.endpoint))
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise cannot_listen(self._listener.endpoint, self._listener.elsewhere)
        self._server.start()

    def stop(self) -> None:
        """Answer what has come, and stop."""
        if self._server is not None:
            self._server.stop(_GRACE_S).wait()
            self._server = None

    def service(self, handler_call_details: Any) -> Any:
        """Return the handler of a call, as gRPC asks; None for a service that is not there."""
        signal = self._signals.get(handler_call_details.method)
        if signal is None:
            return None
        arrived = time.monotonic()
        metadata = {str(key): value for key, value in handler_call_details.invocation_metadata}
        authorization = str(metadata.get("authorization", ""))

        def read(body: bytes) -> Request:
            self._listener.admit(authorization)
            limit_bytes = self._listener.limit_bytes
            plain = decompress(body, is_compressed(body), limit_bytes=limit_bytes)
            return read_protobuf(signal.number, plain)

        def export(body: bytes, context: Any) -> bytes:
            try:
                request = self._intake.answer(lambda: read(body), transport="grpc", arrived=arrived)
            except Refusal as refusal:
                _refuse(context, refusal)
            answer: bytes = response(request).SerializeToString()
            return answer

        return grpc.unary_unary_rpc_method_handler(export)

    def _bind(self, address: str) -> int:
        tls = self._listener.tls
        if tls is None:
            return int(self._server.add_insecure_port(address))
        authority = tls.client_ca_file
        credentials = grpc.ssl_server_credentials(
            [(Path(tls.key_file).read_bytes(), Path(tls.cert_file).read_bytes())],
            root_certificates=None if authority is None else Path(authority).read_bytes(),
            require_client_auth=authority is not None,
        )
        return int(self._server.add_secure_port(address, credentials))


def _refuse(context: Any, refusal: Refusal) -> NoReturn:
    """End a call with a status; says when to come again in both places where clients look."""
    words = str(refusal)[:_MAX_WORDS]
    status = status_pb2.Status(code=refusal.rpc_code, message=words)
    trailers: list[tuple[str, bytes]] = []
    detail = _detail(refusal, words)
    if detail is not None:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    if isinstance(refusal, Busy):
        trailers.append(("google.rpc.retryinfo-bin", detail.SerializeToString()))
    trailers.append(("grpc-status-details-bin", status.SerializeToString()))
    context.set_trailing_metadata(tuple(trailers))
    context.abort(_CODES[refusal.rpc_code], words)
    raise AssertionError("abort raises")


def _detail(refusal: Refusal, words: str) -> Any:
    if isinstance(refusal, Busy):
        delay = duration_pb2.Duration(seconds=refusal.retry_after_s)
        return error_details_pb2.RetryInfo(retry_delay=delay)
    if isinstance(refusal, Malformed):
        violation = error_details_pb2.BadRequest.FieldViolation(field="body", description=words)
        return error_details_pb2.BadRequest(field_violations=[violation])
    return None
