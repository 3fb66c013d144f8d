"""Read what is known of a run's telemetry itself: what came, what was lost, what was sampled."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from otel_parsl import rendezvous
from otel_parsl.query.runs import Run
from otel_parsl.query.times import utc_from_ns
from otel_parsl.query.versions import is_there, select_known
from otel_parsl.schema import otel_pending, otel_pending_report, otel_received


class Received(NamedTuple):
    """What the store has taken from one source."""

    source: str
    """``submit``, ``worker`` or ``interchange``."""
    items: int
    repeated: int
    late: int
    last_at: datetime.datetime | None


class Pending(NamedTuple):
    """What the store cannot write whole yet."""

    tries: int
    """Begun by a worker; the submit side has said nothing of them."""
    reports: int
    """Of managers, of which a part has come."""


class Destination(NamedTuple):
    """What became of what was to be sent somewhere."""

    endpoint: str
    sent: int
    sampled_out: int
    refused: int
    dropped: int


class AgentSaid(NamedTuple):
    """What the run's agent said last, in a file of the run's directory."""

    refused: int
    """Items that no row can hold."""
    damaged_bytes: int
    """Of the spool, that were no telemetry."""
    destinations: tuple[Destination, ...]


def select_received(connection: Connection, run: Run) -> list[Received] | None:
    """Return what was taken from each source; None where the database does not count it."""
    if not run.is_ours or not is_there(connection, otel_received):
        return None
    table = otel_received.c
    query = (
        select_known(connection, otel_received)
        .where(table.run_id == run.run_id)
        .order_by(table.source)
    )
    return [
        Received(row.source, row.items, row.repeated, row.late, utc_from_ns(row.last_ns))
        for row in connection.execute(query)
    ]


def count_pending(connection: Connection, run: Run) -> Pending | None:
    """Return how much waits for what else has to be known of it; None if Parsl's hub wrote it."""
    if not run.is_ours:
        return None
    counts = [
        connection.execute(
            select(func.count()).select_from(table).where(table.c.run_id == run.run_id)
        ).scalar_one()
        if is_there(connection, table)
        else 0
        for table in (otel_pending, otel_pending_report)
    ]
    return Pending(*counts)


def read_agent(run: Run) -> AgentSaid | None:
    """Return what the agent said last; None where its file cannot be read from here."""
    said = _read(run, rendezvous.STATUS)
    if said is None:
        return None
    try:
        return AgentSaid(
            refused=int(said["store_refused"]),
            damaged_bytes=int(said["damaged_bytes"]),
            destinations=tuple(
                Destination(
                    endpoint=str(each["endpoint"]),
                    sent=int(each["sent"]),
                    sampled_out=int(each["sampled_out"]),
                    refused=int(each["refused"]),
                    dropped=int(each["dropped"]),
                )
                for each in said["destinations"]
            ),
        )
    except (KeyError, TypeError, ValueError):  # of another version
        return None


def read_trace_share(run: Run) -> float | None:
    """Return the share of tasks whose spans are sent on; None where it cannot be read from here."""
    said = _read(run, rendezvous.SETTINGS)
    share = None if said is None else said.get("sampled_share")
    return float(share) if isinstance(share, (int, float)) else None


def _read(run: Run, name: str) -> Any:
    if not run.is_ours:
        return None
    try:
        return rendezvous.read(Path(run.rundir) / "otel-parsl", name)
    except (OSError, ValueError):
        return None
