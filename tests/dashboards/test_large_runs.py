"""What a page of a large run shows while its numbers are worked out."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.chromium import Tab
from tests.support.dashboard import Dashboard
from tests.support.recorded_databases import value

_WITH_A_LARGE_RUN = """
import sys, time
from pathlib import Path
from otel_parsl.cli import main
from otel_parsl_dashboards.pages import opening, resources

opening.LARGE = 1
cards = resources._cards

def cards_of_a_large_run(view):
    while not Path(sys.argv[2]).exists():
        time.sleep(0.01)
    return cards(view)

resources._cards = cards_of_a_large_run
main.main(["visualize", sys.argv[1]])
"""


class _Held(Dashboard):
    """A server whose page of resources waits for a file as it would for sums over a million."""

    def __init__(self, database: Path, log: Path, until: Path) -> None:
        super().__init__(database, log)
        self._command = [sys.executable, "-c", _WITH_A_LARGE_RUN, str(database), str(until)]


def test_page_of_a_large_run_is_shown_before_its_numbers(
    demo_database: Path, tmp_path: Path, shown: Tab
) -> None:
    """Its header comes at once, other pages are served meanwhile, and the numbers by themselves."""
    run_id = value(demo_database, "SELECT run_id FROM workflow")
    tasks = value(demo_database, "SELECT count(*) FROM task")
    until = tmp_path / "worked-out"
    with _Held(demo_database, tmp_path / "log.txt", until) as dashboard:
        shown.open(dashboard.address)
        assert shown.open(f"{dashboard.root}/workflow/{run_id}/resource_usage") == 200
        assert f"are being worked out, of all {tasks} tasks" in shown.text("main .notice")
        assert shown.text("#f-header .pill") == "completed"
        assert shown.open(f"{dashboard.root}/workflow/{run_id}/health") == 200
        shown.wait_drawn()

        shown.open(f"{dashboard.root}/workflow/{run_id}/resource_usage")
        until.touch()
        shown.page.wait_for_selector("#f-cards .card")
        shown.wait_drawn()
        assert "being drawn" not in shown.text("main")
        shown.page.goto("about:blank")
    assert shown.errors == []
