"""Render an element and dress it: one ink for both themes, no frame, no logo."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import holoviews as hv
from bokeh.document import Document
from bokeh.models import (
    BoxZoomTool,
    CustomJSTickFormatter,
    DatetimeTickFormatter,
    Legend,
    Range1d,
    Toolbar,
)

_INK = "#808a94"
_LINE = "#808a94"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_LEFT = 84
"""Pixels left of the frames of plots that share a time axis, so that moments stand in a line."""
_lock = threading.Lock()
_is_loaded = False

_SHORT_NUMBER = """
const size = Math.abs(tick);
const cut = (n) => String(Number(n.toPrecision(6)));
if (size >= 1e9) return cut(tick / 1e9) + "G";
if (size >= 1e6) return cut(tick / 1e6) + "M";
if (size >= 1e4) return cut(tick / 1e3) + "k";
return cut(tick);
"""


def render(draw: Callable[[], Any], *, height: int, time_range: Range1d | None = None) -> Any:
    """
    Return the Bokeh figure of an element.

    Args:
        draw: Returns a HoloViews element or overlay.
        height: In pixels; it is as wide as there is room.
        time_range: Stands in the place of its own x range, for plots that share one.
    """
    global _is_loaded
    # HoloViews keeps the options of elements in places that threads share.
    with _lock:
        if not _is_loaded:
            hv.extension("bokeh", logo=False)
            _is_loaded = True
        # Bokeh keeps the current document in one as well: the session of another thread, or gone.
        # In this mode alone HoloViews takes the document that it is given.
        renderer = hv.renderer("bokeh").instance(mode="server")
        figure = renderer.get_plot(draw(), doc=Document()).state
    _dress(figure, height)
    if time_range is not None:
        figure.x_range = time_range
        figure.xaxis.formatter = DatetimeTickFormatter(
            milliseconds="%H:%M:%S.%3N",
            seconds="%H:%M:%S",
            minsec="%H:%M:%S",
            minutes="%H:%M",
            hourmin="%H:%M",
            hours="%H:%M",
            days="%d %b",
            months="%b %Y",
        )
        figure.xaxis.axis_label = None
        figure.min_border_left = _LEFT
    return figure


def _dress(figure: Any, height: int) -> None:
    figure.update(
        height=height,
        sizing_mode="stretch_width",
        background_fill_alpha=0.0,
        border_fill_alpha=0.0,
        outline_line_color=None,
        output_backend="canvas",  # WebGL takes longer wherever no graphics card helps it
        title=None,
        min_border_right=12,
    )
    toolbar: Toolbar = figure.toolbar
    toolbar.logo = None
    toolbar.autohide = True
    # The page scrolls with the wheel; a plot is zoomed with it while its tool is on.
    toolbar.active_scroll = None
    brushes = (
        tool
        for tool in figure.tools
        if isinstance(tool, BoxZoomTool) and tool.dimensions == "width"
    )
    toolbar.active_drag = next(brushes, None)
    for axis in figure.axis:
        axis.update(
            axis_line_color=None,
            major_tick_line_color=None,
            minor_tick_line_color=None,
            major_label_text_color=_INK,
            major_label_text_font=_FONT,
            major_label_text_font_size="12px",
            axis_label_text_color=_INK,
            axis_label_text_font=_FONT,
            axis_label_text_font_size="12px",
            axis_label_text_font_style="normal",
        )
    for axis in figure.yaxis:
        if type(axis).__name__ == "LinearAxis" and not axis.major_label_overrides:
            axis.formatter = CustomJSTickFormatter(code=_SHORT_NUMBER)
    figure.xgrid.grid_line_color = None
    figure.ygrid.update(
        grid_line_color=_LINE,
        grid_line_alpha=0.22,
        visible=any(axis.visible for axis in figure.yaxis),
    )
    for legend in figure.select(Legend):
        legend.update(
            background_fill_alpha=0.0,
            border_line_color=None,
            label_text_color=_INK,
            label_text_font=_FONT,
            label_text_font_size="12px",
            click_policy="hide",
            padding=0,
            margin=0,
            spacing=12,
            glyph_width=14,
        )
