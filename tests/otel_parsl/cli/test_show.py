"""``otel-parsl show``."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from otel_parsl import rendezvous
from otel_parsl.identity import run_key, span_id, task_trace_id
from tests.support.command_line import Ran, otel_parsl
from tests.support.recorded_databases import FIRST, first_run_id, rows, value
from tests.support.stored_run import RUN_ID, StoredRun

STACK = 'Traceback (most recent call last):\n  File "/home/me/flow.py", line 7, in read\n    1/0\n'


def _show(database: Path, what: str, *more: str) -> Ran:
    return otel_parsl("show", what, "--db", database, *more)


def test_run_names_its_trace(otel_database: Path) -> None:
    """The trace id of a run is its id without dashes."""
    run_id = first_run_id(otel_database)

    shown = _show(otel_database, FIRST, "--json").json

    assert (shown["run_id"], shown["trace_id"]) == (run_id, UUID(run_id).hex)
    assert shown["span_id"] == span_id(run_key(run_id), "run").hex()
    assert shown["trace_scope"] == "auto"
    assert f"  trace       {UUID(run_id).hex}" in _show(otel_database, FIRST).lines


def test_run_of_parsls_hub_has_no_trace(parsl_database: Path) -> None:
    """Parsl's own hub makes no trace, and that is said."""
    shown = _show(parsl_database, FIRST, "--json").json

    assert (shown["trace_id"], shown["span_id"], shown["trace_scope"]) == (None, None, None)
    assert "  trace       none: Parsl's own hub recorded this run" in (
        _show(parsl_database, FIRST).lines
    )


@pytest.mark.parametrize("number", ["000", "001", "002", "003"])
def test_run_has_its_counts(recorded_database: Path, number: str) -> None:
    """The counts sum to the rows of table task, and code 1 says that some failed."""
    run_id = value(
        recorded_database, "SELECT run_id FROM workflow WHERE rundir LIKE ?", f"%/{number}"
    )
    failed = value(
        recorded_database,
        "SELECT count(DISTINCT task_id) FROM status WHERE run_id = ?"
        " AND task_status_name IN ('failed', 'dep_fail')",
        run_id,
    )

    ran = _show(recorded_database, number, "--json")

    tasks = ran.json["tasks"]
    assert ran.json["run_id"] == run_id
    assert tasks.pop("total") == sum(tasks.values())
    assert tasks["failed"] + tasks["dep_failed"] == failed
    assert ran.code == (1 if failed else 0)


@pytest.mark.parametrize(
    ("tasks", "scope", "words"),
    [
        (3, "auto", f"all spans are in it; or search for parsl.run.id={RUN_ID}"),
        (
            1001,
            "auto",
            f"tasks from 1000 on are in traces of their own: search for parsl.run.id={RUN_ID}",
        ),
        (1001, "run", f"all spans are in it; or search for parsl.run.id={RUN_ID}"),
        (
            3,
            "auto:2",
            f"tasks from 2 on are in traces of their own: search for parsl.run.id={RUN_ID}",
        ),
        (3, "task", f"each task is in a trace of its own: search for parsl.run.id={RUN_ID}"),
    ],
)
def test_run_says_where_its_tasks_are(tmp_path: Path, tasks: int, scope: str, words: str) -> None:
    """What is not in the run's own trace is said, with the search that finds it."""
    directory = tmp_path / "000" / "otel-parsl"
    directory.mkdir(parents=True)
    rendezvous.write(directory, rendezvous.SETTINGS, {"trace_scope": scope})
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db", rundir=tmp_path / "000") as run:
        for task_id in range(tasks):
            run.task(task_id, "pending")
        run.ended()

    assert f"{'':<14}{words}" in _show(tmp_path, "latest").lines


def test_task_beyond_a_thousand_is_in_its_own_trace(tmp_path: Path) -> None:
    """A task's trace and span are those that every process computes for it."""
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db") as run:
        run.task(7, "pending")
        run.task(1007, "pending")
    key = run_key(RUN_ID)

    for task_id in (7, 1007):
        shown = _show(tmp_path, f"latest/{task_id}", "--json").json
        assert (shown["trace_id"], shown["span_id"]) == (
            task_trace_id(key, task_id).hex(),
            span_id(key, "task", task_id).hex(),
        )
    assert task_trace_id(key, 7) == key != task_trace_id(key, 1007)


def test_every_task_is_shown(recorded_database: Path) -> None:
    """Tries, states, dependencies and dependents of each task are those of Parsl's tables."""
    run_id = first_run_id(recorded_database)
    depends = {
        task_id: sorted({int(part) for part in text.split(",") if part})
        for task_id, text in rows(
            recorded_database, "SELECT task_id, task_depends FROM task WHERE run_id = ?", run_id
        )
    }
    for task_id in range(0, 67, 3):
        tries = rows(
            recorded_database,
            "SELECT try_id, task_executor, hostname FROM try WHERE run_id = ? AND task_id = ?"
            " ORDER BY 1",
            run_id,
            task_id,
        )
        states = rows(
            recorded_database,
            "SELECT try_id, task_status_name FROM status WHERE run_id = ? AND task_id = ?",
            run_id,
            task_id,
        )

        ran = _show(recorded_database, f"{FIRST}/{task_id}", "--json")

        shown = ran.json
        assert [
            (each["try_id"], each["executor"], each["hostname"]) for each in shown["tries"]
        ] == (tries)
        assert sorted((each["try_id"], each["state"]) for each in shown["states"]) == sorted(states)
        assert sorted(shown["depends"]) == depends[task_id]
        assert shown["dependents"] == sorted(
            other for other, others in depends.items() if task_id in others
        )
        assert ran.code == (1 if shown["state"] in ("failed", "dep_failed") else 0)
        assert _show(recorded_database, f"{FIRST}/{task_id}").code == ran.code


