"""What tasks needed: histograms of CPU time and memory, a task once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.elements.axes import (
    TICKS,
    histogram_look,
    room_above,
    size_unit,
    time_unit,
)
from otel_parsl_dashboards.elements.used_of_all import CORES, MEMORY

_BINS = 40
_COLOURS: Final = {
    "cpu_user_s": CORES,
    "cores": CORES,
    "memory_mean_bytes": MEMORY,
    "memory_max_bytes": MEMORY,
}
_AXES: Final = {
    "cpu_user_s": "CPU user time",
    "cores": "cores kept busy",
    "memory_mean_bytes": "mean resident memory",
    "memory_max_bytes": "most resident memory",
}


def task_histogram(by_task: pd.DataFrame, column: str) -> hv.Histogram:
    """
    Return the histogram of one figure of tasks.

    Args:
        by_task: Of ``usage.by_task``, or of ``usage.cores_by_task`` for ``cores``.
        column: ``cpu_user_s``, ``cores``, ``memory_mean_bytes`` or ``memory_max_bytes``.
    """
    values = _values(by_task, column)
    unit, one = _unit(column, float(values.max(initial=0.0)))
    values = values / one
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    if high - low < max(1e-9, high * 1e-6):
        low, high = low * 0.9, high * 1.1 or 1.0
    counts, edges = np.histogram(values, bins=_BINS, range=(low, high))
    return hv.Histogram((edges, counts), kdims=f"{_AXES[column]}{unit}", vdims="tasks").opts(
        histogram_look(_COLOURS[column], ylim=(0, room_above(counts)), xticks=TICKS)
    )


def summarise(by_task: pd.DataFrame, column: str) -> str:
    """Return the histogram in words."""
    values = _values(by_task, column)
    if not len(values):
        return "No task was sampled."
    say = _SAID[column]
    low, middle, high = (say(float(each)) for each in np.percentile(values, [5, 50, 95]))
    verb, what = ("kept", " cores busy") if column == "cores" else ("needed", "")
    return (
        f"{words.counted(len(values), 'task')} sampled. Half {verb} less than {middle}{what};"
        f" nine in ten"
        f" between {low} and {high}; the most {say(float(values.max()))}."
    )


def _unit(column: str, most: float) -> tuple[str, float]:
    if column == "cores":
        return "", 1.0
    name, one = size_unit(most) if column.endswith("_bytes") else time_unit(most)
    return f" ({name})", one


def _cores_words(cores: float) -> str:
    return f"{cores:.3g}"


_SAID: Final[dict[str, Callable[[float], str]]] = {
    "cpu_user_s": words.duration,
    "cores": _cores_words,
    "memory_mean_bytes": words.size,
    "memory_max_bytes": words.size,
}


def _values(by_task: pd.DataFrame, column: str) -> np.ndarray:
    return np.asarray(by_task[column].dropna(), dtype="float64")
