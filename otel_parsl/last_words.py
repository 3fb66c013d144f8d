"""
What is said of a try whose worker dies before it has said anything.

Flow: live -> **last_words** -> the helper's letter box; sampler_process -> **last_words** -> agent
A try tells with its result that it ran, or once it has lasted a while. One that ends its process
before, by a crash of C code or for want of memory, can do neither: the helper process beside the
worker does it, with what the worker left there when the try began.
Workers and their helpers import this module: nothing here may load more than the standard library.
"""

from __future__ import annotations

import pickle

from otel_parsl import relay
from otel_parsl.direct import DirectSender, Receiver, Unreachable


class LastWords:
    """
    Write what a helper is to say, for the tries of one process.

    Args:
        receiver: The fields of a ``direct.Receiver``, where news go directly to the agent.
    """

    def __init__(self, receiver: tuple[tuple[str, ...], int, str] | None) -> None:
        self._ways = receiver, relay.address_here()

    def of(self, frames: bytes) -> bytes:
        """Return the words that send some spool frames; nothing where there is no way to."""
        return pickle.dumps((frames, *self._ways)) if any(self._ways) else b""


def say(words: bytes) -> None:
    """
    Send what a worker has left.

    Args:
        words: What ``LastWords.of`` returned.

    Raises:
        OSError: No way to the submit side is left.
    """
    frames, receiver, address = pickle.loads(words)  # noqa: S301 - from the worker, by a pipe of its own
    if receiver is not None:
        try:
            DirectSender(Receiver(*receiver)).send(frames)
            return
        except Unreachable:
            if address is None:
                raise
    relay.put(relay.queue_at(address), frames)
