"""A plot that cannot be drawn is said to be none, and the rest of its page stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.chromium import Tab
from tests.support.dashboard import Dashboard
from tests.support.recorded_databases import value

_WITH_A_FAULT = """
import sys
from otel_parsl.cli import main
from otel_parsl_dashboards.elements import run_times

def fails(*_arguments, **_more):
    raise ZeroDivisionError("a fault of ours")

setattr(run_times, sys.argv[1], fails)
main.main(sys.argv[2:])
"""


def _faulty(function: str, *command: str) -> list[str]:
    """Return how to run one of our commands with a fault in a plot of the Workflow page."""
    return [sys.executable, "-c", _WITH_A_FAULT, function, *command]


class _Faulty(Dashboard):
    """A server with a fault in one plot of the Workflow page."""

    def __init__(self, database: Path, log: Path, function: str) -> None:
        super().__init__(database, log)
        self._command = _faulty(function, "visualize", str(database))

    def look_for_faults(self) -> None:
        """Find the one fault that there is, and no other."""
        assert "ZeroDivisionError: a fault of ours" in self.printed
        assert set(re.findall(r"^\w*Error\b.*", self.printed, re.M)) == {
            "ZeroDivisionError: a fault of ours"
        }


@pytest.mark.parametrize("function", ["run_time_histogram", "summarise"])
def test_plot_that_fails_takes_no_other_with_it(
    function: str, demo_database: Path, tmp_path: Path, shown: Tab
) -> None:
    """Whether it cannot be drawn or not be told in words: the page says so in its place."""
    run_id = value(demo_database, "SELECT run_id FROM workflow")
    with _Faulty(demo_database, tmp_path / "log.txt", function) as dashboard:
        shown.open(dashboard.address)
        assert shown.open(f"{dashboard.root}/workflow/{run_id}/") == 200
        shown.page.locator("#f-summary-run-times", has_text="cannot be drawn").wait_for()
        for other in ("stream", "concurrency", "gantt"):
            shown.page.wait_for_selector(f"#plot-{other} canvas")
        assert shown.text("#states [data-state=total] b") == str(
            value(demo_database, "SELECT count(*) FROM task")
        )
        shown.page.goto("about:blank")
    assert shown.errors == []


def test_report_has_all_but_a_plot_that_fails(
    demo_database: Path, tmp_path: Path, shown: Tab
) -> None:
    """It is made, with every other plot, and says which one is not in it."""
    path = tmp_path / "report.html"
    command = _faulty("run_time_histogram", "report", "--db", str(demo_database), "-o", str(path))

    made = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

    assert "ZeroDivisionError: a fault of ours" in made.stderr
    shown.page.goto(path.as_uri())
    shown.page.wait_for_selector("#plot-stream canvas")
    assert "The plot Run time of tries cannot be drawn" in shown.text("main")
    assert shown.page.locator("#plot-run-times canvas, #plot-run-times .canvas").count() == 0
    assert shown.text("#states [data-state=total] b") == str(
        value(demo_database, "SELECT count(*) FROM task")
    )
    assert shown.errors == []
