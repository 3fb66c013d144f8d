"""
Where the workers of a run, and the user's own SDKs, come in directly, once the hub asks for it.

Flow: workers, SDKs -> **direct_inlet** -> direct_receiver -> spool
An agent after the first listens where the one before it did, so that nobody has to be told.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from otel_parsl import rendezvous
from otel_parsl_collector.agent.direct_receiver import DirectReceiver
from otel_parsl_collector.agent.run_spool import RunSpool
from otel_parsl_collector.endpoint import Endpoint
from otel_parsl_collector.errors import CollectorError

logger = logging.getLogger(__name__)

AGAIN_S = 10.0
"""After this long an address that could not be had is tried again."""


class DirectInlet:
    """
    The receiver of an agent.

    Args:
        directory: Of the spool.
        spool: Takes what comes.
    """

    def __init__(self, directory: Path, spool: RunSpool) -> None:
        self._directory = directory
        self._spool = spool
        self._receiver: DirectReceiver | None = None
        self._refused_until = 0.0

    def open(self) -> None:
        """Receive OTLP if the hub asks for it; where that was not possible, try again at times."""
        if self._receiver is not None or time.monotonic() < self._refused_until:
            return
        wanted = rendezvous.read(self._directory, rendezvous.RECEIVER)
        if wanted is None:
            return
        receiver = DirectReceiver(
            self._directory,
            endpoint=Endpoint(wanted["host"], wanted["port"]),
            token=wanted["token"],
            space=self._spool.space,
        )
        trouble = None
        try:
            receiver.start()
        except CollectorError as error:
            receiver.stop()
            logger.warning("workers and SDKs cannot be received: %s", error)
            trouble = str(error)
            self._refused_until = time.monotonic() + AGAIN_S
        else:
            self._receiver = receiver
        if not (self._directory / rendezvous.RECEIVING).exists():
            try:
                rendezvous.write(self._directory, rendezvous.RECEIVING, {"error": trouble})
            except OSError as error:  # the hub waits a little for it, and goes on
                logger.warning("%s cannot be written: %s", rendezvous.RECEIVING, error)

    def close(self) -> None:
        """Take what has come, and no more."""
        if self._receiver is not None:
            self._receiver.stop()
            self._receiver = None
