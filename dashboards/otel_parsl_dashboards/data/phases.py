"""Where the time of a task's tries went."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from otel_parsl.query.staging import Staging, is_staging
from otel_parsl.query.tries import Try

WAITING = "waiting"
STAGING = "staging"
LAUNCHING = "launching"
QUEUED = "queued"
RUNNING = "running"
RETURNING = "returning"
PHASES = (WAITING, STAGING, LAUNCHING, QUEUED, RUNNING, RETURNING)
IDLE = "idle"
"""Of workers that are connected and have no try: no phase of a task."""

_Time = datetime.datetime | None


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
    tries: Sequence[Try],
    *,
    app: str,
    invoked_at: datetime.datetime | None,
    ready_at: datetime.datetime | None,
    returned_at: datetime.datetime | None,
    until: datetime.datetime | None,
    joining: Mapping[int, datetime.datetime],
    staging: Staging | None,
) -> list[list[Phase]]:
    """
    Return the phases of each try; one whose beginning or end was not recorded is left out.

    Args:
        tries: All of a task, in their order.
        app: Of the task: what those of Parsl's own do that bring files is staging.
        invoked_at: When the task was called. A later try begins with the end of the one before,
            and waits for nothing but its launch.
        ready_at: When the last of what it depends on was done, or its call where it depends on
            nothing; None while it waits.
        returned_at: When the task was done.
        until: Up to when something is known of a try that goes on; None once the task has ended.
        joining: When a join app's try began to wait for the tasks that it stands for, by try.
        staging: Of the files that the task waited for.
    """
    found = []
    running = STAGING if is_staging(app) else RUNNING
    since = invoked_at
    for item in tries:
        is_last = item is tries[-1]
        # What was memoised, or given up with another task, was never launched.
        done_at = item.returned_at or (returned_at if is_last else None)
        open_until = until if is_last and done_at is None else None
        phases = [
            *_waiting(since, item.launched_at or done_at, open_until, staging, ready_at),
            *_worked(item, running, done_at, open_until, joining.get(item.try_id)),
        ]
        if is_last and item.try_id in joining:
            # The task of a join app returns later than its try.
            back_at = min(joining[item.try_id], done_at or joining[item.try_id])
            phases += _waiting(back_at, returned_at, until, None, None)
        found.append(phases)
        since = ready_at = item.returned_at
        staging = None
    return found


def _worked(
    item: Try, running: str, done_at: _Time, until: _Time, joining_at: _Time
) -> Iterator[Phase]:
    # Older Parsls did not record when the worker was done.
    handed_back_at = done_at if joining_at is None else min(joining_at, done_at or joining_at)
    ended_at = item.ended_at or handed_back_at
    stretches = [
        (QUEUED, item.launched_at, item.running_at, ended_at),
        (running, item.running_at, ended_at, done_at),
    ]
    if item.ended_at is not None:
        stretches.append((RETURNING, item.ended_at, handed_back_at, None))
    for name, start, end, later in stretches:
        if start is not None and end is not None:
            yield Phase(name, start, end, is_open=False)
        elif start is not None and until is not None and later is None:
            yield Phase(name, start, max(until, start), is_open=True)


def _waiting(
    since: _Time, left_at: _Time, until: _Time, staging: Staging | None, ready_at: _Time
) -> Iterator[Phase]:
    end = left_at or (None if since is None or until is None else max(until, since))
    if since is None or end is None:
        return
    start = since
    if staging is not None and staging.start < end and (staging.end or end) > since:
        begun, over = max(staging.start, since), min(staging.end or end, end)
        if begun > since:
            yield Phase(WAITING, since, begun, is_open=False)
        yield Phase(STAGING, begun, over, is_open=left_at is None and over == end)
        start = over
        if over == end:
            return
    ready = end if ready_at is None else max(start, min(ready_at, end))
    if ready > start or ready_at is None:
        yield Phase(WAITING, start, ready, is_open=left_at is None and ready == end)
    if ready < end or ready == start:
        yield Phase(LAUNCHING, ready, end, is_open=left_at is None)
