"""Read all of a run at once, for what does not follow it: a report, a notebook."""

from __future__ import annotations

from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.data.resident import Resident
from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.data.source import Source


def read_whole(source: Source, run_id: str) -> Snapshot:
    """
    Return a run as it is now, all of it read.

    Raises:
        NoSuchRun: There is no such run.
        DatabaseUnusable: The database cannot be read.
    """
    resident = Resident(source, run_id)
    try:
        snapshot = resident.wait(tuple(frames.FRAMES), None)
    finally:
        resident.close()
    if resident.error is not None:
        raise resident.error
    return snapshot
