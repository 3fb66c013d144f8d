"""
What the workflow is and where it stands: its stages as a Sankey diagram, filled by state.

A stage is as high as it has tasks. A ribbon is as wide at each end as there are tasks that it
joins. Apps that stand for their stages are joined by arcs: forward above them, back below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.elements.colours import OF_PARSL_STATE, OTHER
from otel_parsl_dashboards.elements.stages import ORDER, Stages

DONE: Final = ("exec_done", "memo_done")
"""What a stage's own colour is for, where it has one."""
_WIDTH, _HEIGHT = 1380.0, 340.0
"""About the pixels that there are; y is in these."""
_BLOCK = 34.0
_LABEL = 24.0
_LETTER = 6.9
_LEAST_LABEL = 6
_LEAST_BLOCK = 3.0
_SWEEPS = 3
_STEPS = 28
_TOOLS = ("pan", "box_zoom", "wheel_zoom", "reset", "save")


class _Blocks(NamedTuple):
    """Where stages stand."""

    x: np.ndarray
    half: float
    top: np.ndarray
    bottom: np.ndarray
    columns: int
    room: float
    """For a label, in pixels of height."""


def stage_flow(found: Stages, colours: Mapping[str, str] | None = None) -> hv.Overlay:
    """
    Return the diagram.

    Args:
        found: Of ``stages.stages``.
        colours: The colour of each app, for ribbons and for what is done; by default ribbons are
            grey and what is done has the colour of its state.
    """
    blocks = _columns(found) if found.is_by_depth else _line(found)
    ribbons = _ribbons(found, blocks) if found.is_by_depth else _arcs(found, blocks)
    return (
        _polygons(found, ribbons, colours) * _parts(found, blocks, colours) * _labels(found, blocks)
    ).opts(
        hv.opts.Polygons(
            color="colour",
            fill_alpha="strength",
            line_color=None,
            tools=["hover"],
            hover_tooltips=[("from", "@source"), ("to", "@target"), ("dependencies", "@edges")],
            default_tools=list(_TOOLS),
        ),
        hv.opts.Rectangles(
            color="colour",
            line_color=None,
            tools=["hover"],
            hover_tooltips=[
                ("app", "@app"),
                ("level", "@level"),
                ("state", "@state"),
                ("tasks", "@tasks of @all"),
            ],
            default_tools=list(_TOOLS),
        ),
        hv.opts.Labels(
            text_color="#808a94",
            text_font_size="12px",
            text_align="center",
            text_baseline="bottom",
            default_tools=list(_TOOLS),
        ),
        hv.opts.Overlay(
            xaxis=None,
            yaxis=None,
            xlim=(-0.5, blocks.columns - 0.5),
            ylim=(0.0, _HEIGHT),
            invert_yaxis=True,
            show_legend=False,
        ),
    )


def summarise(found: Stages) -> str:
    """Return the diagram in words."""
    stages, flows = found.stages, found.flows
    if not len(stages):
        return "No task yet."
    largest = stages.loc[stages["tasks"].idxmax()]
    joined = int(flows["edges"].sum())
    if found.is_by_depth:
        levels = int(stages["depth"].max()) + 1
        text = f"{words.counted(len(stages), 'stage')} at {words.counted(levels, 'level')}"
        where = f"{largest['app']} at level {int(largest['depth']) + 1}"
    else:
        text = (
            f"{words.counted(len(stages), 'app')}, by how deep their tasks stand on average: there"
            " are too many stages to show. Arcs above lead on to the right, arcs below back"
        )
        where = str(largest["app"])
    edges = "one dependency" if joined == 1 else f"{joined:,} dependencies"
    return (
        f"{text}; {edges if joined else 'no dependency'}. The largest is {where}, with"
        f" {words.counted(int(largest['tasks']), 'task')}."
    )


