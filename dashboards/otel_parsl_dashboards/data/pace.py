"""How fast a run gets on, from its frames: what ``query.pace`` asks the tables."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from otel_parsl.query.pace import (
    ENOUGH,
    RECENT_S,
    AppPace,
    OpenTasks,
    Pace,
    TimeLeft,
    estimate_time_left,
)
from otel_parsl.query.task_states import OPEN
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.data.snapshot import Snapshot

_NINE_IN_TEN = 1.645


class Outlook(NamedTuple):
    """How fast a run gets on and how long it may still take."""

    rate_per_s: float
    """Tries that end in a second, lately; of a run that has ended, over all of it."""
    recent_s: float
    """The time that the rate is taken from."""
    left: TimeLeft | None
    """None while no try has ended, and for a run that has."""
    low_s: float
    high_s: float
    """Nine in ten such runs would need between these, by how the tries of each app differ."""


def outlook(snapshot: Snapshot) -> Outlook:
    """Return how fast a run gets on."""
    tries, until = snapshot.tries, snapshot.until
    pace, spread = _pace(snapshot, tries, until)
    if not snapshot.standing.is_running:
        return Outlook(pace.rate_per_s, pace.recent_s, None, 0.0, 0.0)
    open_tasks = _open_tasks(snapshot, tries, until)
    left = estimate_time_left(pace, open_tasks)
    if left is None:
        return Outlook(pace.rate_per_s, pace.recent_s, None, 0.0, 0.0)
    variance = 0.0
    whole_s = sum(
        app.tasks * (pace.apps[name].mean_run_s or 0.0)
        for name, app in open_tasks.items()
        if name in pace.apps
    )
    for name, app in open_tasks.items():
        if name in pace.apps and pace.apps[name].ended > 1:
            of_one = spread.get(name, 0.0) ** 2
            variance += app.tasks * of_one + app.tasks**2 * of_one / pace.apps[name].ended
    relative = math.sqrt(variance) / whole_s if whole_s else 0.0
    margin_s = _NINE_IN_TEN * relative * left.seconds
    return Outlook(
        pace.rate_per_s,
        pace.recent_s,
        left,
        max(left.seconds - margin_s, 0.0),
        left.seconds + margin_s,
    )


def _pace(
    snapshot: Snapshot, tries: pd.DataFrame, until: np.datetime64
) -> tuple[Pace, dict[str, float]]:
    ended = tries["ended"].to_numpy()
    took = frames.run_times_s(tries)
    whole_s = float((until - snapshot.began).astype("timedelta64[us]").astype("int64")) / 1e6
    recent_s = min(RECENT_S, whole_s) if snapshot.standing.is_running else whole_s
    since = until - np.timedelta64(round(recent_s * 1e6), "us")
    has_ended = ~np.isnan(took)
    if (has_ended & (ended >= since)).sum() < ENOUGH:
        recent_s, since = whole_s, snapshot.began
    facts = pd.DataFrame(
        {
            "app": tries["app"].array,
            "took": took,
            "recent": has_ended & (ended >= since),
        }
    )[has_ended]
    grouped = facts.groupby("app", observed=True).agg(
        ended=("took", "size"),
        run_s=("took", "sum"),
        recent=("recent", "sum"),
        spread=("took", "std"),
    )
    apps = {
        str(name): AppPace(int(row.ended), float(row.run_s), int(row.recent))
        for name, row in grouped.iterrows()
    }
    spread = {str(name): float(row.spread) for name, row in grouped.iterrows()}
    return Pace(apps, recent_s), {
        name: 0.0 if math.isnan(value) else value for name, value in spread.items()
    }


def _open_tasks(
    snapshot: Snapshot, tries: pd.DataFrame, until: np.datetime64
) -> dict[str, OpenTasks]:
    counts: dict[str, int] = {}
    for (app, state), tasks in (snapshot.standing.counts or {}).items():
        if state in OPEN:
            counts[app] = counts.get(app, 0) + tasks
    is_running = ~np.isnat(tries["running"].to_numpy()) & np.isnat(tries["ended"].to_numpy())
    running = tries[is_running]
    elapsed = (until - running["running"].to_numpy()).astype("timedelta64[us]").astype("int64")
    by_app = (
        pd.DataFrame({"app": running["app"].array, "elapsed": np.maximum(elapsed, 0) / 1e6})
        .groupby("app", observed=True)["elapsed"]
        .agg(["size", "sum"])
    )
    result = {}
    for app, tasks in counts.items():
        has_some = app in by_app.index
        number = int(by_app.loc[app, "size"]) if has_some else 0
        elapsed_s = float(by_app.loc[app, "sum"]) if has_some else 0.0
        result[app] = OpenTasks(tasks, number, elapsed_s)
    return result
