"""
In which state each task is, from its statuses: the rule of ``query.task_states``, on columns.

Within a try the order of states decides, never clocks of two hosts.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from otel_parsl.query.task_states import OF_PARSL, OPEN, TaskState
from otel_parsl_dashboards.data import frames

RANKED: Final = tuple(OF_PARSL)
"""Parsl's states in the order in which a try enters them."""
RANKS: Final = 16
"""More than there are ranks."""
_BEFORE_LAUNCH = [RANKED.index(name) for name in ("unsched", "pending", "launched")]
_STATES: Final = [state.value for state in TaskState]
_OF_RANK = np.array([_STATES.index(OF_PARSL[name].value) for name in RANKED])


def state_ranks(states: pd.Categorical) -> np.ndarray:
    """Return the rank of each of Parsl's states; one that is not known ranks last."""
    of_category = np.array(
        [RANKED.index(name) if name in RANKED else len(RANKED) for name in states.categories],
        dtype="int64",
    )
    return of_category[states.codes] if len(states) else np.array([], "int64")


def latest_states(
    task_ids: np.ndarray, statuses: pd.DataFrame
) -> tuple[pd.Categorical, pd.Categorical]:
    """
    Return the state of each task, in words for people and as Parsl calls it.

    Args:
        task_ids: Ascending.
        statuses: A frame of statuses.
    """
    place = np.full(len(task_ids), -1, dtype="int64")
    at, is_known = frames.places(statuses["task_id"].to_numpy(), task_ids)
    places = statuses["try_id"].to_numpy() * RANKS + state_ranks(statuses["state"].array)
    np.maximum.at(place, at[is_known], places[is_known])
    rank = place % RANKS
    has_state = place >= 0
    is_ranked = has_state & (rank < len(RANKED))
    state = np.full(len(task_ids), _STATES.index(TaskState.WAITING.value))
    state[has_state] = _STATES.index(TaskState.UNKNOWN.value)
    state[is_ranked] = _OF_RANK[rank[is_ranked]]
    is_again = is_ranked & (place >= RANKS) & np.isin(rank, _BEFORE_LAUNCH)
    state[is_again] = _STATES.index(TaskState.RETRYING.value)
    of_parsl = np.where(is_ranked, rank, len(RANKED))
    return (
        pd.Categorical.from_codes(state, categories=_STATES),
        pd.Categorical.from_codes(of_parsl, categories=[*RANKED, ""]),
    )


def mark_running(states: pd.Categorical, is_running: np.ndarray) -> pd.Categorical:
    """Return states with those of launched tasks corrected that a worker is known to run."""
    under_way = [
        _STATES.index(state.value)
        for state in (TaskState.WAITING, TaskState.QUEUED, TaskState.RETRYING)
    ]
    codes = states.codes.copy()
    codes[is_running & np.isin(codes, under_way)] = _STATES.index(TaskState.RUNNING.value)
    return pd.Categorical.from_codes(codes, categories=_STATES)


def mark_left_open(states: pd.Categorical, left: TaskState) -> pd.Categorical:
    """Return states with those of open tasks replaced: their run has ended without them."""
    codes = states.codes.copy()
    codes[np.isin(codes, [_STATES.index(state.value) for state in OPEN])] = _STATES.index(
        left.value
    )
    return pd.Categorical.from_codes(codes, categories=_STATES)
