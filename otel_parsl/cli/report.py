"""``otel-parsl report``: a run in one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path

from otel_parsl.cli import words
from otel_parsl.cli.exit_codes import WELL
from otel_parsl.cli.run_arguments import add_database, add_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_run(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write this file, in the place of one that is there; by default report-NUMBER.html in"
        " the current folder, with the number of the run directory",
    )
    add_database(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the report and say where it is."""
    from otel_parsl_dashboards.report.program import write_report

    written = write_report(arguments.db, arguments.run, arguments.output)
    size = written.stat().st_size
    print(f"{written}  {words.size(size)}")
    return WELL
