"""The list of tasks: filters, orders and limits, against SQL written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otel_parsl.query.engine import open_database
from otel_parsl.query.runs import find_run
from otel_parsl.query.task_states import TaskState
from otel_parsl.query.tasks import (
    SORTS,
    URGENCY,
    TaskFilter,
    TaskIds,
    select_app_names,
    select_task_ids,
)
from tests.support.recorded_databases import first_run_id, rows
from tests.support.stored_run import BEGAN, StoredRun

ALL = 67


def _ids(path: Path, wanted: TaskFilter = TaskFilter(), **more: Any) -> TaskIds:  # noqa: B008
    database = open_database(str(path))
    with database.read() as connection:
        run = find_run(connection, more.pop("which", "000"), has_otel=database.has_otel)
        return select_task_ids(connection, run, wanted, now=BEGAN, **more)


def _set(path: Path, condition: str, *parameters: Any) -> set[int]:
    query = "SELECT DISTINCT task_id FROM task NATURAL JOIN try WHERE run_id = ? AND " + condition
    return {task_id for (task_id,) in rows(path, query, first_run_id(path), *parameters)}


def _says(pattern: str) -> str:
    columns = (
        "task_func_name task_inputs task_outputs task_stdin task_stdout task_stderr"
        " task_fail_history"
    )
    return (
        "(" + " OR ".join(f"{name} LIKE '{pattern}' ESCAPE '!'" for name in columns.split()) + ")"
    )


@pytest.mark.parametrize(
    ("wanted", "condition"),
    [
        (TaskFilter(apps=["square"]), "task_func_name = 'square'"),
        (TaskFilter(apps=["fail", "größe_测试"]), "task_func_name IN ('fail', 'größe_测试')"),
        (
            TaskFilter(states=[TaskState.MEMOISED]),
            "task_id IN (SELECT task_id FROM status WHERE status.run_id = task.run_id"
            " AND task_status_name = 'memo_done')",
        ),
        (
            TaskFilter(states=[TaskState.FAILED], apps=["shell"]),
            "task_func_name = 'shell' AND task_id IN (SELECT task_id FROM status"
            " WHERE status.run_id = task.run_id AND task_status_name = 'failed')",
        ),
        (TaskFilter(text="QUARTER"), "task_fail_history LIKE '%quarter%'"),
        (TaskFilter(text="depot:///out"), _says("%depot:///out%")),
        (TaskFilter(text="task_logs"), _says("%task!_logs%")),
        (TaskFilter(text="100%"), "0"),
        (TaskFilter(hosts=["nowhere"]), "0"),
    ],
)
def test_filter_lets_through_what_sql_does(
    recorded_database: Path, wanted: TaskFilter, condition: str
) -> None:
    """Filters by app, state, host and text give the tasks that SQL by hand gives."""
    found = _ids(recorded_database, wanted)

    expected = _set(recorded_database, condition)
    assert {task_id for task_id, _ in found.found} == expected
    assert found.total == len(expected)


def test_host_is_named_whole_or_by_its_first_part(tmp_path: Path) -> None:
    """``node1`` means node1 and node1.example.org, and not node10."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        for task_id, host in enumerate(("node1", "node1.example.org", "node10", "1node1")):
            run.task(task_id, "pending", "launched", "exec_done")
            run.execution(task_id, at_s=1, run_s=1, host=host)

    by_part = _ids(path, TaskFilter(hosts=["node1"]), sort="id")
    whole = _ids(path, TaskFilter(hosts=["node1.example.org", "node10"]), sort="id")

    assert [task_id for task_id, _ in by_part.found] == [0, 1]
    assert [task_id for task_id, _ in whole.found] == [1, 2]


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("limit", [None, 5, 1000])
def test_every_order_has_all_tasks_once(
    recorded_database: Path, sort: str, limit: int | None
) -> None:
    """No order loses or repeats a task, and the limit cuts what comes last."""
    whole = _ids(recorded_database, sort=sort)
    found = _ids(recorded_database, sort=sort, limit=limit)

    assert found.total == ALL
    assert found.found == whole.found[:limit]
    assert sorted(task_id for task_id, _ in whole.found) == list(range(ALL))


