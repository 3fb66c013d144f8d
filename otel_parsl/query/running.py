"""Which tries run now, and for how long."""

from __future__ import annotations

import datetime
from typing import NamedTuple

from sqlalchemy import Connection, DateTime, func, literal, select

from otel_parsl.query.pace import seconds_between
from otel_parsl.query.runs import Run
from otel_parsl.query.task_states import running_tries
from otel_parsl.query.times import local_from_utc, ns_from_utc
from otel_parsl.schema import otel_task, task, try_


class Running(NamedTuple):
    """The tries of one app that run now."""

    tries: int
    elapsed_s: float
    """For how long they have run, together."""


def select_running(
    connection: Connection, run: Run, *, now: datetime.datetime
) -> dict[str, Running]:
    """Return the tries that run now, by app."""
    if not run.is_ours:
        return _of_parsls(connection, run, now)
    running = running_tries(run).subquery()
    elapsed_ns = ns_from_utc(now) - running.c.running_ns
    query = (
        select(otel_task.c.app, func.count(), func.sum(elapsed_ns))
        .join_from(running, otel_task, otel_task.c.task_id == running.c.task_id)
        .where(otel_task.c.run_id == run.run_id)
        .group_by(otel_task.c.app)
    )
    return {
        app: Running(tries, float(total_ns) / 1e9)
        for app, tries, total_ns in connection.execute(query)
    }


def _of_parsls(connection: Connection, run: Run, now: datetime.datetime) -> dict[str, Running]:
    began = try_.c.task_try_time_running
    until = literal(local_from_utc(now, run.zone), DateTime)
    elapsed_s = seconds_between(connection, began, until)
    query = (
        select(task.c.task_func_name, func.count(), func.sum(elapsed_s))
        .join_from(
            try_, task, (task.c.task_id == try_.c.task_id) & (task.c.run_id == try_.c.run_id)
        )
        .where(
            try_.c.run_id == run.run_id,
            began.is_not(None),
            try_.c.task_try_time_returned.is_(None),
        )
        .group_by(task.c.task_func_name)
    )
    return {
        app: Running(tries, float(total_s)) for app, tries, total_s in connection.execute(query)
    }
