"""Which worker did what when: a lane a worker, grouped by node, coloured by app."""

from __future__ import annotations

from collections.abc import Mapping

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.elements.axes import TIME_TOOLS, cut, opens_task, zooms_rows
from otel_parsl_dashboards.elements.colours import OTHER
from otel_parsl_dashboards.elements.raster import Coverage, coloured
from otel_parsl_dashboards.elements.span import PICTURE_RTOL, Span

SINGLE = 3000
"""So many tries in view, or fewer, are drawn one by one and can be hovered."""
_COLUMNS = 1200
_ROWS = 220
_LABELS = 24
_TIME = "time"


def task_stream(
    tries: pd.DataFrame,
    lanes: pd.DataFrame,
    colours: Mapping[str, str],
    *,
    span: Span,
    until: np.datetime64,
    rows: range | None = None,
) -> hv.Overlay:
    """
    Return the lanes of a run.

    Args:
        tries: A frame of tries; those that never ran are left out.
        lanes: The frame of lanes that goes with it.
        colours: The colour of each app.
        span: What is in view.
        until: Where tries that have not ended are cut off.
        rows: The lanes that are in view; all if not given.
    """
    rows = range(len(lanes)) if rows is None else rows
    shown = in_view(tries, rows, span=span, until=until)
    is_single = len(shown) <= SINGLE
    bars = _bars(shown if is_single else shown.iloc[:0], colours)
    picture = _picture(shown.iloc[:0] if is_single else shown, colours, span, rows)
    return (picture * bars).opts(
        hv.opts.RGB(default_tools=list(TIME_TOOLS)),
        hv.opts.Rectangles(
            color="colour",
            line_color="#80808080",
            line_width=0.5,
            tools=["hover", "tap"],
            hover_tooltips=[
                ("app", "@app"),
                ("task", "@task"),
                ("try", "@try"),
                ("node", "@host"),
                ("began", "@time{%F %T}"),
                ("run time", "@took"),
            ],
            hooks=[opens_task, zooms_rows],
            default_tools=list(TIME_TOOLS),
        ),
        hv.opts.Overlay(
            yticks=host_ticks(lanes.iloc[rows.start : rows.stop]),
            ylim=(0, max(len(lanes), 1)),
            invert_yaxis=True,
            ylabel="",
            xlim=(span.start, span.end),
        ),
    )


def picture(
    tries: pd.DataFrame,
    lanes: pd.DataFrame,
    colours: Mapping[str, str],
    *,
    span: Span,
    until: np.datetime64,
    rows: range | None = None,
) -> hv.RGB | None:
    """Return what alone differs in ``task_stream`` by its span; None where tries are bars."""
    rows = range(len(lanes)) if rows is None else rows
    shown = in_view(tries, rows, span=span, until=until)
    return None if len(shown) <= SINGLE else _picture(shown, colours, span, rows)


def in_view(tries: pd.DataFrame, rows: range, *, span: Span, until: np.datetime64) -> pd.DataFrame:
    """Return the tries of which a part is in view, with ``end``: open ones end where known."""
    start = tries["running"].to_numpy()
    end = frames.ends(tries, until)
    lane = tries["lane"].to_numpy()
    is_in = (lane >= rows.start) & (lane < rows.stop) & (start < span.end) & (end > span.start)
    return tries[is_in].assign(end=end[is_in])


