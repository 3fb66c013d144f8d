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
from zmq.utils.monitor import recv_monitor_message

from otel_parsl.url_host import url_host

_PAUSE_S = 0.1
"""How often to look: waking for each message would take a busy workflow's time."""
_LAST_PAUSE_MS = 20
_SILENCE_S = 0.5
"""How long to listen at the end to one that is still there and says nothing."""
_LAST_S = 2.0
"""How long to listen at the end to one that is never silent."""
_NEVER_CAME_S = 0.1
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
        self._comings = self._socket.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self._connected = 0
        self._silence_s = _NEVER_CAME_S
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
        """
        Take all that was sent by an interchange that has ended, and stop; safe to call twice.

        One that has not is listened to until it is silent.
        """
        self._is_closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_closing.is_set():
            if self._hear() < _MESSAGES_AT_ONCE:
                self._is_closing.wait(_PAUSE_S)
        closing_at = heard_at = time.monotonic()
        while True:
            # Before its messages: who is gone by then has left all of them.
            is_gone = self._is_gone()
            count, now = self._hear(), time.monotonic()
            if count:
                heard_at = now
            elif is_gone or now - heard_at > self._silence_s:
                break
            if now - closing_at > _LAST_S:
                break
            if not count:
                self._socket.poll(_LAST_PAUSE_MS)
        self._let_go()

    def _hear(self) -> int:
        messages = self._receive()
        if messages:
            self._take(messages)
        return len(messages)

    def _is_gone(self) -> bool:
        """Tell whether an interchange has come, and gone: it ends with its last message sent."""
        while self._comings.poll(0):
            event = recv_monitor_message(self._comings)["event"]
            self._connected += 1 if event == zmq.EVENT_ACCEPTED else -1
            self._silence_s = _SILENCE_S
        return not self._connected and self._silence_s == _SILENCE_S

    def _receive(self) -> list[bytes]:
        messages: list[bytes] = []
        try:
            while len(messages) < _MESSAGES_AT_ONCE:
                messages.append(self._socket.recv(zmq.NOBLOCK))
        except zmq.Again:
            pass
        return messages

    def _let_go(self) -> None:
        self._socket.disable_monitor()
        self._comings.close(linger=0)
        self._socket.close(linger=0)
        self._context.term()
