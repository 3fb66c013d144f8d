"""Run times of which only the submit host says when they ended, and workers' clocks are ahead."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from otel_parsl_dashboards.data.pace import outlook
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.data.whole import read_whole
from otel_parsl_dashboards.elements import run_times
from otel_parsl_dashboards.pages import task_filter, workflow
from otel_parsl_dashboards.pages.page import View
from otel_parsl_dashboards.pages.run_header import header_facts

from tests.support.parsl_generations import GENERATIONS
from tests.support.recorded_databases import value
from tests.support.stored_run import RUN_ID, StoredRun

_AHEAD = """
    DELETE FROM status WHERE task_status_name = 'running_ended';
    UPDATE "try" SET task_try_time_running =
        strftime('%Y-%m-%d %H:%M:%f', task_try_time_running, '+1 hour') || '000';
"""


def _view(path: Path, run_id: str) -> View:
    source = Source(str(path))
    return View(read_whole(source, run_id), {}, {}, None, source)


def _has_notice(view: View) -> bool:
    notices: list[str] = header_facts(view.snapshot)["notices"]
    return any("Nothing says when workers were done with their tries" in each for each in notices)


@pytest.mark.parametrize("parsl_generation", GENERATIONS[-1:], indirect=True)
def test_no_try_ran_for_less_than_nothing(parsl_generation: Path) -> None:
    """Run times that would be negative are unknown on all pages, which say why."""
    with closing(sqlite3.connect(parsl_generation)) as connection, connection:
        connection.executescript(_AHEAD)
    view = _view(parsl_generation, value(parsl_generation, "SELECT run_id FROM workflow"))

    apps: Any = workflow.facts(view)["apps"]
    assert {app["mean_s"] for app in apps} == {None}
    assert np.isnan(task_filter.run_times_s(view)).all()
    assert outlook(view.snapshot).left is None
    assert run_times.summarise(view.tries).endswith(
        " Of 7 tries the run time is not known: the clocks of two hosts contradict one another."
    )
    assert _has_notice(view)


def test_run_time_of_a_try_whose_worker_was_killed_is_unknown(tmp_path: Path) -> None:
    """It began by the worker's clock and was given up by the submit host's; the others count."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        for task_id in range(2):
            run.task(task_id, "pending", "launched", at_s=1)
        run.running(0, at_s=40)
        run.task(0, "failed", at_s=10, fail_history="WorkerLost('x')", returned_ns=run.ns(10))
        run.execution(1, at_s=40, run_s=5)
        run.task(1, "exec_done", at_s=15, returned_ns=run.ns(15))
        run.ended(at_s=60)
    view = _view(path, RUN_ID)

    (app,) = workflow.facts(view)["apps"]
    assert app["mean_s"] == 5
    assert [str(each) for each in task_filter.run_times_s(view)] == ["nan", "5.0"]
    said = run_times.summarise(view.tries)
    assert said.startswith("1 try has ended.")
    assert said.endswith(
        "Of 1 try the run time is not known: the clocks of two hosts contradict one another."
    )
    assert not _has_notice(view)


def test_notice_tells_where_run_times_span_two_clocks(parsl_generation: Path) -> None:
    """It stands on the pages of the runs of early Parsls, and on no others."""
    view = _view(parsl_generation, value(parsl_generation, "SELECT run_id FROM workflow"))
    ends = value(
        parsl_generation,
        "SELECT count(*) FROM status WHERE task_status_name = 'running_ended'",
    )

    assert _has_notice(view) == (ends == 0)
