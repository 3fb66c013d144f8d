"""
A plot that is drawn again and again, for pages that show it and each have a copy.

HoloViews takes a quarter of the time to change a figure that it takes to make one, and Bokeh a
part of that to read a figure back.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Hashable
from contextlib import nullcontext
from typing import Any, NamedTuple

import holoviews as hv
import panel as pn
from bokeh.document import Document
from holoviews.plotting.bokeh import plot as bokeh_plots
from holoviews.streams import Pipe

from otel_parsl_dashboards.figures.copies import packed, unpacked
from otel_parsl_dashboards.figures.drawn import Drawn, is_picture, put, take, with_picture
from otel_parsl_dashboards.figures.dressing import dress, unlabel_time
from otel_parsl_dashboards.figures.lines import LinesPlot
from otel_parsl_dashboards.figures.pictures import PicturePlot, picture_columns

_lock = threading.Lock()
_is_loaded = False


class Rendered(NamedTuple):
    """What a plot shows, and a figure of its shape."""

    drawn: Drawn
    contents: Any
    """A figure, packed."""
    stands: Drawn
    """What that figure shows; of the shape of ``drawn``."""

    def figure(self) -> Any:
        """Return a figure of new models, since a model belongs to one page."""
        figure = unpacked(self.contents)
        put(figure, self.stands, self.drawn, keeps_x=False)
        return figure


class Canvas:
    """
    Where one plot is drawn, each time from other data.

    Args:
        height: Of its figure, in pixels.
        is_timed: Whether its x axis is the run's time, which plots of a page share.
    """

    def __init__(self, *, height: int, is_timed: bool) -> None:
        self._height = height
        self._is_timed = is_timed
        self._document = Document()
        self._parts: list[Any] = []
        self._pipe: Any = None
        self._figure: Any = None
        self._last: Rendered | None = None
        self._beside: Hashable = None

    def render(
        self,
        draw: Callable[[], Any],
        *,
        picture: Callable[[], hv.RGB | None] | None = None,
        beside: Hashable = None,
    ) -> Rendered:
        """
        Return what an element shows.

        Args:
            draw: Returns a HoloViews element or overlay.
            picture: Returns the picture in it, where all that it shows is one, of bytes. Where
                nothing else has changed it takes the place of the last one, without HoloViews,
                which takes as long as the picture itself.
            beside: What all else depends on.
        """
        # HoloViews keeps the options of elements in places that threads share, and takes whatever
        # document is current for its own: that of another thread's session, or of one that is gone.
        with _lock:
            rendered = None if picture is None else self._with_picture(picture, beside)
            if rendered is None:
                rendered = contextvars.copy_context().run(self._render, draw)
                self._beside = beside if is_picture(rendered.drawn) else None
            return rendered

    def _with_picture(self, make: Callable[[], hv.RGB | None], beside: Hashable) -> Rendered | None:
        if self._last is None or beside is None or beside != self._beside:
            return None
        picture = make()
        columns = None if picture is None else picture_columns(picture)
        if columns is None:
            return None
        self._last = self._last._replace(drawn=with_picture(self._last.drawn, columns))
        return self._last

    def _render(self, draw: Callable[[], Any]) -> Rendered:
        pn.state.curdoc = self._document
        _load()
        element = draw()
        if self._last is None or _parts(element) != self._parts:
            return self._made(element)
        self._pipe.send(element)
        if self._is_timed:
            unlabel_time(self._figure)  # HoloViews writes it anew
        drawn = take(self._figure)
        if drawn.shape != self._last.stands.shape:
            return self._made(element)
        self._last = self._last._replace(drawn=drawn)
        return self._last

    def _made(self, element: Any) -> Rendered:
        self._parts = _parts(element)
        self._pipe = Pipe(data=element)
        self._document = Document()  # one holds all that were ever drawn in it
        dynamic = hv.DynamicMap(lambda data: data, streams=[self._pipe])
        # In this mode alone HoloViews takes the document that it is given.
        renderer = hv.renderer("bokeh").instance(mode="server")
        self._figure = renderer.get_plot(dynamic, doc=self._document).state
        dress(self._figure, height=self._height, is_timed=self._is_timed)
        drawn = take(self._figure)
        self._last = Rendered(drawn, packed(self._figure), drawn)
        return self._last


def _load() -> None:
    global _is_loaded
    if _is_loaded:
        return
    hv.extension("bokeh", logo=False)
    hv.Store.register({hv.RGB: PicturePlot, hv.Contours: LinesPlot}, "bokeh")
    # HoloViews switches Bokeh's validation off while it fills a source, for all threads: what
    # another one serialises meanwhile is wrong, so that its page shows no plot.
    bokeh_plots.validate = lambda _is_on: nullcontext()
    # Ranges are those of what is shown, and not of all that was shown before.
    kinds = [kind.__name__ for kind in hv.Store.registry["bokeh"] if issubclass(kind, hv.Element)]
    hv.opts.defaults(*(getattr(hv.opts, kind)(framewise=True) for kind in kinds))
    _is_loaded = True


def _parts(element: Any) -> list[Any]:
    """Return what a figure is made of; HoloViews leaves what is gone, and where an axis was."""
    each = element if isinstance(element, hv.Overlay) else [element]
    return [
        (type(part), part.label, list(map(str, part.dimensions())), len(part) > 0) for part in each
    ]
