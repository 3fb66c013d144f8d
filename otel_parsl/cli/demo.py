"""``otel-parsl demo``: run a small workflow, monitored, and show what was recorded."""

from __future__ import annotations

import argparse
import os
import queue
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from otel_parsl.cli.exit_codes import TROUBLE, WELL
from otel_parsl.submit.dashboard_process import DashboardProcess

DIRECTORY = "otel-parsl-demo"
_START_S = 120.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``demo`` takes."""
    parser.add_argument("--endpoint", metavar="URL", help="an OTLP destination more, e.g. Jaeger")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo and return the exit code."""
    directory = Path.cwd() / DIRECTORY
    directory.mkdir(parents=True, exist_ok=True)
    database = directory / "runinfo" / "monitoring.db"
    print(f"Running a small Parsl workflow in {directory} (about half a minute) …")
    addresses: queue.SimpleQueue[str] = queue.SimpleQueue()

    def say(lines: Sequence[str]) -> None:
        if not lines:
            addresses.put("")
            return
        print("\nSee it in a browser while it runs:\n  " + "\n  ".join(lines), flush=True)
        addresses.put(lines[0].split()[-1])

    log = directory / "dashboard.log"
    dashboard = DashboardProcess(f"sqlite:///{database}", log, say)
    try:
        _run_workflow(directory, arguments.endpoint)
        if sys.stdout.isatty() and not os.environ.get("CI"):
            print("\nThe pages are there until you press Ctrl-C.")
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
            return WELL
        return _check_pages(addresses, log)
    finally:
        dashboard.close()


def _run_workflow(directory: Path, endpoint: str | None) -> None:
    from otel_parsl.cli.main import main
    from otel_parsl.demo.workflow import run as run_workflow

    url = run_workflow(directory, output=sys.stdout, endpoint=endpoint)
    print()
    main(["status", "--db", url])
    print()
    main(["failures", "--db", url])
    print(f"\nThe run is recorded in {url}")
    print(
        f"""Look at it:
  cd {directory.name}
  otel-parsl visualize              pages in a browser
  otel-parsl status                 how it went
  otel-parsl failures               what failed, and why
  otel-parsl show latest/23         one task, whole
  otel-parsl tasks --state failed   a list of tasks
In your own program, replace MonitoringHub by OTelMonitoringHub."""
    )


def _check_pages(addresses: queue.SimpleQueue[str], log: Path) -> int:
    """Load every kind of page once, for whoever has no browser."""
    from otel_parsl.cli.page_check import PageMissing, load_pages

    try:
        address = addresses.get(timeout=_START_S)
    except queue.Empty:
        address = ""
    if not address:
        sys.stderr.write(f"otel-parsl: the dashboard did not start; see {log}\n")
        return TROUBLE
    try:
        loaded = load_pages(address)
    except PageMissing as error:
        sys.stderr.write(f"otel-parsl: {error}\n")
        return TROUBLE
    print(f"\ndashboard ok: {loaded} pages loaded")
    return WELL
