"""``otel-parsl visualize``, and ``parsl-visualize``: show a database's runs in a browser."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from otel_parsl.cli.exit_codes import INTERRUPTED, UNUSABLE, WELL
from otel_parsl.cli.explained import explained
from otel_parsl.errors import OTelParslError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``visualize`` takes: all that Parsl's ``parsl-visualize`` does, and more."""
    parser.add_argument(
        "url",
        nargs="?",
        metavar="URL",
        help="the database: a path, sqlite:///PATH or postgresql://HOST/NAME; by default"
        " runinfo/monitoring.db, else monitoring.db, in the current folder",
    )
    parser.set_defaults(another=f"{parser.prog} PATH")
    parser.add_argument(
        "-l",
        "--listen",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="listen on this address (default 127.0.0.1); 0.0.0.0 for all",
    )
    parser.add_argument(
        "-e",
        action="store_const",
        const="0.0.0.0",  # what the option is for
        dest="listen",
        help="the same as --listen 0.0.0.0",
    )
    parser.add_argument(
        "-p",
        "--port",
        type=_port,
        metavar="N",
        help="listen on this port; by default 8080, or the next one that is free",
    )
    parser.add_argument(
        "--root-path",
        default="",
        metavar="PATH",
        help="what a proxy puts before every path, and may take away again, as /user/me/proxy/8080",
    )
    parser.add_argument(
        "--trace-url",
        metavar="TEMPLATE",
        help="where a task's trace is seen, as http://localhost:16686/trace/{trace_id}; {span_id}"
        " may stand in it too. By default what OTEL_PARSL_TRACE_URL says",
    )
    parser.add_argument("-d", "--debug", action="store_true", help="log what the server does")


def run(arguments: argparse.Namespace) -> int:
    """Serve the pages until Ctrl-C, and return the exit code."""
    from otel_parsl_dashboards.program import run as run_program

    run_program(arguments)
    return WELL


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``parsl-visualize``."""
    parser = argparse.ArgumentParser(
        prog="parsl-visualize",
        description="Show the runs of a monitoring database in a browser."
        " The same as: otel-parsl visualize",
    )
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    try:
        return run(arguments)
    except OTelParslError as error:
        sys.stderr.write(f"parsl-visualize: {explained(error, arguments)}\n")
        return UNUSABLE
    except KeyboardInterrupt:
        return INTERRUPTED


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; expected 1 to 65535")
    return int(text)
