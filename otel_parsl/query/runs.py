"""Find the run that a user means."""

from __future__ import annotations

import datetime
from pathlib import PurePath
from typing import Any, NamedTuple

from sqlalchemy import Connection, null, select

from otel_parsl.query.errors import NoSuchRun
from otel_parsl.query.times import utc_from_local, utc_from_ns, zone_of_this_host
from otel_parsl.query.versions import known
from otel_parsl.schema import otel_run, workflow

LATEST = "latest"
_SHOWN = 10


class Run(NamedTuple):
    """One run of a workflow."""

    run_id: str
    name: str | None
    version: str | None
    rundir: str
    host: str
    user: str
    began_at: datetime.datetime
    completed_at: datetime.datetime | None
    outcome: str | None
    """``completed``, ``lost`` or ``unfinished`` once it is known, else None."""
    zone: str
    """The submit host's; this host's where the database does not say."""
    parsl_version: str | None
    last_event_at: datetime.datetime | None
    """The latest event of ours."""
    heartbeat_at: datetime.datetime | None
    """When its agent last said that it is there; None where nothing writes that."""
    lag_s: float | None
    """How far the database was behind the run then, at most; None where nothing writes that."""
    is_ours: bool
    """Whether our tables have its facts; Parsl's own hub writes Parsl's alone."""

    @property
    def number(self) -> str:
        """The name of its run directory, as ``000``."""
        return PurePath(self.rundir).name


def select_runs(connection: Connection, *, has_otel: bool) -> list[Run]:
    """
    Return all runs, the latest first.

    Args:
        connection: Of ``engine.Database.read``.
        has_otel: ``engine.Database.has_otel``.
    """
    wanted = [
        column for column in workflow.c if not column.name.startswith(("tasks_", "time_completed"))
    ]
    query = select(*wanted, workflow.c.time_completed)
    if has_otel:
        ours = otel_run.c
        query = query.add_columns(
            ours.run_id.label("otel_id"),
            ours.began_ns,
            ours.ended_ns,
            ours.outcome,
            ours.last_event_ns,
            ours.time_zone,
            ours.parsl_version,
            known(connection, ours.heartbeat_ns),
            known(connection, ours.lag_ns),
        ).outerjoin(otel_run, ours.run_id == workflow.c.run_id)
    else:
        query = query.add_columns(null().label("otel_id"))
    rows = connection.execute(query)
    return sorted(map(_run, rows), key=lambda run: run.began_at, reverse=True)


def find_run(connection: Connection, which: str = LATEST, *, has_otel: bool) -> Run:
    """
    Return the run that a user means: the first of ``find_runs``.

    Raises:
        NoSuchRun: Nothing fits, or several runs do.
    """
    return find_runs(connection, which, has_otel=has_otel)[0]


def find_runs(connection: Connection, which: str = LATEST, *, has_otel: bool) -> list[Run]:
    """
    Return the run that a user means, before the earlier ones of its workflow if that was named.

    The first of these that anything fits: ``latest``, a whole id, the number of a run directory
    (``3`` or ``003``), a workflow's name, the beginning of an id.

    Raises:
        NoSuchRun: Nothing fits, or several runs of which none is more likely.
    """
    runs = select_runs(connection, has_otel=has_otel)
    if not runs:
        raise NoSuchRun("no run is in the database yet. If one has only just begun, try again")
    if which in (LATEST, ""):
        return runs[:1]
    for fits in (_has_id, _has_number, _has_name, _has_beginning):
        found = [run for run in runs if fits(run, which)]
        if len(found) == 1 or (found and fits is _has_name):
            return found
        if found:
            raise NoSuchRun(
                f"run {which!r} may be any of {len(found)}. Give the beginning of an id:\n"
                + _listed(found)
            )
    raise NoSuchRun(f"no run {which!r}. There are:\n{_listed(runs)}")


def _has_id(run: Run, which: str) -> bool:
    return run.run_id == which


def _has_number(run: Run, which: str) -> bool:
    number = run.number
    return which.isdecimal() and number.isdecimal() and int(number) == int(which)


def _has_name(run: Run, which: str) -> bool:
    return run.name == which


def _has_beginning(run: Run, which: str) -> bool:
    return run.run_id.startswith(which.lower())


def _listed(runs: list[Run]) -> str:
    lines = [
        f"  {run.run_id}  {run.number}  {run.began_at:%Y-%m-%d %H:%M:%S} UTC  {run.name}"
        for run in runs[:_SHOWN]
    ]
    if len(runs) > _SHOWN:
        lines.append(f"  and {len(runs) - _SHOWN} older ones")
    return "\n".join(lines)


def _run(row: Any) -> Run:
    is_ours = row.otel_id is not None
    zone = (row.time_zone if is_ours else None) or zone_of_this_host()
    began_at = utc_from_ns(row.began_ns) if is_ours else None
    completed_at = utc_from_local(row.time_completed, zone)
    outcome = row.outcome if is_ours else None
    if outcome is None and completed_at is not None:
        outcome = "completed"
    return Run(
        run_id=row.run_id,
        name=row.workflow_name,
        version=row.workflow_version,
        rundir=row.rundir,
        host=row.host,
        user=row.user,
        began_at=began_at or _never_null(utc_from_local(row.time_began, zone)),
        completed_at=(utc_from_ns(row.ended_ns) if is_ours else None) or completed_at,
        outcome=outcome,
        zone=zone,
        parsl_version=row.parsl_version if is_ours else None,
        last_event_at=utc_from_ns(row.last_event_ns) if is_ours else None,
        heartbeat_at=utc_from_ns(row.heartbeat_ns) if is_ours else None,
        lag_s=row.lag_ns / 1e9 if is_ours and row.lag_ns is not None else None,
        is_ours=is_ours,
    )


def _never_null(time: datetime.datetime | None) -> datetime.datetime:
    """Return a time that the table's definition says is never NULL."""
    return time or datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
