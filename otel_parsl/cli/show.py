"""``otel-parsl show``: all that is known of a run, or of one task."""

from __future__ import annotations

import argparse

from otel_parsl.cli.run_arguments import RUN_HELP, add_database, add_json
from otel_parsl.query.runs import LATEST


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "what",
        nargs="?",
        default=LATEST,
        metavar="RUN[/TASK]",
        help=f"RUN: {RUN_HELP}. TASK: the number of a task, as in latest/17",
    )
    add_database(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what is known of a run or a task."""
    which, slash, task_id = arguments.what.rpartition("/")
    if slash and task_id.isdecimal():
        from otel_parsl.cli.show_task import show_task

        return show_task(arguments.db, which, int(task_id), as_json=arguments.json)
    from otel_parsl.cli.show_run import show_run

    return show_run(arguments.db, arguments.what, as_json=arguments.json)
