"""What Parsl's own hub recorded, this year or years ago, is on the pages as the tables have it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from otel_parsl.cli import words
from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab, tab
from tests.support.parsl_generations import GENERATIONS
from tests.support.recorded_databases import microseconds, rows, value

_DONE = """coalesce((SELECT timestamp FROM status s WHERE s.task_id = t.task_id
    AND s.try_id = t.try_id AND task_status_name = 'running_ended'), task_try_time_returned)"""
"""When a worker was done with a try; when it came back, by Parsls that did not record that."""
_RAN = f"""
    WITH ran AS (
        SELECT t.task_id, t.hostname, k.task_func_name AS app,
            {microseconds("task_try_time_running")} AS began_us, {microseconds(_DONE)} AS ended_us
        FROM "try" t JOIN task k USING (task_id) WHERE task_try_time_running IS NOT NULL
    )
"""
"""Each try that a worker began."""
_FAILED_BY_ITSELF = "task_fail_history <> '' AND task_fail_history NOT LIKE 'Dependency%'"


@pytest.fixture(scope="module", params=GENERATIONS)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run under Parsl's own hub, as the Parsl of each generation recorded it."""
    path = tmp_path_factory.mktemp("generation") / "monitoring.db"
    script = Path(__file__).parent / "generations" / f"{request.param}.sql"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(script.read_text())
    return path


@pytest.fixture(scope="module")
def run_root(serve: Serve, database: Path) -> str:
    """The address of its run."""
    return f"{serve(database).root}/workflow/{value(database, 'SELECT run_id FROM workflow')}/"


@pytest.fixture(scope="module")
def opened(serve: Serve, database: Path, browser: Browser) -> Iterator[Tab]:
    """A page that knows the token."""
    with tab(browser) as page:
        page.open(serve(database).address)
        yield page


def _colours(opened: Tab, address: str) -> dict[str, int]:
    """Open a page and return how many colours each of its plots shows."""
    assert opened.open(address) == 200
    opened.wait_drawn()
    keys = [
        str(section.get_attribute("id")).removeprefix("plot-")
        for section in opened.page.locator("section.plot").all()
    ]
    return {key: len(opened.colours(key)) for key in keys}


def test_workflow_page_has_the_numbers_of_the_tables(
    opened: Tab, run_root: str, database: Path
) -> None:
    """States, apps, run times and plots are what SQL by hand says of the rows."""
    by_state = dict(
        rows(
            database,
            "SELECT task_status_name, count(DISTINCT task_id) FROM status GROUP BY 1"
            " HAVING task_status_name IN ('exec_done', 'memo_done', 'failed', 'dep_fail')",
        )
    )
    apps = rows(
        database,
        f"{_RAN} SELECT k.task_func_name, count(*), sum(task_id IN (SELECT task_id FROM status"
        " WHERE task_status_name IN ('failed', 'dep_fail'))),"
        " (SELECT avg(ended_us - began_us) / 1e6 FROM ran WHERE app = k.task_func_name)"
        " FROM task k GROUP BY 1 ORDER BY 2 DESC, 1 DESC",
    )
    tries, hosts, most, mean, longest_us = rows(
        database,
        f"{_RAN} SELECT count(*), count(DISTINCT hostname), max((SELECT count(*) FROM ran o"
        " WHERE o.began_us <= ran.began_us AND o.ended_us > ran.began_us)),"
        f" 1.0 * sum(ended_us - began_us) / (SELECT {microseconds('time_completed')}"
        f" - {microseconds('time_began')} FROM workflow), max(ended_us - began_us) FROM ran",
    )[0]

    colours = _colours(opened, run_root)

    assert {key: number > 3 for key, number in colours.items()} == dict.fromkeys(
        ("run-times", "stream", "concurrency", "gantt"), True
    )
    assert by_state == {"exec_done": 5, "memo_done": 1, "failed": 1, "dep_fail": 1}
    shown = {
        item.get_attribute("data-state"): item.locator("b").inner_text()
        for item in opened.page.locator("#states li").all()
    }
    assert {name: tasks for name, tasks in shown.items() if tasks != "0"} == {
        "executed": "5",
        "memoised": "1",
        "failed": "1",
        "dep_failed": "1",
        "total": "8",
    }
    assert sorted(cells[:4] for cells in opened.cells("#apps")) == sorted(
        [app, str(tasks), str(failed), words.duration(mean_s)]
        for app, tasks, failed, mean_s in apps
    )
    assert (tries, hosts) == (7, 1)
    assert opened.text("#f-summary-run-times").startswith("7 tries have ended.")
    assert opened.text("#f-summary-run-times").endswith(
        f"the longest {words.duration(longest_us / 1e6)}."
    )
    assert opened.text("#f-summary-stream").startswith(f"7 tries on 1 node, at most {most} at once")
    assert opened.text("#f-summary-concurrency") == (
        f"At most {most} tries ran at once, {mean:.3g} on average."
    )
    assert opened.text("#f-summary-gantt").startswith("8 tasks by id")
    assert (opened.errors, opened.failed) == ([], [])


