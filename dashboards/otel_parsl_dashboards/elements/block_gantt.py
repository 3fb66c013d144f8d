"""The life of each block: a bar a status, by executor, and a mark where it ended."""

from __future__ import annotations

from collections import Counter
from typing import Final

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.elements.axes import TIME_TOOLS, cut
from otel_parsl_dashboards.elements.colours import OF_BLOCK_STATUS
from otel_parsl_dashboards.elements.raster import Coverage, coloured
from otel_parsl_dashboards.elements.span import PICTURE_RTOL, Span

SINGLE: Final = 2000
"""So many blocks, or fewer, are drawn one by one and can be hovered."""
_COLUMNS: Final = 1200
_ROWS: Final = 260
_LABELS: Final = 24
_FEWEST: Final = 4
"""Rows that there is room for at least: one block alone is no wall."""
_OTHER: Final = OF_BLOCK_STATUS["UNKNOWN"]
_HOVER: Final = [
    ("executor", "@executor"),
    ("block", "@block"),
    ("batch job", "@job"),
    ("status", "@status"),
]
"""What is told of a block that is pointed at."""
_DIMENSIONS: Final = ["executor", "block", "job", "status", "colour"]


def block_gantt(stages: pd.DataFrame, *, span: Span) -> hv.Overlay:
    """
    Return the chart.

    Args:
        stages: Of ``data.block_lives.stages``.
        span: What is in view.
    """
    count = int(stages["row"].max()) + 1 if len(stages) else 1
    is_single = count <= SINGLE
    shown = stages[_in_view(stages, span)]
    none = shown.iloc[:0]
    picture = _picture(none if is_single else shown, span, count)
    bars = _bars(shown if is_single else none)
    ends = _ends(shown[shown["is_final"].to_numpy()])
    return (picture * bars * ends).opts(
        hv.opts.RGB(default_tools=list(TIME_TOOLS)),
        hv.opts.Rectangles(
            color="colour",
            line_color=None,
            tools=["hover"],
            hover_tooltips=[*_HOVER, ("from", "@time{%F %T}"), ("until", "@until{%F %T}")],
            default_tools=list(TIME_TOOLS),
        ),
        hv.opts.Points(
            color="colour",
            marker="square",
            size=float(np.clip(200 / count, 2, 9)),
            tools=["hover"],
            hover_tooltips=[*_HOVER, ("since", "@time{%F %T}")],
            default_tools=list(TIME_TOOLS),
        ),
        hv.opts.Overlay(
            yticks=_ticks(stages),
            ylim=(0, max(count, _FEWEST)),
            invert_yaxis=True,
            ylabel="",
            xlim=(span.start, span.end),
        ),
    )


def summarise(stages: pd.DataFrame, *, span: Span) -> str:
    """Return the chart in words."""
    shown = stages[_in_view(stages, span)]
    if not len(shown):
        return "No block is known in this time."
    last = shown.groupby("row")["status"].last()
    count = int(stages["row"].max()) + 1
    many = words.counted(len(last), "block")
    executors = words.counted(shown["executor"].nunique(), "executor")
    text = f"{many} of {executors}; last seen: {status_words(last)}."
    if count > SINGLE:
        text += (
            f" More than {SINGLE:,}: each row stands for {-(-count // _ROWS):,} blocks, with the"
            " mean colour of their statuses."
        )
    return text


def status_words(statuses: pd.Series) -> str:
    """Return how many blocks have which status: ``3 running, 1 failed``."""
    counts = Counter(statuses)
    order = [*OF_BLOCK_STATUS, *sorted(set(counts) - set(OF_BLOCK_STATUS))]
    return ", ".join(
        f"{counts[status]:,} {_in_words(status)}" for status in order if counts[status]
    )


def _in_words(status: str) -> str:
    return status.lower().replace("_", " ")


def _in_view(stages: pd.DataFrame, span: Span) -> np.ndarray:
    start, end = stages["start"].to_numpy(), stages["end"].to_numpy()
    found: np.ndarray = (start < span.end) & (end >= span.start)
    return found


def _colours(status: pd.Series) -> np.ndarray:
    return np.array([OF_BLOCK_STATUS.get(name, _OTHER) for name in status], dtype=object)


def _hover(stages: pd.DataFrame) -> dict[str, object]:
    return {
        **{name: stages[name].to_numpy() for name in ("executor", "block", "job")},
        "status": [_in_words(status) for status in stages["status"]],
        "colour": _colours(stages["status"]),
    }


def _bars(stages: pd.DataFrame) -> hv.Rectangles:
    row = stages["row"].to_numpy()
    columns = {
        "time": stages["start"].to_numpy(),
        "above": row + 0.12,
        "until": stages["end"].to_numpy(),
        "below": row + 0.88,
        **_hover(stages),
    }
    return hv.Rectangles(
        pd.DataFrame(columns), kdims=["time", "above", "until", "below"], vdims=_DIMENSIONS
    )


def _ends(final: pd.DataFrame) -> hv.Points:
    columns = {
        "time": final["start"].to_numpy(),
        "above": final["row"].to_numpy() + 0.5,
        **_hover(final),
    }
    return hv.Points(pd.DataFrame(columns), kdims=["time", "above"], vdims=_DIMENSIONS)


def _picture(stages: pd.DataFrame, span: Span, count: int) -> hv.RGB:
    bounds, kdims = (span.start, 0, span.end, count), ["time", "above"]
    if not len(stages):
        return hv.RGB(
            np.zeros((1, 1, 4), dtype="uint8"), bounds=bounds, kdims=kdims, rtol=PICTURE_RTOL
        )
    rows = min(count, _ROWS)
    status = pd.Categorical(stages["status"])
    coverage = Coverage(len(status.categories), rows, _COLUMNS)
    coverage.add(
        stages["row"].to_numpy() * rows // count,
        status.codes,
        span.pixels(stages["start"].to_numpy(), _COLUMNS),
        span.pixels(stages["end"].to_numpy(), _COLUMNS),
    )
    blocks_of_row = np.bincount(np.arange(count) * rows // count, minlength=rows)
    colours = [OF_BLOCK_STATUS.get(name, _OTHER) for name in status.categories]
    picture = coloured(coverage, colours, blocks_of_row[:, None])
    return hv.RGB(picture[::-1], bounds=bounds, kdims=kdims, rtol=PICTURE_RTOL)


def _ticks(stages: pd.DataFrame) -> list[tuple[float, str]]:
    """Return the names of blocks where there is room, else those of executors."""
    named = stages.drop_duplicates("row")
    if not len(named):
        return [(0.5, "no block")]
    if len(named) <= _LABELS:
        each = zip(named["row"], named["executor"], named["block"], strict=True)
        return [(row + 0.5, f"{cut(executor)} {block}") for row, executor, block in each]
    middles = named.groupby("executor", sort=False)["row"].mean() + 0.5
    return [(float(at), cut(str(name))) for name, at in middles.items()]


LEGEND: Final = [(_in_words(status), colour) for status, colour in OF_BLOCK_STATUS.items()]
"""Parsl's states of jobs and their colours."""
