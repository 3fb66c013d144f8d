"""
One open page of a run: built in two steps, kept current from then on.

The numbers stand in the HTML. The plots are drawn once the browser is there, and again at each
change: an element is rendered once for all pages that show it, each is sent what differs.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import panel as pn
from bokeh.models import Column, Range1d
from markupsafe import escape

from otel_parsl.query.engine import of_one_moment
from otel_parsl.query.errors import QueryError
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.data.resident import Resident
from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.figures.canvas import Rendered
from otel_parsl_dashboards.figures.drawn import Drawn, put
from otel_parsl_dashboards.pages.page import Facts, Plot, RunPage, View, Window, cut
from otel_parsl_dashboards.pages.page_facts import CANNOT_BE_DRAWN, page_facts, summary
from otel_parsl_dashboards.pages.rendering import rendered
from otel_parsl_dashboards.pages.run_header import notices
from otel_parsl_dashboards.pages.session import Session
from otel_parsl_dashboards.pages.time_axis import milliseconds, moment, place_of, whole_run
from otel_parsl_dashboards.shell.environment import legend, relative_root

_log = logging.getLogger(__name__)
_CALM_MS = 40
"""A range that has not moved for so long is where the reader wants it."""
_AT_ONCE_MS = 5
"""The two ends of a range that is brushed come so soon after one another."""
_PROGRESS_MS = 500
_AT_REST_S = 0.5
"""A range that stood still for so long may be brushed; one that moves again is being dragged."""


def first_facts(page: RunPage, view: View, path: str) -> Facts:
    """Return what a page says at first: what is said of its plots comes with each of them."""
    return of_one_moment(
        lambda: page_facts(
            page, view, relative_root(path), summarise=lambda _plot: "This is being drawn."
        )
    )


class RunSession(Session):
    """
    One browser that shows a page of a run.

    Args:
        library: The runs.
        document: Bokeh's document of the session.
        page: The page.
        view: What it is opened with.
        path: Its path.
    """

    def __init__(
        self, library: Library, document: Any, page: RunPage, view: View, path: str
    ) -> None:
        super().__init__(document, page.template, ("header", "notices", "stretch", *page.fragments))
        self._library = library
        self._page = page
        self._run_id = view.snapshot.run.run_id
        self._params = view.params
        self._root = relative_root(path)
        self._query = view.query
        self._window = view.window
        self._rows = view.rows
        self._slots = {
            plot.key: Column(
                name=f"plot-{plot.key}",
                sizing_mode="stretch_width",
                # Hidden from who hears the page: no figure is to have the keyboard either.
                html_attributes={"tabindex": "-1"},
            )
            for plot in page.plots
        }
        self._figures: dict[str, Any] = {}
        self._drawn: dict[str, Drawn] = {}
        self._failed: dict[str, str] = {}
        self._time = Range1d(name="time")
        self._time_put = (0.0, 0.0)
        self._calm: Any = None
        self._progressing: Any = None
        self._moved_at_s = self._stroke_at_s = 0.0
        self._version_of_words = 0
        self._version_of_plots = 0

    def open(self, snapshot: Snapshot, facts: Facts) -> None:
        """
        Fill the document, and have the plots follow.

        Args:
            snapshot: The run.
            facts: What ``first_facts`` says of it.
        """
        self.open_with({**facts, "plots": {plot.key: plot for plot in self._page.plots}})
        for slot in self._slots.values():
            self.document.add_root(slot)
        self._put_time(snapshot, is_first=True)
        pn.state.onload(self._draw_all)

    def _draw_all(self) -> None:
        resident = self._library.resident(self._run_id)
        unsubscribe = self._library.follow(self._run_id, self._tell)
        self.document.on_session_destroyed(lambda _context: unsubscribe())
        snapshot = resident.snapshot
        if resident.progress is not None:
            self._progressing = self.document.add_periodic_callback(
                partial(self._show_progress, resident), _PROGRESS_MS
            )
        self._draw_each(self._undrawn(snapshot), snapshot, partial(self._watch, resident, snapshot))

    def _undrawn(self, snapshot: Snapshot) -> tuple[Plot, ...]:
        return tuple(
            plot
            for plot in self._page.plots
            if plot.is_ready(snapshot) and plot.key not in self._drawn
        )

    def _draw_each(
        self,
        plots: tuple[Plot, ...],
        snapshot: Snapshot,
        at_end: Callable[[], None] | None = None,
    ) -> None:
        """Draw plots one by one: the browser shows one while the next is made."""
        if plots:
            # Before it is drawn: one that fails must not take the others with it.
            self.later(partial(self._draw_each, plots[1:], snapshot, at_end))
            if plots[0].key not in self._drawn:
                with self._said_where_it_fails(plots[0]):
                    self._draw(plots[0], self._view(snapshot))
        elif at_end is not None:
            at_end()

    def _watch(self, resident: Resident, snapshot: Snapshot) -> None:
        self._time.on_change("start", self._on_range)
        self._time.on_change("end", self._on_range)
        self._prepare(snapshot)
        self.aside(partial(self._catch_up, resident, snapshot))

    def _catch_up(self, resident: Resident, snapshot: Snapshot) -> None:
        """Show what is newer than what the HTML says, and than what was drawn just now."""
        if resident.snapshot is snapshot and resident.error is None:
            self._shared_fragments(self._view(snapshot))
            self.later(partial(self._show_words, snapshot))
            return
        longer = self._tell(resident)
        if longer is not None:
            longer()

    def _prepare(self, snapshot: Snapshot) -> None:
        """Work out beside what the reader's first choice of a stretch of time would wait for."""
        if snapshot.reading is not None or snapshot.standing.is_running:
            return  # the next snapshot would need it anew
        view = self._view(snapshot)
        for plot in self._page.plots:
            if plot.prepare is not None:
                threading.Thread(target=plot.prepare, args=(view,), daemon=True).start()

    def _draw(self, plot: Plot, view: View) -> None:
        rendered = self._rendered(plot, view)
        figure = rendered.figure()
        if plot.is_timed:
            figure.x_range = self._time
        if plot.follows_rows:
            figure.y_range.name = "lanes"  # as the page's script finds it
            if self._rows is not None:
                figure.y_range.update(start=self._rows.stop, end=self._rows.start)  # from the top
            figure.y_range.on_change("start", self._on_range)
            figure.y_range.on_change("end", self._on_range)
        self._figures[plot.key] = figure
        self._drawn[plot.key] = rendered.drawn
        self.send({f"summary-{plot.key}": str(escape(summary(self._page, view, plot)))})
        self._slots[plot.key].children = [figure]

    @contextmanager
    def _said_where_it_fails(self, plot: Plot) -> Iterator[None]:
        """Say in a plot's place that it cannot be drawn: the rest of the page goes on."""
        try:
            yield
        except QueryError:
            raise  # the database's, which all of the page says
        except Exception:  # noqa: BLE001 - whatever it is, it is said
            _log.exception("page %r: the plot %r cannot be drawn", self._page.path, plot.title)
            self._failed[f"summary-{plot.key}"] = CANNOT_BE_DRAWN
            self.later(lambda: self.send(self._failed))
        else:
            self._failed.pop(f"summary-{plot.key}", None)

    def send(self, fragments: Mapping[str, str], query: str | None = None) -> None:
        """Send what differs, as any page does; a plot that cannot be drawn is said to be none."""
        known = dict(self._failed)  # another thread draws too
        failed = {name: said for name, said in known.items() if name in fragments}
        super().send({**fragments, **failed}, query)

    def _drawn_of(self, plot: Plot, view: View) -> Drawn:
        return self._rendered(plot, view).drawn

    def _rendered(self, plot: Plot, view: View) -> Rendered:
        """Return what a plot shows, drawn once for all pages that show it."""
        return rendered(self._library.resident(self._run_id), self._page, plot, view)

    def _tell(self, resident: Resident) -> Callable[[], None] | None:
        """Have the words of a change shown, and return what draws its plots, in the same thread."""
        if resident.error is not None:
            notice = {"notices": f'<p class="notice">{escape(str(resident.error))}</p>'}
            self.later(partial(self.send, notice))
            return None
        snapshot = resident.snapshot
        if undrawn := self._undrawn(snapshot):
            self.later(partial(self._draw_each, undrawn, snapshot))
        self._shared_fragments(self._view(snapshot))
        self.later(partial(self._show_words, snapshot))
        return partial(self._draw_anew, snapshot)

    def _show_words(self, snapshot: Snapshot) -> None:
        if snapshot.version > self._version_of_words:  # another thread may tell of an older one
            self._version_of_words = snapshot.version
            shown = self._shared_fragments(self._view(snapshot))
            if snapshot.reading is not None:
                further = self._library.resident(self._run_id).progress
                shown = shown | self._progress(snapshot, further or snapshot.reading)
            self.send(shown)

    def _show_progress(self, resident: Resident) -> None:
        """Say how far the first reading is: between its stages nothing else is sent."""
        reading = resident.progress
        if reading is None:
            self.document.remove_periodic_callback(self._progressing)
        elif resident.error is None:
            self.send(self._progress(resident.snapshot, reading))

    def _progress(self, snapshot: Snapshot, reading: str) -> dict[str, str]:
        return self.fragments({"notices": notices(snapshot, reading)}, only=("notices",))

    def _draw_anew(self, snapshot: Snapshot) -> None:
        if snapshot.is_drawn:
            view = self._view(snapshot)
            for plot in self._page.plots:
                if plot.is_ready(snapshot) and plot.key in self._drawn:
                    with self._said_where_it_fails(plot):
                        self._drawn_of(plot, view)
            self.later(partial(self._show_plots, snapshot))
        self._prepare(snapshot)

    def _show_plots(self, snapshot: Snapshot) -> None:
        if snapshot.version > self._version_of_plots:
            self._version_of_plots = snapshot.version
            self._put_time(snapshot)
            view = self._view(snapshot)
            for plot in self._page.plots:
                with self._said_where_it_fails(plot):
                    self._update(plot, view)

    def _update(self, plot: Plot, view: View) -> None:
        if not plot.is_ready(view.snapshot):
            return
        now = self._drawn_of(plot, view)
        before = self._drawn.get(plot.key)
        if before is now:
            return
        if before is None or before.shape != now.shape:
            self._draw(plot, view)
            return
        put(self._figures[plot.key], before, now, keeps_x=plot.is_timed)
        self._drawn[plot.key] = now

    def _shared_fragments(self, view: View) -> dict[str, str]:
        key = ("fragments", self._page.path, self._root, view.asked)

        def make() -> dict[str, str]:
            facts = of_one_moment(lambda: page_facts(self._page, view, self._root))
            shown = self.fragments(facts)
            shown |= {f"tab-{tab.path}": tab.said for tab in facts["tabs"]}
            for plot in self._page.plots:
                shown[f"summary-{plot.key}"] = str(escape(facts["summaries"][plot.key]))
                shown[f"hint-{plot.key}"] = str(escape(facts["hints"][plot.key]))
                shown[f"legend-{plot.key}"] = str(legend(facts["legends"][plot.key]))
            return shown

        return view.snapshot.once(key, make)

    def _view(self, snapshot: Snapshot) -> View:
        library = self._library
        return View(
            snapshot,
            self._params,
            self._query,
            self._window,
            library.source,
            library.trace_url,
            self._rows,
        )

    def _put_time(self, snapshot: Snapshot, *, is_first: bool = False) -> None:
        """Have the time axis reach the end of what is known, unless its reader has moved it."""
        now = whole_run(snapshot)
        stands = (place_of(self._time.start), place_of(self._time.end))
        if is_first or (stands == self._time_put and self._window is None):
            self._time.update(start=now[0], end=now[1], reset_start=now[0], reset_end=now[1])
            self._time_put = now
        else:
            self._time.update(reset_start=now[0], reset_end=now[1])
        if is_first and self._window is not None:
            self._time.update(
                start=milliseconds(self._window.start), end=milliseconds(self._window.end)
            )

    def _on_range(self, _name: str, _old: object, _new: object) -> None:
        now_s = time.monotonic()
        if now_s - self._moved_at_s > _AT_REST_S:
            self._stroke_at_s = now_s
        self._moved_at_s = now_s
        if self._calm is not None:
            self.document.remove_timeout_callback(self._calm)
        is_first = now_s - self._stroke_at_s < _AT_ONCE_MS / 1000
        wait_ms = _AT_ONCE_MS if is_first else _CALM_MS
        self._calm = self.document.add_timeout_callback(self._on_calm, wait_ms)

    def _on_calm(self) -> None:
        self._calm = None
        start, end = place_of(self._time.start), place_of(self._time.end)
        whole = (place_of(self._time.reset_start), place_of(self._time.reset_end))
        is_whole = (start, end) in (self._time_put, whole)
        if is_whole:
            self._time_put = (start, end)
        snapshot = self._library.resident(self._run_id).snapshot
        window = None if is_whole else cut(Window(moment(start), moment(end)), snapshot)
        rows = self._rows_in_view()
        if (window, rows) == (self._window, self._rows):
            return
        self._window, self._rows = window, rows
        # What the address named at first has been chosen anew.
        self._query = {
            name: value for name, value in self._query.items() if name not in ("from", "until")
        }
        address = self._view(snapshot).address()
        self.send({}, address.removesuffix("?"))
        self._follow(
            (window, rows), tuple(plot for plot in self._page.plots if plot.follows_window)
        )

    def _rows_in_view(self) -> range | None:
        for plot in self._page.plots:
            if plot.follows_rows and plot.key in self._drawn:
                return _rows_of(self._figures[plot.key].y_range, self._drawn[plot.key])
        return None

    def _follow(self, chosen: tuple[Window | None, range | None], plots: tuple[Plot, ...]) -> None:
        """Show what was chosen plot by plot: the browser paints one while the next is drawn."""
        if chosen != (self._window, self._rows):
            return  # the reader has chosen something else meanwhile
        view = self._view(self._library.resident(self._run_id).snapshot)
        if not plots:
            self.aside(partial(self._follow_in_words, chosen, view))
            return
        self.later(partial(self._follow, chosen, plots[1:]))
        with self._said_where_it_fails(plots[0]):
            self._update(plots[0], view)

    def _follow_in_words(self, chosen: tuple[Window | None, range | None], view: View) -> None:
        shown = self._shared_fragments(view)

        def send() -> None:
            if chosen == (self._window, self._rows):
                self.send(shown)

        self.later(send)


def _rows_of(axis: Range1d, drawn: Drawn) -> range | None:
    """Return the rows of which a y axis shows a part, one at least; None for all."""
    first, end = sorted((axis.start, axis.end))
    lowest, highest = sorted(map(int, drawn.ranges[1] or (0, 1)))
    if first <= lowest and end >= highest:
        return None
    return range(
        min(max(math.floor(first), lowest), highest - 1),
        max(min(math.ceil(end), highest), lowest + 1),
    )
