"""An app's page says how many cores its tasks kept busy, and their peak memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_parsl.cli import words
from tests.support.chromium import Tab
from tests.support.dashboard import Dashboard
from tests.support.recorded_databases import microseconds, rows, value


def test_distributions_are_those_of_the_samples(
    demo: Dashboard, demo_database: Path, shown: Tab
) -> None:
    """Each sampled task counts once, and the greatest is what the rows say."""
    tasks, cores, memory = rows(
        demo_database,
        f"""
        WITH tries AS (
            SELECT task_id, max(psutil_process_time_user + psutil_process_time_system) AS cpu_s,
                   max({microseconds("timestamp")}) - {microseconds("task_try_time_running")}
                       AS lasted,
                   max(psutil_process_memory_resident) AS memory
            FROM resource JOIN "try" USING (run_id, task_id, try_id)
                 JOIN task USING (run_id, task_id)
            WHERE task_func_name = 'observe' GROUP BY task_id, try_id
        ), tasks AS (
            SELECT sum(cpu_s) / (sum(lasted) / 1e6) AS cores, max(memory) AS memory
            FROM tries GROUP BY task_id
        )
        SELECT count(*), max(cores), max(memory) FROM tasks
        """,
    )[0]
    run_id = value(demo_database, "SELECT run_id FROM workflow")
    shown.open(demo.address)
    assert shown.open(f"{demo.root}/workflow/{run_id}/app/observe") == 200
    shown.wait_drawn()

    said = shown.text("#f-summary-cores")
    assert said.startswith(f"{words.counted(tasks, 'task')} sampled. Half kept less than ")
    greatest = said.partition("the most ")[2].removesuffix(".")
    assert float(greatest) == pytest.approx(cores, rel=0.01)
    said = shown.text("#f-summary-memory-peak")
    assert said.startswith(f"{words.counted(tasks, 'task')} sampled.")
    assert said.endswith(f"the most {memory_said(memory)}.")
    for plot in ("cores", "memory-peak"):
        assert len(shown.colours(plot)) > 1
    assert (shown.errors, shown.failed) == ([], [])


def memory_said(count: float) -> str:
    """Return bytes in powers of a thousand, as the pages say them."""
    return f"{count / 1e6:.3g} MB"
