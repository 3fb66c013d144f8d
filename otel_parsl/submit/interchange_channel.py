"""
Take what an executor's interchange reports while the run goes on.

Flow: HTEX's interchange -> **interchange_channel** -> drain -> spool (stream ``interchange``)
Stands in for Parsl's ``monitoring/radios/zmq_router.py``. The hub's process listens, since what was
sent to the agent, and is not on disk yet, would go with an agent that is killed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import zmq

from otel_parsl.url_host import url_host

_PAUSE_S = 0.1
"""How often to look: waking for each message would take a busy workflow's time."""
_LAST_PAUSE_MS = 50
_SILENCE_S = 0.1
_LAST_S = 2.0
"""How long to listen at the end to one that is never silent."""
_MESSAGES_AT_ONCE = 2000


class InterchangeChannel:
    """
    Listen for one executor, in a thread of its own.

    Args:
        context: ZeroMQ's, or Parsl's with its certificates; it is terminated at the end.
        address: Where to listen.
        port_range: The first port, and the one behind the last.
        take: Takes the messages that have come; called by the thread.

    Raises:
        zmq.ZMQBindError: No port of the range is free.
    """

    def __init__(
        self,
        context: Any,
        address: str,
        port_range: tuple[int, int],
        take: Callable[[list[bytes]], None],
    ) -> None:
        self._context = context
        self._take = take
        self._socket = context.socket(zmq.DEALER)
        self._socket.set_hwm(0)
        first, behind = port_range
        try:
            self.port: int = self._socket.bind_to_random_port(
                f"tcp://{url_host(address)}", min_port=first, max_port=behind
            )
        except (zmq.ZMQError, zmq.ZMQBindError):
            self._let_go()
            raise
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otel-parsl-channel", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take what has arrived, until there is silence, and stop; safe to call twice."""
        self._is_closing.set()
        self._thread.join()

    def _run(self) -> None:
        closing_at = None
        heard_at = time.monotonic()
        while True:
            messages = self._receive()
            now = time.monotonic()
            if messages:
                heard_at = now
                self._take(messages)
            if self._is_closing.is_set():
                if closing_at is None:
                    closing_at = heard_at = now  # what was sent just before may be on its way
                if now - heard_at > _SILENCE_S or now - closing_at > _LAST_S:
                    break
            if len(messages) < _MESSAGES_AT_ONCE:
                if closing_at is None:
                    self._is_closing.wait(_PAUSE_S)
                else:
                    self._socket.poll(_LAST_PAUSE_MS)
        self._let_go()

    def _receive(self) -> list[bytes]:
        messages: list[bytes] = []
        try:
            while len(messages) < _MESSAGES_AT_ONCE:
                messages.append(self._socket.recv(zmq.NOBLOCK))
        except zmq.Again:
            pass
        return messages

    def _let_go(self) -> None:
        self._socket.close(linger=0)
        self._context.term()
