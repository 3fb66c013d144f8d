"""What axes of several elements have in common: their tools, and ticks that make sense."""

from __future__ import annotations

from typing import Any, Final

TIME_TOOLS: Final = ("xbox_zoom", "xpan", "box_zoom", "xwheel_zoom", "ywheel_zoom", "reset", "save")
"""Of plots of time, by HoloViews' names; the first one takes a drag: it brushes a stretch."""
TOOLS: Final = ("xbox_zoom", "reset", "save")
"""Of other plots."""


def count_axis(plot: Any, _element: object) -> None:
    """Have no ticks between whole numbers: a hook of HoloViews for an axis of counts."""
    plot.handles["yaxis"].ticker.min_interval = 1
