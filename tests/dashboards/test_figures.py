"""How an element becomes a figure, and how one figure is told from another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from bokeh.core.property.wrappers import PropertyValueColumnData
from bokeh.document import Document
from bokeh.io.doc import patch_curdoc
from bokeh.models import ColumnDataSource, HoverTool, Quad
from bokeh.plotting import figure
from bokeh.themes import Theme
from holoviews.plotting.bokeh.path import ContourPlot
from holoviews.plotting.bokeh.raster import RGBPlot
from hypothesis import given, settings
from hypothesis import strategies as st
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.elements.depths import with_depths
from otel_parsl_dashboards.elements.task_graph import task_graph
from otel_parsl_dashboards.figures.canvas import Canvas
from otel_parsl_dashboards.figures.copies import packed, unpacked
from otel_parsl_dashboards.figures.drawn import Drawn, put, take
from otel_parsl_dashboards.figures.lines import LinesPlot
from otel_parsl_dashboards.figures.pictures import PicturePlot
from otel_parsl_dashboards.pages import RUN_PAGES
from otel_parsl_dashboards.pages.page import Plot, View, Window


def _steps() -> hv.Curve:
    return hv.Curve([(0, 1), (1, 2)])


def _figure() -> Any:
    return Canvas(height=200, is_timed=False).render(_steps).figure()


def test_a_figure_is_made_while_another_threads_session_ends() -> None:
    """Bokeh's current document is whichever thread's came last: it is neither used nor touched."""
    session = Document()
    session.theme = theirs = Theme(json={})
    with patch_curdoc(session):
        assert len(_figure().renderers) == 1
        assert session.theme is theirs
        session.on_change(print)
        session.destroy(print)
        assert len(_figure().renderers) == 1
        del session
        assert len(_figure().renderers) == 1


def test_what_other_threads_serialise_is_right_while_a_figure_is_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """HoloViews' switch of Bokeh's validation is for all threads: without it a colour is written
    down as the value of a value, and the plot that has it is not drawn."""
    update = PropertyValueColumnData.update
    written = []

    def updated(data: Any, *now: Any) -> Any:
        done = update(data, *now)
        written.append(Document.to_json(elsewhere))
        return done

    elsewhere = Document()
    elsewhere.add_root(Quad(fill_color={"value": "#aabbcc"}))
    expected = elsewhere.to_json()
    canvas = Canvas(height=200, is_timed=False)
    canvas.render(_steps)
    monkeypatch.setattr(PropertyValueColumnData, "update", updated)

    canvas.render(lambda: hv.Curve([(0, 1), (1, 5)]))

    assert written
    assert all(each == expected for each in written)


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


def test_an_axis_that_its_reader_has_moved_stays_and_is_reset_to_all_there_is() -> None:
    """Rows that come while some are zoomed into move nothing, and are not lost to a reset."""
    shown = _figure()
    before = take(shown)
    now = before._replace(ranges=(before.ranges[0], (0.0, 9.0)))
    shown.y_range.update(start=1.2, end=1.4)

    put(shown, before, now, keeps_x=True)

    axis = shown.y_range
    assert (axis.start, axis.end) == (1.2, 1.4)
    assert (axis.reset_start, axis.reset_end) == (0.0, 9.0)


@settings(max_examples=20)
@given(st.integers(1, 5), st.integers(1, 5), st.randoms(use_true_random=False))
def test_pictures_are_what_holoviews_makes_of_them(rows: int, columns: int, rng: Random) -> None:
    """A picture of bytes comes to Bokeh as HoloViews' own plot would bring it."""
    pixels = np.frombuffer(rng.randbytes(rows * columns * 4), "uint8").reshape(rows, columns, 4)
    picture = hv.RGB(pixels, bounds=(0.0, 2.0, 3.0, 7.0))

    (found,) = Canvas(height=200, is_timed=False).render(lambda: picture).drawn.data

    plot = hv.renderer("bokeh").get_plot(picture)
    assert type(plot) is PicturePlot
    expected, _, _ = RGBPlot.get_data(plot, picture, {}, {})
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name][0], expected[name][0]) for name in expected)