def host_ticks(lanes: pd.DataFrame) -> list[tuple[float, str]]:
    """Return where the name of each host stands: at the middle of its lanes, some left out."""
    if not len(lanes):
        return [(0.5, "no worker")]
    middles = lanes.groupby("host", observed=True, sort=False)["lane"].mean() + 0.5
    step = -(-len(middles) // _LABELS)
    names = _short(list(map(str, middles.index)))
    return [(float(at), name) for name, at in zip(names, middles, strict=True)][::step]


def _short(hosts: list[str]) -> list[str]:
    """Return what stands beside the axis of the names of hosts, domains where they differ there."""
    heads = [host.partition(".")[0] for host in hosts]
    return [cut(name) for name in (heads if len(set(heads)) == len(hosts) else hosts)]


def summarise(
    tries: pd.DataFrame,
    lanes: pd.DataFrame,
    *,
    span: Span,
    until: np.datetime64,
    rows: range | None = None,
) -> str:
    """Return the lanes in words."""
    rows = range(len(lanes)) if rows is None else rows
    shown = in_view(tries, rows, span=span, until=until)
    if not len(shown):
        return "No try is known to have run in this time."
    start = np.maximum(shown["running"].to_numpy(), span.start)
    end = np.minimum(shown["end"].to_numpy(), span.end)
    busy_s = float((end - start).astype("int64").sum()) / 1e6
    whole_s = span.microseconds / 1e6
    hosts = lanes["host"].iloc[rows.start : rows.stop]
    text = (
        f"{words.counted(len(shown), 'try')} on {words.counted(int(hosts.nunique()), 'node')},"
        f" at most {len(rows):,} at once; the lanes were busy"
        f" {100 * busy_s / (whole_s * len(rows)):.0f} % of the time shown."
    )
    if len(rows) < len(lanes):
        text = f"In {len(rows):,} of {len(lanes):,} lanes: {text}"
    if len(shown) > SINGLE:
        text += (
            f" More than {SINGLE:,}: each pixel has the mean colour of what ran there, the denser"
            " the busier."
        )
    return text


def _bars(shown: pd.DataFrame, colours: Mapping[str, str]) -> hv.Rectangles:
    lane = shown["lane"].to_numpy()
    took = frames.seconds(shown["end"], shown["running"])
    columns = {
        _TIME: shown["running"].to_numpy(),
        "lane": lane + 0.06,
        "until": shown["end"].to_numpy(),
        "below": lane + 0.94,
        "app": shown["app"].astype(str).to_numpy(),
        "task": shown["task_id"].to_numpy(),
        "try": shown["try_id"].to_numpy(),
        "host": shown["host"].astype(str).to_numpy(),
        "took": list(map(words.duration, took)),
        "colour": np.array(
            [colours.get(app, OTHER) for app in shown["app"].astype(str)], dtype=object
        ),
    }
    return hv.Rectangles(
        pd.DataFrame(columns),
        kdims=[_TIME, "lane", "until", "below"],
        vdims=["app", "task", "try", "host", "took", "colour"],
    )


def _picture(shown: pd.DataFrame, colours: Mapping[str, str], span: Span, lanes: range) -> hv.RGB:
    bounds = (span.start, lanes.start, span.end, max(lanes.stop, 1))
    if not len(shown):
        return hv.RGB(
            np.zeros((1, 1, 4), dtype="uint8"),
            bounds=bounds,
            kdims=[_TIME, "lane"],
            rtol=PICTURE_RTOL,
        )
    count = len(lanes)
    rows = min(count, _ROWS)
    names = list(shown["app"].cat.categories)
    lane = shown["lane"].to_numpy() - lanes.start
    coverage = Coverage(len(names), rows, _COLUMNS)
    coverage.add(
        lane * rows // count,
        shown["app"].cat.codes.to_numpy(),
        span.pixels(shown["running"].to_numpy(), _COLUMNS),
        span.pixels(shown["end"].to_numpy(), _COLUMNS),
    )
    lanes_of_row = np.bincount(np.arange(count) * rows // count, minlength=rows)
    paint = [colours.get(name, OTHER) for name in names]
    picture = coloured(coverage, paint, lanes_of_row[:, None])
    # Images have their first row at the top, where the axis, turned round, has its end.
    return hv.RGB(picture[::-1], bounds=bounds, kdims=[_TIME, "lane"], rtol=PICTURE_RTOL)
