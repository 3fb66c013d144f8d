"""The facts that every page of a run has: its header, its tabs and its notices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from otel_parsl.cli import words
from otel_parsl.query.task_states import TaskState
from otel_parsl_dashboards.data.generations import missing_words
from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.pages.page import Facts


class Tab(NamedTuple):
    """A link to one of the run's pages."""

    name: str
    path: str
    is_here: bool


def header_facts(snapshot: Snapshot) -> Facts:
    """Return what the header says of a run."""
    standing, run = snapshot.standing, snapshot.run
    states = standing.states
    is_counted = standing.counts is not None
    return {
        "run": {
            "name": run.name,
            "version": run.version,
            "run_id": run.run_id,
            "state": standing.liveness.state.value,
            "because": standing.liveness.because,
            "started": words.local(run.began_at, run.zone),
            "completed": words.local(run.completed_at, run.zone),
            "duration_s": standing.elapsed_s,
            "user": run.user,
            "host": run.host,
            "rundir": run.rundir,
            "completed_count": states[TaskState.EXECUTED]
            if is_counted
            else standing.completed_count,
            "memoised_count": states[TaskState.MEMOISED],
            "failed_count": states[TaskState.FAILED] if is_counted else standing.failed_count,
            "dep_failed_count": states[TaskState.DEP_FAILED],
        },
        "notices": _notices(snapshot),
    }


def tabs(names: Sequence[tuple[str, str]], here: str) -> list[Tab]:
    """Return the run's tabs: names with their paths below the run's."""
    return [Tab(name, path, path == here) for name, path in names]


def _notices(snapshot: Snapshot) -> list[str]:
    notices = []
    if snapshot.reading is not None:
        notices.append(f"Not everything is here yet: {snapshot.reading}.")
    missing = missing_words(snapshot.gaps)
    if missing:
        notices.append(
            "The Parsl that recorded this run did not record everything that newer ones do:"
            f" {', '.join(missing)}. Figures made from these are left out."
        )
    return notices
