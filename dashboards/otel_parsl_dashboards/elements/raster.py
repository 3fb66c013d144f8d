"""
Intervals as a picture: the exact part of each pixel that they cover, whatever their number.

An interval covers a pixel in part; what it covers is the difference of two ramps, one at each of
its ends, so that two additions an end and one running sum give the picture of any number of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
        self.shape = rows, columns
        """Of the picture."""
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
        self.step(row, group, start, 1.0)
        self.step(row, group, end, -1.0)

    def add_counts(self, counts: np.ndarray) -> None:
        """Put intervals into the picture that go from one side to the other, by group and row."""
        self._across += counts

    def step(
        self, row: np.ndarray, group: np.ndarray, place: np.ndarray, by: np.ndarray | float
    ) -> None:
        """
        Have intervals begin, or end, and go on to the right side.

        Args:
            row: The row of each, from 0.
            group: Its group, from 0.
            place: Where it does, in pixels from the left.
            by: 1 for one that begins, -1 for one that ends; of several alike, their number.
        """
        line = group.astype("int64") * self._across.shape[1] + row
        by = np.broadcast_to(by, line.shape)
        is_before, is_in = place <= 0, (place > 0) & (place < self._columns)
        if is_before.any():
            size = self._across.size
            counts = np.bincount(line[is_before], by[is_before], minlength=size)
            self._across += counts.reshape(self._across.shape).astype("int64")
        self._is_cut[row[is_in]] = True
        at, by = place[is_in], by[is_in]
        cell = at.astype("int64")
        part = (at - cell) * by
        flat, first = self._ramps.reshape(-1), line[is_in] * (self._columns + 1) + cell
        np.add.at(flat, first, by - part)
        np.add.at(flat, first + 1, part)

    def end(self, counts: np.ndarray, place: float) -> None:
        """Have so many intervals of each group and row end at a place, as ``step`` does."""
        group, row = np.nonzero(counts)
        self.step(row, group, np.full(len(row), place), -counts[group, row])

    def mixed(self, weights: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """
        Yield sums of what the groups cover, for some rows of the picture at a time.

        Args:
            weights: A row for each sum: what each group counts in it.

        Yields:
            The rows, and an array of sums, rows and columns: of one column alone for rows in which
            no pixel differs from the next.
        """
        across = weights @ self._across
        alike = np.flatnonzero(~self._is_cut)
        yield alike, across[:, alike, None]
        cut = np.flatnonzero(self._is_cut)
        for first in range(0, len(cut), _BAND):
            rows = cut[first : first + _BAND]
            ramps = weights @ self._ramps[:, rows].reshape(len(self._ramps), -1)
            sums = ramps.reshape(len(weights), len(rows), -1)[:, :, : self._columns]
            sums[:, :, 0] += across[:, rows]
            yield rows, np.cumsum(sums, axis=2)

    def picture(self, weights: np.ndarray) -> np.ndarray:
        """Return all of what ``mixed`` yields, as sums, rows and columns."""
        whole = np.empty((len(weights), self._across.shape[1], self._columns))
        for rows, sums in self.mixed(weights):
            whole[:, rows] = sums
        return whole


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
    picture = np.empty((*coverage.shape, 4), dtype="uint8")
    whole = np.broadcast_to(whole, (len(picture), 1))
    for rows, (total, *mixed) in coverage.mixed(paint.T):
        # What the running sum leaves of zero is noise in the last bits.
        is_covered = total > 1e-9
        share = 1 / np.where(is_covered, total, np.inf)
        pixels = np.empty((*total.shape, 4), dtype="uint8")
        for channel, of_all in enumerate(mixed):
            pixels[:, :, channel] = np.minimum(of_all * share + 0.5, 255)
        # A single short task in an empty stretch is to be seen.
        density = np.clip(total / whole[rows], 0.12, 1.0) * is_covered
        pixels[:, :, 3] = density * 255 + 0.5
        picture[rows] = pixels
    return picture
