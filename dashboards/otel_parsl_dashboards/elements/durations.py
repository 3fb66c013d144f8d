"""A histogram of lengths of time over a logarithmic axis."""

from __future__ import annotations

import holoviews as hv
import numpy as np

from otel_parsl_dashboards.elements.axes import TOOLS, count_axis

_BINS = 60


def duration_histogram(lengths_s: np.ndarray, *, label: str, counted: str) -> hv.Histogram:
    """
    Return the histogram.

    Args:
        lengths_s: In seconds; none is NaN.
        label: What they are, for the axis.
        counted: What each belongs to, in the plural.
    """
    lengths = np.maximum(lengths_s, 1e-6)
    low, high = (lengths.min(), lengths.max()) if len(lengths) else (0.1, 10.0)
    if high / low < 10:
        middle = np.sqrt(low * high)
        low, high = middle / 3.2, middle * 3.2
    edges = np.geomspace(low * 0.999, high * 1.001, _BINS + 1)
    counts, _ = np.histogram(lengths, bins=edges)
    return hv.Histogram((edges, counts), kdims=f"{label} (s)", vdims=counted).opts(
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
