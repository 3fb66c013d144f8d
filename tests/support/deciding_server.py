"""
Real OTLP servers, over gRPC and over HTTP, that do with each request what a test tells them.

As the OpenTelemetry Collector's testbed does it: a list of decisions, and a record of what came.
"""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from otel_parsl.wire import LOGS, METRICS, TRACES

_SIGNALS = {"traces": TRACES, "metrics": METRICS, "logs": LOGS}


class Answer(NamedTuple):
    """What a server says to one request."""

    status: Any = None
    """A grpc.StatusCode or a number of HTTP's; None for success."""
    retry_after_s: int | None = None
    """How long it asks to be left alone."""
    hang_s: float = 0.0
    """How long it does not answer."""


OK = Answer()


class Received(NamedTuple):
    """A request as it came in, unpacked."""

    signal: int
    payload: bytes
    headers: dict[str, str]


def retry_trailer(seconds: int) -> tuple[str, bytes]:
    """Return the trailer by which a gRPC server says when to come again, as OTLP has it."""
    status = Status()
    status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=seconds)))
    return "grpc-status-details-bin", status.SerializeToString()


@dataclass
class DecidingServer:
    """What both kinds of server have in common."""

    decisions: list[Answer] = field(default_factory=list)
    """For one request after the other; every further one succeeds."""
    always: dict[int, Answer] = field(default_factory=dict)
    """For every request of a signal, whatever the decisions."""
    judge: Callable[[Received], Answer | None] = lambda _request: None
    """Decides by what is in a request; asked first."""
    received: list[Received] = field(default_factory=list)
    """Every request, whatever was answered."""
    accepted: list[Received] = field(default_factory=list)
    url: str = ""
    stop: Callable[[], None] = lambda: None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _is_over: threading.Event = field(default_factory=threading.Event)

    def decide(self, request: Received) -> Answer:
        """Return what to say to a request."""
        with self._lock:
            self.received.append(request)
            answer = self.judge(request) or self.always.get(request.signal)
            if answer is None:
                answer = self.decisions.pop(0) if self.decisions else OK
            if answer.status is None and not answer.hang_s:
                self.accepted.append(request)
        self._is_over.wait(answer.hang_s)
        return answer


def start_grpc(port: int = 0) -> DecidingServer:
    """Return a running OTLP/gRPC server."""
    deciding = DecidingServer()

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, call: Any) -> Any:
            signal = _SIGNALS[call.method.split(".")[3].replace("trace", "traces")]

            def export(payload: bytes, context: Any) -> bytes:
                headers = dict(context.invocation_metadata())
                answer = deciding.decide(Received(signal, payload, headers))
                if answer.retry_after_s is not None:
                    context.set_trailing_metadata((retry_trailer(answer.retry_after_s),))
                if answer.status is not None:
                    context.abort(answer.status, "as told")
                return b""

            return grpc.unary_unary_rpc_method_handler(export)

    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((Handler(),))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    deciding.url = f"http://127.0.0.1:{bound}"

    def stop() -> None:
        deciding._is_over.set()
        server.stop(grace=None).wait()

    deciding.stop = stop
    return deciding


def start_http(port: int = 0) -> DecidingServer:
    """Return a running OTLP/HTTP server."""
    deciding = DecidingServer()
    connections: list[socket.socket] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            connections.append(self.request)
            super().setup()

        def do_POST(self) -> None:
            payload = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                payload = gzip.decompress(payload)
            elif self.headers.get("Content-Encoding") == "deflate":
                payload = zlib.decompress(payload)
            headers = {name.lower(): value for name, value in self.headers.items()}
            headers["path"] = self.path
            signal = _SIGNALS[self.path.partition("?")[0].rpartition("/")[2]]
            answer = deciding.decide(Received(signal, payload, headers))
            self.send_response(answer.status or 200)
            if answer.retry_after_s is not None:
                self.send_header("Retry-After", str(answer.retry_after_s))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

    server = Server(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    deciding.url = f"http://127.0.0.1:{server.server_address[1]}"

    def stop() -> None:
        deciding._is_over.set()
        server.shutdown()
        server.server_close()
        for connection in connections:  # kept alive, they would outlive the server
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join()

    deciding.stop = stop
    return deciding
