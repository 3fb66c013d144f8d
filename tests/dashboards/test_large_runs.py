"""What a page of a large run shows while it is read and its numbers are worked out."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.chromium import Tab
from tests.support.dashboard import ScriptedDashboard
from tests.support.parsl_generations import GENERATIONS
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

_READ_SLOWLY = """
import sys, time
from pathlib import Path
from otel_parsl.cli import main
from otel_parsl_dashboards.data import loading

loading._LONG = 1
statuses = loading._StageReader.statuses

def read_slowly(reader, marks):
    while not Path(sys.argv[2]).exists():
        reader._progress(1)
        time.sleep(0.01)
    return statuses(reader, marks)

loading._StageReader.statuses = read_slowly
main.main(["visualize", sys.argv[1]])
"""

_COUNTED_SLOWLY = """
import sys, time
from pathlib import Path
from otel_parsl.cli import main
from otel_parsl_dashboards.data import counting

select = counting.select_recorded_counts

def select_slowly(connection, run_ids):
    while not Path(sys.argv[2]).exists():
        time.sleep(0.01)
    return select(connection, run_ids)

counting.select_recorded_counts = select_slowly
main.main(["visualize", sys.argv[1]])
"""

_ROWS_READ = """
Number(document.querySelector("#f-notices").innerText.match(/reading states: ([0-9,]+) rows/)?.[1]
    .replaceAll(",", "") ?? 0)
"""


def test_page_of_a_large_run_is_shown_before_its_numbers(
    demo_database: Path, tmp_path: Path, shown: Tab
) -> None:
    """Its header comes at once, other pages are served meanwhile, and the numbers by themselves."""
    run_id = value(demo_database, "SELECT run_id FROM workflow")
    tasks = value(demo_database, "SELECT count(*) FROM task")
    until = tmp_path / "worked-out"
    with ScriptedDashboard(
        _WITH_A_LARGE_RUN, demo_database, tmp_path / "log.txt", until
    ) as dashboard:
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


def test_how_much_is_read_goes_on_under_the_readers_eyes(
    demo_database: Path, tmp_path: Path, shown: Tab
) -> None:
    """Rows are counted up while the stream is drawn already; in the end nothing is said of it."""
    run_id = value(demo_database, "SELECT run_id FROM workflow")
    until = tmp_path / "read"
    with ScriptedDashboard(_READ_SLOWLY, demo_database, tmp_path / "log.txt", until) as dashboard:
        shown.open(dashboard.address)
        assert shown.open(f"{dashboard.root}/workflow/{run_id}/") == 200
        shown.page.wait_for_function(
            "document.querySelector('#f-summary-stream').innerText.includes('tries on')"
        )
        seen = 0
        for _ in range(3):
            shown.page.wait_for_function(f"{_ROWS_READ.strip()} > {seen}")
            seen = shown.page.evaluate(_ROWS_READ)
        assert "This is being read." in shown.text("main"), "the chart of states"
        until.touch()
        shown.page.wait_for_function("document.querySelector('#f-notices').innerText === ''")
        shown.wait_drawn()
        assert "being read" not in shown.text("main")
        shown.page.goto("about:blank")
    assert shown.errors == []


@pytest.mark.parametrize("parsl_generation", GENERATIONS[-1:], indirect=True)
def test_list_of_workflows_is_there_before_tasks_are_counted(
    parsl_generation: Path, tmp_path: Path, shown: Tab
) -> None:
    """A run that Parsl's hub recorded is listed at once; its numbers come by themselves."""
    with closing(sqlite3.connect(parsl_generation)) as connection, connection:
        connection.execute("UPDATE workflow SET time_completed = NULL, tasks_completed_count = 0")
    until = tmp_path / "counted"
    with ScriptedDashboard(
        _COUNTED_SLOWLY, parsl_generation, tmp_path / "log.txt", until
    ) as dashboard:
        shown.open(dashboard.address)
        assert shown.open(f"{dashboard.root}/") == 200
        (row,) = shown.cells("table.runs")
        assert (row[3], row[7:]) == ("lost", ["being counted"])

        until.touch()
        shown.page.wait_for_function(
            "document.querySelector('table.runs td:nth-child(8)').innerText.startsWith('5')"
        )
        shown.page.goto("about:blank")
    assert shown.errors == []
