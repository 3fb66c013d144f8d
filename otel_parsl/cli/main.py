"""
``otel-parsl``: the run in the terminal.

A command is a module of this package with two functions: ``add_arguments(parser)`` and
``run(arguments)``, which returns the exit code. It is added by a file and a line in ``COMMANDS``,
and is imported only when it is the one that was asked for.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from otel_parsl import __version__
from otel_parsl.cli.exit_codes import EPILOG, INTERRUPTED, UNUSABLE, USAGE
from otel_parsl.cli.explained import explained
from otel_parsl.errors import OTelParslError
from otel_parsl.query.errors import NoSuchRun


class Command(NamedTuple):
    """A verb of the command line."""

    name: str
    module: str
    """Where its two functions are."""
    help: str
    """One line."""


COMMANDS = (
    Command("status", "otel_parsl.cli.status", "how far a run is, and whether it is well"),
    Command("tasks", "otel_parsl.cli.tasks", "list a run's tasks, filtered and sorted"),
    Command("failures", "otel_parsl.cli.failures", "why tasks and blocks failed, by cause"),
    Command("show", "otel_parsl.cli.show", "all that is known of a run, or of one task"),
    Command("visualize", "otel_parsl.cli.visualize", "show the runs in a browser"),
    Command("report", "otel_parsl.cli.report", "write a run into one HTML file"),
    Command("demo", "otel_parsl.cli.demo", "run a small workflow, monitored, and look at it"),
    Command("collector", "otel_parsl.cli.collector", "run the stand-alone collector"),
    Command("replay", "otel_parsl.cli.replay", "put OTLP JSON lines into a database"),
    Command("flush", "otel_parsl.cli.flush", "deliver what earlier runs could not"),
    Command("doctor", "otel_parsl.cli.doctor", "check installation, endpoint and database"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Args:
        argv: The arguments; those of the process by default.

    Returns:
        The exit code, one of ``exit_codes``.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    parser = _parser(given)
    if not given:
        parser.print_help(sys.stderr)
        return USAGE
    arguments = parser.parse_args(given)
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read this has seen enough; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _run(arguments: argparse.Namespace) -> int:
    try:
        code: int = importlib.import_module(arguments.module).run(arguments)
    except NoSuchRun as error:
        sys.stderr.write(f"otel-parsl: {error}\n")
        return USAGE
    except OTelParslError as error:
        sys.stderr.write(f"otel-parsl: {explained(error, arguments)}\n")
        return UNUSABLE
    return code


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="otel-parsl",
        description="Look at Parsl runs that were monitored.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"otel-parsl {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        own = commands.add_parser(
            command.name,
            help=command.help,
            description=command.help[0].upper() + command.help[1:] + ".",
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        own.set_defaults(module=command.module)
        if command.name in given:
            importlib.import_module(command.module).add_arguments(own)
    return parser


if __name__ == "__main__":
    sys.exit(main())
