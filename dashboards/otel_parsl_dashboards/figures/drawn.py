"""
What a figure shows, taken out of its models: to be compared, kept, and put into another figure.

A model belongs to one page; what it shows is the same on all pages of one snapshot. So an element
is rendered once a change, and each open page is given what differs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from bokeh.models import FixedTicker, Glyph, GlyphRenderer, Range1d


class Drawn(NamedTuple):
    """What a figure shows."""

    shape: tuple[Any, ...]
    """Glyphs and their columns, legend and y axis: what stays while the rest is put anew."""
    looks: list[dict[str, Any]]
    """Colours, sizes and widths of each glyph: what all rows share is no column to HoloViews."""
    data: list[dict[str, Any]]
    """The columns of each glyph."""
    ranges: tuple[tuple[float, float] | None, tuple[float, float] | None]
    """From where to where x and y go."""
    ticks: list[tuple[Any, Any]]
    """Places and labels of the ticks of each axis that has fixed ones."""


def take(figure: Any) -> Drawn:
    """Return what a figure shows."""
    renderers = _renderers(figure)
    return Drawn(
        shape=(
            tuple(
                (type(each.glyph).__name__, *sorted(each.data_source.data)) for each in renderers
            ),
            tuple(item.label.value for legend in figure.legend for item in legend.items),
            tuple((type(axis.ticker).__name__, axis.axis_label) for axis in figure.axis),
        ),
        looks=[_look(glyph) for glyph in _glyphs(renderers)],
        data=[dict(each.data_source.data) for each in renderers],
        ranges=(_range(figure.x_range), _range(figure.y_range)),
        ticks=[
            (axis.ticker.ticks, axis.major_label_overrides)
            for axis in figure.axis
            if isinstance(axis.ticker, FixedTicker)
        ],
    )


def is_picture(drawn: Drawn) -> bool:
    """Tell whether all that is shown is one picture: other glyphs have no rows."""
    rows = [
        len(next(iter(columns.values()), ())) for columns in drawn.data if "image" not in columns
    ]
    return len(rows) + 1 == len(drawn.data) and not any(rows)


def with_picture(drawn: Drawn, picture: dict[str, Any]) -> Drawn:
    """Return the same but for its picture, given as the columns of that glyph."""
    data = [picture if "image" in columns else columns for columns in drawn.data]
    return drawn._replace(data=data)


def put(figure: Any, before: Drawn, now: Drawn, *, keeps_x: bool) -> None:
    """
    Have a figure show something else, without moving what its reader looks at.

    Args:
        figure: Of the shape of both.
        before: What was put into it last.
        now: What it is to show.
        keeps_x: Whether its x range is somebody else's to move.
    """
    renderers = _renderers(figure)
    for renderer, old, new in zip(renderers, before.data, now.data, strict=True):
        if not _is_same(old, new):
            renderer.data_source.data = new
    for glyph, old, new in zip(_glyphs(renderers), before.looks, now.looks, strict=True):
        glyph.update(**{name: value for name, value in new.items() if old[name] != value})
    fixed = [axis for axis in figure.axis if isinstance(axis.ticker, FixedTicker)]
    for axis, old_ticks, new_ticks in zip(fixed, before.ticks, now.ticks, strict=True):
        if old_ticks != new_ticks:
            axis.ticker.ticks, axis.major_label_overrides = new_ticks
    if not keeps_x:
        _move(figure.x_range, before.ranges[0], now.ranges[0])
    _move(figure.y_range, before.ranges[1], now.ranges[1])


def _renderers(figure: Any) -> list[Any]:
    return [each for each in figure.renderers if isinstance(each, GlyphRenderer)]


def _glyphs(renderers: list[Any]) -> list[Any]:
    """Return the glyphs of renderers, and how each looks where one of its points is selected."""
    names = ("glyph", "selection_glyph", "nonselection_glyph")
    found = (getattr(renderer, name) for renderer in renderers for name in names)
    return [each for each in found if isinstance(each, Glyph)]


def _look(glyph: Any) -> dict[str, Any]:
    return {name: getattr(glyph, name) for name in sorted(glyph.properties() - Glyph.properties())}


def _range(found: Any) -> tuple[float, float] | None:
    if not isinstance(found, Range1d):
        return None
    return found.start, found.end


def _move(found: Any, before: tuple[float, float] | None, now: tuple[float, float] | None) -> None:
    """Move a range that stands where it was put; one that its reader has moved, at its reset."""
    if before is None or now is None or before == now:
        return
    if _is_near((found.start, found.end), before):
        found.update(start=now[0], end=now[1])
    found.update(reset_start=now[0], reset_end=now[1])


def _is_near(a: Any, b: Any) -> bool:
    try:
        return bool(np.allclose(np.array(a, dtype="float64"), np.array(b, dtype="float64")))
    except (TypeError, ValueError):
        return bool(a == b)


def _is_same(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return all(_are_equal(old[name], values) for name, values in new.items())


def _are_equal(old: Any, new: Any) -> bool:
    if isinstance(old, np.ndarray) and isinstance(new, np.ndarray) and old.dtype != object:
        return old.shape == new.shape and old.tobytes() == new.tobytes()
    return len(old) == len(new) and all(map(_is_same_cell, old, new))


def _is_same_cell(a: Any, b: Any) -> bool:
    """Compare two cells of a column; those of lines and polygons are arrays, or lists of some."""
    if isinstance(a, np.ndarray | list) and isinstance(b, np.ndarray | list):
        return _are_equal(a, b)
    return bool(a == b)
