"""``otel-parsl failures``."""

from __future__ import annotations

from pathlib import Path

from tests.support.command_line import otel_parsl
from tests.support.recorded_databases import FIRST, first_run_id, rows, value
from tests.support.stored_run import StoredRun

STACK = 'Traceback (most recent call last):\n  File "/home/me/flow.py", line 7, in read\n    1/0\n'


def test_json_has_every_failure(recorded_database: Path) -> None:
    """Failed tasks and dependents together are the tasks that table status has as failed."""
    run_id = first_run_id(recorded_database)
    failed = value(
        recorded_database,
        "SELECT count(DISTINCT task_id) FROM status"
        " WHERE run_id = ? AND task_status_name IN ('failed', 'dep_fail')",
        run_id,
    )

    ran = otel_parsl("failures", FIRST, "--db", recorded_database, "--json")

    found = ran.json
    assert ran.code == 1
    assert found["failed_tasks"] + found["dependents"] == failed
    assert found["failed_tasks"] == sum(group["failed_tasks"] for group in found["groups"])
    assert found["dependents"] == 4
    assert found["blocks"] == []


def test_json_groups_are_those_of_the_store(otel_database: Path) -> None:
    """Each group has the fate, type, frame and template that otel_failure has."""
    expected = rows(
        otel_database,
        "SELECT DISTINCT fingerprint, fate, exception_type, frame, template FROM otel_failure"
        " WHERE run_id = ? AND fate NOT IN ('dependency', 'join')",
        first_run_id(otel_database),
    )
    by_group = {
        row[0]: {other[1:4] for other in expected if other[0] == row[0]} for row in expected
    }

    found = otel_parsl("failures", FIRST, "--db", otel_database, "--json").json

    assert {group["fingerprint"] for group in found["groups"]} == by_group.keys()
    for group in found["groups"]:
        key = (group["fate"], group["exception_type"], group["frame"])
        assert key in by_group[group["fingerprint"]]
        assert group["hosts"] == dict(
            rows(
                otel_database,
                "SELECT hostname, count(*) FROM otel_failure NATURAL JOIN try WHERE run_id = ?"
                " AND fingerprint = ? AND hostname IS NOT NULL GROUP BY 1",
                found["run_id"],
                group["fingerprint"],
            )
        )


def _store(folder: Path) -> None:
    stderr = folder / "block.stderr"
    stderr.write_text("".join(f"line {number}\n" for number in range(12)))
    with StoredRun(f"sqlite:///{folder}/monitoring.db") as run:
        run.block(
            "0",
            "FAILED",
            at_s=5,
            job_id="4711",
            message="sbatch: error: Invalid account\nsee the manual",
            exit_code=1,
            stdout_path="/gone/block.stdout",
            stderr_path=str(stderr),
        )
        run.block("1", "RUNNING")
        for task_id in (0, 1):
            run.task(task_id, "pending", "launched", "failed", app="read", at_s=3)
            run.execution(
                task_id,
                at_s=2,
                run_s=1 + task_id,
                app="read",
                host=f"node{task_id}",
                exception_type="builtins.OSError",
                message=f"sample {task_id} is empty",
                stacktrace=f"{STACK}OSError: sample {task_id} is empty",
            )
        text = "DependencyError([(OSError('x'), 'task 0')], 2)"
        run.task(2, "pending", "dep_fail", app="sum", depends="0", fail_history=text)
        run.task(3, "pending", "launched", "fail_retryable", app="sum", fail_history="KeyError(1)")
        run.task(3, "pending", "launched", "exec_done", app="sum", try_id=1, at_s=9)


def test_text_has_blocks_and_causes(tmp_path: Path) -> None:
    """The whole text: the scheduler's own words first, then each cause with its dependents."""
    _store(tmp_path)

    ran = otel_parsl("failures", "--db", tmp_path)

    assert ran.code == 1
    assert ran.lines == [
        "corridor.py  run 000: 2 tasks failed of 1 cause, 1 dependent with them,"
        " 1 succeeded when tried again, 1 block in trouble",
        "",
        "block_failed  block 0 of htex  job 4711  exit code 1",
        "  sbatch: error: Invalid account",
        "  see the manual",
        "  seen      2026-01-15 12:00:05",
        "  stdout    /gone/block.stdout",
        f"  stderr    {tmp_path}/block.stderr",
        *(f"    line {number}" for number in range(2, 12)),
        "",
        "app_exception  OSError  in flow.py:read",
        "  sample <number> is empty",
        "  such as   sample 0 is empty",
        "  tasks     2 failed, 1 dependent with them, in 2 tries",
        "  seen      2026-01-15 12:00:03 to 2026-01-15 12:00:04",
        "  apps      read",
        "  hosts     node0 (1), node1 (1)",
        "  example   otel-parsl show 000/0",
        "",
        "app_exception  KeyError",
        "  <number>",
        "  such as   1",
        "  tasks     0 failed, 1 succeeded when tried again, in 1 try",
        "  seen      2026-01-15 12:00:01",
        "  apps      sum",
        "  example   otel-parsl show 000/3",
    ]


