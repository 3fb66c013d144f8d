"""What is known of tasks and their tries, against SQL written by hand."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from otel_parsl.query.engine import open_database
from otel_parsl.query.errors import NoSuchRun
from otel_parsl.query.runs import Run, find_run
from otel_parsl.query.task_facts import (
    Neighbours,
    select_dependents,
    select_state_changes,
    select_states_of,
    select_task,
    select_task_facts,
)
from otel_parsl.query.task_states import OF_PARSL, TaskState
from otel_parsl.query.times import utc_from_local
from otel_parsl.query.tries import Try, select_tries
from tests.support.recorded_databases import first_run_id, rows, value
from tests.support.stored_run import BEGAN, RUN_ID, StoredRun

ALL = list(range(67))


def _tries(path: Path, task_ids: list[int], which: str = "000") -> tuple[Run, dict[int, list[Try]]]:
    database = open_database(str(path))
    with database.read() as connection:
        run = find_run(connection, which, has_otel=database.has_otel)
        return run, select_tries(connection, run, task_ids)


def _at(text: str | None, run: Run) -> datetime.datetime | None:
    return None if text is None else utc_from_local(datetime.datetime.fromisoformat(text), run.zone)


def test_tries_are_the_rows_of_table_try(recorded_database: Path) -> None:
    """Place and times of every try are those that Parsl's table has."""
    run, found = _tries(recorded_database, ALL)

    expected = rows(
        recorded_database,
        "SELECT task_id, try_id, task_executor, hostname, block_id, task_try_time_launched,"
        " task_try_time_running, task_try_time_returned FROM try WHERE run_id = ?"
        " ORDER BY task_id, try_id",
        run.run_id,
    )
    assert [
        (
            *each[:5],
            each.launched_at,
            each.running_at,
            each.returned_at,
        )
        for task_id in sorted(found)
        for each in found[task_id]
    ] == [(*row[:5], *(_at(text, run) for text in row[5:])) for row in expected]


def test_ends_are_those_that_workers_told(recorded_database: Path) -> None:
    """The end of a try is the time of its status ``running_ended``."""
    run, found = _tries(recorded_database, ALL)

    expected = rows(
        recorded_database,
        "SELECT task_id, try_id, timestamp FROM status"
        " WHERE run_id = ? AND task_status_name = 'running_ended'",
        run.run_id,
    )
    assert {
        (each.task_id, each.try_id): each.ended_at
        for tries in found.values()
        for each in tries
        if each.ended_at is not None
    } == {(task_id, try_id): _at(text, run) for task_id, try_id, text in expected}


def test_samples_and_peaks_are_those_of_the_tables(recorded_database: Path) -> None:
    """Samples are counted; the peak is the try's own, or that of its samples under Parsl's hub."""
    run, found = _tries(recorded_database, ALL)

    samples = rows(
        recorded_database,
        "SELECT task_id, try_id, count(*), max(psutil_process_memory_resident) FROM resource"
        " WHERE run_id = ? GROUP BY 1, 2",
        run.run_id,
    )
    peaks = {(task_id, try_id): peak for task_id, try_id, _, peak in samples}
    if run.is_ours:
        peaks |= {
            (task_id, try_id): peak
            for task_id, try_id, peak in rows(
                recorded_database,
                "SELECT task_id, try_id, memory_peak_bytes FROM otel_try"
                " WHERE run_id = ? AND memory_peak_bytes IS NOT NULL",
                run.run_id,
            )
        }
    tries = [each for tries in found.values() for each in tries]
    assert {(each.task_id, each.try_id): each.samples for each in tries if each.samples} == {
        (task_id, try_id): number for task_id, try_id, number, _ in samples
    }
    assert {
        (each.task_id, each.try_id): each.memory_peak_bytes
        for each in tries
        if each.memory_peak_bytes is not None
    } == peaks


def test_what_only_our_tables_have_is_told(otel_database: Path) -> None:
    """Process, worker, CPU time, I/O, exit code and the executor's own id come from otel_try."""
    run, found = _tries(otel_database, ALL)

    expected = rows(
        otel_database,
        "SELECT task_id, try_id, pid, worker_rank, manager_uid, cpu_user_s + cpu_system_s,"
        " read_bytes, write_bytes, exit_code, executor_task_id, resource_specification"
        " FROM otel_try WHERE run_id = ? ORDER BY 1, 2",
        run.run_id,
    )
    assert [
        (
            *each[:2],
            each.pid,
            each.worker_rank,
            each.manager_uid,
            each.cpu_s,
            each.read_bytes,
            each.write_bytes,
            each.exit_code,
            each.executor_task_id,
            each.resource_specification,
        )
        for task_id in sorted(found)
        for each in found[task_id]
    ] == expected


