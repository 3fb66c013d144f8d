"""
HTTP/1.1 connections, on the standard library's server: keep-alive, TLS, and an orderly end.

Knows nothing of OTLP.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from otel_parsl_collector.endpoint import Endpoint, cannot_listen, socket_family
from otel_parsl_collector.receivers.http_body import BodyReader

logger = logging.getLogger(__name__)

_FINISH_S = 3.0
_DRAIN_S = 3.0
_HANDSHAKE_S = 10.0
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


class RequestHandler(BaseHTTPRequestHandler):
    """
    One connection: its requests, one after another.

    What derives from it says in ``answer`` and ``refuse`` what it answers.
    """

    protocol_version = "HTTP/1.1"
    server_version = "otel-parsl"
    sys_version = ""
    timeout = 120
    """Seconds that a connection may be silent."""
    disable_nagle_algorithm = True
    wbufsize = -1
    """An answer goes out as one packet."""
    server: Connections

    def answer(self) -> None:
        """Answer one request."""
        raise NotImplementedError

    def refuse(self, http_status: int, rpc_code: int, words: str, headers: dict[str, str]) -> None:
        """Answer that a request is not taken."""
        raise NotImplementedError

    def body(self, reader: BodyReader) -> bytes:
        """Return the body of the request in hand."""
        if self._is_waiting_to_continue:
            self.send_response_only(100)
            self.end_headers()
            self.wfile.flush()
        data = reader.read(self.rfile)  # type: ignore[arg-type]
        self._is_body_read = True
        return data

    def send(self, status: int, content_type: str, body: bytes, headers: dict[str, str]) -> None:
        """Send an answer; after a body that was not read, the connection's last."""
        has_body = self.headers is not None and bool(
            self.headers.get("Transfer-Encoding") or self.headers.get("Content-Length", "0") != "0"
        )
        is_last = (has_body and not self._is_body_read) or self.server.is_finishing
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        if is_last or self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()
        if has_body and not self._is_body_read:
            self._drain()

    def setup(self) -> None:
        self._is_waiting_to_continue = False
        self._is_body_read = False
        super().setup()
        self.server.rest(self)

    def handle_one_request(self) -> None:
        self._is_waiting_to_continue = False
        self._is_body_read = False
        try:
            super().handle_one_request()
        finally:
            self.server.rest(self)

    def handle_expect_100(self) -> bool:
        """Say "continue" only once the body is wanted."""
        self._is_waiting_to_continue = True
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the standard library refuses by itself, such as a broken request line."""
        self.close_connection = True
        if getattr(self, "headers", None) is None:
            self.headers = self.MessageClass()
        if getattr(self, "command", None) is None:
            self.command = ""
        self.refuse(int(code), 3, message or explain or "the request cannot be read", {})

    def _begin(self) -> None:
        self.server.work(self)
        self.answer()

    def _drain(self) -> None:
        """Read on for a while: a client that is still sending would not see the answer."""
        deadline = time.monotonic() + _DRAIN_S
        with contextlib.suppress(OSError):
            if not isinstance(self.connection, ssl.SSLSocket):
                self.connection.shutdown(socket.SHUT_WR)
            while (left_s := deadline - time.monotonic()) > 0:
                self.connection.settimeout(left_s)
                if not self.rfile.read1(1 << 20):
                    break


for _method in _METHODS:
    setattr(RequestHandler, f"do_{_method}", RequestHandler._begin)


class Connections(ThreadingMixIn, TCPServer):
    """
    A server, and the connections it has.

    Args:
        endpoint: Where.
        handler: A RequestHandler.
        tls: For HTTPS.
        elsewhere: What a user sets to have another endpoint.

    Raises:
        CollectorError: The address cannot be had.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        endpoint: Endpoint,
        handler: type[RequestHandler],
        tls: ssl.SSLContext | None,
        *,
        elsewhere: str,
    ) -> None:
        self.address_family = socket_family(endpoint)
        self.is_finishing = False
        self._tls = tls
        self._changed = threading.Condition()
        self._busy: dict[RequestHandler, bool] = {}
        try:
            super().__init__(endpoint, handler)
        except OSError as error:
            raise cannot_listen(endpoint, elsewhere, error) from error

    def server_bind(self) -> None:
        if self.server_address[0] == "::":  # every address of this host, of either family
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def work(self, handler: RequestHandler) -> None:
        """Note that a connection has a request in hand."""
        with self._changed:
            self._busy[handler] = True

    def rest(self, handler: RequestHandler) -> None:
        """Note that a connection waits for the next request."""
        with self._changed:
            self._busy[handler] = False
            if self.is_finishing:
                handler.close_connection = True
            self._changed.notify()

    def finish(self) -> None:
        """Listen no more, answer what has come, and end the connections."""
        self.is_finishing = True
        self.shutdown()
        self.server_close()
        with self._changed:
            self._changed.wait_for(lambda: not any(self._busy.values()), timeout=_FINISH_S)
            for handler in self._busy:
                with contextlib.suppress(OSError):
                    handler.connection.shutdown(socket.SHUT_RDWR)

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._tls is not None:
            request.settimeout(_HANDSHAKE_S)
            request = self._tls.wrap_socket(request, server_side=True)
        try:
            self.RequestHandlerClass(request, client_address, self)  # type: ignore[arg-type]
        finally:
            with self._changed:
                self._busy = {
                    handler: is_busy
                    for handler, is_busy in self._busy.items()
                    if handler.connection is not request
                }
            if self._tls is not None:
                self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes in the middle is no news."""
        logger.debug("the connection from %s has ended", client_address, exc_info=True)
