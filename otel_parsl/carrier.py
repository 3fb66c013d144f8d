"""
What rides on a result: a try's telemetry, on the way back that its result takes anyway.

The worker returns bytes in which both lie; the submit side (``settling``) takes them apart, hands
the telemetry to the hub of the run and gives Parsl the bare result.
What rides on a result arrives exactly if the result does, and costs no message of its own.
Bytes, because an executor pickles them in a fifth of the time that an object of ours takes, and
because nothing of the user's is unpickled before the shim has it: HTEX's only result thread ends
with what is raised there (``parsl/executors/high_throughput/executor.py``).

Workers and submit sides of different versions meet here: what carried bytes begin with is fixed,
and ``delivered`` never raises.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
from collections.abc import Callable
from struct import Struct
from typing import Any

VERSION = 1
"""The newest form of a blob that this side understands: a run id of 36 bytes or fewer, a NUL, and
spool frames."""
_MAGIC = b"otel-parsl\0\xd1\x9c\x4e"
_HEADER = Struct(f"<{len(_MAGIC)}sBI")

logger = logging.getLogger(__name__)

_sinks: dict[bytes, Callable[[bytes], None]] = {}
_pid = 0
"""The process whose runs these are: a fork has them in its memory too."""
undelivered = 0
"""Blobs that found no hub, or that this side could not read."""


def register(run_id: str, sink: Callable[[bytes], None]) -> None:
    """Hand the frames of a run's blobs to ``sink``, which may only append."""
    global _pid
    _pid = os.getpid()
    _sinks[run_id.encode()] = sink


def unregister(run_id: str) -> None:
    """Take no more blobs for a run; those that still come are counted."""
    _sinks.pop(run_id.encode(), None)


def is_taken_here(run_id: str) -> bool:
    """Tell whether this process, and no fork of it, takes a run's blobs: it is the submit side."""
    return run_id.encode() in _sinks and _pid == os.getpid()


def deliver(version: int, blob: bytes, payload: bytes) -> Any:
    """
    Hand a blob to its run's hub and return the bare result.

    Args:
        version: The form of the blob; one that is not known here is counted.
        blob: The run's id and the telemetry of one try.
        payload: The result, as Parsl's serializer wrote it.

    Returns:
        The result, or a RemoteExceptionWrapper of what went wrong in reading it.
    """
    global undelivered
    try:
        run_id, _, frames = blob.partition(b"\0")
        sink = _sinks.get(run_id) if version <= VERSION else None
        if sink is None:
            undelivered += 1
        else:
            sink(frames)
    except Exception:
        undelivered += 1
        logger.debug("a try's telemetry could not be read", exc_info=True)
    try:
        return unpack(payload)
    except Exception as error:  # noqa: BLE001 - a border: the task fails, the executor lives on
        return failure(error)
    except BaseException as error:  # noqa: BLE001 - as above; raised again it would end a thread
        told = f"the result's own code raised {error!r} when it was read"
        return failure(RuntimeError(told).with_traceback(error.__traceback__))


def carried(blob: bytes, payload: bytes, version: int = VERSION) -> bytes:
    """
    Return a result with the telemetry of its try, for ``delivered``.

    Args:
        blob: The telemetry.
        payload: The result, packed.
        version: The form of the blob: none that is newer than the submit side understands, which
            it says with each task.
    """
    return _HEADER.pack(_MAGIC, version, len(blob)) + blob + payload


def delivered(result: Any) -> Any:
    """Return the bare result of what a traced try returned, its telemetry handed to the hub."""
    if type(result) is not bytes or len(result) < _HEADER.size or not result.startswith(_MAGIC):
        return result
    _, version, size = _HEADER.unpack_from(result)
    end = _HEADER.size + size
    return deliver(version, result[_HEADER.size : end], result[end:])


_PLAIN = (type(None), bool, int, float, str, bytes)


def pack(result: Any) -> bytes:
    """
    Return a result as bytes, by Parsl's serializer: the user may have registered one of his own.

    Parsl's default (dill) takes 50 microseconds for a None, so plain values are pickled.

    Raises:
        Exception: What the serializers raise for a result that cannot be pickled.
    """
    if type(result) in _PLAIN:
        return b"\0" + pickle.dumps(result, protocol=4)
    from parsl.serialize import serialize

    return b"\1" + serialize(result, buffer_threshold=1_000_000)


def unpack(payload: bytes) -> Any:
    """Return what ``pack`` packed."""
    if payload[:1] == b"\0":
        return pickle.loads(memoryview(payload)[1:])  # noqa: S301 - Parsl's own trust: its worker's
    from parsl.serialize import deserialize

    return deserialize(payload[1:])


def failure(error: BaseException) -> Any:
    """Return an exception as Parsl carries one in place of a result."""
    from parsl.app.errors import RemoteExceptionWrapper

    return RemoteExceptionWrapper(type(error), error, error.__traceback__)


def pack_failure(error: BaseException) -> bytes:
    """Return a failure packed; an exception that cannot be pickled is replaced by its repr."""
    try:
        return pack(failure(error))
    except Exception:  # noqa: BLE001 - the exception itself holds something that cannot be pickled
        substitute = RuntimeError(f"{type(error).__qualname__} that cannot be pickled: {error!r}")
        return pack(failure(substitute.with_traceback(sys.exc_info()[2])))
