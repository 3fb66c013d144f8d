"""
Tell whether a run goes on, has ended, or has died without a word.

A run that ends says so; one whose submit process is killed is closed by its agent within a minute.
Where the agent died too, at the end of a batch job, its heartbeat stops; a run that Parsl's own hub
records has none, and only its silence tells.
"""

from __future__ import annotations

import datetime
import enum
import socket
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from otel_parsl import rendezvous
from otel_parsl.query.runs import Run
from otel_parsl.query.times import utc_from_local, utc_from_ns
from otel_parsl.schema import block, node, otel_manager, resource, status
from otel_parsl.submit_process import HEARTBEAT_LATE_S, is_alive

SILENT_S = 600.0
"""The same for one without a heartbeat, of which nothing else was heard either."""


class RunState(str, enum.Enum):
    """How a run stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    """It was cleaned up."""
    UNFINISHED = "unfinished"
    """It ended with tasks open, or without being cleaned up."""
    LOST = "lost"
    """What ran it died, or nothing is heard of it any more."""

    def __str__(self) -> str:
        return self.value


class Liveness(NamedTuple):
    """How a run stands, and how that is known."""

    state: RunState
    because: str
    last_sign_at: datetime.datetime | None


def select_liveness(connection: Connection, run: Run, *, now: datetime.datetime) -> Liveness:
    """
    Return how a run stands, as it is before its tasks are counted: see ``with_open_tasks``.

    Args:
        connection: Of ``engine.Database.read``.
        run: The run.
        now: The time it is, aware.
    """
    if run.outcome is not None:
        return _of_ended(run)
    process = submit_process(run)
    last = _latest(run.last_event_at, run.heartbeat_at, *_quick_signs(connection, run))
    if process is None and (last is None or _age_s(last, now) > HEARTBEAT_LATE_S):
        last = _latest(last, *_slow_signs(connection, run))
    return judge(run, process=process, last_sign_at=last, now=now)


def with_outcome(connection: Connection, run: Run, *, now: datetime.datetime) -> Run:
    """Return a run as lost where nobody could say so: what it left open runs no more."""
    return as_found(run, select_liveness(connection, run, now=now))


def as_found(run: Run, found: Liveness) -> Run:
    """Return a run that has not said how it ended as lost, where that was found."""
    if run.outcome is not None or found.state is not RunState.LOST:
        return run
    return run._replace(outcome=RunState.LOST.value)


def with_open_tasks(found: Liveness, open_tasks: int) -> Liveness:
    """Return a run that was cleaned up as unfinished, where tasks of it had not ended."""
    if found.state is not RunState.COMPLETED or not open_tasks:
        return found
    because = f"it was cleaned up while {open_tasks} of its tasks were open"
    return found._replace(state=RunState.UNFINISHED, because=because)


def judge(
    run: Run,
    *,
    process: bool | None,
    last_sign_at: datetime.datetime | None,
    now: datetime.datetime,
) -> Liveness:
    """
    Tell how a run stands that has not said that it ended.

    Args:
        run: The run.
        process: Whether its submit process lives; None where that cannot be seen from here.
        last_sign_at: When anything was heard of it.
        now: The time it is.
    """
    if process is True:
        return Liveness(RunState.RUNNING, f"its process on {run.host} is there", last_sign_at)
    if process is False:
        return Liveness(RunState.LOST, f"its process on {run.host} is gone", last_sign_at)
    silence_s = _age_s(last_sign_at or run.began_at, now)
    if silence_s <= (SILENT_S if run.heartbeat_at is None else HEARTBEAT_LATE_S):
        return Liveness(RunState.RUNNING, "it was heard of lately", last_sign_at)
    what = "nothing was heard of it" if run.heartbeat_at is None else "it gave no sign of life"
    because = f"{what} for {int(silence_s // 60)} minutes, and its process is out of sight"
    return Liveness(RunState.LOST, because, last_sign_at)


def submit_process(run: Run) -> bool | None:
    """Tell whether a run's submit process lives; None where that cannot be seen from here."""
    if run.host != socket.gethostname():
        return None
    try:
        settings = rendezvous.read(Path(run.rundir) / "otel-parsl", rendezvous.SETTINGS)
    except (OSError, ValueError):
        return None
    if settings is None:
        return None
    return is_alive(settings)


def _of_ended(run: Run) -> Liveness:
    state = RunState(run.outcome) if run.outcome in set(RunState) else RunState.LOST
    because = {
        RunState.COMPLETED: "it was cleaned up",
        RunState.UNFINISHED: "its process ended without cleaning up",
        RunState.LOST: "its process died",
    }.get(state, "")
    return Liveness(state, because, run.last_event_at or run.completed_at)


def _quick_signs(connection: Connection, run: Run) -> list[datetime.datetime | None]:
    if not run.is_ours:
        return []
    query = select(func.max(otel_manager.c.last_seen_ns)).where(otel_manager.c.run_id == run.run_id)
    return [utc_from_ns(connection.execute(query).scalar())]


def _slow_signs(connection: Connection, run: Run) -> list[datetime.datetime | None]:
    """Look at every report; a run that is heard of lately does not come to this."""
    tables = (resource,) if run.is_ours else (resource, status, node, block)
    return [
        utc_from_local(
            connection.execute(
                select(func.max(table.c.timestamp)).where(table.c.run_id == run.run_id)
            ).scalar(),
            run.zone,
        )
        for table in tables
    ]


def _latest(*times: datetime.datetime | None) -> datetime.datetime | None:
    return max((time for time in times if time is not None), default=None)


def _age_s(time: datetime.datetime, now: datetime.datetime) -> float:
    return (now - time).total_seconds()
