"""``otel-parsl flush``: deliver what runs have left undelivered."""

from __future__ import annotations

import argparse
from pathlib import Path

from otel_parsl import rendezvous
from otel_parsl.cli.exit_codes import AT_WORK, TROUBLE, WELL
from otel_parsl.leftovers import undelivered
from otel_parsl.submit.embedded import start_agent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``flush`` takes."""
    parser.add_argument(
        "run_dir",
        nargs="?",
        default="runinfo",
        type=Path,
        help="the directory of all runs (default: runinfo)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Deliver, and return 0 when nothing is left, 4 when an agent is at work on all that is."""
    run_dir = arguments.run_dir.resolve()
    directories, served = undelivered(run_dir)
    for directory in served:
        print(f"{directory.parent.name}: an agent is at work on what is left in {directory}")
    if not directories and not served:
        print(f"{run_dir}: nothing is left")
    for directory in directories:
        print(f"{directory.parent.name}: delivering what is left in {directory}", flush=True)
        start_agent(directory).wait()
        _say_dropped(directory)
    after = undelivered(run_dir)
    left = set(after.abandoned) & set(directories)
    taken_over = set(after.served) & set(directories)
    for directory in directories:
        if directory in left:
            log = directory.parent / rendezvous.LOG
            print(f"{directory.parent.name}: not all could be delivered; see {log}")
        elif directory in taken_over:
            print(f"{directory.parent.name}: another agent is at work on it")
        else:
            print(f"{directory.parent.name}: delivered")
    if left:
        return TROUBLE
    return AT_WORK if served or taken_over else WELL


def _say_dropped(directory: Path) -> None:
    status = rendezvous.read(directory, rendezvous.STATUS) or {}
    for destination in status.get("destinations", ()):
        if destination.get("dropped"):
            print(
                f"{directory.parent.name}: {destination['dropped']} items are dropped for"
                f" {destination['endpoint']}: they were too old, or the spool was full"
            )
