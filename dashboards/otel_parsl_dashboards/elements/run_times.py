"""How long tries ran: a histogram over a logarithmic axis."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl_dashboards.data import frames

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
            ylim=(0, max(1.0, float(counts.max()) * 1.08)),
        )
    )


def summarise(tries: pd.DataFrame) -> str:
    """Return the histogram in words."""
    took = run_times_s(tries)
    if not len(took):
        return "No try has ended yet."
    low, middle, high = np.percentile(took, [5, 50, 95])
    return (
        f"{len(took):,} tries have ended. Half of them took less than {middle:.3g} s; nine in ten"
        f" took between {low:.3g} s and {high:.3g} s; the longest {took.max():.3g} s."
    )