@settings(max_examples=20)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), min_size=1, max_size=4))
def test_lines_are_what_holoviews_makes_of_them(lines: list[list[int]]) -> None:
    """Lines of arrays come to Bokeh as HoloViews' own plot would bring them, each in its colour."""
    contours = hv.Contours(
        [
            {
                "time": np.datetime64("2026-11-22T08", "us") + np.arange(len(counts)),
                "running": np.array(counts),
                "app": f"app {number}",
                "colour": f"#{number:06d}",
            }
            for number, counts in enumerate(lines)
        ],
        ["time", "running"],
        ["app", "colour"],
    ).opts(color="colour", tools=["hover"])

    drawn = Canvas(height=200, is_timed=True).render(lambda: contours).drawn
    (found,) = drawn.data

    plot = hv.renderer("bokeh").get_plot(contours)
    assert type(plot) is LinesPlot
    expected, _, _ = ContourPlot.get_data(plot, contours, {}, {"color": hv.dim("colour")})
    # Times that are alike are one to HoloViews, which has looked for them; here they differ.
    assert [list(map(_plain, found[name])) for name in ("xs", "ys")] == [
        list(map(_plain, expected[name])) for name in ("xs", "ys")
    ]
    assert list(found["app"]) == [f"app {number}" for number in range(len(lines))]
    # What all lines share is no column to HoloViews.
    colours = found.get("color", [drawn.looks[0]["line_color"]])
    assert list(colours) == [f"#{number:06d}" for number in range(len(lines))]


def _plain(values: Any) -> Any:
    return [_plain(each) for each in values] if isinstance(values, list | np.ndarray) else values


def _plots(view: View) -> Iterator[tuple[str, Plot]]:
    for page in RUN_PAGES:
        for plot in page.plots:
            if plot.is_ready(view.snapshot):
                yield f"{page.path}/{plot.key}", plot


def test_figures_that_are_changed_show_what_new_ones_would(otel_database: Path) -> None:
    """Each plot of each page, drawn for one stretch of time after another, is as if made for it."""
    source = Source(str(otel_database))
    library = Library(source)
    try:
        run_id = library.runs()[0].run.run_id
        snapshot = library.resident(run_id).wait(("samples",), 60)
        length = snapshot.until - snapshot.began
        windows = (
            None,
            Window(snapshot.began + length / 4, snapshot.began + length / 2),
            Window(snapshot.began - length, snapshot.began - length / 2),
            None,
        )
        params = {"name": snapshot.apps[0], "task_id": "0"}
        views = [View(snapshot, params, {}, window, source) for window in windows]
        drawn = 0
        for name, plot in _plots(views[0]):
            kept = Canvas(height=plot.height, is_timed=plot.is_timed)
            for view in views:
                anew = Canvas(height=plot.height, is_timed=plot.is_timed)
                expected = anew.render(partial(plot.draw, view)).drawn
                found = kept.render(partial(plot.draw, view)).drawn
                assert found.shape == expected.shape, name
                assert _comparable(found) == _comparable(expected), name
                drawn += 1
        assert drawn > 80
    finally:
        library.close()


