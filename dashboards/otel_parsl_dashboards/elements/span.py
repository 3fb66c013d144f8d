"""A stretch of time in view, and where moments stand within it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from otel_parsl_dashboards.data import frames

PICTURE_RTOL = 1.0
"""
For pictures of time. HoloViews compares the ends of one with the middles of its outermost pixels,
as a share of the time since 1970: by default it takes no single pixel of more than 40 days.
"""


class Span(NamedTuple):
    """From when to when a plot of time goes."""

    start: np.datetime64
    end: np.datetime64

    @property
    def microseconds(self) -> int:
        """Its length."""
        return int((self.end - self.start).astype("timedelta64[us]").astype("int64"))

    def pixels(self, times: np.ndarray, columns: int) -> np.ndarray:
        """Return where moments stand, in pixels from the left of so many columns."""
        since = (times.astype(frames.TIME) - self.start).astype("timedelta64[us]")
        places: np.ndarray = since.astype("int64") * (columns / self.microseconds)
        return places
