"""
The columns of the frames that every element and page is made from.

A frame is a ``pandas.DataFrame`` with a plain row number as its index. Columns of names are
categories; times are those of Parsl's tables: naive, local to the submit host, ``datetime64[us]``,
NaT where not known; but by the clock of the run's start, see ``local_clock``. Ids are ``int64``. A
number that is not known is NaN.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

TIME: Final = "datetime64[us]"
NAME: Final = "category"
ID: Final = "int64"
NUMBER: Final = "float64"
YES_NO: Final = "bool"


class Column(NamedTuple):
    """A column of a frame."""

    name: str
    kind: str
    meaning: str


TASKS: Final = (
    Column("task_id", ID, "ascending; every task of the run once"),
    Column("app", NAME, "the app's name"),
    Column("state", NAME, "one of query.task_states.TaskState, by value"),
    Column("parsl_state", NAME, "the last of Parsl's states by try and rank; empty for none yet"),
    Column("invoked", TIME, "when the app was called"),
    Column("returned", TIME, "when its future was done"),
    Column("fail_count", ID, "how many of its tries failed"),
    Column("fail_cost", NUMBER, "what Parsl's retry handler said these cost"),
    Column("is_memoize", YES_NO, "whether results of the app are kept for later calls"),
)

TRIES: Final = (
    Column("task_id", ID, "ascending"),
    Column("try_id", ID, "0 for the first; ascending within a task"),
    Column("app", NAME, "the app of the task"),
    Column("executor", NAME, "the executor's label"),
    Column("block", NAME, "the block that it ran in; empty for none"),
    Column("host", NAME, "the host that it ran on; empty while no worker has said"),
    Column("launched", TIME, "when it was handed to the executor"),
    Column("running", TIME, "when a worker began it"),
    Column("ended", TIME, "when the worker was done with it; else as returned"),
    Column("returned", TIME, "when the submit side had its result"),
    Column("is_failed", YES_NO, "whether it failed, retried or not"),
    Column("lane", ID, "its lane among those of all hosts, -1 if it never ran; see lanes"),
)

STATUSES: Final = (
    Column("task_id", ID, "ascending"),
    Column("try_id", ID, "ascending within a task"),
    Column("state", NAME, "one of Parsl's states: semconv.STATES; within a try by their rank"),
    Column("time", TIME, "when it was entered"),
)

EDGES: Final = (
    Column("task_id", ID, "the task that waited"),
    Column("on_task_id", ID, "the task that it waited for"),
    Column("kind", NAME, "depends, or joins for the tasks that a join app stands for"),
)

SAMPLES: Final = (
    Column("task_id", ID, ""),
    Column("try_id", ID, ""),
    Column("time", TIME, "when it was taken, by the worker's clock"),
    Column("cpu_user_s", NUMBER, "CPU seconds since the try began, children included"),
    Column("cpu_system_s", NUMBER, "the same, spent in the kernel"),
    Column("memory_bytes", NUMBER, "resident"),
    Column("virtual_bytes", NUMBER, "virtual"),
    Column("read_bytes", NUMBER, "read since the try began"),
    Column("written_bytes", NUMBER, "written since the try began"),
)

NODES: Final = (
    Column("uid", NAME, "the manager's id"),
    Column("host", NAME, ""),
    Column("block", NAME, ""),
    Column("time", TIME, "when it reported; a manager reports many times, the latest counts"),
    Column("cpu_count", NUMBER, "cores of the host"),
    Column("memory_bytes", NUMBER, "memory of the host"),
    Column("workers", NUMBER, "workers of the manager"),
    Column("is_active", YES_NO, "whether it takes tasks"),
)

BLOCKS: Final = (
    Column("executor", NAME, ""),
    Column("block", NAME, ""),
    Column("job", NAME, "the batch system's id; empty while there is none"),
    Column("status", NAME, "PENDING, RUNNING, …: parsl.jobs.states"),
    Column("time", TIME, "when it was seen"),
)

LANES: Final = (
    Column("lane", ID, "0, 1, … from top to bottom: by host, naturally sorted"),
    Column("host", NAME, ""),
    Column("number", ID, "0, 1, … within the host"),
)

FRAMES: Final[dict[str, tuple[Column, ...]]] = {
    "tasks": TASKS,
    "tries": TRIES,
    "statuses": STATUSES,
    "edges": EDGES,
    "samples": SAMPLES,
    "nodes": NODES,
    "blocks": BLOCKS,
    "lanes": LANES,
}


def frame(kind: str, columns: dict[str, object]) -> pd.DataFrame:
    """Return a frame of a kind from its columns, in their order; what it lacks raises KeyError."""
    return pd.DataFrame({column.name: columns[column.name] for column in FRAMES[kind]}, copy=False)


def empty(kind: str) -> pd.DataFrame:
    """Return a frame without rows."""
    return frame(
        kind,
        {column.name: pd.Series([], dtype=column.kind) for column in FRAMES[kind]},
    )


def seconds(later: pd.Series, earlier: pd.Series) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the seconds between two columns of times, NaN where either is not known."""
    delta = later.to_numpy().astype(TIME) - earlier.to_numpy().astype(TIME)
    result: np.ndarray[tuple[int], np.dtype[np.float64]] = delta.astype("int64") / 1e6
    result[np.isnat(delta)] = np.nan
    return result


