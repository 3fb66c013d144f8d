"""What the tries of one task used: lines through the samples that were taken of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.elements.axes import TOOLS, size_unit, time_unit
from otel_parsl_dashboards.elements.colours import APPS

NOT_SAMPLED = "Not sampled."


class _Line(NamedTuple):
    """The samples of a try: when each was taken, and what it says."""

    try_id: int
    since_s: np.ndarray
    value: np.ndarray


def cpu_time(
    samples: pd.DataFrame, tries: pd.DataFrame, *, counts_from_try: bool = True
) -> hv.Overlay:
    """
    Return the CPU time that each try had used at each sample, user and system together.

    Args:
        samples: The frame of samples, those of one task.
        tries: The frame of tries, those of the same task.
        counts_from_try: Whether samples count CPU time from the try's beginning. Parsl's own hub
            counts from the start of the worker's process, so that the first sample has what tries
            before took: what was used since then is drawn.
    """
    lines = _lines_of(samples, tries, lambda of_try: _cpu_s(of_try, counts_from_try))
    label = "CPU time" if counts_from_try else "since the first sample"
    return _lines(lines, label, *time_unit(_most(lines)))


def memory(samples: pd.DataFrame, tries: pd.DataFrame) -> hv.Overlay:
    """
    Return the resident memory of each try, as each sample has it until the next one.

    It goes up and down, so that a slope between two samples would be made up. Arguments as of
    ``cpu_time``.
    """
    lines = _lines_of(samples, tries, lambda of_try: of_try["memory_bytes"])
    return _lines(lines, "memory", *size_unit(_most(lines))).opts(
        hv.opts.Curve(interpolation="steps-post")
    )


def legend(samples: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the names and colours of the lines."""
    return [(f"try {try_id}", _colour(try_id)) for try_id, _ in _by_try(samples)]


def summarise_cpu(samples: pd.DataFrame, *, counts_from_try: bool = True) -> str:
    """Return the CPU time in words; arguments as of ``cpu_time``."""

    def said(of_try: pd.DataFrame) -> str:
        if not counts_from_try and len(of_try) < 2:
            return "not known, of one sample"
        used = words.duration(float(_cpu_s(of_try, counts_from_try).max()))
        return used if counts_from_try else f"{used} since its first sample"

    return _in_words(samples, said)


def summarise_memory(samples: pd.DataFrame) -> str:
    """Return the memory in words."""
    return _in_words(
        samples, lambda of_try: f"at most {words.size(float(of_try['memory_bytes'].max()))}"
    )


def _lines(of: list[_Line], label: str, unit: str, size: float) -> hv.Overlay:
    longest = max(float(line.since_s.max(initial=0.0)) for line in of)
    most = _most(of) / size
    time_name, second = time_unit(longest)
    since, used = f"time since the try began ({time_name})", f"{label} ({unit})"
    lines: list[hv.Element] = []
    for line in of:
        points = line.since_s / second, line.value / size
        colour = _colour(line.try_id)
        lines += [
            hv.Curve(points, since, used).opts(color=colour, line_width=1.5),
            hv.Scatter(points, since, used).opts(color=colour, size=5, tools=["hover"]),
        ]
    return hv.Overlay(lines).opts(
        hv.opts.Overlay(
            show_legend=False,
            xlim=(0, max(longest / second * 1.03, 1.0)),
            ylim=(0, most * 1.08 or 1.0),
            default_tools=list(TOOLS),
        )
    )


def _most(of: list[_Line]) -> float:
    return max(float(np.nanmax(line.value, initial=0.0)) for line in of)


def _lines_of(
    samples: pd.DataFrame, tries: pd.DataFrame, value: Callable[[pd.DataFrame], pd.Series]
) -> list[_Line]:
    began = tries.set_index("try_id")["running"]
    found = []
    for try_id, of_try in list(_by_try(samples)) or [(0, samples)]:
        start = began.get(try_id, pd.NaT)
        first = of_try["time"].min() if pd.isna(start) else start
        since = np.maximum((of_try["time"] - first).dt.total_seconds().to_numpy(), 0.0)
        found.append(_Line(try_id, since, value(of_try).to_numpy()))
    return found


def _cpu_s(of_try: pd.DataFrame, counts_from_try: bool) -> pd.Series:
    used = of_try["cpu_user_s"].fillna(0.0) + of_try["cpu_system_s"].fillna(0.0)
    return used if counts_from_try or not len(used) else used - used.iloc[0]


def _by_try(samples: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    ordered = samples.sort_values(["try_id", "time"], kind="stable")
    for try_id, of_try in ordered.groupby("try_id", sort=True):
        yield int(str(try_id)), of_try


def _in_words(samples: pd.DataFrame, say: Callable[[pd.DataFrame], str]) -> str:
    if not len(samples):
        return NOT_SAMPLED
    said = "; ".join(f"try {try_id}: {say(of_try)}" for try_id, of_try in _by_try(samples))
    return f"{words.counted(len(samples), 'sample')}. {said}."


def _colour(try_id: int) -> str:
    return APPS[try_id % len(APPS)]
