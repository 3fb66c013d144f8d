"""
Intervals as a picture: the exact part of each pixel that they cover, whatever their number.

An interval covers a pixel in part; what it covers is the difference of two ramps, one at each of
its ends, so that two additions an end and one running sum give the picture of any number of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from otel_parsl_dashboards.elements.colours import rgb

_BAND = 32
"""Rows that are worked out at a time: all of them at once would take a hundred megabytes."""


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
        self._is_cut = np.zeros(rows, dtype=bool)
        """Rows in which an interval begins or ends: no other changes from pixel to pixel."""

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
            row, line, start, end = (each[~is_across] for each in (row, line, start, end))
        self._is_cut[row] = True
        line *= self._columns + 1
        flat = self._ramps.reshape(-1)
        for place, sign in ((start, 1.0), (end, -1.0)):
            at = np.clip(place, 0, self._columns)
            cell = at.astype("int64")
            part = at - cell
            np.add.at(flat, line + cell, sign * (1 - part))
            np.add.at(flat, line + np.minimum(cell + 1, self._columns), sign * part)

    def add_alike(self, row: np.ndarray, group: np.ndarray, end: float) -> None:
        """
        Put intervals into the picture that begin before it, and all end at the same place.

        Args:
            row: The row of each interval, from 0; what is in no row, below 0, is left out.
            group: Its group, from 0.
            end: Where they end, in pixels from the left.
        """
        rows = self._across.shape[1]
        line = (group.astype("int64") + 1) * rows + row
        line[row < 0] = 0
        size = self._across.size + rows
        counts = np.bincount(line, minlength=size)[rows:].reshape(self._across.shape)
        if end >= self._columns:
            self._across += counts
            return
        self._is_cut |= counts.any(axis=0)
        cell = int(end)
        self._ramps[:, :, 0] += counts
        self._ramps[:, :, cell] -= counts * (cell + 1 - end)
        self._ramps[:, :, cell + 1] -= counts * (end - cell)

    def mixed(self, weights: np.ndarray) -> np.ndarray:
        """
        Return sums of what the groups cover, a picture of rows and columns each.

        Args:
            weights: A row for each sum: what each group counts in it.
        """
        sums = np.repeat((weights @ self._across)[:, :, None], self._columns, axis=2)
        cut = np.flatnonzero(self._is_cut)
        for first in range(0, len(cut), _BAND):
            rows = cut[first : first + _BAND]
            parts = self._ramps[:, rows]
            np.cumsum(parts, axis=2, out=parts)
            of_rows = weights @ parts.reshape(len(parts), -1)
            sums[:, rows] += of_rows.reshape(len(weights), len(rows), -1)[:, :, : self._columns]
        return sums


def coloured(
    coverage: Coverage,
    colours: Sequence[str],
    whole: np.ndarray | float,
    strength: Sequence[float] | None = None,
) -> np.ndarray:
    """
    Return a picture of rows, columns and RGBA: each pixel the mean colour of what covers it.

    Args:
        coverage: What is covered.
        colours: That of each group.
        whole: What a full pixel of each row would be; its part of that is how dense it is.
        strength: How much each group counts; alike if not given.
    """
    paint = np.array([(1, *rgb(colour)) for colour in colours], dtype="float64").reshape(-1, 4)
    if strength is not None:
        paint *= np.array(strength)[:, None]
    total, *mixed = coverage.mixed(paint.T)
    picture = np.empty((*total.shape, 4), dtype="uint8")
    # What the running sum leaves of zero is noise in the last bits.
    is_covered = total > 1e-9
    share = 1 / np.where(is_covered, total, np.inf)
    for channel, of_all in enumerate(mixed):
        picture[:, :, channel] = np.clip(of_all * share, 0, 255).round()
    density = np.clip(total / whole, 0.0, 1.0)
    # A single short task in an empty stretch is to be seen.
    picture[:, :, 3] = (np.where(is_covered, np.maximum(density, 0.12), 0.0) * 255).round()
    return picture
