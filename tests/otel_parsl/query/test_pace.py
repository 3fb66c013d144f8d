"""How fast a run gets on, and how long it may still take."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from otel_parsl.query.engine import open_database
from otel_parsl.query.pace import (
    OVERHEAD_S,
    AppPace,
    OpenTasks,
    Pace,
    TimeLeft,
    estimate_time_left,
    select_pace,
)
from otel_parsl.query.running import Running, select_running
from otel_parsl.query.runs import find_run
from tests.support.recorded_databases import first_run_id, leave_parsls_tables, rows
from tests.support.stored_run import BEGAN, StoredRun


def _left(pace: Pace, open_tasks: dict[str, OpenTasks]) -> float:
    left = estimate_time_left(pace, open_tasks)
    assert left is not None
    return left.seconds


def test_nothing_is_said_before_the_first_end() -> None:
    """Without a finished try there is no estimate."""
    assert estimate_time_left(Pace({}, 100.0), {"a": OpenTasks(5, 2, 10.0)}) is None


def test_one_app_takes_what_its_rate_says() -> None:
    """Ten a second for a thousand open ones take a hundred seconds, however short they are."""
    for run_s in (0.0, 30.0, 30_000.0):
        pace = Pace({"a": AppPace(ended=3000, run_s=run_s, recent=3000)}, recent_s=300.0)

        assert _left(pace, {"a": OpenTasks(1000, 0, 0.0)}) == pytest.approx(100.0)


def test_apps_count_by_what_their_tasks_take() -> None:
    """A hundred tasks of a slow app take longer than a hundred of a quick one."""
    quick, slow = AppPace(100, 100 * 1.0, 100), AppPace(100, 100 * 99.0, 100)
    pace = Pace({"quick": quick, "slow": slow}, recent_s=100.0)

    left_quick = _left(pace, {"quick": OpenTasks(100, 0, 0.0)})
    left_slow = _left(pace, {"slow": OpenTasks(100, 0, 0.0)})

    ratio = (99.0 + OVERHEAD_S) / (1.0 + OVERHEAD_S)
    assert left_slow / left_quick == pytest.approx(ratio)
    assert left_quick + left_slow == pytest.approx(100.0)


def test_what_running_tries_have_done_counts() -> None:
    """Tries that are nearly through leave little to do, and are part of the speed."""
    pace = Pace({"a": AppPace(10, 1000.0, 10)}, recent_s=1000.0)

    fresh = _left(pace, {"a": OpenTasks(10, 10, 0.0)})
    nearly = _left(pace, {"a": OpenTasks(10, 10, 900.0)})

    assert fresh == pytest.approx(1000.0)
    assert nearly == pytest.approx((1000.1 - 900.0) / ((1000.1 + 900.0) / 1000.0))


def test_app_that_has_not_finished_any_is_named() -> None:
    """The cost of an app without a finished try is a guess, and the estimate says whose."""
    pace = Pace({"a": AppPace(10, 10.0, 10)}, recent_s=10.0)

    left = estimate_time_left(pace, {"a": OpenTasks(1, 0, 0.0), "new": OpenTasks(2, 1, 40.0)})

    speed = (10 * (1.0 + OVERHEAD_S) + 10.0) / 10.0
    seconds = ((1.0 + OVERHEAD_S) + 2 * (40.0 + OVERHEAD_S) - 40.0) / speed
    assert left is not None
    assert left == TimeLeft(pytest.approx(seconds), ("new",))  # type: ignore[arg-type]


def test_run_that_stands_still_has_no_estimate() -> None:
    """Where nothing ended lately and nothing runs, there is no speed to go by."""
    pace = Pace({"a": AppPace(10, 10.0, 0)}, recent_s=300.0)

    assert estimate_time_left(pace, {"a": OpenTasks(5, 0, 0.0)}) is None


def test_pace_is_that_of_the_executions(tmp_path: Path) -> None:
    """The roll-up gives each app's number of ends and its run time, and the recent ones apart."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        for task_id in range(30):
            run.task(task_id, "pending", "launched", "exec_done")
            at_s = 10.0 if task_id < 10 else 1000.0
            run.execution(task_id, at_s=at_s, run_s=2.0)
        run.task(30, "pending", "launched", "exec_done", app="other")
        run.execution(30, at_s=10.0, run_s=4.0, app="other")
        run.task(31, "pending", "launched")
        run.running(31, at_s=1000.0)
    now = BEGAN + datetime.timedelta(seconds=1100)

    with open_database(str(path)).read() as connection:
        found = find_run(connection, has_otel=True)
        pace = select_pace(connection, found, until=now)
        running = select_running(connection, found, now=now)

    assert pace == Pace(
        {"double": AppPace(30, 60.0, 20), "other": AppPace(1, 4.0, 0)}, recent_s=300.0
    )
    assert pace.rate_per_s == pytest.approx(20 / 300)
    assert running == {"double": Running(1, 100.0)}


def test_few_ends_are_taken_from_the_whole_run(tmp_path: Path) -> None:
    """Where too few tries ended lately, the rate is that of the run since its begin."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        for task_id in range(30):
            run.task(task_id, "pending", "launched", "exec_done")
            run.execution(task_id, at_s=10.0, run_s=2.0)
    now = BEGAN + datetime.timedelta(seconds=1000)

    with open_database(str(path)).read() as connection:
        pace = select_pace(connection, find_run(connection, has_otel=True), until=now)

    assert pace == Pace({"double": AppPace(30, 60.0, 30)}, recent_s=1000.0)


def test_pace_of_a_recorded_run_is_that_of_its_tries(recorded_database: Path) -> None:
    """The ends by app are those of the tries that ran; under Parsl's hub of those that returned."""
    run_id = first_run_id(recorded_database)
    database = open_database(str(recorded_database))
    with database.read() as connection:
        run = find_run(connection, "000", has_otel=database.has_otel)
        pace = select_pace(connection, run, until=run.completed_at or BEGAN)

    ends = (
        "SELECT task_func_name, count(*) FROM task NATURAL JOIN"
        " (SELECT run_id, task_id, try_id FROM status"
        "  WHERE task_status_name = 'running_ended' GROUP BY 1, 2, 3)"
        " WHERE run_id = ? GROUP BY 1"
        if run.is_ours
        else "SELECT task_func_name, count(*) FROM task NATURAL JOIN try"
        " WHERE run_id = ? AND task_try_time_running IS NOT NULL"
        " AND task_try_time_returned IS NOT NULL GROUP BY 1"
    )
    assert {app: each.ended for app, each in pace.apps.items()} == dict(
        rows(recorded_database, ends, run_id)
    )
    assert 1.4 < (pace.apps["work"].mean_run_s or 0) < 5.0


def test_tries_that_two_clocks_contradict_say_nothing(tmp_path: Path) -> None:
    """By Parsl's tables alone a try may have returned before it began; others set the pace."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        for task_id, began_s in enumerate((2, 40)):
            run.task(task_id, "pending", "launched", at_s=1)
            run.execution(task_id, at_s=began_s, run_s=3)
            run.task(task_id, "exec_done", at_s=6, returned_ns=run.ns(6), try_returned_ns=run.ns(6))
    leave_parsls_tables(path)
    database = open_database(str(path))
    with database.read() as connection:
        found = find_run(connection, has_otel=database.has_otel)
        pace = select_pace(connection, found, until=BEGAN + datetime.timedelta(seconds=60))

    assert pace.apps == {"double": AppPace(ended=1, run_s=pytest.approx(4.0, abs=0.01), recent=1)}