def run_times_s(tries: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """
    Return how long each try ran on its worker; NaN where that is not known.

    The end of one whose worker did not say it is the return, by the submit host's clock: where that
    is before the worker began, by its own, the two tell nothing.
    """
    took = seconds(tries["ended"], tries["running"])
    took[took < 0] = np.nan
    return took


def ends(tries: pd.DataFrame, until: np.ndarray | np.datetime64) -> np.ndarray:
    """
    Return when each try ended, or until when it is known to have run; never before it began.

    Args:
        tries: A frame of tries.
        until: Up to when those that have not ended are taken to run.
    """
    start, ended = tries["running"].to_numpy(), tries["ended"].to_numpy()
    known: np.ndarray = np.maximum(np.where(np.isnat(ended), until, ended), start)
    return known


def ends_of_runs(*ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Tell which rows are the first, and which the last, of those that follow with equal ids.

    Args:
        ids: Of the rows; with several, rows are alike that have all of them in common.
    """
    differs = np.zeros(max(len(ids[0]) - 1, 0), dtype=bool)
    for each in ids:
        differs |= each[1:] != each[:-1]
    is_any = np.ones(min(len(ids[0]), 1), dtype=bool)
    return np.concatenate([is_any, differs]), np.concatenate([differs, is_any])


def places(wanted: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Return where among ids each of those wanted stands, and whether it is there at all.

    Args:
        wanted: In any order.
        ids: Ascending, none of them twice.
    """
    if len(ids) and ids[0] == 0 and ids[-1] == len(ids) - 1:
        return wanted, wanted < len(ids)  # as Parsl numbers tasks
    place = np.searchsorted(ids, wanted)
    is_there = place < len(ids)
    is_there[is_there] = ids[place[is_there]] == wanted[is_there]
    return place, is_there


def places_of_tries(
    wanted: pd.DataFrame | dict[str, Any], tries: pd.DataFrame | dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return where among tries each of those wanted stands, and whether it is there at all.

    Args:
        wanted: A frame, or its columns, with ``task_id`` and ``try_id``, in any order.
        tries: The same columns, ascending, none of them twice.
    """
    sought, known = (
        [np.asarray(of[name]) for name in ("task_id", "try_id")] for of in (wanted, tries)
    )
    spread = max(int(ids.max(initial=0)) for _, ids in (sought, known)) + 1
    return places(sought[0] * spread + sought[1], known[0] * spread + known[1])
