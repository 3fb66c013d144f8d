"""How a run stands: ``/workflow/RUN/``."""

from __future__ import annotations

import numpy as np
import pandas as pd

from otel_parsl.query.task_states import FAILED, TaskState
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.elements import run_times
from otel_parsl_dashboards.elements.colours import OF_STATE
from otel_parsl_dashboards.pages.page import Facts, Plot, RunPage, View
from otel_parsl_dashboards.shell.environment import share_words, time_words

LABELS = {
    TaskState.WAITING: "waiting on dependencies",
    TaskState.QUEUED: "queued",
    TaskState.RUNNING: "running",
    TaskState.JOINING: "joining",
    TaskState.RETRYING: "retrying",
    TaskState.EXECUTED: "executed",
    TaskState.MEMOISED: "memoised",
    TaskState.FAILED: "failed",
    TaskState.DEP_FAILED: "dependency failed",
    TaskState.UNKNOWN: "unknown",
}


def facts(view: View) -> Facts:
    """Return what the page says beside its plots."""
    return {
        "states": _states(view),
        "apps": view.snapshot.once(("apps", view.window), lambda: _apps(view)),
        "window": _window(view),
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
            if state is not TaskState.UNKNOWN or states[state]
        ],
    }


def _apps(view: View) -> list[Facts]:
    """Return a row an app: its tasks, and how long the tries that ended took."""
    tries = view.tries
    tasks = view.snapshot.tasks
    if view.window is not None:
        tasks = tasks[np.isin(tasks["task_id"].to_numpy(), tries["task_id"].to_numpy())]
    took = pd.Series(frames.seconds(tries["ended"], tries["running"]), index=tries.index)
    by_app = took.groupby(tries["app"], observed=True)
    summed = by_app.agg(["sum", "mean", "median", "count"])
    late = by_app.quantile(0.95)
    whole = float(summed["sum"].sum()) if len(summed) else 0.0
    is_failed = tasks["state"].isin([state.value for state in FAILED])
    rows = []
    for app in view.snapshot.apps:
        is_it = tasks["app"] == app
        has_run = app in summed.index and summed.loc[app, "count"] > 0
        share = float(summed.loc[app, "sum"]) / whole if has_run and whole else 0.0
        rows.append(
            {
                "name": app,
                "colour": view.colours[app],
                "tasks": int(is_it.sum()),
                "failed": int((is_it & is_failed).sum()),
                "mean_s": float(summed.loc[app, "mean"]) if has_run else None,
                "median_s": float(summed.loc[app, "median"]) if has_run else None,
                "p95_s": float(late.loc[app]) if has_run else None,
                "share": share_words(share, 1.0),
                "width": round(100 * share, 2),
            }
        )
    return sorted(rows, key=lambda row: (-row["tasks"], row["name"]))


def _window(view: View) -> Facts | None:
    if view.window is None:
        return None
    return {"start": time_words(view.window.start), "end": time_words(view.window.end)}


PAGE = RunPage(
    path="",
    tab="Workflow",
    template="workflow.html",
    facts=facts,
    fragments=("states", "apps", "window"),
    plots=(
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
    ),
)
