"""What the benchmark of the pages writes reads as a run that Parsl and we would have recorded."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.support.command_line import otel_parsl
from tests.support.recorded_databases import rows

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from simulated_rows import Store
from simulated_run import DEP_FAILED, DONE, FAILED, MEMOISED, SimulatedRun, simulate

_BEGAN = np.datetime64("2026-01-15T12:00:00")


@pytest.fixture(scope="module")
def run() -> SimulatedRun:
    """A run with every fate."""
    return simulate(4_000, workers=32, nodes=2)


@pytest.fixture(scope="module", params=["parsl", "ours"])
def database(
    run: SimulatedRun, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Its database, of Parsl's schema and of ours."""
    path = tmp_path_factory.mktemp(request.param) / "monitoring.db"
    store = Store(path, run, began=_BEGAN, is_ours=request.param == "ours")
    store.write(0, 2_000)
    store.write(2_000, run.tasks)
    store.report(0.0, run.ended)
    store.end()
    return path


def test_every_task_ends_as_it_was_simulated(run: SimulatedRun, database: Path) -> None:
    """`otel-parsl status` counts the fates of the simulation, from either schema."""
    fates = Counter(run.fate.tolist())

    tasks = otel_parsl("status", "--json", "--db", database).json["tasks"]

    assert min(fates[fate] for fate in (DONE, FAILED, DEP_FAILED, MEMOISED)) > 0
    assert {name: number for name, number in tasks.items() if number} == {
        "total": 4_000,
        "executed": fates[DONE],
        "memoised": fates[MEMOISED],
        "failed": fates[FAILED],
        "dep_failed": fates[DEP_FAILED],
    }


def test_failures_have_one_cause_and_their_dependents(run: SimulatedRun, database: Path) -> None:
    """`otel-parsl failures` finds the cause, and the tasks that failed with each of its tasks."""
    fates = Counter(run.fate.tolist())

    (group,) = otel_parsl("failures", "--json", "--db", database).json["groups"]

    assert (group["fate"], group["failed_tasks"], group["dependents"]) == (
        "app_exception",
        fates[FAILED],
        fates[DEP_FAILED],
    )


def test_no_worker_runs_two_tries_at_once(run: SimulatedRun) -> None:
    """Tries of one worker follow one another, and begin after what they need."""
    order = np.lexsort((run.tries.running, run.tries.worker))
    worker, running, ended = (
        each[order] for each in (run.tries.worker, run.tries.running, run.tries.ended)
    )
    is_same = worker[1:] == worker[:-1]

    assert (running[1:][is_same] > ended[:-1][is_same]).all()
    assert (run.tries.running > run.tries.launched).all()


def test_every_state_of_a_try_has_its_row(database: Path) -> None:
    """Each try has the states that Parsl records, in their order, and a sample at its end."""
    ((tries,),) = rows(database, 'SELECT count(*) FROM "try" WHERE task_try_time_running NOT NULL')
    states = dict(rows(database, "SELECT task_status_name, count(*) FROM status GROUP BY 1"))
    ((sampled,),) = rows(
        database, "SELECT count(*) FROM (SELECT DISTINCT task_id, try_id FROM resource)"
    )

    assert states["launched"] == states["running"] == states["running_ended"] == tries == sampled
    assert states["exec_done"] + states["failed"] + states["fail_retryable"] == tries
