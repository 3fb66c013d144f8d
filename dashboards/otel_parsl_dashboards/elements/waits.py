"""How long tries waited for a worker: a histogram over a logarithmic axis."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.elements.durations import duration_histogram


def waits_s(tries: pd.DataFrame) -> np.ndarray:
    """Return the wait of each try that began, in seconds; clocks that contradict count not."""
    waited = frames.seconds(tries["running"], tries["launched"])
    return waited[waited >= 0]


def wait_histogram(tries: pd.DataFrame) -> hv.Histogram:
    """
    Return the histogram of waits.

    Args:
        tries: A frame of tries; those that no worker has begun are left out.
    """
    return duration_histogram(waits_s(tries), label="wait", counted="tries")


def summarise(tries: pd.DataFrame) -> str:
    """Return the histogram in words."""
    waited = waits_s(tries)
    if not len(waited):
        return "No try is known to have begun."
    low, middle, high = np.percentile(waited, [5, 50, 95])
    return (
        f"{len(waited):,} {'try has' if len(waited) == 1 else 'tries have'} begun. Half waited less"
        f" than {words.duration(middle)}; nine in ten between {words.duration(low)} and"
        f" {words.duration(high)}; the longest {words.duration(waited.max())}."
    )
