"""
Serve the pages of a run beside it, until the program that started this ends.

    python -m otel_parsl_dashboards.beside_run < DATABASE

The database is named on standard input, where no list of processes shows a password.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from otel_parsl.low_priority import lower_priority
from otel_parsl.query.errors import DatabaseUnusable
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.data.trace_url import TraceUrl, TraceUrlUnusable, chosen_trace_url
from otel_parsl_dashboards.program import chosen_token
from otel_parsl_dashboards.server.service import serve

_LOOK_S = 0.2
_NICE = 10
"""The run has the processors first."""


def main() -> None:
    """Wait until the run has its database, then serve."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    source = _wait_for(sys.stdin.readline().strip())
    serve(
        Library(source, _trace_url()),
        output=sys.stdout,
        token=chosen_token(),
        # Not before: a run that leaves no time would be over when its pages can be opened.
        started=lambda _address: lower_priority(_NICE),
    )


def _trace_url() -> TraceUrl | None:
    try:
        return chosen_trace_url()
    except TraceUrlUnusable as error:
        sys.stderr.write(f"{error}; the pages have no links to traces\n")
        return None


def _wait_for(database: str) -> Source:
    while True:
        try:
            source = Source(database)
            source.open()
        except DatabaseUnusable:
            # It is not there yet, or just being made; whoever waits too long reads the run's log.
            time.sleep(_LOOK_S)
        else:
            return source


def _end_with(parent: int) -> None:
    """End when the parent does: no pipe tells, which its other children may hold open."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
