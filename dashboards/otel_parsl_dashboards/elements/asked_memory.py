"""How much of the memory that it asked for each try needed at its peak."""

from __future__ import annotations

from typing import Final

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.elements.axes import histogram_look, room_above
from otel_parsl_dashboards.elements.used_of_all import ALL, MEMORY

NEAR: Final = 0.9
"""The share of what was asked for from which a try is worth a look."""
_WIDTH: Final = 5
_MOST: Final = 200
"""Per cent; what needed more stands in the last bar."""


def asked_memory(asked: pd.DataFrame) -> hv.Overlay:
    """
    Return the histogram of shares, with a line at all that was asked for.

    Args:
        asked: A row a try: asked_bytes and peak_bytes, NaN where that is not known.
    """
    shares = np.minimum(100 * _shares(asked), _MOST)
    top = max(float(shares.max(initial=0.0)), 110.0)
    edges = np.arange(0, np.ceil(top / _WIDTH) * _WIDTH + _WIDTH, _WIDTH)
    counts, edges = np.histogram(shares, bins=edges)
    bars = hv.Histogram((edges, counts), kdims="peak, % of what was asked for", vdims="tries")
    return (bars * hv.VLine(100)).opts(
        histogram_look(MEMORY),
        hv.opts.VLine(color=ALL, line_width=1.5, line_dash="dashed"),
        hv.opts.Overlay(
            ylim=(0, room_above(counts)), xlim=(0, float(edges[-1])), show_legend=False
        ),
    )


def summarise(asked: pd.DataFrame) -> str:
    """Return the histogram in words."""
    shares = _shares(asked)
    if not len(asked):
        return "No task asked for memory."
    if not len(shares):
        return (
            f"{words.counted(len(asked), 'try')} asked for memory; the peak of none is known yet."
        )
    near, over = int((shares >= NEAR).sum()), int((shares > 1).sum())
    text = (
        f"{words.counted(len(shares), 'try')} asked for memory. Half needed less than"
        f" {100 * np.median(shares):.3g} % of it; {near:,} needed {100 * NEAR:.0f} % or more, and"
        f" {over:,} of these more than all of it."
    )
    if (100 * shares > _MOST).any():
        text += f" What needed more than {_MOST} % stands in the last bar."
    return text


def _shares(asked: pd.DataFrame) -> np.ndarray:
    found = (asked["peak_bytes"] / asked["asked_bytes"]).dropna()
    return np.asarray(found, dtype="float64")
