"""A run as data frames, to be looked at in a notebook with the plots of the pages."""

from __future__ import annotations

from otel_parsl.cli.run_arguments import find_named
from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.data.whole import read_whole


def read_run(run: str = "latest", database: str | None = None) -> Snapshot:
    """
    Return a run as it is now: ``tasks``, ``tries`` and its other frames, all of it read.

    Args:
        run: As ``otel-parsl show`` takes it: ``latest``, the number of its run directory, its
            workflow's name, or the beginning of its id.
        database: A path or SQLAlchemy's URL; by default ``runinfo/monitoring.db``, else
            ``monitoring.db``, in the current folder.

    Raises:
        NoSuchRun: There is no such run.
        DatabaseUnusable: There is no such database, or it cannot be read.
    """
    source = Source(database)
    opened, _ = source.open()
    with opened.read() as connection:
        found = find_named(connection, run, has_otel=opened.has_otel)
    return read_whole(source, found.run_id)
