"""How a run stands: ``/workflow/RUN/``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from otel_parsl.cli import words
from otel_parsl.cli.status import LABELS
from otel_parsl.query.task_states import FAILED, TaskState
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.data.pace import Outlook, outlook
from otel_parsl_dashboards.elements import concurrency, gantt, run_times, task_stream
from otel_parsl_dashboards.elements.colours import OF_STATE, app_legend
from otel_parsl_dashboards.elements.state_changes import StateChanges
from otel_parsl_dashboards.pages.card import Card
from otel_parsl_dashboards.pages.page import Facts, Plot, RunPage, View
from otel_parsl_dashboards.shell.environment import (
    number_words,
    seconds_words,
    share_words,
)

_RARE = (TaskState.LOST, TaskState.UNFINISHED, TaskState.UNKNOWN)
"""Shown where there are some."""


def facts(view: View) -> Facts:
    """Return what the page says beside its plots."""
    return {
        "states": _states(view),
        "apps": view.snapshot.once(("apps", view.window), lambda: _apps(view)),
        "is_read": view.snapshot.has("tries"),
        "cards": view.snapshot.once("cards", lambda: _cards(view)),
    }


def _states(view: View) -> Facts:
    states = view.snapshot.standing.states
    total = states.total()
    return {
        "is_known": view.snapshot.standing.counts is not None,
        "total": total,
        "each": [
            {
                "name": LABELS[state],
                "state": state.value,
                "tasks": states[state],
                "share": share_words(states[state], total),
                "colour": OF_STATE[state.value],
            }
            for state in LABELS
            if state not in _RARE or states[state]
        ],
    }


def _apps(view: View) -> list[Facts]:
    """Return a row an app: its tasks, and how long the tries that ended took."""
    tries, tasks = view.tries, view.snapshot.tasks
    app, state = (tasks[name].array for name in ("app", "state"))
    if view.window is not None:
        place, is_there = frames.places(tries["task_id"].to_numpy(), tasks["task_id"].to_numpy())
        of_tries = np.zeros(len(tasks), dtype=bool)
        of_tries[place[is_there]] = True
        app, state = app[of_tries], state[of_tries]
    is_failed = state.isin([state.value for state in FAILED])
    took = frames.run_times_s(tries)
    is_over = ~np.isnan(took)
    took, of_app = took[is_over], tries["app"].array[is_over]
    whole = float(took.sum())
    rows = []
    for name in view.snapshot.apps:
        is_it = app == name
        seconds = took[of_app == name]
        median, late = np.quantile(seconds, (0.5, 0.95)) if len(seconds) else (0.0, 0.0)
        share = float(seconds.sum()) / whole if whole else 0.0
        rows.append(
            {
                "name": name,
                "colour": view.colours[name],
                "tasks": int(is_it.sum()),
                "failed": int((is_it & is_failed).sum()),
                "mean_s": float(seconds.mean()) if len(seconds) else None,
                "median_s": float(median) if len(seconds) else None,
                "p95_s": float(late) if len(seconds) else None,
                "share": share_words(share, 1.0),
                "width": round(100 * share, 2),
            }
        )
    return sorted(rows, key=lambda row: (-row["tasks"], row["name"]))


def _cards(view: View) -> list[Card]:
    snapshot = view.snapshot
    if not snapshot.has("tries"):
        return []
    found = outlook(snapshot)
    lanes = len(snapshot.lanes)
    cards = [
        Card(
            name="Rate",
            value=f"{number_words(found.rate_per_s)} /s" if lanes else words.UNKNOWN,
            more=f"over {seconds_words(found.recent_s)}" if lanes else "no try is known to run",
            help="Tries that ended in a second: over the last five minutes of a run that goes"
            " on, or all of it where too few have ended; over the whole of a run that has ended.",
        ),
        Card(
            name="Elapsed",
            value=seconds_words(snapshot.standing.elapsed_s),
            more="",
            help="From the start of the run to its end, or to now, or to when it was heard of"
            " last.",
        ),
    ]
    if snapshot.standing.is_running:
        cards.append(_left(found))
    cards.append(
        Card(
            name="Most at once",
            value=number_words(lanes) if lanes else words.UNKNOWN,
            more=f"on {words.counted(int(snapshot.lanes['host'].nunique()), 'node')}"
            if lanes
            else "no try is known to run",
            help="The most tries that ran at the same time on each node, summed: as many workers"
            " as were ever busy there.",
        )
    )
    return cards


def _left(found: Outlook) -> Card:
    explained = (
        "An estimate: what the open tasks will cost, by the mean of their app's tries so far,"
        " over the speed of late. Nine in ten such runs would need between the two times, by how"
        " the tries of each app differ."
    )
    if found.left is None:
        return Card(
            name="Time left",
            value="not known yet",
            more="no try has ended",
            help=explained,
        )
    low, high = seconds_words(found.low_s), seconds_words(found.high_s)
    unseen = found.left.unseen_apps
    return Card(
        name="Time left",
        value=f"about {seconds_words(found.left.seconds)}",
        more=f"none of {', '.join(unseen)} has ended yet" if unseen else f"{low} to {high}",
        help=explained,
    )


def _changes(view: View) -> StateChanges:
    known = view.snapshot
    return known.once(
        "state changes",
        lambda: gantt.changes_of(known.tasks, known.statuses, until=known.until),
    )


def _of_tries(make: Callable[..., Any], view: View) -> Any:
    return make(
        view.tries,
        view.snapshot.lanes,
        view.colours,
        span=view.span,
        until=view.snapshot.until,
        rows=view.rows,
    )


def _of_tasks(make: Callable[..., Any], view: View) -> Any:
    return make(
        view.snapshot.tasks,
        view.snapshot.statuses,
        span=view.span,
        until=view.snapshot.until,
        changes=None if view.window is None else _changes(view),
    )


PAGE = RunPage(
    path="",
    tab="Workflow",
    template="workflow.html",
    tables={"apps": "apps"},
    is_reported=True,
    facts=facts,
    fragments=("states", "cards", "apps", "window"),
    plots=(
        Plot(
            key="stream",
            title="Task stream",
            help="A lane for each try that ran at the same time as others on its node: as many"
            " lanes as workers were ever busy there, since Parsl does not record which worker ran"
            " a try. Coloured by app. Tries that have not ended are drawn up to now, or to when"
            " the run was heard of last. The wheel zooms lanes once its tool for the y axis, at"
            " the right, is switched on.",
            hint="drag over a stretch of time: the page shows that alone, single tries once they"
            " are few; click a try for its task",
            draw=partial(_of_tries, task_stream.task_stream),
            picture=partial(_of_tries, task_stream.picture),
            summarise=lambda view: task_stream.summarise(
                view.tries,
                view.snapshot.lanes,
                span=view.span,
                until=view.snapshot.until,
                rows=view.rows,
            ),
            legend=lambda view: app_legend(view.colours),
            height=300,
            is_timed=True,
            follows_window=True,
            follows_rows=True,
        ),
        Plot(
            key="run-times",
            title="Run time of tries",
            help="How long each try ran on its worker, from running to running_ended. Tries that"
            " have not ended are left out. The axis is logarithmic.",
            draw=lambda view: run_times.run_time_histogram(view.tries),
            summarise=lambda view: run_times.summarise(view.tries),
            height=230,
            follows_window=True,
        ),
        Plot(
            key="concurrency",
            title="Tries running over time",
            help="How many tries were between running and running_ended at each moment: all of"
            " them, and those of each app; the smallest share a line"
            " where there are more than twelve.",
            draw=lambda view: concurrency.concurrency(
                view.tries,
                view.colours,
                span=view.span,
                until=view.snapshot.until,
            ),
            summarise=lambda view: concurrency.summarise(
                view.tries, span=view.span, until=view.snapshot.until
            ),
            legend=lambda view: [("all", concurrency.ALL), *app_legend(view.colours)],
            height=200,
            is_timed=True,
            follows_window=True,
        ),
        Plot(
            key="gantt",
            title="Tasks",
            needs=("statuses",),
            help="A row for each task, by id from top to bottom, in the colours of Parsl's ten"
            " states, from when it entered each of them. The last state of a task lasts to the"
            " end of the run and is drawn faint once it is final.",
            draw=partial(_of_tasks, gantt.gantt),
            picture=partial(_of_tasks, gantt.picture),
            summarise=lambda view: gantt.summarise(view.snapshot.tasks, view.snapshot.statuses),
            hint="click a bar for its task",
            allows=lambda view: gantt.has_bars(view.snapshot.tasks, view.snapshot.statuses),
            legend=lambda _view: gantt.LEGEND,
            height=420,
            is_timed=True,
            follows_window=True,
            prepare=_changes,
        ),
    ),
)
