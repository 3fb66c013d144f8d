"""In which phases the tasks of each app spent their time: stacked bars, one an app."""

from __future__ import annotations

from typing import Final

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.data.phases import IDLE, PHASES
from otel_parsl_dashboards.elements.axes import TOOLS, cut, time_unit
from otel_parsl_dashboards.elements.colours import OF_PHASE
from otel_parsl_dashboards.elements.span import Span
from otel_parsl_dashboards.elements.spent import ALL, Spent

MOST: Final = 14
"""Apps with bars of their own; the others share one."""
_FEW: Final = 6
"""So many bars have room, were there fewer."""
_WIDE: Final = 22
"""Characters of a name beside its bar."""


def by_app(spent: Spent, span: Span) -> pd.DataFrame:
    """Return the seconds of each app's tasks in each phase, the longest first."""
    columns = {phase: spent.by_app_s(phase, span) for phase in PHASES}
    found = pd.DataFrame(columns, index=pd.Index(spent.apps, name="app", dtype=object))
    found["all"] = found.sum(axis=1)
    found = found[found["all"] > 0]
    return found.sort_values("all", ascending=False, kind="stable")


def spent_by_app(spent: Spent, *, span: Span) -> hv.Rectangles:
    """
    Return the bars, and one of idle workers below them.

    Args:
        spent: Where the time went.
        span: What is in view.
    """
    rows = _rows(spent, span)
    longest = max((sum(row.values()) for _, row in rows), default=0.0)
    unit, size = time_unit(longest)
    ticks = [(number + 0.5, cut(name, _WIDE)) for number, (name, _) in enumerate(rows)]
    bars = []
    for number, (name, row) in enumerate(rows):
        left, whole = 0.0, sum(row.values())
        for phase, seconds in row.items():
            if seconds > 0:
                bars.append(
                    (
                        left / size,
                        number + 0.14,
                        (left + seconds) / size,
                        number + 0.86,
                        name,
                        phase,
                        words.duration(seconds),
                        f"{100 * seconds / whole:.1f} %",
                        OF_PHASE[phase],
                    )
                )
                left += seconds
    columns = ["from", "top", "to", "bottom", "app", "phase", "time", "share", "colour"]
    return hv.Rectangles(
        pd.DataFrame(bars, columns=columns), kdims=columns[:4], vdims=columns[4:]
    ).opts(
        hv.opts.Rectangles(
            color="colour",
            line_color=None,
            tools=["hover"],
            hover_tooltips=[(name, f"@{name}") for name in ("app", "phase", "time", "share")],
            default_tools=list(TOOLS),
            xlabel=f"time of tasks, and of idle workers ({unit})",
            ylabel="",
            invert_yaxis=True,
            yticks=ticks or None,
            xlim=(0, longest / size * 1.02 or 1.0),
            ylim=(0, max(len(rows), _FEW)),
        )
    )


def summarise(spent: Spent, *, span: Span) -> str:
    """Return the bars in words."""
    found = by_app(spent, span)
    if not len(found):
        return "No task was open in this time."
    first = found.iloc[0]
    share = 100 * first["all"] / found["all"].sum()
    phase = str(first[list(PHASES)].astype("float64").idxmax())
    text = (
        f"{words.counted(len(found), 'app')}. Most of the tasks' time was that of {found.index[0]}:"
        f" {words.duration(float(first['all']))} ({share:.3g} %), of which"
        f" {words.duration(float(first[phase]))} {phase}."
    )
    if len(found) > MOST:
        text += f" Those beyond the first {MOST} share a bar."
    return text


def _rows(spent: Spent, span: Span) -> list[tuple[str, dict[str, float]]]:
    found = by_app(spent, span)
    rows = [
        (str(app), {phase: float(row[phase]) for phase in PHASES})
        for app, row in found[:MOST].iterrows()
    ]
    others = found[MOST:]
    if len(others):
        rows.append(
            (
                words.counted(len(others), "other app"),
                {phase: float(others[phase].sum()) for phase in PHASES},
            )
        )
    idle_s = spent.total_s(ALL[-1], span)
    if np.isfinite(idle_s):
        rows.append(("(idle workers)", {IDLE: idle_s}))
    return rows
