"""``otel-parsl report``: find the run, make its report, and put it in its place."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from otel_parsl.cli.run_arguments import find_named
from otel_parsl.errors import OTelParslError
from otel_parsl_dashboards.data.source import Source


class OutputUnusable(OTelParslError):
    """The report cannot be written where it was to go; the message says why."""


def write_report(database_url: str | None, which: str, output: Path | None) -> Path:
    """
    Write the report of a run and return where it is.

    Args:
        database_url: The database, as the user named it; None for the one in this folder.
        which: The run, as ``query.runs.find_runs`` understands it.
        output: The file; None for ``report-NUMBER.html``.

    Raises:
        QueryError: There is no such database or run.
        OutputUnusable: The file cannot be written.
    """
    source = Source(database_url)
    database, _ = source.open()
    with database.read() as connection:
        run = find_named(connection, which, has_otel=database.has_otel)
    path = output or Path(f"report-{run.number}.html")
    with _replaced(path) as file:
        # Seconds go by until these are imported, and what is wrong has been said by then.
        from otel_parsl_dashboards.data.whole import read_whole
        from otel_parsl_dashboards.report.making import make_report

        file.write(make_report(read_whole(source, run.run_id), source))
    return path


@contextmanager
def _replaced(path: Path) -> Iterator[IO[str]]:
    """Give a new file that takes the place of what is there once all of it is written."""
    if path.exists() and not path.is_file():
        raise OutputUnusable(f"report {path}: is no file; name one with -o, as report.html")
    try:
        file = tempfile.NamedTemporaryFile(  # noqa: SIM115 - it outlives this block
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}-", delete=False
        )
    except OSError as error:
        raise _unusable(path, error) from error
    new = Path(file.name)
    try:
        try:
            with file:
                yield file
            new.chmod(0o666 & ~_umask())
            new.replace(path)
        except OSError as error:
            raise _unusable(path, error) from error
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _unusable(path: Path, error: OSError) -> OutputUnusable:
    return OutputUnusable(
        f"report {path}: cannot be written: {error.strerror or error}."
        " Name a file in a folder that you may write to, with -o"
    )


def _umask() -> int:
    """Return what new files are not to allow; temporary ones are for their owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
