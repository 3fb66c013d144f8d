"""``otel-parsl status``."""

from __future__ import annotations

import datetime
from collections import Counter
from pathlib import Path

import pytest

from otel_parsl.cli.as_json import plain
from otel_parsl.query.task_states import TaskState
from tests.support.command_line import otel_parsl
from tests.support.recorded_databases import FIRST, first_run_id, rows
from tests.support.stored_run import RUN_ID, StoredRun

WORDS = {
    "exec_done": "executed",
    "memo_done": "memoised",
    "failed": "failed",
    "dep_fail": "dep_failed",
}


def test_json_counts_are_those_of_table_status(recorded_database: Path) -> None:
    """Counts by app and state are those that SQL by hand gives, and sum to the total."""
    run_id = first_run_id(recorded_database)
    expected: dict[str, Counter[str]] = {}
    for app, state, tasks in rows(
        recorded_database,
        "SELECT task_func_name, task_status_name, count(*) FROM task NATURAL JOIN status"
        " WHERE run_id = ? AND task_status_name IN ('exec_done', 'memo_done', 'failed', 'dep_fail')"
        " GROUP BY 1, 2",
        run_id,
    ):
        expected.setdefault(app, Counter())[WORDS[state]] += tasks

    ran = otel_parsl("status", FIRST, "--db", recorded_database, "--json")

    status = ran.json
    states = [state.value for state in TaskState]
    assert ran.code == 1
    assert {
        app["app"]: +Counter({state: app[state] for state in states}) for app in status["apps"]
    } == (expected)
    total = sum((counts for counts in expected.values()), Counter())
    assert status["tasks"] == {"total": total.total(), **{state: total[state] for state in states}}
    assert all(app["total"] == sum(app[state] for state in states) for app in status["apps"])


def test_json_has_the_run(recorded_database: Path) -> None:
    """The run is told as table workflow has it, with how it ended and who recorded it."""
    ((run_id, name, version, rundir, host, user),) = rows(
        recorded_database,
        "SELECT run_id, workflow_name, workflow_version, rundir, host, user FROM workflow"
        " WHERE run_id = ?",
        first_run_id(recorded_database),
    )

    status = otel_parsl("status", FIRST, "--db", recorded_database, "--json").json

    run = status["run"]
    assert [run[key] for key in ("run_id", "name", "version", "rundir", "host", "user")] == [
        run_id,
        name,
        version,
        rundir,
        host,
        user,
    ]
    assert (status["state"], status["because"]) == ("completed", "it was cleaned up")
    assert (run["number"], run["recorded_by"]) == (
        "000",
        "otel_parsl" if "everything-otel" in str(recorded_database) else "parsl",
    )
    began, completed = (
        datetime.datetime.fromisoformat(run[key]) for key in ("began_at", "completed_at")
    )
    assert began.utcoffset() == datetime.timedelta(0)
    assert status["elapsed_s"] == (completed - began).total_seconds()
    assert (status["time_left_s"], status["workers"]) == (
        None,
        {"connected": 0, "busy": 0, "managers": 0},
    )


def test_json_blocks_are_the_latest_rows(recorded_database: Path) -> None:
    """Each block is there once, with its job and its last status."""
    expected = rows(
        recorded_database,
        "SELECT executor_label, block_id, job_id, status FROM block AS latest WHERE run_id = ?"
        " AND timestamp = (SELECT max(timestamp) FROM block WHERE run_id = latest.run_id"
        "  AND executor_label = latest.executor_label AND block_id = latest.block_id)"
        " ORDER BY 1, 2",
        first_run_id(recorded_database),
    )

    status = otel_parsl("status", FIRST, "--db", recorded_database, "--json").json

    assert [
        (block["executor"], block["block_id"], block["job_id"], block["status"])
        for block in status["blocks"]
    ] == expected


