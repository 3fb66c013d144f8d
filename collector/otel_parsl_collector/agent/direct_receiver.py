"""
The agent's OTLP receiver: for workers in direct transport, and for the SDK of the user's program.

Flow: workers, user's SDK -> receivers.otlp_http -> committer -> spool (stream ``direct``)
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from otel_parsl import proof
from otel_parsl.rendezvous import DIRECT
from otel_parsl.spool import segment_bytes
from otel_parsl_collector.component import ExtensionContext
from otel_parsl_collector.endpoint import Endpoint
from otel_parsl_collector.extensions.bearertokenauth import BearerToken, BearerTokenSettings
from otel_parsl_collector.receivers.codec import MAX_REQUEST_BYTES
from otel_parsl_collector.receivers.committer import Committer
from otel_parsl_collector.receivers.intake import Intake
from otel_parsl_collector.receivers.listener import Listener
from otel_parsl_collector.receivers.otlp_http import HttpServer
from otel_parsl_collector.signals import SIGNALS
from otel_parsl_collector.spool_space import SpoolSpace
from otel_parsl_collector.stats import Stats


class DirectReceiver:
    """
    Receive OTLP/HTTP for one run.

    Args:
        directory: Of the spool.
        endpoint: Where to listen.
        token: What senders have to show.
        space: The room in the spool; where there is none, senders are told to come again.
    """

    def __init__(
        self, directory: Path, *, endpoint: Endpoint, token: str, space: SpoolSpace
    ) -> None:
        self._committer = Committer(
            directory,
            (DIRECT,),
            has_room=space.has_room,
            segment_bytes=segment_bytes(space.max_bytes),
        )
        intake = Intake("direct", dict.fromkeys(SIGNALS, (DIRECT,)), self._committer, Stats())
        bearer = BearerToken(
            BearerTokenSettings(token=token), ExtensionContext("direct", list, False)
        )
        self._server = HttpServer(
            Listener(
                endpoint,
                MAX_REQUEST_BYTES,
                None,
                bearer.is_known,
                "OTelMonitoringHub(hub_port=PORT)",
                partial(proof.answer, token),
            ),
            intake,
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
