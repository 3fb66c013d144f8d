"""``otel-parsl replay``: put OTLP JSON lines into a database."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from otel_parsl.cli.exit_codes import TROUBLE, UNUSABLE, WELL
from otel_parsl.cli.words import counted

if TYPE_CHECKING:
    from otel_parsl_collector.replay import Progress, Unreadable

_BAR = 30
_EVERY_S = 5.0
_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``replay`` takes."""
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        type=Path,
        help="OTLP JSON lines, plain or gzip, as a collector's file exporter writes them",
    )
    parser.add_argument(
        "--to",
        metavar="URL",
        required=True,
        help="the database, e.g. sqlite:///runinfo/monitoring.db; it is made if it is not there",
    )


def run(arguments: argparse.Namespace) -> int:
    """Replay the files and return the exit code."""
    from otel_parsl_collector.errors import CollectorError
    from otel_parsl_collector.replay import Replay

    try:
        replay = Replay(arguments.files, arguments.to)
        try:
            replay.run(_Bar().show)
        finally:
            replay.close()
    except CollectorError as error:
        sys.stderr.write(f"otel-parsl replay: {error}\n")
        return UNUSABLE
    progress = replay.progress
    print(
        f"{progress.requests} requests with {progress.items} spans, points and records"
        f" are in {_without_password(arguments.to)}"
    )
    _say_unreadable(replay.unreadable)
    return TROUBLE if replay.unreadable else WELL


class _Bar:
    """Progress on standard error: a bar on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._said_at = time.monotonic()

    def show(self, progress: Progress) -> None:
        """Show how far it has come."""
        share = progress.read_bytes / progress.total_bytes if progress.total_bytes else 1.0
        words = f"{share:4.0%}  {progress.items} items"
        if self._is_terminal:
            filled = int(share * _BAR)
            end = "\n" if share >= 1 else ""
            sys.stderr.write(f"\r[{'#' * filled}{'.' * (_BAR - filled)}] {words}{end}")
            sys.stderr.flush()
        elif time.monotonic() - self._said_at > _EVERY_S:
            self._said_at = time.monotonic()
            sys.stderr.write(f"{words}\n")


def _say_unreadable(unreadable: list[Unreadable]) -> None:
    for path, line, reason in unreadable[:_SHOWN]:
        sys.stderr.write(f"otel-parsl replay: {path}:{line}: {reason}\n")
    if unreadable:
        sys.stderr.write(
            f"otel-parsl replay: {counted(len(unreadable), 'line')} left out as no OTLP;"
            " a file's last line may be one that its collector had not finished\n"
        )


def _without_password(url: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True)
