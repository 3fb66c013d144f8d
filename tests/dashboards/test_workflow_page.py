"""The page of a run says what its rows say, and shows every plot."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.chromium import Tab
from tests.support.dashboard import Dashboard
from tests.support.recorded_databases import rows


@pytest.fixture
def page(demo: Dashboard, demo_database: Path, shown: Tab) -> Tab:
    """The page of the demo's run, with all its plots."""
    ((run_id,),) = rows(demo_database, "SELECT run_id FROM workflow")
    shown.open(demo.address)
    assert shown.open(f"{demo.root}/workflow/{run_id}/") == 200
    shown.wait_drawn()
    return shown


def test_states_sum_to_the_total(page: Tab, demo_database: Path) -> None:
    """The numbers of the state bar are those of the tasks' last states, and sum to the total."""
    (total,) = rows(demo_database, "SELECT count(*) FROM task")[0]
    ended = dict(
        rows(
            demo_database,
            "SELECT task_status_name, count(*) FROM status WHERE task_status_name IN"
            " ('exec_done', 'memo_done', 'failed', 'dep_fail') GROUP BY 1",
        )
    )

    shown = {
        item.get_attribute("data-state"): int(item.locator("b").inner_text().replace(",", ""))
        for item in page.page.locator("#states li").all()
    }

    assert shown.pop("total") == total == sum(shown.values())
    assert {name: tasks for name, tasks in shown.items() if tasks} == {
        "executed": ended["exec_done"],
        "failed": ended["failed"],
        "dep_failed": ended["dep_fail"],
    }


def test_app_summary_counts_the_tasks_of_each_app(page: Tab, demo_database: Path) -> None:
    """The App Summary has a row for each app, with the number of its tasks and failures."""
    expected = rows(
        demo_database,
        "SELECT task_func_name, count(*), sum(task_id IN (SELECT task_id FROM status WHERE"
        " task_status_name IN ('failed', 'dep_fail'))) FROM task GROUP BY 1 ORDER BY 2 DESC, 1",
    )

    assert [cells[:3] for cells in page.cells("#apps")] == [
        [app, str(tasks), str(failed)] for app, tasks, failed in expected
    ]


def test_nothing_goes_wrong_and_nothing_leaves_this_machine(page: Tab, demo: Dashboard) -> None:
    """The browser asks nobody but the server, is never refused, and its console has no error."""
    assert (page.errors, page.failed) == ([], [])
    assert page.hosts() == {demo.root.removeprefix("http://")}
