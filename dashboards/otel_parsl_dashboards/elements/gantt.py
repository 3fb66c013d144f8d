"""Parsl's Gantt chart: a row a task by id, in the colours of the states that it went through."""

from __future__ import annotations

from collections.abc import Iterator
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
from otel_parsl_dashboards.elements.span import Span

SINGLE = 5000
"""So many tasks, or fewer, are drawn one by one and can be hovered."""
SINGLE_BARS = 30_000
"""The same of bars: tasks that are tried again and again have many."""
_PIECE = 250_000
"""Statuses at a time, lest what is worked out of them take more memory than they do."""
_COLUMNS = 1200
_ROWS = 360
_FADED = 0.3
"""How strong the last state of a task is, which lasts to the end of the run."""


class Lives(NamedTuple):
    """What is known of each task that has a status, in their order: the same for every span."""

    first: np.ndarray
    """The place of its first status; then that behind the last of all."""
    earliest: np.ndarray
    latest: np.ndarray
    is_steady: np.ndarray
    """Whether no status of it is earlier than the one before: clocks of hosts differ."""
    row: np.ndarray
    """Its row in the picture; -1 for one that is not among the tasks."""
    last_state: np.ndarray
    """The code of its last state."""


def lives(tasks: pd.DataFrame, statuses: pd.DataFrame) -> Lives:
    """Return what ``gantt`` works out of its frames whatever the span."""
    ids, rows = tasks["task_id"].to_numpy(), _rows(len(tasks))
    task, time = statuses["task_id"].to_numpy(), statuses["time"].to_numpy()
    is_first = np.append(True, task[1:] != task[:-1])[: len(task)]
    first = np.flatnonzero(is_first)
    is_after = is_first & ~np.isnat(time)
    is_after[1:] |= time[1:] >= time[:-1]
    row, is_known = frames.places(task[first], ids)
    behind = np.append(first[1:], len(task))[: len(first)]
    return Lives(
        np.append(first, len(task)),
        np.minimum.reduceat(time, first),
        np.maximum.reduceat(time, first),
        np.logical_and.reduceat(is_after, first),
        np.where(is_known, row * rows // max(len(ids), 1), -1).astype("int16"),
        statuses["state"].array.codes[behind - 1],
    )


def gantt(
    tasks: pd.DataFrame,
    statuses: pd.DataFrame,
    *,
    span: Span,
    until: np.datetime64,
    known: Lives | None = None,
) -> hv.Overlay:
    """
    Return the chart.

    Args:
        tasks: A frame of tasks.
        statuses: The frame of statuses that goes with it.
        span: What is in view.
        until: Where the last state of each task is cut off: the end of the run, or now.
        known: What ``lives`` gave of these frames, where little of the run is in view; without it
            every status is looked at.
    """
    is_single = _is_single(tasks, statuses)
    singles = _singles(
        state_bars(tasks, statuses if is_single else statuses[:0], span=span, until=until)
    )
    ids = tasks["task_id"].to_numpy()
    if is_single or not len(ids) or not len(statuses):
        picture = _image(np.zeros((1, 1, 4), dtype="uint8"), ids, span)
    else:
        picture = _picture(ids, statuses, known, span, until)
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


def _picture(
    ids: np.ndarray, statuses: pd.DataFrame, known: Lives | None, span: Span, until: np.datetime64
) -> hv.RGB:
    rows = _rows(len(ids))
    names = list(statuses["state"].cat.categories)
    codes = statuses["state"].array.codes
    task, time = statuses["task_id"].to_numpy(), statuses["time"].to_numpy()
    coverage = Coverage(len(names), rows, _COLUMNS)
    pieces: Iterator[np.ndarray | slice]
    if known is None:
        pieces = _pieces(task)
    else:
        # Most tasks of a long run are done before the view begins, come after it, or wait through.
        is_over = known.latest <= span.start
        if until > span.start:
            (end,) = span.pixels(np.array([until]), _COLUMNS)
            coverage.add_alike(known.row[is_over], known.last_state[is_over], end)
        in_view = np.flatnonzero(~(is_over | (known.earliest >= span.end)))
        waiting, place, changing = _through(time, known, in_view, span)
        coverage.add_alike(known.row[waiting], codes[place], _COLUMNS)
        pieces = _statuses_of(known, changing)
    for piece in pieces:
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


def _through(
    time: np.ndarray, known: Lives, tasks: np.ndarray, span: Span
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tasks that are in one state all the span, its place, and the tasks that are not."""
    is_plain = known.is_steady[tasks] & (known.earliest[tasks] <= span.start)
    others, left = [tasks[~is_plain]], tasks[is_plain]
    waiting, places = [tasks[:0]], [tasks[:0]]
    place = known.first[left]
    while len(left):
        following = time[place + 1]  # there is one: what is over has been left out
        is_through = following >= span.end
        waiting.append(left[is_through])
        places.append(place[is_through])
        others.append(left[~is_through & (following > span.start)])
        is_further = following <= span.start
        left, place = left[is_further], place[is_further] + 1
    return np.concatenate(waiting), np.concatenate(places), np.sort(np.concatenate(others))


def _pieces(task: np.ndarray) -> Iterator[slice]:
    """Yield where the statuses are, those of whole tasks at a time."""
    begin = 0
    while begin < len(task):
        last = task[min(begin + _PIECE, len(task)) - 1]
        end = int(np.searchsorted(task, last, side="right"))
        yield slice(begin, end)
        begin = end


def _statuses_of(known: Lives, tasks: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the places of the statuses of some tasks, those of whole tasks at a time."""
    at_once = max(1, _PIECE * len(known.row) // max(1, known.first[-1]))
    for begin in range(0, len(tasks), at_once):
        some = tasks[begin : begin + at_once]
        first, behind = known.first[some], known.first[some + 1]
        counts = behind - first
        yield np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())


def _rows(tasks: int) -> int:
    """Return how many rows the picture of so many tasks has."""
    return min(tasks, _ROWS)


def _image(picture: np.ndarray, ids: np.ndarray, span: Span) -> hv.RGB:
    bounds = (span.start, 0, span.end, max(len(ids), 1))
    return hv.RGB(picture, bounds=bounds, kdims=["time", "above"])


LEGEND = [(name, OF_PARSL_STATE[name]) for name in OF_PARSL if name != "unsched"]
"""Parsl's ten states and their colours."""
