"""How many tries ran at each moment: a step line for all, and one an app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.elements.axes import TIME_TOOLS, count_axis
from otel_parsl_dashboards.elements.colours import OTHER, app_legend
from otel_parsl_dashboards.elements.span import Span

ALL = "#8d96a0"
_EXACT = 2400
"""So many changes, or fewer, are drawn each where it was; else the count at this many moments."""
_MOMENTS = 1200


def concurrency(
    tries: pd.DataFrame,
    colours: Mapping[str, str],
    *,
    span: Span,
    until: np.datetime64,
) -> hv.Overlay:
    """
    Return the lines.

    Args:
        tries: A frame of tries; those that never ran are left out.
        colours: The colour of each app, as ``app_colours`` gives them: those that share one have
            one line.
        span: What is in view.
        until: Up to when tries that have not ended are taken to run.
    """
    start, end, app = _intervals(tries, span, until)
    times, counts = _corners(*steps(start, end, span=span))
    most = counts.max()
    total = hv.Area((times, counts), "time", "tries running", label="all").opts(
        hv.opts.Area(
            color=ALL,
            fill_alpha=0.18,
            line_color=ALL,
            line_width=1.5,
            default_tools=list(TIME_TOOLS),
        )
    )
    lines = []
    for name, colour in app_legend(colours):
        is_it = _is_other(app, colours) if colour == OTHER else app == name
        times, counts = _corners(*steps(start[is_it], end[is_it], span=span))
        lines.append({"time": times, "tries running": counts, "app": name, "colour": colour})
    # One element: HoloViews takes as long for each as it takes for a picture.
    of_apps = hv.Contours(lines, ["time", "tries running"], ["app", "colour"], label="apps").opts(
        hv.opts.Contours(
            color="colour",
            line_width=1.5,
            tools=["hover"],
            hover_tooltips=[
                ("app", "@app"),
                ("time", "$snap_x{%F %T}"),
                ("tries running", "$snap_y{0,0}"),
            ],
            hooks=[_snap_to_steps],
        )
    )
    return (total * of_apps).opts(
        hv.opts.Overlay(
            show_legend=False,
            ylabel="tries running",
            hooks=[count_axis],
            ylim=(0, max(1.0, float(most) * 1.08)),
            xlim=(span.start, span.end),
        )
    )


def _is_other(apps: pd.Categorical, colours: Mapping[str, str]) -> np.ndarray:
    is_other: np.ndarray = np.isin(apps, [app for app in colours if colours[app] == OTHER])
    return is_other


def _snap_to_steps(plot: Any, _element: Any) -> None:
    """Have what is pointed at be the step, which a count keeps until the next one."""
    tool = plot.handles["hover"]
    tool.update(line_policy="prev", formatters={**tool.formatters, "$snap_x": "datetime"})


def steps(start: np.ndarray, end: np.ndarray, *, span: Span) -> tuple[np.ndarray, np.ndarray]:
    """Return moments and how many intervals are open from each to the next."""
    starts, ends = _sorted(start), _sorted(end)
    is_few = len(starts) * 2 <= _EXACT
    if is_few:
        moments = np.unique(np.concatenate([starts, ends]))
        moments = moments[(moments > span.start) & (moments < span.end)]
        moments = np.concatenate([[span.start], moments, [span.end]])
    else:
        offsets = (
            np.linspace(0, span.microseconds, _MOMENTS).astype("int64").astype("timedelta64[us]")
        )
        moments = span.start + offsets
    counts = np.searchsorted(starts, moments, side="right") - np.searchsorted(
        ends, moments, side="right"
    )
    return moments.astype("datetime64[us]"), counts


def summarise(tries: pd.DataFrame, *, span: Span, until: np.datetime64) -> str:
    """Return the lines in words."""
    start, end, _ = _intervals(tries, span, until)
    if not len(start):
        return "No try is known to have run in this time."
    starts, ends = _sorted(start), _sorted(end)
    moments = np.maximum(starts, span.start)
    running = np.searchsorted(starts, moments, side="right") - np.searchsorted(
        ends, moments, side="right"
    )
    covered = np.minimum(end, span.end) - np.maximum(start, span.start)
    mean = covered.astype("timedelta64[us]").astype("int64").sum() / span.microseconds
    most = words.counted(int(running.max()), "try")
    text = f"At most {most} ran at once, {mean:.3g} on average."
    if len(start) * 2 > _EXACT:
        text += f" Drawn: the number running at {_MOMENTS:,} moments."
    return text


def _sorted(times: np.ndarray) -> np.ndarray:
    # Numpy sorts numbers ten times as fast as times.
    return np.sort(times.astype("datetime64[us]").view("int64")).view("datetime64[us]")


def _corners(moments: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of a line that stays until it steps, since a count never slopes."""
    return np.repeat(moments, 2)[1:], np.repeat(counts, 2)[:-1]


def _intervals(
    tries: pd.DataFrame, span: Span, until: np.datetime64
) -> tuple[np.ndarray, np.ndarray, pd.Categorical]:
    """Return when each try of which a part is in view began and ended, and its app."""
    start, end = tries["running"].to_numpy(), frames.ends(tries, until)
    is_in = (start < span.end) & (end > span.start)
    return start[is_in], end[is_in], tries["app"].array[is_in]
