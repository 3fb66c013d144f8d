"""Take what an interchange reports where there is no agent to hear it, and forget it."""

from __future__ import annotations

import threading
from typing import Any

import zmq

_LOOK_EVERY_MS = 500


class Discarding:
    """
    Read a socket until it is closed, in a thread of its own.

    Without it an interchange, or with an encrypted socket its queue, would keep all that it has to
    say in memory; and one that is told of no port at all ends where a worker sends news by it.

    Args:
        context: ZeroMQ's, or Parsl's with its certificates; it is terminated at the end.
        address: Where to listen.
        port_range: The first port, and the one behind the last.

    Raises:
        zmq.ZMQError: No port of the range is free.
    """

    def __init__(self, context: Any, address: str, port_range: tuple[int, int]) -> None:
        self._context = context
        self._socket = context.socket(zmq.DEALER)
        host = f"[{address}]" if ":" in address else address
        first, behind = port_range
        self.port: int = self._socket.bind_to_random_port(
            f"tcp://{host}", min_port=first, max_port=behind
        )
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otel-parsl-discard", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Read no more."""
        self._is_closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_closing.is_set():
            if self._socket.poll(_LOOK_EVERY_MS):
                self._socket.recv()
        self._socket.close(linger=0)
        self._context.term()
