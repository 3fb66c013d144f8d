"""``otel-parsl flush``: deliver what runs have left undelivered."""

from __future__ import annotations

import argparse
from pathlib import Path

from otel_parsl.cli.exit_codes import TROUBLE, WELL
from otel_parsl.embedded import start_agent
from otel_parsl.leftovers import find_leftovers


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
    """Deliver, and return 0 when nothing is left."""
    run_dir = arguments.run_dir.resolve()
    directories = find_leftovers(run_dir)
    if not directories:
        print(f"{run_dir}: nothing is left that an agent is not at work on")
        return WELL
    for directory in directories:
        print(f"{directory.parent.name}: delivering what is left in {directory}", flush=True)
    agents = [start_agent(directory) for directory in directories]
    for agent in agents:
        agent.wait()
    left = set(find_leftovers(run_dir)) & set(directories)
    for directory in directories:
        if directory in left:
            log = directory.parent / "database_manager.log"
            print(f"{directory.parent.name}: not all could be delivered; see {log}")
        else:
            print(f"{directory.parent.name}: delivered")
    return TROUBLE if left else WELL
