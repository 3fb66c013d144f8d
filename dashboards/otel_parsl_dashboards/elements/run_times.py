"""How long tries ran: a histogram over a logarithmic axis."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.elements.durations import duration_histogram


def run_times_s(tries: pd.DataFrame) -> np.ndarray:
    """Return the run time of each try that ended, in seconds."""
    took = frames.run_times_s(tries)
    return took[~np.isnan(took)]


def run_time_histogram(tries: pd.DataFrame) -> hv.Histogram:
    """
    Return the histogram of run times.

    Args:
        tries: A frame of tries; those that have not ended are left out.
    """
    return duration_histogram(run_times_s(tries), label="run time", counted="tries")


def summarise(tries: pd.DataFrame) -> str:
    """Return the histogram in words."""
    took = run_times_s(tries)
    contradicting = int((frames.seconds(tries["ended"], tries["running"]) < 0).sum())
    unknown = (
        f" Of {words.counted(contradicting, 'try')} the run time is not known: the clocks of two"
        " hosts contradict one another."
        if contradicting
        else ""
    )
    if not len(took):
        ended = int(tries["ended"].notna().sum()) - contradicting
        if not ended:
            return unknown.strip() or "No try has ended yet."
        return (
            f"No run time is known of {words.counted(ended, 'try')} that ended: memoised ones take"
            f" none, and Parsl records it where it monitors resources.{unknown}"
        )
    low, middle, high = np.percentile(took, [5, 50, 95])
    return (
        f"{len(took):,} {'try has' if len(took) == 1 else 'tries have'} ended. Half took less than"
        f" {words.duration(middle)}; nine in ten took between {words.duration(low)} and"
        f" {words.duration(high)}; the longest {words.duration(took.max())}.{unknown}"
    )
