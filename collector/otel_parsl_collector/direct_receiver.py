"""
The agent's OTLP receiver: for workers in direct transport, and for the SDK of the user's program.

Flow: workers, user's SDK -> receivers.otlp_http -> committer -> spool (stream ``direct``)
"""

from __future__ import annotations

from pathlib import Path

from otel_parsl.rendezvous import DIRECT
from otel_parsl.spool import segment_path, segments
from otel_parsl_collector.component import ExtensionContext
from otel_parsl_collector.endpoint import Endpoint
from otel_parsl_collector.extensions.bearertokenauth import BearerToken, BearerTokenSettings
from otel_parsl_collector.receivers.codec import MAX_REQUEST_BYTES
from otel_parsl_collector.receivers.committer import Committer
from otel_parsl_collector.receivers.intake import Intake
from otel_parsl_collector.receivers.listener import Listener
from otel_parsl_collector.receivers.otlp_http import HttpServer
from otel_parsl_collector.signals import SIGNALS
from otel_parsl_collector.stats import Stats

_MAX_WAITING_BYTES = 2 << 30
"""In the spool; beyond it senders are told to come again."""


class DirectReceiver:
    """
    Receive OTLP/HTTP for one run.

    Args:
        directory: Of the spool.
        endpoint: Where to listen.
        token: What senders have to show.
    """

    def __init__(self, directory: Path, *, endpoint: Endpoint, token: str) -> None:
        self._directory = directory
        self._committer = Committer(directory, (DIRECT,), has_room=self._has_room)
        intake = Intake("direct", dict.fromkeys(SIGNALS, (DIRECT,)), self._committer, Stats())
        bearer = BearerToken(
            BearerTokenSettings(token=token), ExtensionContext("direct", list, False)
        )
        self._server = HttpServer(
            Listener(endpoint, MAX_REQUEST_BYTES, None, bearer.is_known), intake
        )

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.port

    def start(self) -> None:
        """
        Listen; may be called again after an error.

        Raises:
            CollectorError: The address cannot be had.
        """
        self._server.start()

    def stop(self) -> None:
        """Answer what has come, and stop."""
        self._server.stop()
        self._committer.close()

    def _has_room(self, size: int) -> bool:
        numbers = segments(self._directory, DIRECT)
        paths = (segment_path(self._directory, DIRECT, number) for number in numbers)
        return size + sum(path.stat().st_size for path in paths) <= _MAX_WAITING_BYTES