def test_failures_page_has_the_numbers_of_the_tables(
    opened: Tab, run_root: str, database: Path
) -> None:
    """The one cause has the tasks, tries, dependents and times that the rows have."""
    failed, dependents = rows(
        database,
        "SELECT (SELECT count(DISTINCT task_id) FROM status WHERE task_status_name = 'failed'),"
        " (SELECT count(DISTINCT task_id) FROM status WHERE task_status_name = 'dep_fail')",
    )[0]
    tries, first, last, app, host = rows(
        database,
        "SELECT count(*), substr(min(task_try_time_returned), 1, 19),"
        " substr(max(task_try_time_returned), 1, 19), group_concat(DISTINCT task_func_name),"
        ' group_concat(DISTINCT hostname) FROM "try" JOIN task USING (task_id)'
        f" WHERE {_FAILED_BY_ITSELF}",
    )[0]

    colours = _colours(opened, f"{run_root}failures")

    assert {key: number > 3 for key, number in colours.items()} == {"over-time": True}
    assert {"#cf222e", "#d9a441"} <= opened.colours("over-time")
    said = opened.text("#f-summary-over-time")
    assert said.startswith("3 tries failed ")  # though Parsl says of one of them twice
    assert said.endswith(
        ": 1 given up, 1 given up with a task they depend on, 1 to be tried again."
    )
    assert opened.text("nav .tabs a.on") == "Failures 1"
    cards = [each.inner_text() for each in opened.page.locator("#f-sums strong").all()]
    assert cards == [str(failed), str(dependents), "0"] == ["1", "1", "0"]
    assert opened.page.locator("#f-groups section.cause").count() == 1
    assert opened.text("#f-groups h2 a") == "app_exception · ValueError"
    assert opened.text("#f-groups .said") == "no luck"
    facts = [
        " ".join(each.split()) for each in opened.page.locator("dl.facts dd").all_inner_texts()
    ]
    assert facts[-7:] == ["1", "1", str(tries), first, last, app, f"{host} {tries}"]
    assert (opened.errors, opened.failed) == ([], [])


def test_graph_page_has_the_numbers_of_the_tables(
    opened: Tab, run_root: str, database: Path
) -> None:
    """Dependencies, levels and stages are those of the tasks' own columns."""
    waits = {
        (task, int(other))
        for query in ("task_id, task_depends FROM task", 'task_id, task_joins FROM "try"')
        for task, others in rows(database, f"SELECT {query}")
        for other in (others or "").split(",")
        if other
    }
    waiting = {task for task, _ in waits}
    by_stage = {
        (level, app): tasks
        for level, app, tasks in rows(
            database,
            f"SELECT iif(task_id IN ({', '.join(map(str, waiting))}), '2', '1'),"
            " task_func_name, count(*) FROM task GROUP BY 1, 2",
        )
    }

    colours = _colours(opened, f"{run_root}dag_group_by_apps")

    assert {key: number > 3 for key, number in colours.items()} == {"tasks": True, "stages": True}
    assert waits == {(2, 0), (3, 1), (6, 7)}
    assert opened.text("#f-summary-tasks") == (
        "8 tasks, 3 dependencies, 2 levels from left to right. The widest level, 1, has 5 tasks."
    )
    cells = opened.cells("#stages")
    assert {(level, app): int(tasks) for level, app, tasks, *_ in cells} == by_stage
    assert sorted(each for each in cells if each[0] == "2") == [
        ["2", "inc", "2", "1", "1", "fail, inc"],
        ["2", "join", "1", "1", "0", "inc"],
    ]
    assert opened.text("#f-summary-stages").startswith("5 stages at 2 levels; 3 dependencies.")
    assert (opened.errors, opened.failed) == ([], [])
