"""
The direct transport: a worker's news as OTLP/HTTP to the run's agent.

Flow: live -> **direct** -> the agent's OTLP receiver (receivers/otlp_http)
What is sent was encoded before, so there is nothing for OpenTelemetry's exporter to do but to post
bytes, and a worker would pay for loading it; it also drops what is not taken within 10 s.
Workers import this module: nothing here may load more than the standard library.
"""

from __future__ import annotations

import http.client
import time
from typing import NamedTuple
from urllib.parse import urlsplit

from otel_parsl.spool import payloads
from otel_parsl.wire import LOGS, METRICS, TRACES

TIMEOUT_S = 5.0
"""For one request: meanwhile a thread waits, and no task does."""
_FIRST_PAUSE_S, _MAX_PAUSE_S = 5.0, 60.0
_PATHS = {TRACES: "/v1/traces", METRICS: "/v1/metrics", LOGS: "/v1/logs"}


class Receiver(NamedTuple):
    """Where a run's agent receives OTLP; plain values, since it travels with every try."""

    url: str
    token: str
    """Good for the whole run; never shown."""

    def __repr__(self) -> str:
        return f"Receiver(url={self.url!r}, token='…')"


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
        self.trouble: str | None = None
        """Why the last request was not taken; None once one was."""
        self._address = urlsplit(receiver.url).netloc
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
        by_signal: dict[int, list[bytes]] = {}
        for signal, payload in payloads(frames):
            by_signal.setdefault(signal, []).append(payload)
        connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT_S)
        try:
            for signal, parts in by_signal.items():
                self._post(connection, _PATHS[signal], b"".join(parts))
        except (OSError, http.client.HTTPException) as error:
            self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _MAX_PAUSE_S)
            self._due_at = time.monotonic() + self._pause_s
            self.trouble = f"{self.receiver.url}: {type(error).__name__}: {error}"
            raise Unreachable(self.trouble) from error
        finally:
            connection.close()
        self._pause_s, self.trouble = 0.0, None

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
