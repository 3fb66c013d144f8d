"""``otel-parsl tasks``."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from tests.support.command_line import otel_parsl
from tests.support.recorded_databases import FIRST, first_run_id, rows
from tests.support.stored_run import BEGAN, StoredRun


def test_json_has_every_task(recorded_database: Path) -> None:
    """Without a limit all tasks are there, with what tables task and try say of them."""
    expected = rows(
        recorded_database,
        "SELECT task_id, task_func_name, count(*), max(try_id) FROM task NATURAL JOIN try"
        " WHERE run_id = ? GROUP BY 1, 2 ORDER BY 1",
        first_run_id(recorded_database),
    )
    last = {
        task_id: place
        for task_id, *place in rows(
            recorded_database,
            "SELECT task_id, task_executor, hostname, block_id FROM try AS last WHERE run_id = ?"
            " AND try_id = (SELECT max(try_id) FROM try WHERE run_id = last.run_id"
            "  AND task_id = last.task_id)",
            first_run_id(recorded_database),
        )
    }

    ran = otel_parsl(
        "tasks", FIRST, "--db", recorded_database, "--json", "--limit", "0", "--sort", "id"
    )

    found = ran.json
    assert (ran.code, found["total"], found["shown"]) == (0, 67, 67)
    assert [(each["task_id"], each["app"], each["tries"]) for each in found["tasks"]] == [
        row[:3] for row in expected
    ]
    assert {
        each["task_id"]: [each["executor"], each["hostname"], each["block_id"]]
        for each in found["tasks"]
    } == last


@pytest.mark.parametrize(
    ("arguments", "condition"),
    [
        (("--app", "square"), "task_func_name = 'square'"),
        (("--app", "square", "--app", "fail"), "task_func_name IN ('square', 'fail')"),
        (("--state", "failed"), "task_status_name = 'failed'"),
        (("--state", "memo_done"), "task_status_name = 'memo_done'"),
        (
            ("--state", "dep_failed", "--state", "memoised"),
            "task_status_name IN ('dep_fail', 'memo_done')",
        ),
        (("--text", "quarter"), "task_fail_history LIKE '%quarter%'"),
        (("--app", "nosuch"), "0"),
    ],
)
def test_filters_are_those_of_sql(
    recorded_database: Path, arguments: tuple[str, ...], condition: str
) -> None:
    """Each filter lets through what SQL by hand finds."""
    expected = rows(
        recorded_database,
        "SELECT DISTINCT task_id FROM task JOIN status USING (run_id, task_id)"
        f" JOIN try USING (run_id, task_id) WHERE run_id = ? AND {condition} ORDER BY 1",
        first_run_id(recorded_database),
    )

    ran = otel_parsl(
        *("tasks", FIRST, "--db", recorded_database, "--json", "--limit", "0", "--sort", "id"),
        *arguments,
    )

    assert [each["task_id"] for each in ran.json["tasks"]] == [task_id for (task_id,) in expected]


def _store(path: Path) -> None:
    with StoredRun(f"sqlite:///{path}/monitoring.db") as run:
        run.task(0, "pending", "launched", "exec_done", app="align", at_s=1)
        run.execution(0, at_s=2, run_s=3.5, app="align")
        run.task(1, "pending", "launched", "fail_retryable", app="align", at_s=1)
        run.task(1, "pending", "launched", "failed", app="align", try_id=1, at_s=9)
        run.execution(
            1,
            at_s=9.5,
            run_s=0.2,
            app="align",
            try_id=1,
            host="node2",
            exception_type="builtins.ValueError",
            message="no good",
        )
        run.task(2, "pending", app="sum")


def test_text_is_a_table(tmp_path: Path) -> None:
    """The whole text: what failed first, then what is open, then what is done."""
    _store(tmp_path)
    now = datetime.datetime.now(datetime.timezone.utc)
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db") as run:
        run.heartbeat(at_s=(now - BEGAN).total_seconds())

    ran = otel_parsl("tasks", "--db", tmp_path)

    assert (ran.code, ran.lines) == (
        0,
        [
            "task  app    state     tries  executor  host    queued    run     cpu   memory  error",
            "   1  align  failed        2  htex      node2  0.498 s  0.2 s  0.75 s  67.1 MB"
            "  ValueError: no good",
            "   2  sum    waiting       1  htex      -            -      -       -        -",
            "   0  align  executed      1  htex      node1  0.998 s  3.5 s  0.75 s  67.1 MB",
        ],
    )


def test_limit_is_said(tmp_path: Path) -> None:
    """What is not shown is counted, after the filter."""
    _store(tmp_path)

    ran = otel_parsl("tasks", "--db", tmp_path, "--app", "align", "--limit", "1")

    assert ran.lines[-1] == "1 of 2 tasks are shown: --limit N shows more, --limit 0 all"
    assert otel_parsl("tasks", "--db", tmp_path, "--app", "align", "--limit", "2").lines[-1] != ""


def test_unknown_app_is_said(tmp_path: Path) -> None:
    """An app that the run does not have is told with the nearest that it has."""
    _store(tmp_path)

    assert otel_parsl("tasks", "--db", tmp_path, "--app", "alling") == (
        0,
        "no such task in run 000\n",
        "otel-parsl: no app 'alling'. Did you mean 'align'?\n",
    )
    assert otel_parsl("tasks", "--db", tmp_path, "--app", "xyz").error == (
        "otel-parsl: no app 'xyz'. There are: align, sum\n"
    )
