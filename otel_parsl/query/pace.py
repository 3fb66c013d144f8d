"""How fast a run gets on, and how long it may still take."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Integer, case, cast, func, select

from otel_parsl.query.runs import Run
from otel_parsl.query.times import local_from_utc, ns_from_utc
from otel_parsl.schema import BUCKET_S, otel_bucket, task, try_

RECENT_S = 300.0
"""The stretch of time that a running run's rate is taken from."""
ENOUGH = 10
"""Fewer tries than this in it say little: the rate is taken from the whole run then."""
OVERHEAD_S = 0.01
"""What a try costs beside its run time; it matters for tries that take next to none."""


class AppPace(NamedTuple):
    """What the tries of one app took so far."""

    ended: int
    """Executions that have ended, failed ones among them."""
    run_s: float
    """Their run times together."""
    recent: int
    """How many of them have ended in the last stretch of time."""

    @property
    def mean_run_s(self) -> float | None:
        """Their mean run time; None while there is none."""
        return self.run_s / self.ended if self.ended else None


class Pace(NamedTuple):
    """What the tries of a run took so far."""

    apps: dict[str, AppPace]
    recent_s: float
    """The length of the last stretch of time."""

    @property
    def rate_per_s(self) -> float:
        """Executions that end in a second, lately."""
        recent = sum(app.recent for app in self.apps.values())
        return recent / self.recent_s if self.recent_s > 0 else 0.0


class OpenTasks(NamedTuple):
    """The tasks of one app that have not ended."""

    tasks: int
    running: int
    """How many of them run."""
    running_s: float
    """For how long those have run, together."""


class TimeLeft(NamedTuple):
    """When the open tasks will have ended, as far as the past tells."""

    seconds: float
    unseen_apps: tuple[str, ...]
    """Apps with open tasks of which none has ended, so that their cost is a guess."""


def select_pace(connection: Connection, run: Run, *, until: datetime.datetime) -> Pace:
    """
    Return what the tries of a run took.

    Args:
        connection: Of ``engine.Database.read``.
        run: The run.
        until: Now, or when the run ended.
    """
    select_apps = _of_ours if run.is_ours else _of_parsls
    whole_s = max((until - run.began_at).total_seconds(), 0.001)
    if run.outcome is None and whole_s > RECENT_S:
        since = until - datetime.timedelta(seconds=RECENT_S)
        pace = Pace(select_apps(connection, run, since), RECENT_S)
        if sum(app.recent for app in pace.apps.values()) >= ENOUGH:
            return pace
    return Pace(select_apps(connection, run, run.began_at), whole_s)


def estimate_time_left(pace: Pace, open_tasks: Mapping[str, OpenTasks]) -> TimeLeft | None:
    """
    Estimate how long the open tasks will take.

    Each app's tasks are taken to cost what its finished ones cost on the mean, and the run to get
    as much done a second as it did lately; so it holds whether workers or dispatch set the pace.

    Returns:
        None while nothing can be said.
    """
    ended = sum(app.ended for app in pace.apps.values())
    if not ended:
        return None
    mean_s = sum(app.run_s for app in pace.apps.values()) / ended
    done_s = sum(
        app.recent * ((app.mean_run_s or mean_s) + OVERHEAD_S) for app in pace.apps.values()
    )
    under_way_s = sum(
        min(each.running_s, each.running * pace.recent_s) for each in open_tasks.values()
    )
    speed = (done_s + under_way_s) / pace.recent_s
    if speed <= 0:
        return None
    left_s = 0.0
    unseen = []
    for name, each in open_tasks.items():
        of_app = pace.apps.get(name)
        cost_s = of_app.mean_run_s if of_app else None
        if cost_s is None:
            unseen.append(name)
            # It takes at least as long as those that run have run already.
            cost_s = max(mean_s, each.running_s / each.running if each.running else 0.0)
        left_s += max(each.tasks * (cost_s + OVERHEAD_S) - each.running_s, 0.0)
    return TimeLeft(left_s / speed, tuple(sorted(unseen)))


def _of_ours(connection: Connection, run: Run, since: datetime.datetime) -> dict[str, AppPace]:
    bucket = otel_bucket.c
    # A stretch that has begun before counts whole, or a short run would have none.
    first_ns = ns_from_utc(since) - BUCKET_S * 1_000_000_000
    recent = case((bucket.bucket_ns > first_ns, bucket.ended), else_=0)
    query = (
        select(bucket.app, func.sum(bucket.ended), func.sum(bucket.run_s), func.sum(recent))
        .where(bucket.run_id == run.run_id)
        .group_by(bucket.app)
    )
    return {app: AppPace(*numbers) for app, *numbers in connection.execute(query)}


def _of_parsls(connection: Connection, run: Run, since: datetime.datetime) -> dict[str, AppPace]:
    began, returned = try_.c.task_try_time_running, try_.c.task_try_time_returned
    run_s = seconds_between(connection, began, returned)
    is_recent = returned >= local_from_utc(since, run.zone)
    query = (
        select(
            task.c.task_func_name,
            func.count(),
            func.sum(run_s),
            func.sum(case((is_recent, 1), else_=0)),
        )
        .join_from(
            try_, task, (task.c.task_id == try_.c.task_id) & (task.c.run_id == try_.c.run_id)
        )
        # The worker's clock may be ahead of the submit host's: then the two tell nothing.
        .where(try_.c.run_id == run.run_id, run_s >= 0)
        .group_by(task.c.task_func_name)
    )
    return {
        app: AppPace(ended, float(total_s), int(recent))
        for app, ended, total_s, recent in connection.execute(query)
    }


def seconds_between(
    connection: Connection, start: ColumnElement[Any], end: ColumnElement[Any]
) -> ColumnElement[Any]:
    """Return the seconds between two of Parsl's time columns; to the millisecond on SQLite."""
    if connection.dialect.name == "sqlite":
        return (func.julianday(end) - func.julianday(start)) * 86400.0
    return cast(func.extract("epoch", end - start) * 1000, Integer) / 1000.0