def test_pictures_take_each_others_place_and_all_else_stays(simulated_database: Path) -> None:
    """Of a run of many tasks a stretch of time looks as if drawn for it, whatever was drawn before;
    where single tries are, and come to be none again, as well."""
    source = Source(str(simulated_database))
    library = Library(source)
    try:
        snapshot = library.resident(library.runs()[0].run.run_id).wait(("samples",), 60)
        length = snapshot.until - snapshot.began
        stretches = (
            Window(snapshot.began + length * first // 100, snapshot.began + length * last // 100)
            for first, last in ((0, 90), (10, 90), (50, 52), (40, 99), (0, 60))
        )
        lanes = range(len(snapshot.lanes) // 2)
        views = [
            *(View(snapshot, {}, {}, window, source) for window in (None, *stretches)),
            View(snapshot, {}, {}, None, source, rows=lanes),
            View(snapshot, {}, {}, None, source),
        ]
        put_alone = {}
        for name, plot in _plots(views[0]):
            if plot.picture is None:
                continue
            kept = Canvas(height=plot.height, is_timed=plot.is_timed)
            for view in views:
                drawn: list[View] = []

                def draw(plot: Plot = plot, view: View = view, drawn: list[View] = drawn) -> Any:
                    drawn.append(view)
                    return plot.draw(view)

                beside = plot.asked(view._replace(window=None))
                picture = partial(plot.picture, view)
                found = kept.render(draw, picture=picture, beside=beside).drawn
                anew = Canvas(height=plot.height, is_timed=plot.is_timed)
                expected = anew.render(partial(plot.draw, view)).drawn
                assert found.shape == expected.shape, name
                assert _comparable(found) == _comparable(expected), name
                put_alone.setdefault(name, []).append(not drawn)
    finally:
        library.close()
    # None is put first, nor after single tries, nor where other lanes are in view.
    assert put_alone == {
        "/stream": [False, True, True, False, False, True, False, False],
        "/gantt": [False, True, True, True, True, True, True, True],
    }


def test_what_is_pointed_at_is_told_in_words_of_the_run(otel_database: Path) -> None:
    """No tooltip tells where and in which colour something is drawn."""
    source = Source(str(otel_database))
    library = Library(source)
    try:
        snapshot = library.resident(library.runs()[0].run.run_id).wait(("samples",), 60)
        view = View(snapshot, {"name": snapshot.apps[0], "task_id": "0"}, {}, None, source)
        told = {}
        for name, plot in _plots(view):
            canvas = Canvas(height=plot.height, is_timed=plot.is_timed)
            for tool in canvas.render(partial(plot.draw, view)).figure().select(HoverTool):
                said = re.findall("<span[^>]*>([^<]*)</span>", tool.tooltips)
                told |= {
                    (name, label): value for label, value in zip(said[::2], said[1::2], strict=True)
                }
    finally:
        library.close()

    drawing = {"lane", "above", "below", "top", "bottom", "to", "colour", "strength", "seconds"}
    assert {label for name, label in told if not name.startswith("dag")} & drawing == set()
    assert told["/gantt", "until"] == "@{until}{%F %T}"


def test_each_plot_of_time_is_brushed_by_a_drag(otel_database: Path) -> None:
    """A drag chooses a stretch of time wherever the axis is the run's, whatever is drawn there."""
    source = Source(str(otel_database))
    library = Library(source)
    try:
        snapshot = library.resident(library.runs()[0].run.run_id).wait(("samples",), 60)
        view = View(snapshot, {"name": snapshot.apps[0], "task_id": "0"}, {}, None, source)
        timed = [(name, plot) for name, plot in _plots(view) if plot.is_timed]
        assert len(timed) > 8
        for name, plot in timed:
            shown = Canvas(height=200, is_timed=True).render(partial(plot.draw, view)).figure()
            assert getattr(shown.toolbar.active_drag, "dimensions", None) == "width", name
    finally:
        library.close()


def _comparable(drawn: Drawn) -> Any:
    data = [{name: _plain(values) for name, values in each.items()} for each in drawn.data]
    ranges = [[float(end) for end in each] for each in drawn.ranges if each and None not in each]
    return repr([data, drawn.looks, ranges, drawn.ticks])


def _graph(tasks: int, *, wait: int, marked: int | None = None) -> hv.Overlay:
    """Return the graph of so many tasks, each of which waits for the one so many before it."""
    ids = np.arange(tasks)
    edges = pd.DataFrame({"task_id": ids[wait:], "on_task_id": ids[: tasks - wait]})
    frame = with_depths(
        pd.DataFrame({"task_id": ids, "app": "double", "parsl_state": "exec_done"}), edges
    )
    return task_graph(frame, edges, {"double": "#7b6fb5"}, marked=marked)


def test_graph_that_grows_or_is_looked_at_from_near_has_its_own_dots_and_lines() -> None:
    """HoloViews has sizes that are all the same as a glyph's size, and else in a column."""
    canvas = Canvas(height=400, is_timed=False)
    graphs = (
        partial(_graph, 12, wait=4),
        partial(_graph, 3000, wait=400),
        partial(_graph, 12, wait=4, marked=5),
        partial(_graph, 12, wait=4),
    )
    page = canvas.render(graphs[-1]).figure()
    shown = take(page)
    for graph in graphs:
        anew = Canvas(height=400, is_timed=False).render(graph).figure()
        found = canvas.render(graph)
        assert found.drawn.shape == shown.shape
        put(page, shown, found.drawn, keeps_x=False)
        shown = found.drawn
        for each in (page, found.figure()):
            assert _sent_looks(each) == _sent_looks(anew)


def _sent_looks(shown: Any) -> Any:
    """Return how glyphs look to a browser: of a model it is told a value in one form alone."""
    return take(unpacked(packed(shown))).looks