def test_failures_are_known_with_their_stack_traces(otel_database: Path) -> None:
    """Fate, exception and stack trace of a failed try are those of otel_failure."""
    run, found = _tries(otel_database, ALL)

    expected = rows(
        otel_database,
        "SELECT task_id, try_id, fate, fingerprint, exception_type, message, frame, stacktrace"
        " FROM otel_failure WHERE run_id = ? ORDER BY 1, 2",
        run.run_id,
    )
    assert [
        (
            *each[:2],
            each.failure.fate,
            each.failure.fingerprint,
            each.failure.exception_type,
            each.failure.message,
            each.failure.frame,
            each.failure.stacktrace,
        )
        for task_id in sorted(found)
        for each in found[task_id]
        if each.failure is not None
    ] == expected


def test_failures_are_told_by_parsls_text(parsl_database: Path) -> None:
    """Every try with a fail history has a failure where Parsl's own hub recorded it."""
    run, found = _tries(parsl_database, ALL)

    expected = rows(
        parsl_database,
        "SELECT task_id, try_id FROM try WHERE run_id = ? AND task_fail_history != ''"
        " ORDER BY 1, 2",
        run.run_id,
    )
    assert [
        tuple(each[:2])
        for task_id in sorted(found)
        for each in found[task_id]
        if each.failure is not None
    ] == expected


def test_phase_of_contradicting_clocks_is_unknown(tmp_path: Path) -> None:
    """A worker whose clock is behind has no negative phase, but none."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        run.task(0, "pending", "launched", "exec_done", at_s=10)
        run.execution(0, at_s=5, run_s=2)

    _, found = _tries(path, [0], "latest")

    (only,) = found[0]
    assert (only.queued_s, only.run_s) == (None, 2.0)
    assert only.return_s == pytest.approx(3.002)


def test_many_tasks_are_read_in_parts(tmp_path: Path) -> None:
    """More tasks than fit in one question all come, each with its own tries."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        for task_id in range(1200):
            run.task(task_id, "pending", "launched", "exec_done")

    _, found = _tries(path, list(range(1200)), "latest")

    assert {task_id: [each.task_id for each in tries] for task_id, tries in found.items()} == {
        task_id: [task_id] for task_id in range(1200)
    }


def test_facts_are_the_rows_of_table_task(recorded_database: Path) -> None:
    """App, dependencies, paths, times and costs of every task are those of Parsl's table."""
    database = open_database(str(recorded_database))
    with database.read() as connection:
        run = find_run(connection, "000", has_otel=database.has_otel)
        found = select_task_facts(connection, run, ALL)

    expected = rows(
        recorded_database,
        "SELECT task_id, task_func_name, task_depends, task_memoize, task_hashsum, task_stdout,"
        " task_time_invoked, task_time_returned, task_fail_count, task_fail_cost FROM task"
        " WHERE run_id = ? ORDER BY 1",
        run.run_id,
    )
    assert [
        (
            facts.task_id,
            facts.app,
            set(facts.depends),
            facts.is_memoised,
            facts.hashsum,
            facts.stdout or "",
            facts.invoked_at,
            facts.returned_at,
            facts.fail_count,
            facts.fail_cost,
        )
        for facts in found.values()
    ] == [
        (
            row[0],
            row[1],
            {int(part) for part in row[2].split(",") if part},
            row[3] == "1",
            row[4],
            row[5],
            _at(row[6], run),
            _at(row[7], run),
            *row[8:],
        )
        for row in expected
    ]


def test_neighbours_are_known_both_ways(recorded_database: Path) -> None:
    """Each task that another depends on has that other among its dependents."""
    depends = {
        task_id: {int(part) for part in text.split(",") if part}
        for task_id, text in rows(
            recorded_database,
            "SELECT task_id, task_depends FROM task WHERE run_id = ?",
            first_run_id(recorded_database),
        )
    }
    database = open_database(str(recorded_database))
    with database.read() as connection:
        run = find_run(connection, "000", has_otel=database.has_otel)
        found = {task_id: select_dependents(connection, run, task_id) for task_id in ALL}

    assert found == {
        task_id: Neighbours(
            sorted(other for other in depends if task_id in depends[other]),
            sum(task_id in others for others in depends.values()),
        )
        for task_id in ALL
    }
    assert any(each.total for each in found.values())


