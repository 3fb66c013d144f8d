"""
What comes to the agent beside the hub's own stream.

Flow: HTEX's interchanges -> receivers.htex_zmq -> spool; workers, SDKs -> direct_receiver -> spool
An agent after the first listens where the one before it did, so that nobody has to be told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zmq

from otel_parsl import rendezvous
from otel_parsl.seldom import Seldom
from otel_parsl_collector.agent.direct_receiver import DirectReceiver, listening_host
from otel_parsl_collector.agent.run import Run
from otel_parsl_collector.agent.run_spool import RunSpool
from otel_parsl_collector.endpoint import Endpoint
from otel_parsl_collector.errors import CollectorError
from otel_parsl_collector.receivers.htex_zmq import HtexReceiver, Socket

logger = logging.getLogger(__name__)

AGAIN_S = 10.0
"""After this long an address that could not be had is tried again."""


class Inlets:
    """
    The sockets of an agent.

    Args:
        directory: Of the spool.
        run: Whose telemetry comes.
        spool: Takes it.
    """

    def __init__(self, directory: Path, run: Run, spool: RunSpool) -> None:
        self._directory = directory
        self._run = run
        self._spool = spool
        self._channels: dict[str, HtexReceiver] = {}
        self._unbound: dict[str, Mapping[str, Any]] = {}
        self._unheard = Seldom(logger, logging.WARNING)
        self._direct: DirectReceiver | None = None
        self._refused_until = 0.0

    def bind(self, wanted: Mapping[str, Mapping[str, Any]]) -> None:
        """Listen on the monitoring channels that the hub asks for, by label of their executor."""
        ports = rendezvous.read(self._directory, rendezvous.PORTS) or {} if wanted else {}
        for label, socket in wanted.items():
            self._unbound.pop(label, None)
            if socket["is_closed"]:
                channel = self._channels.pop(label, None)
                if channel is not None:
                    channel.close()
            elif label not in self._channels:
                where = Socket(
                    label,
                    socket["address"],
                    tuple(socket["port_range"]),
                    socket["cert_dir"],
                    ports.get(label),
                    socket["executor"],
                    socket["heartbeat_threshold_s"],
                )
                try:
                    self._channels[label] = HtexReceiver(
                        where, resource=self._run.attributes, spool=self._spool.received.append
                    )
                except zmq.ZMQError as error:
                    # Another run may have taken the port while no agent held it. All but the
                    # reports of managers goes on without it.
                    executor = socket["executor"]
                    self._unheard.say(
                        "executor %s: its managers are not heard: %s", executor, error
                    )
                    self._unbound[label] = socket
                    continue
                ports[label] = self._channels[label].port
                rendezvous.write(self._directory, rendezvous.PORTS, ports)

    def receive(self) -> None:
        """Receive OTLP where the hub asks for it, and listen where that was not possible before."""
        self.bind(dict(self._unbound))
        if self._direct is not None or time.monotonic() < self._refused_until:
            return
        wanted = rendezvous.read(self._directory, rendezvous.RECEIVER)
        before = rendezvous.read(self._directory, rendezvous.RECEIVING)
        is_refused = before is not None and before["port"] is None
        if wanted is None or is_refused:
            return
        endpoint = (
            Endpoint(listening_host(wanted["address"]), wanted["port"])
            if before is None
            else Endpoint(before["host"], before["port"])
        )
        receiver = DirectReceiver(
            self._directory, endpoint=endpoint, token=wanted["token"], space=self._spool.space
        )
        answer: dict[str, Any] = {"host": endpoint.host, "port": None, "error": None}
        try:
            receiver.start()
        except CollectorError as error:
            receiver.stop()
            logger.warning("workers and SDKs cannot be received: %s", error)
            answer["error"] = str(error)
            self._refused_until = time.monotonic() + AGAIN_S
        else:
            self._direct = receiver
            answer["port"] = receiver.port
        if before is None:
            rendezvous.write(self._directory, rendezvous.RECEIVING, answer)

    def close(self) -> None:
        """Take what has come, and no more."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
        if self._direct is not None:
            self._direct.stop()
            self._direct = None
