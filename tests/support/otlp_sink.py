"""A destination for tests: it answers as it is told, and keeps what it was sent."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import grpc
from otel_parsl_collector.signals import SIGNALS


class Received(NamedTuple):
    """One request, decompressed."""

    signal: str
    """``traces``, ``metrics`` or ``logs``."""
    body: bytes


class Sink:
    """What a destination was sent."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.received: list[Received] = []

    def span_names(self) -> list[str]:
        """Return the names of all spans, in the order they came."""
        return [span.name for span in self.spans()]

    def spans(self) -> list[Any]:
        """Return all spans, in the order they came; one that was sent again is there again."""
        request = {signal.name: signal.request for signal in SIGNALS.values()}
        return [
            span
            for signal, body in self.received
            if signal == "traces"
            for group in request[signal].FromString(body).resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def event_names(self) -> list[str]:
        """Return the names of all events, in the order they came."""
        request = {signal.name: signal.request for signal in SIGNALS.values()}
        return [
            record.event_name
            for signal, body in self.received
            if signal == "logs"
            for group in request[signal].FromString(body).resource_logs
            for scope in group.scope_logs
            for record in scope.log_records
        ]


GrpcAnswer = Callable[[Any], bytes]
"""Returns a response, or ends the call with a status, given its context."""


def taken(_context: Any) -> bytes:
    """Take a request."""
    return b""


@contextmanager
def grpc_sink(answer: GrpcAnswer = taken, *, port: int = 0) -> Iterator[Sink]:
    """Run a destination that speaks gRPC; it keeps each request before it answers."""
    names = {f"/{signal.service}/Export": signal.name for signal in SIGNALS.values()}

    class Handler:
        def service(self, call: Any) -> Any:
            def export(body: bytes, context: Any) -> bytes:
                sink.received.append(Received(names[call.method], body))
                return answer(context)

            return grpc.unary_unary_rpc_method_handler(export)

    server = grpc.server(
        ThreadPoolExecutor(4),
        handlers=[Handler()],
        options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)],
    )
    sink = Sink(f"http://127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}")
    server.start()
    try:
        yield sink
    finally:
        server.stop(None).wait()


class HttpAnswer(NamedTuple):
    """A status, headers and a body."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""


TAKEN = HttpAnswer()


@contextmanager
def http_sink(answer: HttpAnswer | Callable[[], HttpAnswer] = TAKEN) -> Iterator[Sink]:
    """Run a destination that speaks HTTP; it keeps each request before it answers."""
    answers = answer if callable(answer) else lambda: answer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            sink.received.append(Received(self.path.rpartition("/")[2], body))
            answer = answers()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sink = Sink(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
