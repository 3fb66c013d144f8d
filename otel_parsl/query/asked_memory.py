"""How much memory tries asked for, and how much they came to need."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from otel_parsl.query.runs import Run
from otel_parsl.schema import otel_try

MB: Final = 1 << 20
"""What executors that take ``memory`` in a resource specification count as one."""


class AskedMemory(NamedTuple):
    """A try that asked for memory."""

    task_id: int
    try_id: int
    asked_bytes: float
    peak_bytes: int | None
    """None while it runs, or where nobody has measured it."""


def select_asked_memory(connection: Connection, run: Run) -> Iterator[AskedMemory]:
    """Give the tries whose resource specification has memory; Parsl's own hub records none."""
    if not run.is_ours:
        return
    known: dict[str, float | None] = {}
    query = select(
        otel_try.c.task_id,
        otel_try.c.try_id,
        otel_try.c.resource_specification,
        otel_try.c.memory_peak_bytes,
    ).where(otel_try.c.run_id == run.run_id, otel_try.c.resource_specification.is_not(None))
    for task_id, try_id, text, peak in connection.execute(query):
        if text not in known:
            known[text] = _asked_bytes(text)
        asked = known[text]
        if asked is not None:
            yield AskedMemory(task_id, try_id, asked, peak)


def _asked_bytes(text: str) -> float | None:
    """Return the memory of a resource specification; None for one that has none."""
    try:
        specification = json.loads(text)
    except ValueError:
        return None
    memory = specification.get("memory") if isinstance(specification, dict) else None
    if isinstance(memory, bool) or not isinstance(memory, (int, float)) or memory <= 0:
        return None
    return float(memory) * MB
