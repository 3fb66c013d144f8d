"""
The direct transport: a worker's news as OTLP/HTTP to the run's agent.

Flow: live -> **direct** -> the agent's OTLP receiver (receivers/otlp_http)
What is sent was encoded before, so there is nothing for OpenTelemetry's exporter to do but to post
bytes, and a worker would pay for loading it; it also drops what is not taken within 10 s.
Workers import this module: nothing here may load more than the standard library.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

from otel_parsl import proof
from otel_parsl.reach import reach
from otel_parsl.spool import payloads
from otel_parsl.wire import LOGS, METRICS, TRACES

TIMEOUT_S = 5.0
"""For one request, or to find the agent: meanwhile a thread waits, and no task does."""
_PROOF_TIMEOUT_S = 2.0
_FIRST_PAUSE_S, _MAX_PAUSE_S = 5.0, 60.0
_MOST_BYTES = 4 << 20
"""In a request."""
_PATHS = {TRACES: "/v1/traces", METRICS: "/v1/metrics", LOGS: "/v1/logs"}


class Receiver(NamedTuple):
    """Where a run's agent receives OTLP; plain values, since it travels with every try."""

    hosts: tuple[str, ...]
    """Names or addresses of the submit host: a worker takes the first that it reaches."""
    port: int
    token: str
    """Good for the whole run; never shown."""

    def __repr__(self) -> str:
        return f"Receiver(hosts={self.hosts!r}, port={self.port}, token='…')"


class Unreachable(Exception):
    """The receiver did not take a request; it may have, if the answer was lost."""


class DirectSender:
    """
    Send frames to a receiver.

    A connection lasts for one call, since the agent has a thread for each and workers may be many.

    Args:
        receiver: Where to.
    """

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.failures = 0
        """How many calls were not taken."""
        self.failure = ""
        """Why the last of them was not."""
        self._hosts = receiver.hosts
        self._pause_s = 0.0
        self._due_at = 0.0

    def is_due(self) -> bool:
        """Tell whether to try: after a failure it pauses, each time longer."""
        return time.monotonic() >= self._due_at

    def send(self, frames: bytes) -> None:
        """
        Send frames; returns when the agent has them on disk.

        Args:
            frames: Spool frames.

        Raises:
            Unreachable: Not all were taken; sending them again does no harm.
        """
        try:
            host, sock = reach(self._hosts, self.receiver.port, self._is_ours, timeout_s=TIMEOUT_S)
            self._hosts = (host,)
            sock.settimeout(TIMEOUT_S)
            connection = _connection(host, sock)
            try:
                for path, body in _requests(frames):
                    self._post(connection, path, body)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            self._hosts = self.receiver.hosts
            self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _MAX_PAUSE_S)
            self._due_at = time.monotonic() + self._pause_s
            self.failures += 1
            self.failure = f"port {self.receiver.port}: {type(error).__name__}: {error}"
            raise Unreachable(self.failure) from error
        self._pause_s = 0.0

    def _is_ours(self, host: str, sock: socket.socket) -> bool:
        asked = proof.question()
        sock.settimeout(_PROOF_TIMEOUT_S)
        connection = _connection(host, sock)
        try:
            connection.request("GET", proof.PATH + asked)
            answer = connection.getresponse()
            said = answer.read(1024)
        except http.client.HTTPException:
            return False
        is_kept = not answer.will_close and answer.isclosed()
        return is_kept and proof.is_right(self.receiver.token, asked, said)

    def _post(self, connection: http.client.HTTPConnection, path: str, body: bytes) -> None:
        headers = {
            "Content-Type": "application/x-protobuf",
            "Authorization": f"Bearer {self.receiver.token}",
        }
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        said = answer.read()
        if not 200 <= answer.status < 300:
            raise http.client.HTTPException(f"HTTP {answer.status} {answer.reason}: {said[:200]!r}")


def _connection(host: str, sock: socket.socket) -> http.client.HTTPConnection:
    """Return HTTP on a socket that is connected, and on no other."""
    connection = http.client.HTTPConnection(host, sock.getpeername()[1])
    connection.auto_open = 0
    connection.sock = sock
    return connection


def _requests(frames: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield path and body of as few requests as carry the frames."""
    waiting: dict[int, list[bytes]] = {}
    for signal, payload in payloads(frames):
        parts = waiting.setdefault(signal, [])
        if parts and sum(map(len, parts)) + len(payload) > _MOST_BYTES:
            yield _PATHS[signal], b"".join(parts)
            parts.clear()
        parts.append(payload)
    for signal, parts in waiting.items():
        yield _PATHS[signal], b"".join(parts)
