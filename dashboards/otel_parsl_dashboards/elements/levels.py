"""How much there was at each moment of what came and went: workers, cores, bytes."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.elements.span import Span

PIECES: Final = 600
MANY: Final = 10**9
_EXACT = 2400
"""So many changes, or fewer, are drawn each where it was."""


class Amounts(NamedTuple):
    """Amounts that were there from a time to a time."""

    start: np.ndarray
    end: np.ndarray
    amount: np.ndarray

    def of(self, is_kept: np.ndarray) -> Amounts:
        """Return some of them."""
        return Amounts(self.start[is_kept], self.end[is_kept], self.amount[is_kept])


class Steps(NamedTuple):
    """A line that stays until it steps; the last value stands where the line ends."""

    times: np.ndarray
    values: np.ndarray
    is_exact: bool
    """Whether it steps where the amounts do; else each value is the mean of its stretch."""

    @property
    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """Its corners, to be joined by straight lines."""
        return np.repeat(self.times, 2)[1:], np.repeat(self.values, 2)[:-1]


def steps(amounts: Amounts, span: Span, *, most_exact: int = _EXACT) -> Steps:
    """
    Return the sum of amounts over time.

    Args:
        amounts: In no order.
        span: What is in view.
        most_exact: Changes beyond which means over equal stretches are given.
    """
    is_in = (amounts.start < span.end) & (amounts.end > span.start)
    amounts = amounts.of(is_in & (amounts.end > amounts.start) & ~np.isnan(amounts.amount))
    if 2 * len(amounts.start) > most_exact:
        return _means(amounts, span)
    # What ends with the view is still there at its edge.
    leaves = amounts.end < span.end
    moments, place = np.unique(
        np.concatenate(
            [
                np.array([span.start, span.end], dtype=frames.TIME),
                np.maximum(amounts.start, span.start),
                amounts.end[leaves],
            ]
        ),
        return_inverse=True,
    )
    changes = np.concatenate([[0.0, 0.0], amounts.amount, -amounts.amount[leaves]])
    values = np.cumsum(np.bincount(place.ravel(), weights=changes, minlength=len(moments)))
    return Steps(moments, _calm(values), is_exact=True)


def most(amounts: Amounts, span: Span) -> float:
    """Return the most that there was at any moment, however many changes there are; 0 at least."""
    amounts = amounts.of((amounts.start < span.end) & (amounts.end > span.start))
    amounts = amounts.of((amounts.end > amounts.start) & ~np.isnan(amounts.amount))
    leaving = amounts.of(amounts.end < span.end)
    comes, came = _summed(np.maximum(amounts.start, span.start), amounts.amount)
    goes, went = _summed(leaving.end, leaving.amount)
    # What goes at a moment makes room for what comes then.
    return max(
        float((came[_until(comes, at)] - went[_until(goes, at)]).max(initial=0.0))
        for at in (comes, goes)
    )


def _summed(times: np.ndarray, amounts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return times in order, and the sums of the amounts before each of them and after all."""
    order = np.argsort(times, kind="stable")  # in order already, but for a few
    return times[order], np.concatenate([[0.0], np.cumsum(amounts[order])])


def _until(times: np.ndarray, moments: np.ndarray) -> np.ndarray:
    return np.searchsorted(times, moments, side="right")


def mean(amounts: Amounts, span: Span) -> float:
    """Return the mean of the sum of amounts over a stretch of time."""
    return total_s(amounts, span) / (span.microseconds / 1e6)


def lasted_s(amounts: Amounts, span: Span) -> float:
    """Return for how many seconds of a stretch of time there was anything at all."""
    line = steps(amounts._replace(amount=np.ones(len(amounts.start))), span, most_exact=MANY)
    lengths = np.diff(line.times).astype("timedelta64[us]").astype("int64")
    return float(lengths[line.values[:-1] > 0].sum()) / 1e6


def total_s(amounts: Amounts, span: Span) -> float:
    """Return the sum of amounts times the seconds that each was there in a stretch of time."""
    start = np.maximum(amounts.start, span.start)
    end = np.minimum(amounts.end, span.end)
    lasted = np.maximum((end - start).astype("timedelta64[us]").astype("int64"), 0) / 1e6
    return float(np.nansum(lasted * amounts.amount))


def _means(amounts: Amounts, span: Span) -> Steps:
    edges = np.linspace(0, span.microseconds, PIECES + 1).astype("int64")
    grown = np.zeros(PIECES + 1)
    for times, sign in ((amounts.start, 1.0), (amounts.end, -1.0)):
        since = (times - span.start).astype("timedelta64[us]").astype("int64")
        first = np.searchsorted(edges, since)
        size = PIECES + 2
        weights = np.cumsum(np.bincount(first, amounts.amount, size))[:-1]
        moments = np.cumsum(np.bincount(first, amounts.amount * since, size))[:-1]
        grown += sign * (weights * edges - moments)
    values = np.diff(grown) / np.diff(edges)
    times = span.start + edges.astype("timedelta64[us]")
    return Steps(times, _calm(np.append(values, values[-1])), is_exact=False)


def _calm(values: np.ndarray) -> np.ndarray:
    """Return sums without what is left of numbers that cancel each other out."""
    largest = float(np.abs(values).max(initial=0.0))
    values[np.abs(values) < largest * 1e-9] = 0.0
    return values
