"""
The executor's own channel for news of tries, which HTEX has.

Flow: live, last_words -> **relay** -> HTEX's manager and interchange -> submit.interchange_channel
Source: ``parsl/monitoring/radios/htex.py``. The queue belongs to a process of HTEX's manager, so
that it outlives the worker, and other processes of the node can put into it too.
Workers import this module: nothing here may load more than the standard library.
"""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from typing import Any

from otel_parsl.rendezvous import MESSAGE_TAG

Address = tuple[bytes, bytes]
"""A queue as another process finds it: the key that lets it in, and the pickled proxy."""


def queue_here() -> Any:
    """Return the queue that this worker was given; None where its executor has no channel."""
    info = sys.modules.get("parsl.executors.high_throughput.monitoring_info")
    return getattr(info, "result_queue", None)


def address_here() -> Address | None:
    """Return where a process beside this worker finds its queue; None where it cannot."""
    queue = queue_here()
    if queue is None:
        return None
    try:
        return bytes(multiprocessing.current_process().authkey), pickle.dumps(queue)
    except (TypeError, RuntimeError):  # a queue of another kind, which only children inherit
        return None


def queue_at(address: Address) -> Any:
    """
    Return a worker's queue in a process beside it.

    Raises:
        OSError: Its manager has gone.
    """
    key, proxy = address
    multiprocessing.current_process().authkey = key
    return pickle.loads(proxy)  # noqa: S301 - the worker's own


def put(queue: Any, frames: bytes) -> None:
    """
    Send spool frames.

    Raises:
        OSError: HTEX's manager has gone.
    """
    queue.put(pickle.dumps({"type": "monitoring", "payload": (MESSAGE_TAG, frames)}))
