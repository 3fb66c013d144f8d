"""The time axis that a page's plots share, in Bokeh's milliseconds and in times as frames have."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from otel_parsl_dashboards.data.snapshot import Snapshot

_PAD = 0.01
_LEAST_PAD_MS = 50.0
_MOST_US = 9.2e18
"""``numpy.datetime64`` counts them in 64 bits."""


def whole_run(snapshot: Snapshot) -> tuple[float, float]:
    """Return from where to where the axis goes that shows all of a run, with some air around."""
    start, end = milliseconds(snapshot.began), milliseconds(snapshot.until)
    pad = max((end - start) * _PAD, _LEAST_PAD_MS)
    return start - pad, end + pad


def milliseconds(time: np.datetime64) -> float:
    """Return a place on the axis."""
    return float(time.astype("datetime64[us]").astype("int64")) / 1000


def moment(place: float) -> np.datetime64:
    """Return the time at a place on the axis, which may lie beyond all times that there are."""
    return np.datetime64(round(min(max(place * 1000, -_MOST_US), _MOST_US)), "us")


def place_of(value: Any) -> float:
    """Return a place on the axis as Bokeh gives it, which may be as a time."""
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=datetime.timezone.utc).timestamp() * 1000
    return float(value)
