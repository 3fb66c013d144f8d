"""Parsl's Gantt chart: a row a task by id, in the colours of the states that it went through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl.query.task_states import OF_PARSL
from otel_parsl.semconv import FINAL_STATES
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.elements.axes import TIME_TOOLS, opens_task
from otel_parsl_dashboards.elements.colours import OF_PARSL_STATE
from otel_parsl_dashboards.elements.raster import Coverage, coloured
from otel_parsl_dashboards.elements.span import PICTURE_RTOL, Span
from otel_parsl_dashboards.elements.state_changes import (
    StateChanges,
    left_states,
    pieces,
    state_changes,
)

SINGLE = 5000
"""So many tasks, or fewer, are drawn one by one and can be hovered."""
SINGLE_BARS = 30_000
"""The same of bars: tasks that are tried again and again have many."""
_COLUMNS = 1200
_ROWS = 360
_FADED = 0.3
"""How strong the last state of a task is, which lasts to the end of the run."""


def gantt(
    tasks: pd.DataFrame,
    statuses: pd.DataFrame,
    *,
    span: Span,
    until: np.datetime64,
    changes: StateChanges | None = None,
) -> hv.Overlay:
    """
    Return the chart.

    Args:
        tasks: A frame of tasks.
        statuses: The frame of statuses that goes with it.
        span: What is in view.
        until: Where the last state of each task is cut off: the end of the run, or now.
        changes: What ``changes_of`` gave of these frames, where little of the run is in view;
            without it every status is looked at.
    """
    is_single = has_bars(tasks, statuses)
    singles = _singles(
        state_bars(tasks, statuses if is_single else statuses[:0], span=span, until=until)
    )
    drawn = picture(tasks, statuses, span=span, until=until, changes=changes)
    if drawn is None:
        drawn = _image(np.zeros((1, 1, 4), dtype="uint8"), tasks["task_id"].to_numpy(), span)
    return (drawn * singles).opts(
        hv.opts.RGB(default_tools=list(TIME_TOOLS)),
        hv.opts.Rectangles(
            color="colour",
            alpha="strength",
            line_color=None,
            tools=["hover", "tap"],
            hover_tooltips=[
                ("app", "@app"),
                ("task", "@task"),
                ("state", "@state"),
                ("from", "@time{%F %T}"),
                ("until", "@until{%F %T}"),
            ],
            hooks=[opens_task],
            default_tools=list(TIME_TOOLS),
        ),
        hv.opts.Overlay(
            ylim=(0, max(len(tasks), 1)),
            invert_yaxis=True,
            ylabel="task",
            xlim=(span.start, span.end),
        ),
    )


def picture(
    tasks: pd.DataFrame,
    statuses: pd.DataFrame,
    *,
    span: Span,
    until: np.datetime64,
    changes: StateChanges | None = None,
) -> hv.RGB | None:
    """Return what alone differs in ``gantt`` by its span; None where there is no such picture."""
    if has_bars(tasks, statuses) or not len(tasks) or not len(statuses):
        return None
    return _picture(tasks["task_id"].to_numpy(), statuses, changes, span, until)


def changes_of(
    tasks: pd.DataFrame, statuses: pd.DataFrame, *, until: np.datetime64
) -> StateChanges:
    """Return what ``gantt`` works out of its frames whatever the span, where little is in view."""
    return state_changes(tasks, statuses, until=until, rows=_rows(len(tasks)))


class _Bars(NamedTuple):
    """Bars of the chart, ascending by row."""

    row: np.ndarray
    place: np.ndarray
    """Of its status among those looked at."""
    start: np.ndarray
    end: np.ndarray


def state_bars(
    tasks: pd.DataFrame, statuses: pd.DataFrame, *, span: Span, until: np.datetime64
) -> pd.DataFrame:
    """
    Return a bar for each state that a task was in: row, task_id, app, state, start, end.

    A bar that would end before it begins has no length: clocks of hosts differ. One that ends
    where the span begins, or begins where that ends, is left out.

    Args:
        tasks: A frame of tasks.
        statuses: The frame of statuses that goes with it.
        span: What is in view.
        until: Where the last state of each task is cut off.
    """
    ids = tasks["task_id"].to_numpy()
    task, time = statuses["task_id"].to_numpy(), statuses["time"].to_numpy()
    bars = _bars(ids, task, time, span, until)
    return pd.DataFrame(
        {
            "row": bars.row,
            "task_id": ids[bars.row],
            "app": tasks["app"].array.take(bars.row),
            "state": statuses["state"].array.take(bars.place),
            "start": bars.start,
            "end": bars.end,
        }
    )


def _bars(
    ids: np.ndarray, task: np.ndarray, time: np.ndarray, span: Span, until: np.datetime64
) -> _Bars:
    """Return the bars of the states of whole tasks; see ``state_bars``."""
    is_last = np.append(task[1:] != task[:-1], True)[: len(task)]
    following = np.append(time[1:], until)[: len(task)]
    # Few of many bars are in view: where they end is worked out for those alone.
    place = np.flatnonzero(
        (time < span.end) & (is_last | (time > span.start) | (following > span.start))
    )
    start = time[place]
    end = np.maximum(start, np.where(is_last[place], until, following[place]))
    row, is_known = frames.places(task[place], ids)
    is_known &= end > span.start
    return _Bars(row[is_known], place[is_known], start[is_known], end[is_known])


def summarise(tasks: pd.DataFrame, statuses: pd.DataFrame) -> str:
    """Return the chart in words."""
    if not len(tasks):
        return "No task yet."
    text = (
        f"{words.counted(len(tasks), 'task')} by id, from top to bottom, each from when it was"
        " called."
    )
    if not has_bars(tasks, statuses):
        each = words.counted(-(-len(tasks) // _ROWS), "task")
        text += (
            f" Too many bars to draw one by one: each row stands for {each}, with the mean colour"
            " of what covers it."
        )
    return text


def has_bars(tasks: pd.DataFrame, statuses: pd.DataFrame) -> bool:
    """Tell whether each task has bars of its own, which can be pointed at and clicked."""
    return len(tasks) <= SINGLE and len(statuses) <= SINGLE_BARS


def _singles(bars: pd.DataFrame) -> hv.Rectangles:
    state = bars["state"].astype(str)
    return hv.Rectangles(
        pd.DataFrame(
            {
                "time": bars["start"].to_numpy(),
                "above": bars["row"].to_numpy() + 0.08,
                "until": bars["end"].to_numpy(),
                "below": bars["row"].to_numpy() + 0.92,
                "task": bars["task_id"].to_numpy(),
                "app": bars["app"].astype(str).to_numpy(),
                "state": state.to_numpy(),
                "colour": state.map(lambda name: OF_PARSL_STATE.get(name, "#c4c4c4")).to_numpy(),
                "strength": np.where(state.isin(FINAL_STATES), _FADED, 1.0),
            }
        ),
        kdims=["time", "above", "until", "below"],
        vdims=["task", "app", "state", "colour", "strength"],
    )


def _picture(
    ids: np.ndarray,
    statuses: pd.DataFrame,
    changes: StateChanges | None,
    span: Span,
    until: np.datetime64,
) -> hv.RGB:
    rows = _rows(len(ids))
    names = list(statuses["state"].cat.categories)
    codes = statuses["state"].array.codes
    task, time = statuses["task_id"].to_numpy(), statuses["time"].to_numpy()
    coverage = Coverage(len(names), rows, _COLUMNS)
    looked_at: Iterable[np.ndarray | slice] = pieces(task)
    if changes is not None:
        looked_at = (changes.others[piece] for piece in pieces(task[changes.others]))
        if until > span.start:
            standing, place = changes.within(span)
            coverage.add_counts(standing)
            row = frames.places(task[place], ids)[0] * rows // len(ids)
            at = span.pixels(time[place], _COLUMNS)
            left, is_left = left_states(task, codes, place)
            coverage.step(row, codes[place], at, 1.0)
            coverage.step(row[is_left], left, at[is_left], -1.0)
            coverage.end(changes.standing[-1], *span.pixels(np.array([until]), _COLUMNS))
    for piece in looked_at:
        bars = _bars(ids, task[piece], time[piece], span, until)
        coverage.add(
            bars.row * rows // len(ids),
            codes[piece][bars.place],
            span.pixels(bars.start, _COLUMNS),
            span.pixels(bars.end, _COLUMNS),
        )
    strength = [_FADED if name in FINAL_STATES else 1.0 for name in names]
    tasks_of_row = np.diff(-(-np.arange(rows + 1) * len(ids) // rows))
    colours = [OF_PARSL_STATE.get(name, "#c4c4c4") for name in names]
    return _image(coloured(coverage, colours, tasks_of_row[:, None], strength)[::-1], ids, span)


def _rows(tasks: int) -> int:
    """Return how many rows the picture of so many tasks has."""
    return min(tasks, _ROWS)


def _image(picture: np.ndarray, ids: np.ndarray, span: Span) -> hv.RGB:
    bounds = (span.start, 0, span.end, max(len(ids), 1))
    return hv.RGB(picture, bounds=bounds, kdims=["time", "above"], rtol=PICTURE_RTOL)


LEGEND = [(name, OF_PARSL_STATE[name]) for name in OF_PARSL if name != "unsched"]
"""Parsl's ten states and their colours."""
