"""The look of all figures: one ink for both themes, no frame, no logo."""

from __future__ import annotations

import re
from typing import Any

from bokeh.models import (
    BoxZoomTool,
    CustomJSHover,
    CustomJSTickFormatter,
    DatetimeTickFormatter,
    HoverTool,
    Legend,
    LogAxis,
    Range1d,
    Toolbar,
)
from markupsafe import Markup

_INK = "#808a94"
_LINE = "#808a94"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_LEFT = 104
"""Pixels left of the frames of plots that share a time axis, so that moments stand in a line."""

_SHORT_NUMBER = """
const size = Math.abs(tick);
const cut = (n) => String(Number(n.toPrecision(6)));
if (size >= 1e9) return cut(tick / 1e9) + "G";
if (size >= 1e6) return cut(tick / 1e6) + "M";
if (size >= 1e4) return cut(tick / 1e3) + "k";
return cut(tick);
"""

_SOME_LOG = """
const digit = tick / 10 ** Math.floor(Math.log10(tick) + 1e-9);
return [1, 2, 5].includes(Math.round(digit * 1e6) / 1e6) ? String(Number(tick.toPrecision(6))) : "";
"""
"""Of an axis of a few decades Bokeh labels each digit, one over the other."""

_CUT_NUMBER = """
const isPart = typeof value === "number" && !Number.isInteger(value);
return isPart ? String(Number(value.toPrecision(5))) : value;
"""


def unlabel_time(figure: Any) -> None:
    """Take the name from an axis of time: its ticks say what it is."""
    figure.xaxis.axis_label = None


def dress(figure: Any, *, height: int, is_timed: bool) -> None:
    """
    Have a figure look as all of the pages do.

    Args:
        figure: Bokeh's.
        height: In pixels; it is as wide as there is room.
        is_timed: Whether its x axis is the run's time, which plots share: its range is replaced.
    """
    _dress(figure, height)
    if is_timed:
        figure.x_range = Range1d()
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
        unlabel_time(figure)
        figure.min_border_left = _LEFT


def _dress_tooltip(tool: HoverTool) -> None:
    """Have labels that are not as blue as a link, and numbers without exponents."""
    row = Markup('<span style="color: var(--mut)">{}</span><span>{}</span>')
    columns = {value for _, value in tool.tooltips if re.fullmatch(r"@{\w+}", value)}
    rows = (
        row.format(label, f"{value}{{custom}}" if value in columns else value)
        for label, value in tool.tooltips
    )
    tool.update(
        tooltips='<div style="display: grid; grid-template-columns: auto auto; gap: 1px 10px">'
        f"{Markup('').join(rows)}</div>",
        formatters={
            **tool.formatters,
            **dict.fromkeys(columns, CustomJSHover(code=_CUT_NUMBER)),
        },
        show_arrow=False,
    )


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
    for tool in figure.select(HoverTool):
        _dress_tooltip(tool)
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
    for axis in figure.select(LogAxis):
        axis.formatter = CustomJSTickFormatter(code=_SOME_LOG)
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