def test_json_has_the_schedulers_words(tmp_path: Path) -> None:
    """A block in trouble is there with message, exit code, paths and the end of its stderr."""
    _store(tmp_path)

    (block,) = otel_parsl("failures", "--db", tmp_path, "--json").json["blocks"]

    assert block == {
        "executor": "htex",
        "block_id": "0",
        "job_id": "4711",
        "status": "FAILED",
        "changed_at": "2026-01-15T12:00:05.123456+00:00",
        "message": "sbatch: error: Invalid account\nsee the manual",
        "exit_code": 1,
        "stdout_path": "/gone/block.stdout",
        "stderr_path": f"{tmp_path}/block.stderr",
        "submit_error": None,
        "stderr_tail": [f"line {number}" for number in range(2, 12)],
    }


def test_blocks_refused_alike_are_told_once(tmp_path: Path) -> None:
    """A scheduler that refuses a block every few seconds is quoted once, with the latest block."""
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db") as run:
        for number in range(13):
            error = f"sbatch: error: job {number} is over the limit"
            run.block(str(number), "FAILED", at_s=number, message="x", submit_error=error)

    assert otel_parsl("failures", "--db", tmp_path).lines == [
        "corridor.py  run 000: no task failed, 13 blocks in trouble",
        "",
        "block_failed  block 12 of htex",
        "  sbatch: error: job 12 is over the limit",
        "  seen      2026-01-15 12:00:12",
        "  alike     12 more blocks: 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and earlier ones",
    ]


def test_dead_executor_is_told(tmp_path: Path) -> None:
    """What killed an executor and with it its tries is said first, in text and in JSON."""
    dead = "the interchange of executor htex (process 7) was killed by SIGKILL"
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db") as run:
        run.task(0, "pending", "launched", app="read")
        run.executor("htex", "lost", dead, at_s=9)
        run.lost(0, f"InterchangeLost('{dead}')", app="read", at_s=9)

    ran = otel_parsl("failures", "--db", tmp_path)
    status = otel_parsl("status", "--db", tmp_path)

    assert (ran.code, ran.lines[:9]) == (
        1,
        [
            "corridor.py  run 000: 1 task failed of 1 cause, executor htex lost",
            "",
            "executor_lost  htex",
            f"  {dead}",
            "  seen      2026-01-15 12:00:09",
            "",
            "manager_lost  InterchangeLost",
            "  the interchange of executor htex (process <number>) was killed by SIGKILL",
            f"  such as   {dead}",
        ],
    )
    assert otel_parsl("failures", "--db", tmp_path, "--json").json["executors"] == [
        {
            "executor": "htex",
            "state": "lost",
            "message": dead,
            "changed_at": "2026-01-15T12:00:09.123456+00:00",
        }
    ]
    assert (
        "  executor    htex: lost, its interchange is gone, and with it the tries that it had"
        in status.lines
    )


def test_tasks_that_died_with_their_run_are_told(tmp_path: Path) -> None:
    """A run that died has trouble, though none of its tasks could fail any more."""
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db") as run:
        run.task(0, "pending", "launched", app="read")
        run.task(1, "pending", app="read")
        run.ended("lost")

    ran = otel_parsl("failures", "--db", tmp_path)
    show = otel_parsl("show", "--db", tmp_path)

    assert (ran.code, ran.lines) == (
        1,
        ["corridor.py  run 000: no task failed, 2 tasks lost with the run"],
    )
    assert otel_parsl("failures", "--db", tmp_path, "--json").json["lost_tasks"] == 2
    assert "  tasks       2: 2 lost" in show.lines


def test_stack_trace_of_the_example_is_shown_on_demand(tmp_path: Path) -> None:
    """``--stack`` adds the stack trace of one try of each cause."""
    _store(tmp_path)

    lines = otel_parsl("failures", "--db", tmp_path, "--stack").lines

    start = lines.index("    Traceback (most recent call last):")
    assert lines[start - 1 : start + 5] == [
        "  example   otel-parsl show 000/0",
        "    Traceback (most recent call last):",
        '      File "/home/me/flow.py", line 7, in read',
        "        1/0",
        "    OSError: sample 0 is empty",
        "",
    ]


def test_causes_beyond_the_limit_are_counted(tmp_path: Path) -> None:
    """What is not shown is said; 0 shows all."""
    _store(tmp_path)

    assert otel_parsl("failures", "--db", tmp_path, "--limit", "1").lines[-1] == (
        "and 1 more cause: --limit 0 shows all"
    )
    assert "KeyError" in otel_parsl("failures", "--db", tmp_path, "--limit", "0").output


def test_run_that_only_retried_is_well(tmp_path: Path) -> None:
    """Failures that no task was given up for are shown, with code 0."""
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db") as run:
        run.task(0, "pending", "launched", "fail_retryable", fail_history="KeyError(1)")
        run.ended()

    ran = otel_parsl("failures", "--db", tmp_path)

    assert ran.code == 0
    assert "  tasks     0 failed, 1 tried again, in 1 try" in ran.lines


def test_run_without_failures_is_well(recorded_database: Path) -> None:
    """Where nothing failed, that is said, with code 0."""
    ran = otel_parsl("failures", "002", "--db", recorded_database)

    assert ran == (0, "nothing has failed in run 002\n", "")