def test_failed_task_is_told_in_words(tmp_path: Path) -> None:
    """The whole text of a task that was retried and failed, with its logs and its neighbours."""
    stderr = tmp_path / "task.stderr"
    stderr.write_text("cannot open sample\n")
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db") as run:
        run.task(0, "pending", "launched", "exec_done", app="make")
        run.task(
            1,
            "pending",
            "launched",
            "fail_retryable",
            app="read",
            depends="0",
            at_s=2,
            stderr=str(stderr),
            executor_task_id="17",
            resource_specification='{"cores": 2}',
            fail_history="WorkerLost(3, 'node1')",
        )
        run.running(1, at_s=2.5)
        run.task(1, "pending", "launched", "failed", app="read", at_s=10, try_id=1)
        run.execution(
            1,
            at_s=10.5,
            run_s=2.0,
            app="read",
            try_id=1,
            exception_type="ValueError",
            message="empty",
            stacktrace=f"{STACK}ValueError: empty",
        )
        run.task(2, "pending", "dep_fail", app="sum", depends="1")

    ran = _show(tmp_path, "latest/1")

    its_span = span_id(run_key(RUN_ID), "task", 1).hex()
    assert ran.code == 1
    assert ran.lines == [
        "read  task 1 of run 000  failed",
        "",
        "  called      2026-01-15 12:00:02",
        "  returned    -",
        "  failures    1, at a cost of 1",
        f"  stderr      {stderr}",
        f"  trace       {UUID(RUN_ID).hex}  (its span: {its_span})",
        "  depends on  0 executed",
        "  needed by   2 dep_failed",
        "",
        "  try 0  htex, block 0, host node1",
        "    phases      waited 2 ms, queued 0.498 s",
        "    used        not measured",
        '    asked for   {"cores": 2}',
        "    executor id 17",
        "    fate        worker_lost",
        "    error       WorkerLost: Task failure due to loss of worker 3 on host node1",
        "",
        "  try 1  htex, block 0, host node1, worker 3, process 4711",
        "    phases      queued 0.498 s, ran 2 s, returned in ? (the clocks of two hosts differ)",
        "    used        CPU 0.75 s, memory 67.1 MB, read 2.05 kB",
        "    fate        app_exception",
        "    error       ValueError: empty",
        "    at          flow.py:read",
        "      Traceback (most recent call last):",
        '        File "/home/me/flow.py", line 7, in read',
        "          1/0",
        "      ValueError: empty",
        "",
        "  states",
        "    12:00:02.123  try 0  pending",
        "    12:00:02.124  try 0  launched",
        "    12:00:02.623  try 0  running",
        "    12:00:02.125  try 0  fail_retryable",
        "    12:00:10.123  try 1  pending",
        "    12:00:10.124  try 1  launched",
        "    12:00:10.623  try 1  running",
        "    12:00:12.623  try 1  running_ended",
        "    12:00:10.125  try 1  failed",
        "",
        "  the end of stderr",
        "    cannot open sample",
    ]


def test_recorded_failure_has_its_stack_trace(otel_database: Path) -> None:
    """A task that failed on a worker is shown with the stack trace that the worker saw."""
    ((task_id, stacktrace),) = rows(
        otel_database,
        "SELECT task_id, stacktrace FROM otel_failure WHERE run_id = ? AND app = 'größe_测试'"
        " AND is_final",
        first_run_id(otel_database),
    )

    shown = _show(otel_database, f"{FIRST}/{task_id}", "--json").json

    assert shown["tries"][-1]["failure"]["stacktrace"] == stacktrace
    assert "Traceback" in stacktrace
    text = _show(otel_database, f"{FIRST}/{task_id}").lines
    assert f"      {stacktrace.splitlines()[0]}" in text


def test_unknown_task_is_code_2(otel_database: Path) -> None:
    """A number beyond the run's tasks is told with how many there are."""
    run_id = first_run_id(otel_database)

    assert _show(otel_database, f"{FIRST}/999") == (
        2,
        "",
        f"otel-parsl: run 000 ({run_id}) has no task 999; it has 67 tasks\n",
    )


def test_run_of_a_name_with_a_slash_is_found(tmp_path: Path) -> None:
    """A slash that no number follows is part of the workflow's name."""
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db", name="team/flow.py") as run:
        run.ended()

    assert _show(tmp_path, "team/flow.py").lines[0].startswith("team/flow.py  run 000  completed")
