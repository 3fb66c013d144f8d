"""How long tries ran: a histogram over a logarithmic axis."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.elements.axes import TOOLS, count_axis

_BINS = 60


def run_times_s(tries: pd.DataFrame) -> np.ndarray:
    """Return the run time of each try that ended, in seconds."""
    took = frames.seconds(tries["ended"], tries["running"])
    return took[~np.isnan(took)]


def run_time_histogram(tries: pd.DataFrame) -> hv.Histogram:
    """
    Return the histogram of run times.

    Args:
        tries: A frame of tries; those that have not ended are left out.
    """
    took = np.maximum(run_times_s(tries), 1e-6)
    low, high = (took.min(), took.max()) if len(took) else (0.1, 10.0)
    if high / low < 10:
        middle = np.sqrt(low * high)
        low, high = middle / 3.2, middle * 3.2
    edges = np.geomspace(low * 0.999, high * 1.001, _BINS + 1)
    counts, _ = np.histogram(took, bins=edges)
    return hv.Histogram((edges, counts), kdims="run time (s)", vdims="tries").opts(
        hv.opts.Histogram(
            logx=True,
            fill_color="#6e8ca8",
            line_color=None,
            fill_alpha=0.85,
            tools=["hover"],
            default_tools=list(TOOLS),
            hooks=[count_axis],
            ylim=(0, max(1.0, float(counts.max()) * 1.08)),
        )
    )


def summarise(tries: pd.DataFrame) -> str:
    """Return the histogram in words."""
    took = run_times_s(tries)
    if not len(took):
        ended = int(tries["ended"].notna().sum())
        if not ended:
            return "No try has ended yet."
        return (
            f"No run time is known of {words.counted(ended, 'try')} that ended: memoised ones take"
            " none, and Parsl records it where it monitors resources."
        )
    low, middle, high = np.percentile(took, [5, 50, 95])
    return (
        f"{len(took):,} {'try has' if len(took) == 1 else 'tries have'} ended. Half took less than"
        f" {words.duration(middle)}; nine in ten took between {words.duration(low)} and"
        f" {words.duration(high)}; the longest {words.duration(took.max())}."
    )
