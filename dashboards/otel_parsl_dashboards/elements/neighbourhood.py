"""The tasks that one task waited for, and those that waited for it, near ones first."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from otel_parsl_dashboards.elements.depths import Links, links, with_depths

MOST: Final = 200
"""So many tasks at most to each side: more could not be told apart."""


class Neighbourhood(NamedTuple):
    """A task among those that it is tied to."""

    tasks: pd.DataFrame
    """With their depths among themselves; empty where there is no such task."""
    waits_for: int
    """How many of them it waited for, itself or through others."""
    waited_by: int
    """How many of them waited for it, themselves or through others."""
    is_whole: bool
    """Whether none is left out."""


class Ties:
    """
    Which tasks of a run are tied, ready to be walked along from any of them.

    Args:
        tasks: A frame of tasks.
        edges: The frame of edges that goes with it.
    """

    def __init__(self, tasks: pd.DataFrame, edges: pd.DataFrame) -> None:
        self._tasks, self._edges = tasks, edges
        awaited, waiting = links(tasks, edges)
        order = np.argsort(waiting, kind="stable")
        self._down: Links = awaited, waiting
        self._up: Links = waiting[order], awaited[order]

    def around(self, task_id: int) -> Neighbourhood:
        """Return what a task is tied to."""
        ids = self._tasks["task_id"].to_numpy()
        start = np.flatnonzero(ids == task_id)
        up, is_up_whole = _reached(self._up, start)
        down, is_down_whole = _reached(self._down, start)
        rows = np.unique(np.concatenate([start, up, down]))
        is_near = self._edges[["task_id", "on_task_id"]].isin(ids[rows]).all(axis=1)
        return Neighbourhood(
            with_depths(self._tasks.iloc[rows], self._edges[is_near.to_numpy()]),
            len(up),
            len(down),
            is_up_whole and is_down_whole,
        )


def _reached(ties: Links, start: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the rows that are reached along ties, nearest first, and whether these are all."""
    reached, edge = start[:0], start
    while len(edge):
        edge = np.setdiff1d(_next(ties, edge), reached)
        if len(reached) + len(edge) > MOST:
            return np.concatenate([reached, edge])[:MOST], False
        reached = np.concatenate([reached, edge])
    return reached, True


def _next(ties: Links, rows: np.ndarray) -> np.ndarray:
    begins, ends = (np.searchsorted(ties[0], rows, side=side) for side in ("left", "right"))
    parts = [ties[1][begin:end] for begin, end in zip(begins, ends, strict=True)]
    return np.concatenate([rows[:0], *parts])
