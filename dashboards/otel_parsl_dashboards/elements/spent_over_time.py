"""In which phase tasks were at each moment, and how many workers had nothing to do: stacked."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.data.phases import (
    IDLE,
    LAUNCHING,
    QUEUED,
    RETURNING,
    RUNNING,
    STAGING,
    WAITING,
)
from otel_parsl_dashboards.elements.axes import TIME_TOOLS, count_axis
from otel_parsl_dashboards.elements.colours import OF_PHASE
from otel_parsl_dashboards.elements.levels import MANY, PIECES, Amounts, most, steps
from otel_parsl_dashboards.elements.span import Span
from otel_parsl_dashboards.elements.spent import Spent

ORDER: Final = (RUNNING, STAGING, RETURNING, IDLE, QUEUED, LAUNCHING, WAITING)
"""From bottom to top: what workers do, then what only tasks do."""
_UNIT: Final = "tasks and idle workers"
_EXACT: Final = 2400
"""So many changes, or fewer, are drawn each where it was."""
_NOTHING: Final = Amounts(
    np.array([], frames.TIME), np.array([], frames.TIME), np.array([], "float64")
)


class Levels(NamedTuple):
    """How many tasks were in each phase, and workers idle, from each moment to the next."""

    frame: pd.DataFrame
    """``time`` and the columns of ``ORDER``; the last row says where the areas end."""
    is_exact: bool
    """Whether they step where the phases do; else each is the mean of its stretch."""
    most: dict[str, float]
    """The most of each at any moment."""


def levels(spent: Spent, *, span: Span) -> Levels:
    """
    Return how many tasks were in each phase over time.

    Args:
        spent: Where the time went.
        span: What is in view.
    """
    each = {phase: stretches.amounts for phase, stretches in spent.phases.items()}
    each[IDLE] = _NOTHING if spent.idle is None else spent.idle
    changes = sum(
        2 * int(((amounts.start < span.end) & (amounts.end > span.start)).sum())
        for amounts in each.values()
    )
    is_exact = changes <= _EXACT
    lines = {
        phase: steps(amounts, span, most_exact=MANY if is_exact else 0)
        for phase, amounts in each.items()
    }
    moments = np.unique(np.concatenate([line.times for line in lines.values()]))
    columns = {
        phase: line.values[np.searchsorted(line.times, moments, side="right") - 1]
        for phase, line in lines.items()
    }
    # For a moment more may run than are connected, by the clocks of two hosts.
    columns[IDLE] = np.maximum(columns[IDLE], 0.0)
    at_most = {phase: most(amounts, span) for phase, amounts in each.items()}
    return Levels(pd.DataFrame({"time": moments, **columns}), is_exact, at_most)


def spent_over_time(levels: Levels, *, span: Span) -> hv.Overlay:
    """
    Return the stacked areas.

    Args:
        levels: How many tasks were in each phase over time.
        span: What is in view.
    """
    times = np.repeat(levels.frame["time"].to_numpy(), 2)[1:]
    corners = {phase: np.repeat(levels.frame[phase].to_numpy(), 2)[:-1] for phase in ORDER}
    lower = np.zeros(len(times))
    parts: list[Any] = []
    for phase, values in corners.items():
        upper = lower + values
        area = hv.Area((times, upper, lower), "time", [_UNIT, "below"], label=phase)
        parts.append(
            area.opts(
                hv.opts.Area(
                    color=OF_PHASE[phase],
                    fill_alpha=1.0,
                    line_width=0,
                    default_tools=list(TIME_TOOLS),
                )
            )
        )
        lower = upper
    told = pd.DataFrame({"time": times, "all": lower, **corners})
    parts.append(
        hv.Curve(told, "time", ["all", *ORDER]).opts(
            hv.opts.Curve(
                color=OF_PHASE[WAITING], line_width=0, tools=["hover"], hooks=[_along_the_time]
            )
        )
    )
    return hv.Overlay(parts).opts(
        hv.opts.Overlay(
            show_legend=False,
            ylabel=_UNIT,
            hooks=[count_axis],
            ylim=(0, float(lower.max()) * 1.05 or 1.0),
            xlim=(span.start, span.end),
        )
    )


def summarise(levels: Levels) -> str:
    """Return the areas in words."""
    parts = [f"{phase} {levels.most[phase]:,.0f}" for phase in ORDER if levels.most[phase] >= 0.5]
    if not parts:
        return "No task was open in this time, and no worker is known to have been connected."
    text = f"At most: {', '.join(parts)}."
    if not levels.is_exact:
        text += f" Drawn: the mean of each of {PIECES} stretches."
    return text


def _along_the_time(plot: Any, _element: object) -> None:
    """Have the pointer anywhere above a moment tell of it: a hook."""
    hover = plot.handles.get("hover")
    if hover is not None:
        hover.update(mode="vline", line_policy="prev", attachment="above")
