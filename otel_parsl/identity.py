"""
Trace and span ids, computed from what they identify.

Any process can name the span of a run, task, try, execution, block or manager without having been
told (DESIGN: identity is derived, never negotiated), and a replay gives the same ids.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import blake2b
from uuid import UUID

_RUN_TRACE_TASKS = 1000
_SCOPE = re.compile(r"auto(?::(?P<tasks>[0-9]{1,18}))?|run|task")


def is_trace_scope(text: object) -> bool:
    """Tell whether something says how tasks are spread over traces."""
    return isinstance(text, str) and _SCOPE.fullmatch(text) is not None


@cache
def run_trace_tasks(scope: str) -> int | None:
    """
    Return how many tasks live in the run's own trace; None for all.

    Raises:
        ValueError: It is no scope.
    """
    found = _SCOPE.fullmatch(scope)
    if found is None:
        raise ValueError(f"trace scope {scope!r}: expected auto, auto:N, run or task")
    if scope in ("run", "task"):
        return None if scope == "run" else 0
    return int(found["tasks"] or _RUN_TRACE_TASKS)


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


def task_trace_id(run: bytes, task_id: int, *, scope: str = "auto") -> bytes:
    """
    Return the trace that a task's spans belong to.

    One trace for a run of many tasks is dropped by Tempo and hangs Jaeger's page, so later tasks
    get a trace each, which links to the run's span.

    Args:
        run: What ``run_key`` gave for the run.
        task_id: Parsl's task id.
        scope: ``auto`` (the first 1,000 in the run's trace), ``auto:N`` (the first N), ``run``
            (all) or ``task`` (none).
    """
    tasks = run_trace_tasks(scope)
    if tasks is None or task_id < tasks:
        return run
    return _never_zero(blake2b(run + b"trace\0%d" % task_id, digest_size=16).digest())


def _never_zero(digest: bytes) -> bytes:
    return digest if any(digest) else digest[:-1] + b"\x01"