def _store_running(path: Path) -> datetime.datetime:
    """Store a run that began 1000 s ago and has tasks in every state."""
    began = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1000)
    with StoredRun(f"sqlite:///{path}", began=began) as run:
        for task_id in range(20):
            run.task(task_id, "pending", "launched", "exec_done", at_s=900)
            run.execution(task_id, at_s=900, run_s=10)
        run.task(20, "pending", "memo_done")
        run.task(21, "pending")
        run.task(22, "pending", "launched")
        run.task(23, "pending", "launched")
        run.running(23, at_s=980)
        run.task(24, "pending", "launched", "fail_retryable", fail_history="ValueError('x')")
        run.task(25, "pending", "launched", "joining", app="join")
        run.manager("a", workers=4, tasks=3, at_s=990)
        run.manager("b", workers=4, tasks=9, at_s=990)
        run.block("0", "RUNNING")
        run.block("1", "PENDING")
        run.heartbeat(at_s=985, lag_s=0.75)
    return began


def test_running_run_has_rate_time_left_and_workers(tmp_path: Path) -> None:
    """A run that goes on tells its rate, what is left, its workers and its heartbeat."""
    began = _store_running(tmp_path / "monitoring.db")

    ran = otel_parsl("status", "--db", tmp_path, "--json")

    status = ran.json
    assert ran.code == 0
    assert (status["state"], status["because"]) == ("running", "it was heard of lately")
    assert {state: tasks for state, tasks in status["tasks"].items() if tasks} == {
        "total": 26,
        "waiting": 1,
        "queued": 1,
        "retrying": 1,
        "running": 1,
        "joining": 1,
        "executed": 20,
        "memoised": 1,
    }
    assert status["rate_per_s"] == pytest.approx(20 / 300)
    # Five open tasks of which one has run for 20 s; 20 tasks of 10 s were done in 300 s.
    speed = (20 * 10.01 + 20) / 300
    assert status["time_left_s"] == pytest.approx((4 * 10.01 - 20 + 10.01) / speed, rel=0.2)
    assert status["time_left_unseen_apps"] == ["join"]
    assert status["workers"] == {"connected": 8, "busy": 7, "managers": 2}
    heard = began + datetime.timedelta(seconds=990)
    assert status["last_seen_at"] == plain(heard)
    assert status["lag_s"] == 0.75
    assert 1000 <= status["elapsed_s"] < 1100


def test_running_run_is_told_in_words(tmp_path: Path) -> None:
    """The text has the counts, each app, the rate, the time left, workers and blocks."""
    _store_running(tmp_path / "monitoring.db")

    lines = otel_parsl("status", "--db", tmp_path).lines

    assert lines[0] == "corridor.py  run 000  running: it was heard of lately"
    assert lines[2] == f"  run id      {RUN_ID}"
    (seen,) = [line for line in lines if line.startswith("  last seen")]
    assert seen.endswith(" ago; what happens is here within 0.75 s")
    table = lines[lines.index("  tasks") + 1 :]
    assert [line.split() for line in table[: table.index("")]] == [
        *(["waiting", "on", "dependencies", "1", "3.8%"], ["queued", "1", "3.8%"]),
        *(["retrying", "1", "3.8%"], ["running", "1", "3.8%"], ["joining", "1", "3.8%"]),
        *(["executed", "20", "76.9%"], ["memoised", "1", "3.8%"], ["failed", "0", "0.0%"]),
        *(["dependency", "failed", "0", "0.0%"], ["total", "26"]),
    ]
    assert "  rate        0.0667 tries/s over the last 5 min 0 s" in lines
    assert "  workers     8 connected in 2 managers, 7 busy" in lines
    assert "  blocks      htex: 1 pending, 1 running" in lines
    (left,) = [line for line in lines if line.startswith("  time left   about ")]
    assert left.endswith(", by what finished tasks of each app took; none of join has finished yet")


