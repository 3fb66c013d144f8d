"""
What HTEX's interchanges send, as the hub spools it and the run's agent reads it.

Flow: interchange -> submit.interchange_channel -> **frame** -> spool -> **content** -> agent
The hub only copies bytes: to read them costs time of the workflow's, and takes care.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from otel_parsl import spool

INTERCHANGE = 5
"""The number of such a frame in a spool, beside the three signals and the records of tries."""


_PART_BYTES = 1 << 17


class Heard(NamedTuple):
    """What an interchange has sent."""

    executor: str
    """The label of its executor."""
    heartbeat_threshold_s: float
    """How long it waits for a manager's heartbeat."""
    messages: Sequence[bytes]
    """Pickled, as they came."""

    def parts(self) -> Iterator[Heard]:
        """Yield the messages in parts that a small spool takes one by one."""
        for some in spool.parts(self.messages, _PART_BYTES):
            yield self._replace(messages=some)


def frame(heard: Heard) -> bytes:
    """Return the frame for a spool."""
    sizes = [len(message) for message in heard.messages]
    head = json.dumps([heard.executor, heard.heartbeat_threshold_s, sizes]).encode()
    return spool.frame(INTERCHANGE, b"\n".join((head, b"".join(heard.messages))))


def content(payload: bytes) -> Heard:
    """
    Return what a frame's payload holds.

    Raises:
        ValueError: It is of no such frame.
    """
    head, _, messages = payload.partition(b"\n")
    executor, heartbeat_threshold_s, sizes = json.loads(head)
    ends = itertools.accumulate(sizes)
    parts = [messages[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    return Heard(executor, heartbeat_threshold_s, parts)
