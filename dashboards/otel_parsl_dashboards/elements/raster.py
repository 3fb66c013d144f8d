"""
Intervals as a picture: the exact part of each pixel that they cover, whatever their number.

An interval covers a pixel in part; what it covers is the difference of two ramps, one at each of
its ends, so that two additions an end and one running sum give the picture of any number of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from otel_parsl_dashboards.elements.colours import rgb


def covered(
    row: np.ndarray,
    group: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    *,
    shape: tuple[int, int, int],
) -> np.ndarray:
    """
    Return the part of each pixel that the intervals of each group cover, summed over them.

    Args:
        row: The row of each interval, from 0.
        group: Its group, from 0: an app, a state.
        start: Where it begins, in pixels from the left; beyond the picture is cut off.
        end: Where it ends.
        shape: Groups, rows and columns of the picture.
    """
    groups, rows, columns = shape
    flat = np.zeros(groups * rows * (columns + 1))
    line = (group.astype("int64") * rows + row) * (columns + 1)
    for place, sign in ((end, 1.0), (start, -1.0)):
        at = np.clip(place, 0, columns)
        cell = np.minimum(at.astype("int64"), columns)
        part = at - cell
        flat += np.bincount(
            line + np.minimum(cell + 1, columns), weights=sign * part, minlength=len(flat)
        )
        flat += np.bincount(line + cell, weights=sign * (1 - part), minlength=len(flat))
    ramps = flat.reshape(groups, rows, columns + 1)
    sums: np.ndarray = np.cumsum(ramps[:, :, ::-1], axis=2)[:, :, ::-1]
    # What the running sum leaves of zero is noise in the last bits.
    parts: np.ndarray = np.clip(sums[:, :, 1:], 0.0, None)
    return parts


def coloured(parts: np.ndarray, colours: Sequence[str], whole: np.ndarray | float) -> np.ndarray:
    """
    Return a picture of rows, columns and RGBA: each pixel the mean colour of what covers it.

    Args:
        parts: Of ``covered``.
        colours: That of each group.
        whole: What a full pixel of each row would be; its part of that is how dense it is.
    """
    total = parts.sum(axis=0)
    paint = np.array([rgb(colour) for colour in colours], dtype="float64").reshape(-1, 3)
    mixed = np.einsum("gyx,gc->yxc", parts, paint) / np.maximum(total, 1e-12)[:, :, None]
    density = np.clip(total / whole, 0.0, 1.0)
    # A single short task in an empty stretch is to be seen.
    alpha = np.where(total > 1e-9, np.maximum(density, 0.12), 0.0)
    picture: np.ndarray = np.dstack([mixed, alpha[:, :, None] * 255]).round().astype("uint8")
    return picture
