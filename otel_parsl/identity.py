"""
Trace and span ids, computed from what they identify.

Any process can name the span of a run, task, try, execution, block or manager without having been
told (DESIGN: identity is derived, never negotiated), and a replay gives the same ids.
"""

from __future__ import annotations

from hashlib import blake2b
from uuid import UUID

RUN_TRACE_TASKS = 1000
"""Tasks below this id live in the run's own trace when the scope is ``auto``."""


def run_key(run_id: str) -> bytes:
    """
    Return the 16 bytes that stand for a run: its trace id.

    A version 4 UUID is taken as it is, so that a run's trace is found by its run id.
    Anything else is hashed.
    """
    try:
        uuid = UUID(run_id)
    except ValueError:
        pass
    else:
        if uuid.version == 4 and str(uuid) == run_id.lower():
            return uuid.bytes
    return _never_zero(blake2b(run_id.encode("utf-8", "backslashreplace"), digest_size=16).digest())


def span_id(run: bytes, kind: str, *key: object) -> bytes:
    """
    Return the 8 bytes that name one span.

    Args:
        run: What ``run_key`` gave for the run.
        kind: ``run``, ``task``, ``try``, ``execution``, ``block``, ``manager`` or
            ``event``.
        key: What distinguishes the span within its run and kind.
    """
    text = "\0".join([kind, *map(str, key)])
    digest = blake2b(run + text.encode("utf-8", "backslashreplace"), digest_size=8).digest()
    return _never_zero(digest)


def task_trace_id(run: bytes, task_id: int, *, scope: str = "auto", limit: int = 0) -> bytes:
    """
    Return the trace that a task's spans belong to.

    One trace for a run of many tasks is dropped by Tempo and hangs Jaeger's page, so later tasks
    get a trace each, which links to the run's span.

    Args:
        run: What ``run_key`` gave for the run.
        task_id: Parsl's task id.
        scope: ``auto``, ``run`` (all in the run's trace) or ``task`` (a trace each).
        limit: Tasks that share the run's trace under ``auto``; 0 means ``RUN_TRACE_TASKS``.
    """
    if scope == "run" or (scope == "auto" and task_id < (limit or RUN_TRACE_TASKS)):
        return run
    return _never_zero(blake2b(run + b"trace\0%d" % task_id, digest_size=16).digest())


def _never_zero(digest: bytes) -> bytes:
    return digest if any(digest) else digest[:-1] + b"\x01"
