"""One SQLite file serves several runs at once, and readers that do not let go of it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.filesystems import fuse_folder
from tests.support.programs import Program, query, until

RUNS = 4
TASKS = 300

PROGRAM = """
with parsl.load(Config(
    executors=[htex() if {number} % 2 else ThreadPoolExecutor()],
    strategy="none",
    monitoring=OTelMonitoringHub(
        workflow_name="run {number}",
        logging_endpoint="sqlite:///{database}",
        resource_monitoring_interval=1,
        shutdown_timeout=5,
    ),
)):
    [future.result() for future in [sleep(0.001) for _ in range({tasks})]]
    print("half", flush=True)
    sys.stdin.read()
    [future.result() for future in [sleep(0.001) for _ in range({tasks})]]
"""


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Give a folder on this machine's own filesystem, or on one that may be of several."""
    if request.param == "local":
        yield tmp_path
    else:
        with fuse_folder(tmp_path / "mounted") as mounted:
            yield mounted


@pytest.mark.parametrize(
    ("folder", "journal", "locked_s"),
    [("local", "wal", 60), ("of several machines", "delete", 10)],
    indirect=["folder"],
)
def test_four_runs_and_a_reader_that_holds_a_lock_for_a_minute_share_a_file(
    folder: Path, journal: str, locked_s: float, tmp_path: Path
) -> None:
    """Every row of four runs at once is in the file, though a reader locked it for a minute."""
    database = folder / "shared.db"
    programs = [
        Program(
            tmp_path / str(number),
            PROGRAM.format(number=number, database=database, tasks=TASKS),
        )
        for number in range(RUNS)
    ]
    for program in programs:
        program.until_printed("half")
    until(lambda: _states(database) == _expected(TASKS))

    with closing(sqlite3.connect(database, timeout=30, isolation_level=None)) as reader:
        reader.execute("BEGIN EXCLUSIVE")
        locked_at = time.monotonic()
        for program in programs:
            program.go_on()
        for program in programs:
            program.wait()
        stored = reader.execute("SELECT count(*) FROM task").fetchall()
        until(lambda: time.monotonic() - locked_at > locked_s, locked_s + 1)
        reader.execute("ROLLBACK")

    assert stored == [(RUNS * TASKS,)], "the reader's lock kept the second half out"
    assert all("after 5 s not all is in" in program.output for program in programs)
    until(lambda: _states(database) == _expected(2 * TASKS))
    until(
        lambda: (
            query(database, "SELECT count(*) FROM workflow WHERE time_completed IS NULL") == [(0,)]
        )
    )
    assert query(
        database, "SELECT workflow_name, tasks_completed_count FROM workflow ORDER BY 1"
    ) == [(f"run {number}", 2 * TASKS) for number in range(RUNS)]
    for table in ("task", "try", "otel_try"):
        assert query(database, f'SELECT count(*) FROM "{table}"') == [(RUNS * 2 * TASKS,)]
    sampled = query(
        database,
        "SELECT workflow_name, count(DISTINCT task_id) FROM resource JOIN workflow USING (run_id)"
        " GROUP BY 1 ORDER BY 1",
    )
    assert sampled == [("run 1", 2 * TASKS), ("run 3", 2 * TASKS)]
    assert query(database, "PRAGMA integrity_check") == [("ok",)]
    assert query(database, "PRAGMA journal_mode") == [(journal,)]


def _states(database: Path) -> dict[tuple[str, str], int]:
    rows = query(
        database,
        "SELECT workflow_name, task_status_name, count(*) FROM status"
        " JOIN workflow USING (run_id) GROUP BY 1, 2",
    )
    return {(name, state): count for name, state, count in rows}


def _expected(tasks: int) -> dict[tuple[str, str], int]:
    return {
        (f"run {number}", state): tasks
        for number in range(RUNS)
        for state in ("pending", "launched", "running", "running_ended", "exec_done")
    }
