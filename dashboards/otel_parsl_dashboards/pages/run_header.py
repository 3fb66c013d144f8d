"""The facts that every page of a run has: its header, its tabs and its notices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from otel_parsl.cli import words
from otel_parsl.query.gaps import missing_words
from otel_parsl.query.task_states import TaskState
from otel_parsl_dashboards.data.drawing_share import MOST_S
from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.pages.page import Facts, RunPage

_MANY = 5_000
"""Tasks from which on drawing takes long enough to be put off."""
_CURRENT_S = 2.0
"""A page is taken to be of now that is no older than this."""


class Tab(NamedTuple):
    """A link to one of the run's pages."""

    name: str
    path: str
    is_here: bool
    failures: int = 0

    @property
    def said(self) -> str:
        """The number beside the name; empty for none."""
        return words.number(self.failures) if self.failures else ""


def header_facts(snapshot: Snapshot) -> Facts:
    """Return what the header says of a run."""
    standing, run = snapshot.standing, snapshot.run
    states = standing.states
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
            "completed_count": standing.executed,
            "memoised_count": states[TaskState.MEMOISED],
            "failed_count": standing.failed,
            "dep_failed_count": states[TaskState.DEP_FAILED],
        },
        "notices": notices(snapshot, snapshot.reading),
    }


def tabs(pages: Sequence[RunPage], here: str, snapshot: Snapshot) -> list[Tab]:
    """Return the tabs of those pages that have one; a page below one of them is in its tab."""
    return [
        Tab(
            page.tab,
            page.path,
            here == page.path or (page.path != "" and here.startswith(page.path + "/")),
            page.tab_count(snapshot),
        )
        for page in pages
        if page.tab
    ]


def notices(snapshot: Snapshot, reading: str | None) -> list[str]:
    """
    Return what is to be known of a run before its figures are read.

    Args:
        snapshot: The run.
        reading: What is being read of it still, in words.
    """
    run, said = snapshot.run, []
    if reading is not None:
        said.append(f"Not everything is here yet: {reading}.")
    if snapshot.standing.is_running:
        older = f"plots may be up to {MOST_S:.0f} s older than the numbers."
        if len(snapshot.tasks) >= _MANY:
            said.append(f"In a run of this size {older}")
        elif snapshot.held_s > _CURRENT_S:
            said.append(f"So that drawing does not slow the run, {older}")
    missing = missing_words(snapshot.gaps)
    if missing:
        said.append(
            "The Parsl that recorded this run did not record everything that newer ones do:"
            f" {', '.join(missing)}. Figures made from these are left out."
        )
    if _has_two_clocks(snapshot):
        said.append(
            "Nothing says when workers were done with their tries, as newer Parsls record. Run"
            " times go on until the submit host had the result, from a beginning by the worker's"
            " clock: they are too long, and wrong by what the clocks differ. Where a try would"
            " have ended before it began, its run time is left out."
        )
    for change in snapshot.standing.clock.changes(snapshot.standing.last_at):
        said.append(
            f"The clocks of {run.zone} were set at {words.local(change.at, run.zone)}, in this run."
            " Plots, lists and times to filter by go on by the clock of its start."
        )
    return said


def _has_two_clocks(snapshot: Snapshot) -> bool:
    """Tell whether all run times of what Parsl's hub recorded end by another clock."""
    if snapshot.run.is_ours or not snapshot.has("statuses"):
        return False
    tries, states = snapshot.tries, snapshot.statuses["state"]
    has_run = bool((tries["running"].notna() & tries["ended"].notna()).any())
    return has_run and not (states == "running_ended").any()