def test_tasks_that_need_a_look_come_first(recorded_database: Path) -> None:
    """By urgency failed tasks are first and done ones last, each by its id."""
    found = _ids(recorded_database).found

    assert found == sorted(found, key=lambda item: (URGENCY.index(item[1]), item[0]))
    assert {found[0][1], found[-1][1]} == {TaskState.FAILED, TaskState.MEMOISED}


def test_longest_comes_first(recorded_database: Path) -> None:
    """By run time, the tasks are in the order that SQL by hand gives."""
    took = rows(
        recorded_database,
        "SELECT task_id FROM try WHERE run_id = ? AND task_try_time_running IS NOT NULL"
        " AND task_try_time_returned IS NOT NULL"
        " GROUP BY 1 ORDER BY max(julianday(task_try_time_returned)"
        " - julianday(task_try_time_running)) DESC LIMIT 2",
        first_run_id(recorded_database),
    )

    found = _ids(recorded_database, sort="run", limit=2).found

    (work,) = _set(recorded_database, "task_func_name = 'work'")
    assert work in {task_id for task_id, _ in found}
    if "everything-parsl" in str(recorded_database):
        assert [task_id for task_id, _ in found] == [task_id for (task_id,) in took]


def test_largest_comes_first(recorded_database: Path) -> None:
    """By memory, the one large task of the program is first."""
    (work,) = _set(recorded_database, "task_func_name = 'work'")

    assert _ids(recorded_database, sort="memory", limit=1).found == [(work, TaskState.EXECUTED)]


def test_running_try_counts_until_now(tmp_path: Path) -> None:
    """By run time, a try that runs is ordered by how long it has run, one that never ran last."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        run.task(0, "pending", "launched")
        run.running(0, at_s=-50)
        run.task(1, "pending", "launched", "exec_done")
        run.execution(1, at_s=1, run_s=60)
        run.task(2, "pending", "launched", "exec_done")
        run.execution(2, at_s=1, run_s=40)
        run.task(3, "pending")

    assert [task_id for task_id, _ in _ids(path, sort="run").found] == [1, 0, 2, 3]


@pytest.mark.parametrize("limit", [None, 2])
def test_filter_goes_before_limit(recorded_database: Path, limit: int | None) -> None:
    """The total counts what the filter lets through, not what the limit shows."""
    wanted = TaskFilter(apps=["square"])

    found = _ids(recorded_database, wanted, limit=limit)

    assert found.total == 10
    assert len(found.found) == (limit or 10)


def test_filters_hold_in_postgresql(postgres_url: str) -> None:
    """Text is found in any case on a server too, and every order works there."""
    with StoredRun(postgres_url) as run:
        run.task(0, "pending", "launched", "failed", fail_history="ValueError('A Quarter')")
        run.task(1, "pending", "launched", "exec_done")
        run.execution(1, at_s=1, run_s=1)
    database = open_database(postgres_url)
    with database.read() as connection:
        found = find_run(connection, has_otel=True)
        by_text = select_task_ids(connection, found, TaskFilter(text="quarter"), now=BEGAN)
        orders = [select_task_ids(connection, found, sort=sort, now=BEGAN) for sort in SORTS]

    assert by_text.found == [(0, TaskState.FAILED)]
    assert {each.total for each in orders} == {2}
    assert [each.found[0][0] for each in orders] == [0, 0, 1, 1, 1]


def test_app_names_are_those_of_the_run(recorded_database: Path) -> None:
    """The apps are listed by name, each once."""
    database = open_database(str(recorded_database))
    with database.read() as connection:
        names = select_app_names(
            connection, find_run(connection, "000", has_otel=database.has_otel)
        )

    expected = rows(
        recorded_database,
        "SELECT DISTINCT task_func_name FROM task WHERE run_id = ?",
        first_run_id(recorded_database),
    )
    assert names == sorted(name for (name,) in expected)
