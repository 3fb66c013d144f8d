"""``otel-parsl demo``: run a small workflow, monitored, and show what was recorded."""

from __future__ import annotations

import argparse
import os
import queue
import shlex
import shutil
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from otel_parsl.cli.exit_codes import TROUBLE, UNUSABLE, WELL
from otel_parsl.submit.dashboard_process import DashboardProcess

DIRECTORY = "otel-parsl-demo"
_NAME = "otel-parsl"
_START_S = 120.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``demo`` takes."""
    parser.add_argument("--endpoint", metavar="URL", help="an OTLP destination more, e.g. Jaeger")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo and return the exit code."""
    directory = Path.cwd() / DIRECTORY
    log = directory / "dashboard.log"
    try:
        directory.mkdir(exist_ok=True)
        log.touch()
    except OSError as error:
        sys.stderr.write(
            f"otel-parsl demo: {error.filename} cannot be made: {error.strerror}."
            " Go to a folder that you may write to and that has nothing else of this name\n"
        )
        return UNUSABLE
    path = own_path()
    database = directory / "runinfo" / "monitoring.db"
    print(f"Running a small Parsl workflow in {directory} (about half a minute) …")
    addresses: queue.SimpleQueue[str] = queue.SimpleQueue()

    def say(lines: Sequence[str]) -> None:
        if not lines:
            addresses.put("")
            return
        print("\nSee it in a browser while it runs:\n  " + "\n  ".join(lines), flush=True)
        addresses.put(lines[0].split()[-1])

    dashboard = DashboardProcess(f"sqlite:///{database}", log, say)
    try:
        _run_workflow(directory, arguments.endpoint)
        print(hints(path))
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


def own_path() -> Path | None:
    """Return the path of this program, or None where its name is enough to call it."""
    own, named = Path(sys.argv[0]).absolute(), shutil.which(_NAME)
    if own.name != _NAME or (named is not None and os.path.samefile(named, own)):
        return None
    return own


def hints(path: Path | None) -> str:
    """
    Return what a user can do next.

    Args:
        path: What ``own_path`` gave before the workflow changed folder and PATH.
    """
    commands = {
        "visualize": "pages in a browser",
        "status": "how it went",
        "failures": "what failed, and why",
        "show latest/23": "one task, whole",
        "tasks --state failed": "a list of tasks",
    }
    program = _NAME if path is None else shlex.quote(str(path))
    width = max(map(len, commands))
    lines = ["Look at it:", f"  cd {DIRECTORY}"]
    lines += [f"  {program} {command:<{width}}   {what}" for command, what in commands.items()]
    if path is not None:
        folder = shlex.quote(str(path.parent))
        lines.append(f"To call it {_NAME}, as above: export PATH={folder}:$PATH")
    lines.append("In your own program, replace MonitoringHub by OTelMonitoringHub.")
    return "\n".join(lines)


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