def test_ended_run_is_told_in_words(tmp_path: Path) -> None:
    """The whole text of a run that failed: only the states that occur, and where to look next."""
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db") as run:
        for task_id in range(3):
            run.task(task_id, "pending", "launched", "exec_done", app="align")
            run.execution(task_id, at_s=1, run_s=10, app="align")
        run.task(3, "pending", "launched", "failed", app="sum", fail_history="ValueError('x')")
        run.task(4, "pending", "dep_fail", app="plot", depends="3")
        run.block("0", "SCALED_IN")
        run.ended()

    ran = otel_parsl("status", "--db", tmp_path)

    assert ran.code == 1
    assert [line for line in ran.lines if not line.startswith("  last seen")] == [
        "corridor.py  run 000  completed: it was cleaned up",
        "",
        f"  run id      {RUN_ID}",
        "  began       2026-01-15 12:00:00  on submit.example.org by me",
        "  elapsed     1 min 0 s",
        "",
        "  tasks",
        "  executed           3  60.0%",
        "  failed             1  20.0%",
        "  dependency failed  1  20.0%",
        "  total              5",
        "",
        "  app    total  executed  failed  dep_failed  mean run",
        "  align      3         3       0           0      10 s",
        "  plot       1         0       0           1         -",
        "  sum        1         0       1           0         -",
        "",
        "  rate        0.05 tries/s over the whole run",
        "  blocks      htex: 1 scaled_in",
        "",
        "why it failed: otel-parsl failures 000",
    ]


@pytest.mark.parametrize(
    ("outcome", "state", "code"),
    [("lost", "lost", 1), ("unfinished", "unfinished", 0), (None, "unfinished", 0)],
)
def test_run_that_ended_otherwise_is_told(
    tmp_path: Path, outcome: str | None, state: str, code: int
) -> None:
    """A lost run is trouble, one that ended with tasks open is unfinished; no task runs on."""
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db") as run:
        run.task(0, "pending", "launched")
        run.running(0, at_s=2)
        run.task(1, "pending")
        run.ended(outcome)

    ran = otel_parsl("status", "--db", tmp_path, "--json")
    tasks = otel_parsl("tasks", "--db", tmp_path, "--json").json["tasks"]

    assert (ran.code, ran.json["state"], ran.json["tasks"][state]) == (code, state, 2)
    assert [(task["state"], task["run_s"]) for task in tasks] == [(state, None)] * 2
    assert otel_parsl("show", "latest/0", "--db", tmp_path, "--json").json["state"] == state


def test_tasks_of_a_run_that_fell_silent_run_no_more(tmp_path: Path) -> None:
    """A run that nobody closed, and whose heartbeat stopped long ago, has lost its tasks."""
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db") as run:
        run.task(0, "pending", "launched")
        run.running(0, at_s=2)
        run.heartbeat(at_s=30)

    ran = otel_parsl("status", "--db", tmp_path, "--json")

    tasks = ran.json["tasks"]
    assert (ran.code, ran.json["state"], tasks["lost"], tasks["running"]) == (1, "lost", 1, 0)
    assert ran.json["elapsed_s"] == 30.0


def test_run_without_tasks_is_told(tmp_path: Path) -> None:
    """A run that has only begun, and one that ended without a task, are no errors."""
    now = datetime.datetime.now(datetime.timezone.utc)
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db", began=now):
        pass

    ran = otel_parsl("status", "--db", tmp_path)

    assert (ran.code, ran.error) == (0, "")
    assert "no task yet" in ran.lines
    assert otel_parsl("status", "--db", tmp_path, "--json").json["tasks"]["total"] == 0


def test_many_apps_are_not_all_listed(tmp_path: Path) -> None:
    """Forty apps are shown, and the text says how many more there are."""
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db") as run:
        for task_id in range(42):
            run.task(task_id, "pending", app=f"app{task_id:02}")

    ran = otel_parsl("status", "--db", tmp_path)

    assert "  and 2 more apps: --json has them all" in ran.lines
    assert len([line for line in ran.lines if line.startswith("  app") and line[5].isdigit()]) == 40


def test_lost_run_elapsed_until_it_was_last_heard_of(tmp_path: Path) -> None:
    """A run that nobody closed has lasted until its last event, not until today."""
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db") as run:
        run.task(0, "pending", at_s=30)

    ran = otel_parsl("status", "--db", tmp_path, "--json")

    assert (ran.code, ran.json["state"], ran.json["elapsed_s"]) == (1, "lost", 30.0)
