"""Parsl's Gantt chart: a row a task by id, in the colours of the states that it went through."""

from __future__ import annotations

from typing import NamedTuple

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl.query.task_states import OF_PARSL
from otel_parsl.semconv import FINAL_STATES
from otel_parsl_dashboards.elements.axes import TIME_TOOLS, opens_task
from otel_parsl_dashboards.elements.colours import OF_PARSL_STATE
from otel_parsl_dashboards.elements.raster import Coverage, coloured
from otel_parsl_dashboards.elements.span import Span

SINGLE = 5000
"""So many tasks, or fewer, are drawn one by one and can be hovered."""
SINGLE_BARS = 30_000
"""The same of bars: tasks that are tried again and again have many."""
_PIECE = 1_000_000
_COLUMNS = 1200
_ROWS = 360
_FADED = 0.3
"""How strong the last state of a task is, which lasts to the end of the run."""


def gantt(
    tasks: pd.DataFrame, statuses: pd.DataFrame, *, span: Span, until: np.datetime64
) -> hv.Overlay:
    """
    Return the chart.

    Args:
        tasks: A frame of tasks.
        statuses: The frame of statuses that goes with it.
        span: What is in view.
        until: Where the last state of each task is cut off: the end of the run, or now.
    """
    is_single = _is_single(tasks, statuses)
    singles = _singles(
        state_bars(tasks, statuses if is_single else statuses[:0], span=span, until=until)
    )
    picture = _picture(
        tasks["task_id"].to_numpy(), statuses[:0] if is_single else statuses, span, until
    )
    return (picture * singles).opts(
        hv.opts.RGB(default_tools=list(TIME_TOOLS)),
        hv.opts.Rectangles(
            color="colour",
            alpha="strength",
            line_color=None,
            tools=["hover", "tap"],
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


class _Bars(NamedTuple):
    """Bars of the chart, ascending by row."""

    row: np.ndarray
    place: np.ndarray
    """Of its status in the frame."""
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
    bars = _bars(ids, statuses, slice(0, len(statuses)), span, until)
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
    ids: np.ndarray, statuses: pd.DataFrame, rows: slice, span: Span, until: np.datetime64
) -> _Bars:
    """Return the bars of some rows of the statuses; see ``state_bars``."""
    # With the row after, which says where the last of these ends.
    task = statuses["task_id"].to_numpy()[rows.start : rows.stop + 1]
    time = statuses["time"].to_numpy()[rows.start : rows.stop + 1]
    count = rows.stop - rows.start
    start = time[:count]
    following = np.append(time[1:], until)[:count]
    is_last = np.append(task[1:] != task[:-1], True)[:count]
    # Few of many bars are in view: where they end is worked out for those alone.
    place = np.flatnonzero(
        (start < span.end) & (is_last | (start > span.start) | (following > span.start))
    )
    end = np.where(is_last[place], until, following[place])
    end = np.maximum(start[place], end)
    row, is_known = _rows_of(task[place], ids)
    is_known &= end > span.start
    place = place[is_known]
    return _Bars(row[is_known], place + rows.start, start[place], end[is_known])


def _rows_of(task: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of each task among ids, both ascending, and whether it is there."""
    if len(ids) and ids[0] == 0 and ids[-1] == len(ids) - 1:
        return task, task < len(ids)  # as Parsl numbers them
    row = np.searchsorted(ids, task)
    is_known = row < len(ids)
    is_known[is_known] = ids[row[is_known]] == task[is_known]
    return row, is_known


def summarise(tasks: pd.DataFrame, statuses: pd.DataFrame) -> str:
    """Return the chart in words."""
    if not len(tasks):
        return "No task yet."
    text = (
        f"{words.counted(len(tasks), 'task')} by id, from top to bottom, each from when it was"
        " called."
    )
    if not _is_single(tasks, statuses):
        each = words.counted(-(-len(tasks) // _ROWS), "task")
        text += (
            f" Too many bars to draw one by one: each row stands for {each}, with the mean colour"
            " of what covers it."
        )
    return text


def _is_single(tasks: pd.DataFrame, statuses: pd.DataFrame) -> bool:
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


def _picture(ids: np.ndarray, statuses: pd.DataFrame, span: Span, until: np.datetime64) -> hv.RGB:
    bounds = (span.start, 0, span.end, max(len(ids), 1))
    kdims = ["time", "above"]
    if not len(statuses) or not len(ids):
        return hv.RGB(np.zeros((1, 1, 4), dtype="uint8"), bounds=bounds, kdims=kdims)
    rows = min(len(ids), _ROWS)
    names = list(statuses["state"].cat.categories)
    codes = statuses["state"].array.codes
    coverage = Coverage(len(names), rows, _COLUMNS)
    # In pieces, lest what is worked out of the statuses take more memory than they do.
    for first in range(0, len(statuses), _PIECE):
        piece = slice(first, min(first + _PIECE, len(statuses)))
        bars = _bars(ids, statuses, piece, span, until)
        coverage.add(
            bars.row * rows // len(ids),
            codes[bars.place],
            span.pixels(bars.start, _COLUMNS),
            span.pixels(bars.end, _COLUMNS),
        )
    strength = [_FADED if name in FINAL_STATES else 1.0 for name in names]
    tasks_of_row = np.bincount(np.arange(len(ids)) * rows // len(ids), minlength=rows)
    colours = [OF_PARSL_STATE.get(name, "#c4c4c4") for name in names]
    picture = coloured(coverage, colours, tasks_of_row[:, None], strength)
    return hv.RGB(picture[::-1], bounds=bounds, kdims=kdims)


LEGEND = [(name, OF_PARSL_STATE[name]) for name in OF_PARSL if name != "unsched"]
"""Parsl's ten states and their colours."""
