"""
When tasks change their state, found by time: what a view of a short stretch needs of a long run.

How many tasks stood in each state is kept for some moments. From the last of them before the view
the changes up to its end are counted on, and nothing else of the run is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.elements.span import Span

_MOMENTS = 256
"""As many as a byte tells apart: numpy sorts those digit by digit."""
_PIECE = 250_000
"""Statuses at a time, lest what is worked out of them take more memory than they do."""

_ONE = np.int32(1)
"""Of the kind that it is added to: numpy is thirty times as fast then."""


class StateChanges(NamedTuple):
    """The changes of state of a run's tasks, and where these stood at some moments."""

    moments: np.ndarray
    """Ascending, each as far from the next, from that of the first change on."""
    standing: np.ndarray
    """How many tasks stood before each moment, by state and row; then how many at the end."""
    place: np.ndarray
    """Of each change among the statuses; those from one moment to the next stand together."""
    begins: np.ndarray
    """Where in ``place`` those of each moment begin; then where the last end."""
    others: np.ndarray
    """
    The places of the statuses of tasks that are not among these: a time of them is not known,
    later than the end, or earlier than the one before, since clocks of hosts differ.
    """

    def within(self, span: Span) -> tuple[np.ndarray, np.ndarray]:
        """
        Return what a stretch of time needs.

        Returns:
            How many tasks stood at a moment before it, by state and row, and the places of the
            changes from that moment to its end; some of them may be later.
        """
        first, last = (
            max(int(np.searchsorted(self.moments, time, side="right")) - 1, 0)
            for time in (span.start, span.end)
        )
        return self.standing[first], self.place[self.begins[first] : self.begins[last + 1]]


def state_changes(
    tasks: pd.DataFrame, statuses: pd.DataFrame, *, until: np.datetime64, rows: int
) -> StateChanges:
    """
    Return the changes of state of tasks.

    Args:
        tasks: A frame of tasks.
        statuses: The frame of statuses that goes with it.
        until: The end of what is known.
        rows: So many rows the tasks are counted in, by id, as many in each or nearly.
    """
    ids, codes = tasks["task_id"].to_numpy(), statuses["state"].array.codes
    task, time = statuses["task_id"].to_numpy(), statuses["time"].to_numpy()
    is_even = _are_even(task, time, until)
    first = time.min(where=is_even, initial=until)
    longest = time.max(where=is_even, initial=first) - first
    # Numpy divides numbers five times as fast as times.
    width_us = int(longest.astype("timedelta64[us]").astype("int64")) // _MOMENTS + 1
    changes = np.zeros((_MOMENTS, len(statuses["state"].cat.categories), rows), dtype="int32")
    flat = changes.reshape(-1)
    moment = np.zeros(len(task), dtype="uint8")
    for piece in pieces(task):
        row, is_known = frames.places(task[piece], ids)
        is_even[piece] &= is_known
        place = np.flatnonzero(is_even[piece])
        at = (time[piece] - first).astype("int64")[place] // width_us
        moment[piece][place] = at
        line = at * len(changes[0]) * rows + row[place] * rows // max(len(ids), 1)
        left, is_left = left_states(task[piece], codes[piece], place)
        np.add.at(flat, line + codes[piece][place].astype("int64") * rows, _ONE)
        np.subtract.at(flat, line[is_left] + left.astype("int64") * rows, _ONE)
    place, begins = _by_moment(task, moment, is_even)
    return StateChanges(
        moments=first + np.arange(_MOMENTS) * np.timedelta64(width_us, "us"),
        standing=np.concatenate([changes[:1] * 0, np.cumsum(changes, axis=0, dtype="int32")]),
        place=place,
        begins=begins,
        others=np.flatnonzero(~is_even),
    )


def _by_moment(
    task: np.ndarray, moment: np.ndarray, is_even: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of even statuses by moment, in their order, and where each begins."""
    begins = np.zeros(_MOMENTS + 1, dtype="int64")
    for piece in pieces(task):
        begins[1:] += np.bincount(moment[piece][is_even[piece]], minlength=_MOMENTS)
    np.cumsum(begins, out=begins)
    found, free = np.empty(begins[-1], dtype="int32"), begins[:-1].copy()
    for piece in pieces(task):
        place = np.flatnonzero(is_even[piece])
        at = moment[piece][place]
        order = np.argsort(at, kind="stable")
        counts = np.bincount(at, minlength=_MOMENTS)
        # The first of each moment goes to where that has room, the others behind it.
        to = np.repeat(free - np.cumsum(counts) + counts, counts) + np.arange(len(place))
        found[to] = place[order] + piece.start
        free += counts
    return found, begins


def left_states(
    task: np.ndarray, codes: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the states that tasks leave with some of their statuses, and which of these leave one.

    Args:
        task: The task of each status, ascending.
        codes: The state of each.
        place: Those asked for.
    """
    is_left = (place > 0) & (task[place] == task[place - 1])
    return codes[place[is_left] - 1], is_left


def pieces(task: np.ndarray) -> Iterator[slice]:
    """Yield where statuses are, by the ascending ids of their tasks: those of whole tasks each."""
    begin = 0
    while begin < len(task):
        last = task[min(begin + _PIECE, len(task)) - 1]
        end = int(np.searchsorted(task, last, side="right"))
        yield slice(begin, end)
        begin = end


def _are_even(task: np.ndarray, time: np.ndarray, until: np.datetime64) -> np.ndarray:
    """Return of each status whether the times of its task are known and ascend to the end."""
    is_odd = np.isnat(time) | (time > until)
    is_same = task[1:] == task[:-1]
    is_odd[1:] |= is_same & (time[1:] < time[:-1])
    if is_odd.any():
        first = np.flatnonzero(np.append(True, ~is_same))
        counts = np.diff(np.append(first, len(task)))
        is_odd = np.repeat(np.logical_or.reduceat(is_odd, first), counts)
    is_even: np.ndarray = ~is_odd
    return is_even
