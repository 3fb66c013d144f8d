"""``otel-parsl demo``: run a small workflow, monitored, and show what was recorded."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

DIRECTORY = "otel-parsl-demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``demo`` takes."""
    parser.add_argument("--endpoint", metavar="URL", help="an OTLP destination more, e.g. Jaeger")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo and return the exit code."""
    from otel_parsl.cli.main import main
    from otel_parsl.demo.workflow import run as run_workflow

    directory = Path.cwd() / DIRECTORY
    print(f"Running a small Parsl workflow in {directory} (about half a minute) …")
    url = run_workflow(directory, output=sys.stdout, endpoint=arguments.endpoint)
    print()
    main(["status", "--db", url])
    print()
    main(["failures", "--db", url])
    print(f"\nThe run is recorded in {url}")
    print(
        f"""Look at it:
  cd {directory.name}
  otel-parsl status                 how it went
  otel-parsl failures               what failed, and why
  otel-parsl show latest/23         one task, whole
  otel-parsl tasks --state failed   a list of tasks
In your own program, replace MonitoringHub by OTelMonitoringHub."""
    )
    return 0
