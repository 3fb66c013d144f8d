"""
How far each host's clock is ahead of the submit host's, as far as causes and effects tell.

Flow: connectors.clocks, store.clocks -> **clock_bounds**
A worker begins a try after its launch, and ends it before its return: so each try bounds the
difference from both sides, as in NTP, and all tries of a host together bound it best.
Nothing else is known of it: queues lie between, and no message measures them.
"""

from __future__ import annotations

from typing import NamedTuple

Times = tuple[int, int]
"""Begin and end in UTC nanoseconds, by one host's clock."""


class Bounds(NamedTuple):
    """How far a host's clock is ahead, in nanoseconds."""

    at_least_ns: int
    at_most_ns: int

    def narrowed(self, other: Bounds) -> Bounds:
        """Return what holds where both do; a lower bound above the upper one: a clock was set."""
        return Bounds(
            max(self.at_least_ns, other.at_least_ns), min(self.at_most_ns, other.at_most_ns)
        )


def bound(submitted: Times, executed: Times) -> Bounds:
    """
    Return what one try tells of its worker's clock.

    Args:
        submitted: When it was launched and when it was back, by the submit host's clock.
        executed: When it ran, by its worker's.
    """
    (launched_ns, returned_ns), (began_ns, ended_ns) = submitted, executed
    return Bounds(ended_ns - returned_ns, began_ns - launched_ns)