def _columns(found: Stages) -> _Blocks:
    """Place stages by depth; those of one depth above each other, near where they come from."""
    stages, flows = found.stages, found.flows
    depth = stages["depth"].to_numpy().astype("int64")
    tasks = stages["tasks"].to_numpy()
    columns = int(depth.max(initial=0)) + 1
    each = np.bincount(depth, minlength=columns)
    room = min(_LABEL, 0.6 * _HEIGHT / max(int(each.max(initial=1)), 1))
    high = np.bincount(depth, weights=tasks, minlength=columns)
    scale = float(np.min((_HEIGHT - room * each - 4.0) / np.maximum(high, 1.0)))
    height = np.maximum(tasks * scale, min(_LEAST_BLOCK, room))
    order = np.lexsort((np.arange(len(stages)), depth))
    top = _stacked(order, depth, height, room)
    for sweep in range(_SWEEPS):
        here, there = ("second", "first") if sweep % 2 == 0 else ("first", "second")
        weight = flows["edges"].to_numpy()
        middle = top + height / 2
        total = np.bincount(flows[here], weights=weight, minlength=len(stages))
        drawn = np.bincount(
            flows[here], weights=weight * middle[flows[there]], minlength=len(stages)
        )
        wanted = np.where(total > 0, drawn / np.maximum(total, 1), middle)
        top = _stacked(np.lexsort((wanted, depth)), depth, height, room)
    half = 0.5 * min(_BLOCK * columns / _WIDTH, 0.4)
    return _Blocks(depth.astype(float), half, top, top + height, columns, room)


def _stacked(order: np.ndarray, depth: np.ndarray, height: np.ndarray, room: float) -> np.ndarray:
    top = np.zeros(len(order))
    for column in np.unique(depth):
        rows = order[depth[order] == column]
        at = (_HEIGHT - float((height[rows] + room).sum())) / 2
        for row in rows:
            top[row] = at + room
            at += height[row] + room
    return top


def _line(found: Stages) -> _Blocks:
    """Place apps side by side, by how deep their tasks stand on average."""
    stages = found.stages
    tasks = stages["tasks"].to_numpy()
    rank = np.argsort(np.argsort(stages["depth"].to_numpy(), kind="stable"))
    height = np.maximum(tasks * 0.3 * _HEIGHT / max(int(tasks.max(initial=1)), 1), _LEAST_BLOCK)
    middle = _HEIGHT / 2
    half = 0.5 * min(_BLOCK * len(stages) / _WIDTH, 0.4)
    return _Blocks(
        rank.astype(float), half, middle - height / 2, middle + height / 2, len(stages), _LABEL
    )


def _ribbons(found: Stages, blocks: _Blocks) -> list[tuple[np.ndarray, np.ndarray]]:
    flows = found.flows
    first, second = flows["first"].to_numpy(), flows["second"].to_numpy()
    out_top, out_bottom = _ends(first, second, flows["sources"].to_numpy(), found, blocks)
    in_top, in_bottom = _ends(second, first, flows["targets"].to_numpy(), found, blocks)
    along = np.linspace(0.0, 1.0, _STEPS)
    bend = along * along * (3.0 - 2.0 * along)
    made = []
    for row in range(len(flows)):
        left = blocks.x[first[row]] + blocks.half
        x = left + (blocks.x[second[row]] - blocks.half - left) * along
        upper = out_top[row] + (in_top[row] - out_top[row]) * bend
        lower = out_bottom[row] + (in_bottom[row] - out_bottom[row]) * bend
        made.append((np.concatenate([x, x[::-1]]), np.concatenate([upper, lower[::-1]])))
    return made


def _ends(
    here: np.ndarray, there: np.ndarray, tasks: np.ndarray, found: Stages, blocks: _Blocks
) -> tuple[np.ndarray, np.ndarray]:
    """Return where ribbons begin and end on the blocks of one side: in the order of the other."""
    middle = (blocks.top + blocks.bottom) / 2
    height = blocks.bottom - blocks.top
    total = np.bincount(here, weights=tasks, minlength=len(height))
    unit = height / np.maximum(np.maximum(total, found.stages["tasks"].to_numpy()), 1)
    at = middle - total * unit / 2
    top, bottom = np.zeros(len(here)), np.zeros(len(here))
    for row in np.lexsort((middle[there], here)):
        block = here[row]
        top[row] = at[block]
        at[block] += tasks[row] * unit[block]
        bottom[row] = at[block]
    return top, bottom


