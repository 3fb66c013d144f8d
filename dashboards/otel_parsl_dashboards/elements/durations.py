"""A histogram of lengths of time over a logarithmic axis."""

from __future__ import annotations

import holoviews as hv
import numpy as np

from otel_parsl_dashboards.elements.axes import histogram_look, room_above
from otel_parsl_dashboards.elements.colours import PLAIN

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
        histogram_look(PLAIN, logx=True, ylim=(0, room_above(counts)))
    )
