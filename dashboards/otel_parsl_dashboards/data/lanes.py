"""
Which lane of its host each try ran in.

Parsl does not record workers. Tries of one host that overlap need lanes of their own; handing each
the lane that was free first gives back as many lanes as workers were ever busy at once.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from otel_parsl_dashboards.data import frames

_STILL_OPEN = np.iinfo("int64").max


def pack(host: pd.Series, running: pd.Series, ended: pd.Series) -> tuple[np.ndarray, pd.DataFrame]:
    """
    Return the lane of each try, -1 for one that never ran, and the frame of lanes.

    Args:
        host: The host of each try.
        running: When it began; NaT if it did not.
        ended: When it ended; NaT if it has not.
    """
    start = running.to_numpy().astype(frames.TIME)
    end = ended.to_numpy().astype(frames.TIME)
    has_run = np.flatnonzero(~np.isnat(start))
    lanes = np.full(len(start), -1, dtype="int64")
    codes = host.cat.codes.to_numpy()[has_run]
    starts = start[has_run].astype("int64")
    ends = np.where(np.isnat(end[has_run]), _STILL_OPEN, end[has_run].astype("int64"))
    order = np.lexsort((starts, codes))
    names = list(host.cat.categories)
    first = 0
    rows_of: dict[str, np.ndarray] = {}
    number_of: dict[str, np.ndarray] = {}
    bounds = np.flatnonzero(np.diff(codes[order])) + 1
    for rows in np.split(order, bounds) if len(order) else []:
        name = names[codes[rows[0]]]
        rows_of[name] = has_run[rows]
        number_of[name] = _packed(starts[rows], ends[rows])
    of_lane: list[tuple[str, int]] = []
    for name in sorted(rows_of, key=natural):
        numbers = number_of[name]
        lanes[rows_of[name]] = first + numbers
        count = int(numbers.max()) + 1
        of_lane += [(name, number) for number in range(count)]
        first += count
    return lanes, frames.frame(
        "lanes",
        {
            "lane": np.arange(len(of_lane)),
            "host": pd.Categorical([name for name, _ in of_lane]),
            "number": np.array([number for _, number in of_lane], dtype="int64"),
        },
    )


def natural(name: str) -> list[tuple[bool, int, str]]:
    """Return a key that sorts ``node2`` before ``node13``."""
    return [
        (not part.isdecimal(), int(part) if part.isdecimal() else 0, part)
        for part in re.split(r"(\d+)", name)
        if part
    ]


def _packed(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """
    Return the lane of each interval; they come by ascending start.

    A lane is opened where more intervals are open than ever before. All others take, one after the
    other, the lanes of those that have ended, in the order of their ends.
    """
    ends = np.maximum(ends, starts + 1)
    by_end = np.argsort(ends, kind="stable")
    count = np.arange(len(starts))
    opened = np.maximum.accumulate(count + 1 - np.searchsorted(ends[by_end], starts, side="right"))
    is_new = np.diff(opened, prepend=0) > 0
    lanes = (opened - 1).tolist()
    later = np.flatnonzero(~is_new)
    for number, earlier in zip(
        later.tolist(), by_end[(count - opened)[later]].tolist(), strict=True
    ):
        lanes[number] = lanes[earlier]
    return np.array(lanes, dtype="int64")
