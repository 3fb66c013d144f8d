"""
The stages of a run: what one app did at one depth, and how many tasks of one led to another.

Where there are too many stages to be read, apps alone stand for them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from otel_parsl_dashboards.elements.depths import different, links

MOST: Final = 60
"""So many stages can be read."""
ORDER: Final = (
    "failed",
    "dep_fail",
    "exec_done",
    "memo_done",
    "running_ended",
    "running",
    "joining",
    "fail_retryable",
    "launched",
    "pending",
    "unsched",
    "",
)
"""Of states within a stage, from top to bottom."""


class Stages(NamedTuple):
    """Stages and what leads from one to another."""

    stages: pd.DataFrame
    """``app``, ``depth`` (the mean one of an app), ``tasks``, and a column for each of ORDER."""
    flows: pd.DataFrame
    """``first``, ``second`` (rows of stages), ``edges``, ``sources``, ``targets`` (tasks)."""
    is_by_depth: bool
    """False where the stages are whole apps."""


def stages(tasks: pd.DataFrame, edges: pd.DataFrame) -> Stages:
    """
    Return the stages of a run: by depth and app, or by app beyond ``MOST``.

    Args:
        tasks: A frame of tasks with their depths: ``depths.with_depths``.
        edges: The frame of edges that goes with it.
    """
    names = np.array(tasks["app"].cat.categories, dtype=str)
    # By name: in which order apps are met is not the same each time that a run is read.
    apps = np.argsort(np.argsort(names))[tasks["app"].cat.codes.to_numpy()]
    count = len(names)
    places = tasks["depth"].to_numpy() * count + apps
    is_by_depth = int((np.bincount(places) > 0).sum()) <= MOST
    keys = places if is_by_depth else apps
    stage = (np.cumsum(np.bincount(keys) > 0) - 1)[keys]
    return Stages(_counted(tasks, stage), _flows(stage, *links(tasks, edges)), is_by_depth)


def _counted(tasks: pd.DataFrame, stage: np.ndarray) -> pd.DataFrame:
    number = int(stage.max(initial=-1)) + 1
    counts = np.bincount(stage, minlength=number)
    depth = np.bincount(stage, weights=tasks["depth"].to_numpy(), minlength=number)
    one = np.zeros(number, dtype="int64")
    one[stage] = np.arange(len(stage))
    columns: dict[str, object] = {
        "app": tasks["app"].astype(str).to_numpy()[one],
        "depth": depth / np.maximum(counts, 1),
        "tasks": counts,
    }
    states = tasks["parsl_state"].cat
    codes = states.codes.to_numpy()
    for name in ORDER:
        code = states.categories.get_indexer([name])[0]
        is_it = (codes == code) & (code >= 0)
        columns[name] = np.bincount(stage[is_it], minlength=number)
    return pd.DataFrame(columns)


def _flows(stage: np.ndarray, first: np.ndarray, second: np.ndarray) -> pd.DataFrame:
    number = int(stage.max(initial=-1)) + 1
    pair = stage[first] * number + stage[second]
    found = different(pair)
    edges = np.bincount(np.searchsorted(found, pair), minlength=len(found))
    return pd.DataFrame(
        {
            "first": found // max(number, 1),
            "second": found % max(number, 1),
            "edges": edges,
            "sources": _different(pair, first, found, len(stage)),
            "targets": _different(pair, second, found, len(stage)),
        }
    )


def _different(pair: np.ndarray, task: np.ndarray, found: np.ndarray, tasks: int) -> np.ndarray:
    """Return how many tasks each pair has, each counted once."""
    once = different(pair * max(tasks, 1) + task) // max(tasks, 1)
    return np.bincount(np.searchsorted(found, once), minlength=len(found))
