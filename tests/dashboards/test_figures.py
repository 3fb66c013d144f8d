"""How an element becomes a figure, and how one figure is told from another."""

from __future__ import annotations

from typing import Any

import holoviews as hv
import numpy as np
from bokeh.document import Document
from bokeh.io.doc import patch_curdoc
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure
from bokeh.themes import Theme
from hypothesis import given
from hypothesis import strategies as st
from otel_parsl_dashboards.figures.drawn import put, take
from otel_parsl_dashboards.figures.dressing import render


def _steps() -> hv.Curve:
    return hv.Curve([(0, 1), (1, 2)])


def test_a_figure_is_made_while_another_threads_session_ends() -> None:
    """Bokeh's current document is whichever thread's came last: it is neither used nor touched."""
    session = Document()
    session.theme = theirs = Theme(json={})
    with patch_curdoc(session):
        assert len(render(_steps, height=200).renderers) == 1
        assert session.theme is theirs
        session.on_change(print)
        session.destroy(print)
        assert len(render(_steps, height=200).renderers) == 1
        del session
        assert len(render(_steps, height=200).renderers) == 1


_COLUMNS = st.lists(st.lists(st.floats(-10, 10), min_size=1, max_size=3), max_size=3).flatmap(
    lambda lines: st.tuples(
        st.just(lines),
        st.tuples(*(st.sampled_from((list, np.array, lambda line: [[line]])) for _ in lines)),
        st.sampled_from((list, _object_array)),
    )
)
"""Lines, polygons and bars as HoloViews gives them to Bokeh: in lists, arrays and both."""


def _object_array(cells: list[Any]) -> Any:
    column = np.empty(len(cells), dtype=object)
    for place, cell in enumerate(cells):
        column[place] = cell
    return column


def _lines(drawn: Any) -> Any:
    lines, each, column = drawn
    values = column([form(line) for form, line in zip(each, lines, strict=True)])
    shown = figure()
    shown.multi_line("x", "y", source=ColumnDataSource({"x": values, "y": values}))
    return shown


@given(_COLUMNS, _COLUMNS)
def test_what_differs_is_put_into_a_page_and_nothing_else(before: Any, now: Any) -> None:
    """A figure shows what was drawn last, and is left alone where that is what it showed."""
    on_page, drawn_now = _lines(before), _lines(now)
    (source,), (wanted,) = on_page.select(ColumnDataSource), drawn_now.select(ColumnDataSource)
    stood = source.data

    put(on_page, take(on_page), take(drawn_now), keeps_x=False)

    if before == now:
        assert source.data is stood
    assert _plain(source.data["x"]) == _plain(wanted.data["x"])


def _plain(values: Any) -> Any:
    return [_plain(each) for each in values] if isinstance(values, list | np.ndarray) else values
