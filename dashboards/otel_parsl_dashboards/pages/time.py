"""Where the time went: ``/workflow/RUN/time``."""

from __future__ import annotations

import numpy as np

from otel_parsl.cli import words
from otel_parsl_dashboards.data.phases import (
    IDLE,
    LAUNCHING,
    PHASES,
    QUEUED,
    RETURNING,
    RUNNING,
    STAGING,
    WAITING,
)
from otel_parsl_dashboards.elements import spent_by_app, spent_over_time, verdict
from otel_parsl_dashboards.elements.colours import OF_PHASE
from otel_parsl_dashboards.elements.spent import ALL, Spent, spent
from otel_parsl_dashboards.pages.card import Card
from otel_parsl_dashboards.pages.page import Facts, Plot, RunPage, View
from otel_parsl_dashboards.shell.environment import seconds_words, share_words

_NEEDS = ("tries", "statuses", "edges", "nodes")
_APPS = 200
"""Rows of the table of apps."""
_HELP = {
    WAITING: "From a task's call until the last of the tasks that it depends on was done. A join"
    " app waits once more, for the tasks that it stands for.",
    STAGING: "Tasks of Parsl's own that bring files or take them away, while they ran, and tasks"
    " that waited for them. Parsl makes such tasks for FTP and HTTP in tasks of their own, and for"
    " Globus; what is brought within a task counts as running.",
    LAUNCHING: "From when a task depended on nothing more until it was handed to its executor; of a"
    " retry from the end of the try before. Parsl launches one task after another. Futures that are"
    " no tasks of Parsl are in none of its tables: the time that a task waits for one is here.",
    QUEUED: "From when a try was handed to its executor until a worker began it.",
    RUNNING: "From when a worker began a try until it was done with it.",
    RETURNING: "From when the worker was done with a try until the submit side had its result.",
    IDLE: "Workers that were connected, less the tries that ran on them. Managers report their"
    " workers where tasks run on HighThroughputExecutor.",
}


def facts(view: View) -> Facts:
    """Return what the page says beside its plots."""
    if not all(map(view.snapshot.has, _NEEDS)):
        return {
            "is_read": False,
            "verdict": None,
            "cards": [],
            "apps": [],
            "more_apps": 0,
            "lacks": [],
            "phases": [],
        }
    found, span = _spent(view), view.span
    by_app = spent_by_app.by_app(found, span)
    return {
        "is_read": True,
        "verdict": verdict.verdict(found, span),
        "cards": _cards(found, view),
        "phases": [(phase, OF_PHASE[phase]) for phase in PHASES],
        "apps": [
            {
                "name": app,
                "colour": view.colours.get(str(app), ""),
                "times": [float(row[phase]) for phase in PHASES],
                "all_s": float(row["all"]),
                "share": share_words(float(row["all"]), float(by_app["all"].sum())),
            }
            for app, row in by_app[:_APPS].iterrows()
        ],
        "more_apps": max(len(by_app) - _APPS, 0),
        "lacks": _lacks(found, view),
    }


def _spent(view: View) -> Spent:
    snapshot = view.snapshot
    return snapshot.once(
        "spent",
        lambda: spent(
            snapshot.tasks,
            snapshot.tries,
            snapshot.statuses,
            snapshot.edges,
            snapshot.nodes,
            until=snapshot.until,
        ),
    )


def _levels(view: View) -> spent_over_time.Levels:
    return view.snapshot.once(
        ("levels", view.window), lambda: spent_over_time.levels(_spent(view), span=view.span)
    )


def _cards(found: Spent, view: View) -> list[Card]:
    totals = verdict.totals_s(found, view.span)
    whole = float(np.nansum(list(totals.values())))
    cards = []
    for phase in ALL:
        seconds = totals[phase]
        is_known = not np.isnan(seconds)
        if phase == STAGING and not seconds:
            more = "by no task of its own"
        elif not is_known:
            more = "no manager has reported"
        elif phase == IDLE:
            share = verdict.idle_share(found, view.span)
            more = "no worker was connected"
            if not np.isnan(share):
                more = f"{share_words(share, 1.0)} of workers' time"
        else:
            more = share_words(seconds, whole)
        cards.append(
            Card(
                phase=phase,
                name=verdict.LABELS[phase].capitalize(),
                value=seconds_words(seconds) if seconds or not is_known else "0 s",
                more=more,
                help=_HELP[phase],
                colour=OF_PHASE[phase],
            )
        )
    return cards


def _lacks(found: Spent, view: View) -> list[str]:
    """Return what is not known, why, and how it is had."""
    lacks = []
    if found.idle is None and len(view.snapshot.tries):
        lacks.append(
            "Idle workers are not known: no manager has reported. Managers report where tasks run"
            " on HighThroughputExecutor; threads have none."
        )
    unsplit_s = found.unsplit_s(view.span)
    if unsplit_s:
        tries = words.counted(len(found.unsplit.start), "try")
        lacks.append(
            f"{tries} of the run went to an executor and came back, and no worker said when it"
            f" began. {words.duration(unsplit_s)} between the two are left out here: queued,"
            " running and returning cannot be told apart. Workers say it with"
            " resource_monitoring_enabled=True in the monitoring hub; under Parsl's own hub only"
            " those of executors that it monitors resources on, and not threads."
        )
    if found.contradicting:
        lacks.append(
            f"{words.counted(found.contradicting, 'phase')} ended before it began, by the clocks of"
            " two hosts, and is left out."
            if found.contradicting == 1
            else f"{words.counted(found.contradicting, 'phase')} ended before they began, by the"
            " clocks of two hosts, and are left out."
        )
    return lacks


PAGE = RunPage(
    path="time",
    tab="Time",
    template="time.html",
    tables={"apps": "apps"},
    is_reported=True,
    facts=facts,
    is_slow=lambda _view: True,
    fragments=("verdict", "lacks", "cards", "window", "apps"),
    needs=_NEEDS,
    plots=(
        Plot(
            key="over-time",
            title="Over time",
            help="Each task that was open at a moment counts as one, in the phase that it was in;"
            " on top of them each connected worker with nothing to do counts as one. So what lies"
            " under an area is the time that tasks, or workers, spent that way: ten tasks queued"
            " for a second, and a worker idle for ten, take as much room. Running and idle together"
            " are all the workers.",
            hint="drag over a stretch of time: the page shows that alone",
            draw=lambda view: spent_over_time.spent_over_time(_levels(view), span=view.span),
            summarise=lambda view: spent_over_time.summarise(_levels(view)),
            legend=lambda _view: [
                (verdict.LABELS[phase], OF_PHASE[phase]) for phase in spent_over_time.ORDER
            ],
            height=320,
            is_timed=True,
            needs=_NEEDS,
            follows_window=True,
        ),
        Plot(
            key="by-app",
            title="By app",
            help="The time that all tasks of an app together spent in each phase, and that workers"
            " had nothing to do.",
            draw=lambda view: spent_by_app.spent_by_app(_spent(view), span=view.span),
            summarise=lambda view: spent_by_app.summarise(_spent(view), span=view.span),
            legend=lambda _view: [(verdict.LABELS[phase], OF_PHASE[phase]) for phase in ALL],
            height=360,
            needs=_NEEDS,
            follows_window=True,
        ),
    ),
)
