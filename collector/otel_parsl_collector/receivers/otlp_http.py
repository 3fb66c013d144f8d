"""OTLP/HTTP, in protobuf and JSON: a small HTTP/1.1 server, a thread a connection."""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import Any

from google.protobuf import json_format
from google.rpc import status_pb2

from otel_parsl import proof
from otel_parsl_collector.otlp_json import render
from otel_parsl_collector.receivers.codec import Request, read_json, read_protobuf, response
from otel_parsl_collector.receivers.compression import decompress
from otel_parsl_collector.receivers.http_body import BodyReader
from otel_parsl_collector.receivers.http_connections import Connections, RequestHandler
from otel_parsl_collector.receivers.intake import Intake
from otel_parsl_collector.receivers.listener import Listener
from otel_parsl_collector.receivers.refusal import Busy, Refusal, Unauthenticated
from otel_parsl_collector.signals import Signal

logger = logging.getLogger(__name__)

_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_READERS = {_PROTOBUF: read_protobuf, _JSON: read_json}


class _NotFound(Refusal):
    rpc_code = 12
    http_status = 404


class _NotAllowed(Refusal):
    rpc_code = 12
    http_status = 405


class _Unsupported(Refusal):
    rpc_code = 3
    http_status = 415


class HttpServer:
    """
    The OTLP paths over HTTP.

    Args:
        listener: Where, and to whom.
        intake: Takes what is read.
    """

    def __init__(self, listener: Listener, intake: Intake) -> None:
        self.port = listener.endpoint.port
        self._listener = listener
        signals = {f"/v1/{signal.name}": signal for signal in intake.signals}

        class Handler(_OtlpHandler):
            pass

        Handler.listener, Handler.intake, Handler.signals = listener, intake, signals
        self._handler = Handler
        self._connections: Connections | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """
        Listen.

        Raises:
            CollectorError: The address cannot be had.
        """
        tls = self._listener.tls
        self._connections = Connections(
            self._listener.endpoint,
            self._handler,
            None if tls is None else tls.context(),
            elsewhere=self._listener.elsewhere,
        )
        self.port = self._connections.server_address[1]
        self._thread = threading.Thread(
            target=self._connections.serve_forever, args=(0.1,), name="otlp-http", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Answer what has come, and stop."""
        if self._connections is not None and self._thread is not None:
            self._connections.finish()
            self._thread.join()
            self._connections = None


class _OtlpHandler(RequestHandler):
    """One connection; a class of its own for each server, which sets what follows."""

    listener: Listener
    intake: Intake
    signals: dict[str, Signal]

    def answer(self) -> None:
        """Answer one request, of whatever method and path."""
        prove = self.listener.prove
        if prove is not None and self.command == "GET" and self.path.startswith(proof.PATH):
            asked = self.path.removeprefix(proof.PATH)
            self.send(200, "text/plain", prove(asked).encode(), {})
            return
        arrived = time.monotonic()
        try:
            request = self.intake.answer(self._read, transport="http", arrived=arrived)
        except Refusal as refusal:
            self._refuse(refusal)
        else:
            self._succeed(request)

    def _read(self) -> Request:
        signal = self.signals.get(self.path.partition("?")[0])
        if signal is None:
            raise _NotFound(f"nothing is here; expected one of {', '.join(self.signals)}")
        if self.command != "POST":
            raise _NotAllowed(f"the method is {self.command}; expected POST")
        self.listener.admit(self.headers.get("Authorization", ""))
        read = _READERS.get(self._content_type())
        if read is None:
            raise _Unsupported(
                f"Content-Type is {self.headers.get('Content-Type')!r};"
                f" expected {_PROTOBUF} or {_JSON}"
            )
        limit_bytes = self.listener.limit_bytes
        body = self.body(BodyReader(self.headers, limit_bytes=limit_bytes))
        encoding = self.headers.get("Content-Encoding", "")
        return read(signal.number, decompress(body, encoding, limit_bytes=limit_bytes))

    def _content_type(self) -> str:
        return str(self.headers.get("Content-Type", "")).partition(";")[0].strip().lower()

    def _succeed(self, request: Request) -> None:
        message = response(request)
        if self._content_type() == _JSON:
            self.send(200, _JSON, json.dumps(render(message)).encode(), {})
        else:
            self.send(200, _PROTOBUF, message.SerializeToString(), {})

    def _refuse(self, refusal: Refusal) -> None:
        headers = {}
        if isinstance(refusal, Busy):
            headers["Retry-After"] = str(refusal.retry_after_s)
        elif isinstance(refusal, Unauthenticated):
            headers["WWW-Authenticate"] = "Bearer"
        elif isinstance(refusal, _NotAllowed):
            headers["Allow"] = "POST"
        self.refuse(refusal.http_status, refusal.rpc_code, str(refusal), headers)

    def refuse(self, http_status: int, rpc_code: int, words: str, headers: dict[str, str]) -> None:
        """Answer with a google.rpc.Status, in the request's encoding where that is known."""
        status = status_pb2.Status(code=rpc_code, message=words)
        if self._content_type() == _PROTOBUF:
            self.send(http_status, _PROTOBUF, status.SerializeToString(), headers)
        else:
            self.send(http_status, _JSON, json_format.MessageToJson(status).encode(), headers)

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)
