"""
Where each task of a graph stands: left to right by depth, near what it depends on.

Wide layers are wrapped into blocks, so that no graph is higher than it can be read.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

_SWEEPS = 4
_FEW_ROWS, _MANY_ROWS = 24, 60
_GAP = 2.0
"""Between layers, at least, in columns of a block."""
_GAPS_SHARE = 0.6
"""What gaps take together, at least, of what blocks take."""


class Places(NamedTuple):
    """Where tasks stand."""

    x: np.ndarray
    """In columns of a block, from 0."""
    y: np.ndarray
    """From 0 at the top to 1."""
    width: float
    rows: int
    """The most that stand above each other."""
    column: float
    """How far the nearest columns are apart."""


def places(depth: np.ndarray, first: np.ndarray, second: np.ndarray) -> Places:
    """
    Return where tasks stand.

    Args:
        depth: Of each.
        first: Rows of tasks that are waited for.
        second: Rows of those that wait.
    """
    layers = _in_order(depth, first, second)
    widest = max(map(len, layers), default=1)
    most = min(max(math.ceil(math.sqrt(widest)), _FEW_ROWS), _MANY_ROWS)
    columns = [-(-len(layer) // most) for layer in layers]
    inner = sum(number - 1 for number in columns)
    gap = max(_GAP, _GAPS_SHARE * inner / max(len(layers) - 1, 1))
    x, y = np.zeros(len(depth)), np.zeros(len(depth))
    left, rows = 0.0, 1
    for layer, number in zip(layers, columns, strict=True):
        at = np.arange(len(layer))
        high = -(-len(layer) // number)
        x[layer] = left + at % number
        # A last row that is not full stands as wide apart as the others.
        y[layer] = (at // number + 0.5) / high
        rows = max(rows, high)
        left += number - 1 + gap
    return Places(x, y, max(left - gap, 0.0), rows, gap if inner == 0 else 1.0)


def _in_order(depth: np.ndarray, first: np.ndarray, second: np.ndarray) -> list[list[int]]:
    """Return the rows of each layer, ordered so that edges cross little: barycentres, swept."""
    count = len(depth)
    by_depth = np.argsort(depth, kind="stable")
    ends = np.searchsorted(depth[by_depth], np.arange(1, int(depth.max(initial=-1)) + 1))
    layers: list[list[int]] = [layer.tolist() for layer in np.split(by_depth, ends) if len(layer)]
    near = (_neighbours(second, first, count), _neighbours(first, second, count))
    place = [0.0] * count
    for layer in layers:
        _settle(layer, place)
    for sweep in range(_SWEEPS):
        for number in range(len(layers)):
            layer = layers[number if sweep % 2 == 0 else -1 - number]
            others = near[sweep % 2]
            centre = {
                row: sum(map(place.__getitem__, others[row])) / len(others[row])
                if others[row]
                else place[row]
                for row in layer
            }
            layer.sort(key=lambda row: (centre[row], place[row]))
            _settle(layer, place)
    return layers


def _settle(layer: list[int], place: list[float]) -> None:
    for at, row in enumerate(layer):
        place[row] = (at + 0.5) / len(layer)


def _neighbours(of: np.ndarray, those: np.ndarray, count: int) -> list[list[int]]:
    order = np.argsort(of, kind="stable")
    starts = np.searchsorted(of[order], np.arange(count + 1)).tolist()
    found = those[order].tolist()
    return [found[starts[row] : starts[row + 1]] for row in range(count)]
