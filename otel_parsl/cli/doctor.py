"""``otel-parsl doctor``: check the installation, an endpoint and a database."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from otel_parsl.cli import words
from otel_parsl.cli.as_json import print_json
from otel_parsl.cli.exit_codes import TROUBLE, WELL
from otel_parsl.cli.finding import Finding, Verdict
from otel_parsl.cli.paint import paint
from otel_parsl.cli.run_arguments import add_database, add_json

_COLOURS = {
    Verdict.OK: "green",
    Verdict.NOTE: "dim",
    Verdict.WARNING: "yellow",
    Verdict.BAD: "red",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--endpoint",
        metavar="URL",
        help="an OTLP endpoint to try; by default what OTEL_EXPORTER_OTLP_ENDPOINT names",
    )
    parser.add_argument(
        "--fix", action="store_true", help="make parsl-visualize ours where it is Parsl's"
    )
    add_database(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what was found, each with what to do about it."""
    if arguments.fix:
        _fix(Path(sys.executable).parent)
    findings = examine(arguments.endpoint, arguments.db)
    if arguments.json:
        print_json({"findings": findings})
    else:
        print("\n".join(line for finding in findings for line in _lines(finding)))
    return TROUBLE if any(finding.verdict is Verdict.BAD for finding in findings) else WELL


def _fix(beside: Path) -> None:
    """Make ``parsl-visualize`` ours, unless the name is somebody else's; say what was done."""
    from otel_parsl.cli.installation_check import check_visualize
    from otel_parsl.cli.own_script import NAME, make_ours

    path = beside / NAME
    found = check_visualize(str(path), beside=beside) if path.exists() else None
    if found is None or found.verdict is Verdict.NOTE:
        found = make_ours(beside, was=None if found is None else "Parsl's")
    sys.stderr.write("\n".join(_lines(found)) + "\n")


def examine(endpoint: str | None, database_url: str | None) -> list[Finding]:
    """Return all findings."""
    from otel_parsl.cli.database_check import check_database
    from otel_parsl.cli.endpoint_check import check_endpoints
    from otel_parsl.cli.installation_check import check_installation

    return [
        *check_installation(),
        *check_endpoints(endpoint),
        *check_database(database_url),
    ]


def _lines(finding: Finding) -> list[str]:
    verdict = paint(f"{finding.verdict.value:<8}", _COLOURS[finding.verdict])
    first, *rest = words.visible_lines(finding.found) or [""]
    lines = [f"{verdict}{finding.subject}: {first}", *(f"{'':<8}{line}" for line in rest)]
    if finding.advice:
        lines.append(f"{'':<8}{paint('do:', 'bold')} {words.visible(finding.advice)}")
    return lines