def test_many_dependents_are_counted_and_not_all_listed(tmp_path: Path) -> None:
    """A task that a thousand others need shows the first of them, and how many there are."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        run.task(0, "pending")
        for task_id in range(1, 1001):
            run.task(task_id, "pending", depends="0")

    with open_database(str(path)).read() as connection:
        found = select_dependents(connection, find_run(connection, has_otel=True), 0, limit=3)

    assert found == Neighbours([1, 2, 3], 1000)


def test_states_are_in_their_order_whatever_clocks_say(tmp_path: Path) -> None:
    """A worker's clock that is behind does not put running before launched."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        run.task(0, "pending", "launched", "fail_retryable", at_s=10)
        run.execution(0, at_s=1, run_s=1)
        run.task(0, "pending", "launched", "exec_done", try_id=1, at_s=20)
        run.execution(0, at_s=2, run_s=1, try_id=1)

    with open_database(str(path)).read() as connection:
        changes = select_state_changes(connection, find_run(connection, has_otel=True), 0)

    assert [(change.try_id, change.state) for change in changes] == [
        (0, "pending"),
        (0, "launched"),
        (0, "running"),
        (0, "running_ended"),
        (0, "fail_retryable"),
        (1, "pending"),
        (1, "launched"),
        (1, "running"),
        (1, "running_ended"),
        (1, "exec_done"),
    ]
    assert changes[2].at == BEGAN + datetime.timedelta(seconds=1)


def test_recorded_states_are_those_of_table_status(recorded_database: Path) -> None:
    """The states of a task that was retried are the rows that Parsl's table has of it."""
    run_id = first_run_id(recorded_database)
    (task_id,) = rows(
        recorded_database,
        "SELECT task_id FROM task WHERE run_id = ? AND task_fail_cost = 0.75",
        run_id,
    )[0]
    database = open_database(str(recorded_database))
    with database.read() as connection:
        run = find_run(connection, "000", has_otel=database.has_otel)
        changes = select_state_changes(connection, run, task_id)

    expected = rows(
        recorded_database,
        "SELECT try_id, task_status_name, timestamp FROM status WHERE run_id = ? AND task_id = ?",
        run_id,
        task_id,
    )
    order = list(OF_PARSL)
    assert [tuple(change) for change in changes] == [
        (try_id, state, _at(text, run))
        for try_id, state, text in sorted(expected, key=lambda row: (row[0], order.index(row[1])))
    ]


def test_states_of_some_tasks(recorded_database: Path) -> None:
    """A few tasks are asked for without the rest."""
    database = open_database(str(recorded_database))
    with database.read() as connection:
        run = find_run(connection, "000", has_otel=database.has_otel)
        found = select_states_of(connection, run, [2, 0])
        nothing = select_states_of(connection, run, [])

    assert found == {0: TaskState.EXECUTED, 2: TaskState.MEMOISED}
    assert nothing == {}


def test_unknown_task_is_said(recorded_database: Path) -> None:
    """A number beyond the run's tasks is refused with how many there are."""
    run_id = first_run_id(recorded_database)
    assert value(recorded_database, "SELECT count(*) FROM task WHERE run_id = ?", run_id) == 67
    database = open_database(str(recorded_database))
    with pytest.raises(NoSuchRun) as caught, database.read() as connection:
        select_task(connection, find_run(connection, "000", has_otel=database.has_otel), 67)

    assert str(caught.value) == f"run 000 ({run_id}) has no task 67; it has 67 tasks"


def test_task_has_its_facts_and_its_state(tmp_path: Path) -> None:
    """One task is read with the state it is in now."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        run.task(0, "pending", "launched", inputs="[1]", stdout="/tmp/out", app="größe")
        run.running(0, at_s=2)

    with open_database(str(path)).read() as connection:
        facts, state = select_task(connection, find_run(connection, RUN_ID, has_otel=True), 0)

    assert (facts.app, facts.inputs, facts.outputs, facts.stdout, state) == (
        "größe",
        "[1]",
        None,
        "/tmp/out",
        TaskState.RUNNING,
    )
