"""Rows that belong to nothing that is there."""

from __future__ import annotations

import numpy as np
import pandas as pd

from otel_parsl_dashboards.data import frames

_DENSE = 64
"""So many times as long as its keys a table may be."""


def unmatched(
    tasks: pd.DataFrame,
    tries: pd.DataFrame,
    statuses: pd.DataFrame,
    edges: pd.DataFrame,
    samples: pd.DataFrame,
) -> dict[str, int]:
    """Return how many rows of each kind belong to nothing, by what they are."""
    ids = tasks["task_id"].to_numpy()
    spread = 1 + max(
        (int(frame["try_id"].max()) for frame in (tries, statuses, samples) if len(frame)),
        default=0,
    )
    of_tries = _keys(tries, spread)
    return {
        "tries of tasks that are not there": _strangers(tries["task_id"].to_numpy(), ids),
        "states of tries that are not there": _strangers(_keys(statuses, spread), of_tries),
        "resource samples of tries that are not there": _strangers(
            _keys(samples, spread), of_tries
        ),
        "dependencies on tasks that are not there": _strangers(edges["on_task_id"].to_numpy(), ids),
    }


def _keys(frame: pd.DataFrame, spread: int) -> np.ndarray:
    keys: np.ndarray = frame["task_id"].to_numpy() * spread + frame["try_id"].to_numpy()
    return keys


def _strangers(keys: np.ndarray, known: np.ndarray) -> int:
    """Return how many keys are not among known ones; both are ascending or nearly so, from 0."""
    if not len(known):
        return len(keys)
    most = int(max(known[-1], keys.max(initial=0)))
    if most < _DENSE * len(known) + _DENSE:
        # A look into a table takes a tenth of the time of a search, for millions.
        is_known = np.zeros(most + 1, dtype=bool)
        is_known[known] = True
        return len(keys) - int(np.count_nonzero(is_known[keys]))
    _, is_known = frames.places(keys, known)
    return int((~is_known).sum())
