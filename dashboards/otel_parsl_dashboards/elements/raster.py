"""
Intervals as a picture: the exact part of each pixel that they cover, whatever their number.

An interval covers a pixel in part; what it covers is the difference of two ramps, one at each of
its ends, so that two additions an end and one running sum give the picture of any number of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from otel_parsl_dashboards.elements.colours import rgb


class Coverage:
    """
    The part of each pixel that the intervals of each group cover, summed over them.

    Args:
        groups: How many there are: apps, states.
        rows: Of the picture.
        columns: Of the picture.
    """

    def __init__(self, groups: int, rows: int, columns: int) -> None:
        self._columns = columns
        self._ramps = np.zeros((groups, rows, columns + 1))
        self._across = np.zeros((groups, rows), dtype="int64")
        """Intervals that go from one side to the other: most of them, where little is in view."""

    def add(self, row: np.ndarray, group: np.ndarray, start: np.ndarray, end: np.ndarray) -> None:
        """
        Put intervals into the picture.

        Args:
            row: The row of each interval, from 0.
            group: Its group, from 0.
            start: Where it begins, in pixels from the left; beyond the picture is cut off.
            end: Where it ends.
        """
        line = group.astype("int64") * self._across.shape[1] + row
        is_across = (start <= 0) & (end >= self._columns)
        if is_across.any():
            counts = np.bincount(line[is_across], minlength=self._across.size)
            self._across += counts.reshape(self._across.shape)
            line, start, end = (each[~is_across] for each in (line, start, end))
        line *= self._columns + 1
        flat = self._ramps.reshape(-1)
        for place, sign in ((end, 1.0), (start, -1.0)):
            at = np.clip(place, 0, self._columns)
            cell = at.astype("int64")
            part = at - cell
            np.add.at(flat, line + np.minimum(cell + 1, self._columns), sign * part)
            np.add.at(flat, line + cell, sign * (1 - part))

    def parts(self) -> np.ndarray:
        """Return the picture so far: groups, rows and columns."""
        sums = np.cumsum(self._ramps[:, :, ::-1], axis=2)[:, :, ::-1]
        parts: np.ndarray = sums[:, :, 1:]
        # What the running sum leaves of zero is noise in the last bits.
        np.maximum(parts, 0.0, out=parts)
        parts += self._across[:, :, None]
        return parts


def coloured(parts: np.ndarray, colours: Sequence[str], whole: np.ndarray | float) -> np.ndarray:
    """
    Return a picture of rows, columns and RGBA: each pixel the mean colour of what covers it.

    Args:
        parts: Of ``Coverage``.
        colours: That of each group.
        whole: What a full pixel of each row would be; its part of that is how dense it is.
    """
    total = parts.sum(axis=0)
    paint = np.array([rgb(colour) for colour in colours], dtype="float64").reshape(-1, 3)
    mixed = np.tensordot(parts, paint, axes=(0, 0)) / np.maximum(total, 1e-12)[:, :, None]
    density = np.clip(total / whole, 0.0, 1.0)
    # A single short task in an empty stretch is to be seen.
    alpha = np.where(total > 1e-9, np.maximum(density, 0.12), 0.0)
    picture: np.ndarray = np.dstack([mixed, alpha[:, :, None] * 255]).round().astype("uint8")
    return picture
