"""The graph of a run: a dot a task, left to right by depth, a line for what each waited for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.elements.axes import opens_task
from otel_parsl_dashboards.elements.colours import OTHER, rgb
from otel_parsl_dashboards.elements.depths import Links, links
from otel_parsl_dashboards.elements.layers import Places, places

MOST: Final = 10_000
"""So many tasks, or fewer, are drawn each; beyond that dots say nothing that stages do not."""
SINGLE_EDGES: Final = 20_000
"""So many edges, or fewer, are lines of their own; else they are a picture."""
_TOOLS = ("pan", "box_zoom", "xwheel_zoom", "wheel_zoom", "reset", "save")
_INK = "#808a94"
_WIDTH_PX, _HEIGHT_PX = 1350, 480
"""About what there is, which decides the size of dots."""
_COLUMNS, _ROWS = 1350, 480
_SAMPLES = 256
_PIECE = 20_000


def task_graph(
    tasks: pd.DataFrame,
    edges: pd.DataFrame,
    colours: Mapping[str, str],
    *,
    by: str = "app",
    marked: int | None = None,
) -> hv.Overlay:
    """
    Return the graph; none beyond ``MOST`` tasks.

    Args:
        tasks: A frame of tasks with their depths: ``depths.with_depths``.
        edges: The frame of edges that goes with it.
        colours: The colour of each name in the column ``by``.
        by: ``app`` or ``parsl_state``.
        marked: The id of a task that is drawn larger.
    """
    tasks = tasks if len(tasks) <= MOST else tasks.iloc[:0]
    joined = links(tasks, edges)
    found = places(tasks["depth"].to_numpy(), *joined)
    is_single = len(joined[0]) <= SINGLE_EDGES
    none = joined[0][:0], joined[1][:0]
    pad = max(0.02 * found.width, found.column * 0.5)
    bounds = (-pad, 0.0, found.width + pad, 1.0)
    picture = _picture(none if is_single else joined, found, bounds)
    lines = _lines(joined if is_single else none, found)
    return (picture * lines * _dots(tasks, found, _colours(tasks[by], colours), marked)).opts(
        hv.opts.RGB(default_tools=list(_TOOLS)),
        hv.opts.Segments(
            color=_INK, line_alpha="strength", line_width=1, default_tools=list(_TOOLS)
        ),
        hv.opts.Points(
            color="colour",
            size="size",
            line_color=None,
            tools=["hover", "tap"],
            hover_tooltips=[("task", "@name"), ("state", "@state")],
            default_tools=list(_TOOLS),
        ),
        hv.opts.Overlay(
            xaxis=None,
            yaxis=None,
            xlim=(bounds[0], bounds[2]),
            ylim=(0.0, 1.0),
            invert_yaxis=True,
            hooks=[opens_task],
        ),
    )


def summarise(tasks: pd.DataFrame, edges: pd.DataFrame) -> str:
    """Return the graph in words."""
    if not len(tasks):
        return "No task yet."
    if len(tasks) > MOST:
        return f"{words.counted(len(tasks), 'task')}: more than {MOST:,} are not drawn one by one."
    first, _ = links(tasks, edges)
    depth = tasks["depth"].to_numpy()
    text = words.counted(len(tasks), "task")
    if not len(first):
        return f"{text}, of which none waited for another."
    widest = np.bincount(depth)
    text += (
        f", {len(first):,} {'dependency' if len(first) == 1 else 'dependencies'},"
        f" {words.counted(len(widest), 'level')} from left to right. The widest level,"
        f" {int(widest.argmax()) + 1}, has {words.counted(int(widest.max()), 'task')}."
    )
    if len(first) > SINGLE_EDGES:
        text += f" More than {SINGLE_EDGES:,} dependencies: they are drawn as one picture."
    return text


def _colours(names: pd.Series, colours: Mapping[str, str]) -> np.ndarray:
    return np.array([colours.get(name, OTHER) for name in names.astype(str)], dtype=object)


def _dots(tasks: pd.DataFrame, found: Places, colours: np.ndarray, marked: int | None) -> hv.Points:
    apart = min(_WIDTH_PX * found.column / max(found.width, found.column), _HEIGHT_PX / found.rows)
    app = tasks["app"].astype(str)
    task_id = tasks["task_id"].to_numpy()
    state = tasks["parsl_state"].astype(str)
    return hv.Points(
        pd.DataFrame(
            {
                "x": found.x,
                "y": found.y,
                "name": [f"{name}:{number}" for name, number in zip(app, task_id, strict=True)],
                "task": task_id,
                "state": state.where(state != "", "none yet").to_numpy(),
                "colour": colours,
                "size": np.clip(0.62 * apart, 3.0, 13.0) * np.where(task_id == marked, 1.8, 1.0),
            }
        ),
        kdims=["x", "y"],
        vdims=["name", "task", "state", "colour", "size"],
    )


def _lines(joined: Links, found: Places) -> hv.Segments:
    first, second = joined
    return hv.Segments(
        pd.DataFrame(
            {
                "x": found.x[first],
                "y": found.y[first],
                "to_x": found.x[second],
                "to_y": found.y[second],
                "strength": np.full(len(first), _strength(len(first))),
            }
        ),
        kdims=["x", "y", "to_x", "to_y"],
        vdims=["strength"],
    )


def _strength(edges: int) -> float:
    """Return how strong a line is: the fainter, the more of them there are."""
    return float(np.clip(8.0 / np.sqrt(max(edges, 1)), 0.1, 0.55))


def _picture(joined: Links, found: Places, bounds: tuple[float, float, float, float]) -> hv.RGB:
    if not len(joined[0]):
        return hv.RGB(np.zeros((1, 1, 4), dtype="uint8"), bounds=bounds, kdims=["x", "y"])
    left, _, right, _ = bounds
    along = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    density = np.zeros(_ROWS * _COLUMNS)
    for start in range(0, len(joined[0]), _PIECE):
        first, second = (rows[start : start + _PIECE, None] for rows in joined)
        x = found.x[first] + (found.x[second] - found.x[first]) * along
        y = found.y[first] + (found.y[second] - found.y[first]) * along
        column = np.minimum(((x - left) / (right - left) * _COLUMNS).astype("int64"), _COLUMNS - 1)
        row = np.minimum((y * _ROWS).astype("int64"), _ROWS - 1)
        density += np.bincount((row * _COLUMNS + column).ravel(), minlength=len(density))
    shade = 1.0 - np.exp(-density / max(float(density.mean()) * 3.0, 1.0))
    picture = np.zeros((_ROWS, _COLUMNS, 4), dtype="uint8")
    picture[..., :3] = rgb(_INK)
    picture[..., 3] = (shade.reshape(_ROWS, _COLUMNS) * 140).astype("uint8")
    # Images have their first row at the top, where the axis, turned round, has its end.
    return hv.RGB(picture[::-1], bounds=bounds, kdims=["x", "y"])