def _arcs(found: Stages, blocks: _Blocks) -> list[tuple[np.ndarray, np.ndarray]]:
    flows = found.flows
    most = max(int(flows["edges"].max()) if len(flows) else 1, 1)
    turn = np.linspace(0.0, np.pi, 2 * _STEPS)
    made = []
    for first, second, edges in zip(flows["first"], flows["second"], flows["edges"], strict=True):
        is_forward = blocks.x[second] > blocks.x[first]
        is_own = first == second
        start, end = sorted((blocks.x[first], blocks.x[second]))
        centre = (start + end) / 2
        wide = 1.6 * blocks.half if is_own else (end - start) / 2
        base = blocks.top if is_forward or is_own else blocks.bottom
        sign = -1.0 if is_forward or is_own else 1.0
        ends = (base[first], base[second])
        level = min(ends) if sign < 0 else max(ends)
        span = 0.12 if is_own else 0.25 + 0.75 * (end - start) / max(blocks.columns - 1, 1)
        high = span * 0.42 * (level if sign < 0 else _HEIGHT - level)
        line = level + sign * high * np.sin(turn)
        x = centre - wide * np.cos(turn)
        half = 0.75 + 5.0 * float(np.sqrt(edges / most))
        made.append(
            (
                np.concatenate([x, x[::-1]]),
                np.concatenate([line - half, (line + half)[::-1]]),
            )
        )
    return made


def _polygons(
    found: Stages,
    shapes: list[tuple[np.ndarray, np.ndarray]],
    colours: Mapping[str, str] | None,
) -> hv.Polygons:
    app = found.stages["app"].tolist()
    ribbons: list[dict[str, Any]] = []
    for (x, y), first, second, edges in zip(
        shapes, found.flows["first"], found.flows["second"], found.flows["edges"], strict=True
    ):
        ribbons.append(
            {
                "x": x,
                "y": y,
                "source": app[first],
                "target": app[second],
                "edges": int(edges),
                "colour": OTHER if colours is None else colours.get(app[first], OTHER),
                "strength": 0.28,
            }
        )
    if not ribbons:
        nowhere = np.full(3, -10.0)
        ribbons.append(
            {
                "x": nowhere,
                "y": nowhere,
                "source": "",
                "target": "",
                "edges": 0,
                "colour": OTHER,
                "strength": 0.0,
            }
        )
    return hv.Polygons(ribbons, ["x", "y"], ["source", "target", "edges", "colour", "strength"])


def _parts(found: Stages, blocks: _Blocks, colours: Mapping[str, str] | None) -> hv.Rectangles:
    stages = found.stages
    rows: list[tuple[Any, ...]] = []
    for stage in range(len(stages)):
        app, tasks = stages["app"].iat[stage], int(stages["tasks"].iat[stage])
        level = f"{stages['depth'].iat[stage] + 1:.3g}"
        unit = (blocks.bottom[stage] - blocks.top[stage]) / tasks
        at = blocks.top[stage]
        for state in ORDER:
            number = int(stages[state].iat[stage])
            if not number:
                continue
            is_own = colours is not None and state in DONE
            colour = colours.get(app, OTHER) if is_own and colours else OF_PARSL_STATE[state]
            x = blocks.x[stage]
            rows.append(
                (
                    *(x - blocks.half, at, x + blocks.half, at + number * unit),
                    *(app, level, state or "none yet", number, tasks, colour),
                )
            )
            at += number * unit
    names = ["x", "y", "to_x", "to_y", "app", "level", "state", "tasks", "all", "colour"]
    return hv.Rectangles(pd.DataFrame(rows, columns=names), kdims=names[:4], vdims=names[4:])


def _labels(found: Stages, blocks: _Blocks) -> hv.Labels:
    letters = int(_WIDTH / max(blocks.columns, 1) / _LETTER)
    is_room = letters >= _LEAST_LABEL and blocks.room >= 0.6 * _LABEL
    texts = [
        _cut(app, f" · {tasks:,}", letters)
        for app, tasks in zip(found.stages["app"], found.stages["tasks"], strict=True)
    ]
    shown = slice(None) if is_room else slice(0, 0)
    return hv.Labels(
        pd.DataFrame(
            {"x": blocks.x[shown], "y": blocks.top[shown] - 4.0, "text": texts[shown]}
        ).astype({"text": object}),
        kdims=["x", "y"],
        vdims=["text"],
    )


def _cut(app: str, count: str, letters: int) -> str:
    room = max(letters - len(count), 3)
    return (app if len(app) <= room else f"{app[: room - 1]}…") + count
