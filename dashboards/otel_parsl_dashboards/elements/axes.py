"""What axes of several elements have in common: their tools, and ticks that make sense."""

from __future__ import annotations

from typing import Any, Final

import holoviews as hv
import numpy as np
from bokeh.models import CustomJS, TapTool, WheelZoomTool

from otel_parsl.cli import words

TIME_TOOLS: Final = ("xbox_zoom", "xpan", "xwheel_zoom", "reset", "save")
"""
Of plots of time, by HoloViews' names; the first one takes a drag: it brushes a stretch.

HoloViews takes those of the parts of an overlay alone, and of one kind the first.
"""
TOOLS: Final = ("xbox_zoom", "reset", "save")
"""Of other plots."""
LETTERS: Final = 11
"""Of a name beside a plot of time: more would move its frame out of line with other plots."""
TICKS: Final = 5
"""About so many stand side by side below a plot that shares its row with others."""
_UNITS: Final = (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))


def time_unit(longest_s: float) -> tuple[str, float]:
    """Return the unit that an axis up to so many seconds is read in best, and its seconds."""
    if not longest_s > 0:
        return "s", 1.0
    return next((each for each in _UNITS if longest_s >= 2 * each[1]), _UNITS[-1])


def size_unit(most_bytes: float) -> tuple[str, float]:
    """Return the unit that an axis up to so many bytes is read in best, and its bytes."""
    sizes = [(name, 1000.0**power) for power, name in enumerate(words.SIZES)]
    return next((each for each in reversed(sizes) if most_bytes >= 2 * each[1]), sizes[0])


def count_axis(plot: Any, _element: object) -> None:
    """Have no ticks between whole numbers: a hook of HoloViews for an axis of counts."""
    plot.handles["yaxis"].ticker.min_interval = 1


def cut(name: str, letters: int = LETTERS) -> str:
    """Return a name short enough to stand beside an axis, with both ends: names differ there."""
    if len(name) <= letters:
        return name
    end = (letters - 1) // 2
    return f"{name[: letters - 1 - end]}…{name[-end:]}"


def histogram_look(colour: str, **more: Any) -> Any:
    """Return the look of a histogram, as options of HoloViews; ``more`` are such options too."""
    return hv.opts.Histogram(
        fill_color=colour,
        line_color=None,
        fill_alpha=0.85,
        tools=["hover"],
        default_tools=list(TOOLS),
        hooks=[count_axis],
        **more,
    )


def room_above(counts: np.ndarray) -> float:
    """Return where an axis of counts ends, so that the highest bar does not touch it."""
    return max(1.0, float(counts.max()) * 1.08)


def zooms_rows(plot: Any, _element: object) -> None:
    """Give a plot of time a tool for its y axis: a hook; HoloViews takes one tool of a kind."""
    wheels = [tool for tool in plot.state.tools if isinstance(tool, WheelZoomTool)]
    if all(tool.dimensions != "height" for tool in wheels):
        plot.state.add_tools(WheelZoomTool(dimensions="height"))


def opens_task(plot: Any, _element: object) -> None:
    """Have a click on a bar open the page of its task, where there are pages: a hook."""
    for tool in plot.state.tools:
        if isinstance(tool, TapTool) and tool.callback is None:
            tool.callback = CustomJS(
                # It is called for each glyph under the pointer; a raster has no tasks to open.
                code="const [at] = cb_data.source.selected.indices;"
                " const tasks = cb_data.source.data.task;"
                " if (at !== undefined && tasks) window.otelParsl?.openTask(tasks[at]);"
            )
