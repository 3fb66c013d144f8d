"""Serve one page over HTTP: health, or the counters."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from otel_parsl_collector.endpoint import Endpoint, cannot_listen, socket_family

logger = logging.getLogger(__name__)


class Page(NamedTuple):
    """An answer."""

    status: int
    content_type: str
    text: str


class HttpPage:
    """
    A server of one page, in threads of its own.

    Args:
        endpoint: Where to listen.
        path: Of the page; every other is not found.
        render: Makes the page.
        elsewhere: What a user sets to have it at another endpoint.

    Raises:
        CollectorError: The address cannot be had.
    """

    def __init__(
        self, endpoint: Endpoint, path: str, render: Callable[[], Page], *, elsewhere: str
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                is_here = self.path.partition("?")[0] == path
                page = render() if is_here else Page(404, "text/plain", f"only {path} is here\n")
                body = page.text.encode()
                self.send_response(page.status)
                self.send_header("Content-Type", page.content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                logger.debug(format, *args)

        class Server(ThreadingHTTPServer):
            address_family = socket_family(endpoint)
            daemon_threads = True

        try:
            self._server = Server(endpoint, Handler)
        except OSError as error:
            raise cannot_listen(endpoint, elsewhere, error) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name=f"page-{self.port}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
