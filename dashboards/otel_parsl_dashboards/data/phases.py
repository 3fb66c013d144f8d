"""Where the time of a task's tries went."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import NamedTuple

from otel_parsl.query.tries import Try

WAITING = "waiting"
QUEUED = "queued"
RUNNING = "running"
RETURNING = "returning"
PHASES = (WAITING, QUEUED, RUNNING, RETURNING)


class Phase(NamedTuple):
    """A stretch of a try."""

    name: str
    """One of ``PHASES``."""
    start: datetime.datetime
    end: datetime.datetime
    """Where the phase goes on, as far as anything is known."""
    is_open: bool

    @property
    def took_s(self) -> float | None:
        """How long it took; None where the clocks of two hosts contradict one another."""
        took = (self.end - self.start).total_seconds()
        return took if took >= 0 else None


def phases_of(
    tries: Sequence[Try], *, invoked_at: datetime.datetime | None, until: datetime.datetime | None
) -> list[list[Phase]]:
    """
    Return the phases of each try; one whose beginning or end was not recorded is left out.

    Args:
        tries: All of a task, in their order.
        invoked_at: When the task was called; a later try waits from the end of the one before.
        until: Up to when something is known of a try that goes on; None once the task has ended.
    """
    found = []
    since = invoked_at
    for item in tries:
        # Older Parsls did not record when the worker was done.
        ended_at = item.ended_at or item.returned_at
        returned_at = item.returned_at if item.ended_at is not None else None
        marks = (since, item.launched_at, item.running_at, ended_at, returned_at)
        goes_on = item is tries[-1] and item.returned_at is None
        found.append(_between(marks, until if goes_on else None))
        since = item.returned_at
    return found


def _between(
    marks: Sequence[datetime.datetime | None], until: datetime.datetime | None
) -> list[Phase]:
    phases = []
    for name, start, end, later in zip(
        PHASES, marks, marks[1:], (marks[place + 2 :] for place in range(len(PHASES))), strict=False
    ):
        if start is None:
            continue
        if end is not None:
            phases.append(Phase(name, start, end, False))
        elif until is not None and not any(later):
            phases.append(Phase(name, start, max(until, start), True))
    return phases
