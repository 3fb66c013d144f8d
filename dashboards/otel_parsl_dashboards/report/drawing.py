"""
The plots of a report: figures that no server stands behind, packed into text that a page holds.

BokehJS and the figures are compressed, so that a report is small enough to be sent by mail; the
browser unpacks both.
"""

from __future__ import annotations

import base64
import gzip
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from bokeh.core.json_encoder import serialize_json
from bokeh.document import Document
from bokeh.embed.util import standalone_docs_json_and_render_items
from bokeh.models import Column, Range1d
from bokeh.resources import Resources

from otel_parsl.query.errors import QueryError
from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.figures.canvas import Canvas
from otel_parsl_dashboards.pages.page import Plot, View
from otel_parsl_dashboards.pages.time_axis import whole_run

_log = logging.getLogger(__name__)


class Packed(NamedTuple):
    """Plots as a page holds them."""

    plots: str
    """The figures: JSON, compressed."""
    items: str
    """Which figure goes where in the page: JSON."""
    roots: dict[tuple[str, str], Any]
    """The place of each, by page and plot."""


def bokeh_script() -> str:
    """Return the one bundle of BokehJS that the pages' plots need, compressed."""
    bundle = Resources(mode="inline", components=["bokeh"], minified=True, log_level="warn")
    return _compressed("\n".join(bundle.js_raw))


def figures(
    snapshot: Snapshot, plots: Iterable[tuple[str, Plot, View]]
) -> dict[tuple[str, str], Any]:
    """
    Return the figure of each plot, by page and plot; those of time share their axis.

    One that cannot be drawn is left out, and logged: the rest of the report stands without it.

    Args:
        snapshot: The run.
        plots: The path of the page, the plot, and what it is drawn from.
    """
    start, end = whole_run(snapshot)
    time = Range1d(start=start, end=end, reset_start=start, reset_end=end)
    made = {}
    for page, plot, view in plots:
        canvas = Canvas(height=plot.height, is_timed=plot.is_timed)
        try:
            figure = canvas.render(partial(plot.draw, view)).figure()
        except QueryError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it is said
            _log.exception("page %r: the plot %r cannot be drawn", page, plot.title)
            continue
        if plot.is_timed:
            figure.x_range = time
        made[page, plot.key] = figure
    return made


def pack(drawn: dict[tuple[str, str], Any]) -> Packed:
    """Return figures as text."""
    document = Document()
    slots: list[Column] = []
    for figure in drawn.values():
        slot = Column(figure, sizing_mode="stretch_width")
        document.add_root(slot)
        slots.append(slot)
    if not slots:
        return Packed(_compressed("{}"), "[]", {})
    models: Sequence[Any] = slots
    contents, items = standalone_docs_json_and_render_items(models)
    places = {root.id: root for item in items for root in item.roots}
    roots = {key: places[slot.id] for key, slot in zip(drawn, slots, strict=True)}
    document.clear()  # the figures may be packed again, with fewer of them
    for slot in slots:
        slot.children = []
    return Packed(
        _compressed(serialize_json(contents)),
        # Within a script element nothing may look like its end.
        serialize_json([item.to_json() for item in items]).replace("<", "\\u003c"),
        roots,
    )


def _compressed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode("ascii")
