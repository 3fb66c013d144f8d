"""The arguments that name a run, and the run that they name."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from otel_parsl.query.engine import open_database
from otel_parsl.query.runs import LATEST, Run, find_runs

RUN_HELP = (
    "latest (the default), the number of its run directory (3 or 003), its workflow's name"
    " (the latest of that name), or the beginning of its id"
)


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add RUN, which may be left out."""
    parser.add_argument("run", nargs="?", default=LATEST, metavar="RUN", help=RUN_HELP)


def add_database(parser: argparse.ArgumentParser) -> None:
    """Add ``--db``."""
    parser.add_argument(
        "--db",
        metavar="URL",
        help="the database: a path, sqlite:///PATH or postgresql://HOST/NAME; by default"
        " runinfo/monitoring.db, else monitoring.db, in the current folder",
    )
    parser.set_defaults(another=f"{parser.prog} --db PATH")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")


def add_limit(parser: argparse.ArgumentParser, *, default: int, things: str) -> None:
    """Add ``--limit``; 0 stands for none."""
    parser.add_argument(
        "--limit",
        type=_limit,
        default=default,
        metavar="N",
        help=f"show at most N {things} (default {default}); 0 shows all",
    )


def _limit(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows; 0 shows all")
    return int(text)


@contextmanager
def opened_run(database_url: str | None, which: str) -> Iterator[tuple[Connection, Run]]:
    """
    Open the database and find the run, for as long as the reading takes.

    Raises:
        QueryError: There is no such database or run.
    """
    database = open_database(database_url)
    with database.read() as connection:
        yield connection, find_named(connection, which, has_otel=database.has_otel)


def find_named(connection: Connection, which: str, *, has_otel: bool) -> Run:
    """
    Return the run that a user means; standard error says so where it is the latest of several.

    Raises:
        NoSuchRun: Nothing fits, or several runs do.
    """
    run, *earlier = find_runs(connection, which, has_otel=has_otel)
    if earlier:
        sys.stderr.write(
            f"otel-parsl: {1 + len(earlier)} runs are named {which!r};"
            f" this is the latest, {run.number} ({run.run_id})\n"
        )
    return run
