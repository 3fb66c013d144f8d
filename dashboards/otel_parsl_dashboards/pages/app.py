"""One app of a run: ``/workflow/RUN/app/NAME``."""

from __future__ import annotations

import numpy as np
import pandas as pd

from otel_parsl.cli.status import LABELS
from otel_parsl.query.errors import NoSuchRun
from otel_parsl.query.task_states import FAILED, TaskState
from otel_parsl.query.tasks import select_app_names
from otel_parsl_dashboards.elements import run_times, task_resources, usage, waits
from otel_parsl_dashboards.elements.colours import OF_STATE
from otel_parsl_dashboards.pages.card import Card
from otel_parsl_dashboards.pages.page import Facts, Plot, RunPage, View
from otel_parsl_dashboards.pages.task_filter import run_times_s
from otel_parsl_dashboards.pages.task_list import task_list
from otel_parsl_dashboards.pages.used import located, used
from otel_parsl_dashboards.shell.environment import number_words, seconds_words, share_words

_SAMPLED = ("tries", "samples")
_SLOWEST = 10
_NAMED = 20


def find(view: View) -> None:
    """
    Look whether the run has such an app.

    Raises:
        NoSuchRun: It has none.
    """
    name, run = view.params["name"], view.snapshot.run
    if name in view.snapshot.apps:
        return
    with view.source.read() as connection:
        names = select_app_names(connection, run)
    if name not in names:
        known = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        raise NoSuchRun(
            f"run {run.number} ({run.run_id}) has no app {name!r};"
            + (f" it has {known}" if names else " it has no task yet")
        )


def facts(view: View) -> Facts:
    """Return what the page says beside its plots."""
    name = view.params["name"]
    return {
        "title": f"{name} · {view.snapshot.run.name or 'run'}",
        "app": view.snapshot.once(("app", name), lambda: _app(view, name)),
        "listed": task_list(view, app=name),
    }


def _app(view: View, name: str) -> Facts:
    tasks = view.snapshot.tasks
    is_it = (tasks["app"] == name).to_numpy()
    states = tasks["state"][is_it].value_counts()
    total = int(is_it.sum())
    each = [
        {
            "name": LABELS[state],
            "tasks": int(states.get(state.value, 0)),
            "share": share_words(int(states.get(state.value, 0)), total),
            "colour": OF_STATE[state.value],
        }
        for state in LABELS
        if states.get(state.value, 0)
    ]
    failed = sum(int(states.get(state.value, 0)) for state in FAILED)
    return {
        "name": name,
        "colour": view.colours.get(name, ""),
        "total": total,
        "each": each,
        "cards": _cards(view, total, int(states.get(TaskState.EXECUTED.value, 0)), failed),
        "slowest": _slowest(view, is_it),
        "is_read": view.snapshot.has("statuses"),
    }


def _cards(view: View, total: int, executed: int, failed: int) -> list[Card]:
    tries = _tries(view)
    took = run_times.run_times_s(tries)
    waited = waits.waits_s(tries)
    return [
        Card("Tasks", number_words(total), "", "Calls of the app in this run."),
        Card(
            "Executed",
            number_words(executed),
            share_words(executed, total),
            "Tasks that ran and succeeded, retried or not.",
        ),
        Card(
            "Failed",
            number_words(failed),
            share_words(failed, total),
            "Tasks that failed for good, and tasks never tried because one of those failed.",
            is_bad=failed > 0,
        ),
        Card(
            "Tries",
            number_words(len(tries)),
            f"{number_words(int(tries['is_failed'].sum()))} failed",
            "Each retry is one more.",
        ),
        Card(
            "Median run time",
            seconds_words(_median(took)),
            f"in all {seconds_words(float(took.sum()))}" if len(took) else "",
            "Of the tries that ended, failed ones among them, on their workers.",
        ),
        Card(
            "Median wait",
            seconds_words(_median(waited)),
            "for a worker",
            "From when a try was handed to its executor until a worker began it.",
        ),
    ]


def _median(values: np.ndarray) -> float | None:
    return float(np.median(values)) if len(values) else None


def _slowest(view: View, is_it: np.ndarray) -> list[Facts]:
    """Return the tasks whose tries ran longest together."""
    took = run_times_s(view)
    places = np.flatnonzero(is_it & ~np.isnan(took))
    places = places[np.argsort(-took[places], kind="stable")][:_SLOWEST]
    ids = view.snapshot.tasks["task_id"].to_numpy()
    most = took[places[0]] if len(places) else 0.0
    return [
        {
            "task_id": int(ids[place]),
            "run_s": float(took[place]),
            "width": round(100 * float(took[place] / most), 2) if most else 0.0,
        }
        for place in places
    ]


def _cores(view: View) -> pd.DataFrame:
    name = view.params["name"]

    def of_app() -> pd.DataFrame:
        found = used(view.snapshot)
        is_it = (found["app"] == name).to_numpy()
        return usage.cores_by_task(found[["task_id", "start", "end", "cores"]][is_it])

    return view.snapshot.once(("cores", name), of_app)


def _memory(view: View) -> pd.DataFrame:
    name = view.params["name"]

    def of_app() -> pd.DataFrame:
        found = located(view.snapshot)
        is_it = (found["app"] == name).to_numpy()
        return usage.by_task(found[["task_id", "cpu_user_s", "memory_bytes"]][is_it])

    return view.snapshot.once(("memory", name), of_app)


def _tries(view: View) -> pd.DataFrame:
    name, tries = view.params["name"], view.snapshot.tries
    return view.snapshot.once(
        ("tries of app", name), lambda: tries[(tries["app"] == name).to_numpy()]
    )


PAGE = RunPage(
    path="app/{name}",
    template="app.html",
    facts=facts,
    is_slow=lambda _view: True,
    find=find,
    fragments=("app", "slowest", "tasks"),
    plots=(
        Plot(
            key="run-times",
            title="Run time of tries",
            help="How long each try of the app ran on its worker. Tries that have not ended are"
            " left out. The axis is logarithmic.",
            draw=lambda view: run_times.run_time_histogram(_tries(view)),
            summarise=lambda view: run_times.summarise(_tries(view)),
            height=290,
        ),
        Plot(
            key="waits",
            title="Wait for a worker",
            help="From when each try was handed to its executor until a worker began it; times"
            " that the clocks of two hosts contradict are left out. The axis is logarithmic.",
            draw=lambda view: waits.wait_histogram(_tries(view)),
            summarise=lambda view: waits.summarise(_tries(view)),
            height=290,
        ),
        Plot(
            key="cores",
            title="CPU efficiency of tasks",
            help="The CPU seconds of each task, in its code and in the kernel, children included,"
            " over the seconds that its tries ran, as far as they were sampled: 1 is a core kept"
            " busy, and much less is a task that waits. Tasks that were not sampled are left out;"
            " Parsl's own hub needs two samples of a try.",
            draw=lambda view: task_resources.task_histogram(_cores(view), "cores"),
            summarise=lambda view: task_resources.summarise(_cores(view), "cores"),
            needs=_SAMPLED,
            height=230,
        ),
        Plot(
            key="memory-peak",
            title="Peak memory of tasks",
            help="The most resident memory that any sample of a task says, children included. A"
            " peak between two samples is not seen, and tasks that were not sampled are left out."
            " A GB is 1,000,000,000 bytes.",
            draw=lambda view: task_resources.task_histogram(_memory(view), "memory_max_bytes"),
            summarise=lambda view: task_resources.summarise(_memory(view), "memory_max_bytes"),
            needs=_SAMPLED,
            height=230,
        ),
    ),
)
