"""Parsl's Gantt chart: a row a task by id, in the colours of the states that it went through."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl.query.task_states import OF_PARSL
from otel_parsl.semconv import FINAL_STATES
from otel_parsl_dashboards.data.states import state_ranks
from otel_parsl_dashboards.elements.axes import TIME_TOOLS, opens_task
from otel_parsl_dashboards.elements.colours import OF_PARSL_STATE
from otel_parsl_dashboards.elements.raster import coloured, covered
from otel_parsl_dashboards.elements.span import Span

SINGLE = 5000
"""So many tasks, or fewer, are drawn one by one and can be hovered."""
SINGLE_BARS = 30_000
"""The same of bars: tasks that are tried again and again have many."""
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
    bars = state_bars(tasks, statuses, until=until)
    is_in = (bars["start"].to_numpy() < span.end) & (bars["end"].to_numpy() > span.start)
    bars = bars[is_in]
    count = max(len(tasks), 1)
    picture = _picture(bars.iloc[:0] if is_single else bars, span, count)
    singles = _singles(bars if is_single else bars.iloc[:0])
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
            ylim=(0, count), invert_yaxis=True, ylabel="task", xlim=(span.start, span.end)
        ),
    )


def state_bars(
    tasks: pd.DataFrame, statuses: pd.DataFrame, *, until: np.datetime64
) -> pd.DataFrame:
    """
    Return a bar for each state that a task was in: row, task_id, app, state, start, end.

    Within a try the order of states decides, since events come late and clocks of hosts differ;
    a bar that would end before it begins has no length.
    """
    ids = tasks["task_id"].to_numpy()
    task = statuses["task_id"].to_numpy()
    row = np.searchsorted(ids, task)
    is_known = row < len(ids)
    is_known[is_known] = ids[row[is_known]] == task[is_known]
    ranks = state_ranks(statuses["state"])
    order = np.lexsort((ranks, statuses["try_id"].to_numpy(), task))
    order = order[is_known[order]]
    sorted_task = task[order]
    start = statuses["time"].to_numpy()[order]
    is_last = np.append(sorted_task[1:] != sorted_task[:-1], True)[: len(order)]
    end = np.where(is_last, until, np.append(start[1:], until)[: len(order)])
    return pd.DataFrame(
        {
            "row": row[order],
            "task_id": sorted_task,
            "app": tasks["app"].array.take(row[order]),
            "state": statuses["state"].array.take(order),
            "start": start,
            "end": np.maximum(start, end),
        }
    )


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


def _picture(bars: pd.DataFrame, span: Span, tasks: int) -> hv.RGB:
    bounds = (span.start, 0, span.end, tasks)
    kdims = ["time", "above"]
    if not len(bars):
        return hv.RGB(np.zeros((1, 1, 4), dtype="uint8"), bounds=bounds, kdims=kdims)
    rows = min(tasks, _ROWS)
    names = list(bars["state"].cat.categories)
    parts = covered(
        bars["row"].to_numpy() * rows // tasks,
        bars["state"].cat.codes.to_numpy(),
        span.pixels(bars["start"].to_numpy(), _COLUMNS),
        span.pixels(bars["end"].to_numpy(), _COLUMNS),
        shape=(len(names), rows, _COLUMNS),
    )
    for number, name in enumerate(names):
        if name in FINAL_STATES:
            parts[number] *= _FADED
    tasks_of_row = np.bincount(np.arange(tasks) * rows // tasks, minlength=rows)
    colours = [OF_PARSL_STATE.get(name, "#c4c4c4") for name in names]
    picture = coloured(parts, colours, tasks_of_row[:, None])
    return hv.RGB(picture[::-1], bounds=bounds, kdims=kdims)


LEGEND = [(name, OF_PARSL_STATE[name]) for name in OF_PARSL if name != "unsched"]
"""Parsl's ten states and their colours."""
