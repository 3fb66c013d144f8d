"""
Read what each task waited for, and what a join app stands for.

Flow: source -> **edges** -> loading
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from otel_parsl_dashboards.data import frames, queries
from otel_parsl_dashboards.data.columns import fetch
from otel_parsl_dashboards.data.packed import NotAsExpected, pieces, unpack

_Edges = tuple[np.ndarray, np.ndarray]
"""A task and one that it waited for, in turn."""


def read_edges(connection: Connection, run_id: str, ends: tuple[int, int] | None) -> pd.DataFrame:
    """
    Return the frame of a run's edges.

    Args:
        connection: Of ``Source.read``.
        run_id: The run's id.
        ends: The row ids that its tasks lie between, where they can be read packed.
    """
    if ends is None:
        depends = _of_rows(connection.execute(queries.DEPENDS, {"run_id": run_id}))
    else:
        depends = _packed(connection, run_id, *ends)
    return _frame(depends, _joins(connection, run_id))


def patched_edges(
    connection: Connection, run_id: str, known: pd.DataFrame, changed: np.ndarray
) -> pd.DataFrame:
    """Return a frame of edges with those of some tasks read again."""
    rows: list[Any] = []
    for ids in queries.in_pieces(changed):
        rows += connection.execute(queries.DEPENDS_OF, {"run_id": run_id, "task_ids": ids})
    is_join = known["kind"].to_numpy() == "joins"
    kept = known[~is_join & ~np.isin(known["task_id"].to_numpy(), changed)]
    before = kept["task_id"].to_numpy(), kept["on_task_id"].to_numpy()
    return _frame(_whole([before, _of_rows(rows)]), _joins(connection, run_id))


def _packed(connection: Connection, run_id: str, since: int, until: int) -> _Edges:
    found = []
    for place, count, texts in pieces(connection, queries.DEPENDS_PACKED, run_id, since, until):
        try:
            task, times = (unpack(frames.ID, text, count) for text in texts[:2])
            on = unpack(frames.ID, texts[2], int(times.sum()))
            found.append((np.repeat(task, times), on))
        except NotAsExpected:
            for rows in fetch(connection, queries.DEPENDS_BETWEEN, place):
                found.append(_of_rows(rows))
    return _whole(found)


def _joins(connection: Connection, run_id: str) -> _Edges:
    return _of_rows(connection.execute(queries.JOINS, {"run_id": run_id}))


def _of_rows(rows: Any) -> _Edges:
    task_ids, others = [], []
    for task_id, text in rows:
        for part in str(text).split(","):
            if part.strip().isdecimal():
                task_ids.append(task_id)
                others.append(int(part))
    return np.array(task_ids, dtype="int64"), np.array(others, dtype="int64")


def _whole(parts: list[_Edges]) -> _Edges:
    if not parts:
        return _of_rows(())
    tasks, others = zip(*parts, strict=True)
    return np.concatenate(tasks), np.concatenate(others)


def _frame(depends: _Edges, joins: _Edges) -> pd.DataFrame:
    kinds = np.repeat(np.array([0, 1], dtype="int8"), [len(depends[0]), len(joins[0])])
    return frames.frame(
        "edges",
        {
            "task_id": np.concatenate([depends[0], joins[0]]),
            "on_task_id": np.concatenate([depends[1], joins[1]]),
            "kind": pd.Categorical.from_codes(kinds, categories=["depends", "joins"]),
        },
    )
