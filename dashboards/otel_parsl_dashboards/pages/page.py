"""
What a page is: a value that says where it is, what it shows and how its plots are drawn.

A page is added by a file in this package, a template in ``shell/templates`` and a line in
``pages.RUN_PAGES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.data.trace_url import TraceUrl
from otel_parsl_dashboards.elements.colours import app_colours
from otel_parsl_dashboards.elements.span import Span

Facts = dict[str, Any]
"""What a template is given."""
_REACH = np.timedelta64(366, "D")
"""How far beyond a run its pages look: some calendars end with the year 2262, others with 9999."""


class Window(NamedTuple):
    """A stretch of time that the reader has chosen, as frames have times."""

    start: np.datetime64
    end: np.datetime64


def window_of(query: Mapping[str, str], snapshot: Snapshot) -> Window | None:
    """
    Return the stretch of time that the query of an address names, as far as ``cut`` lets it reach.

    None for the whole run.
    """
    try:
        window = Window(np.datetime64(query["from"], "us"), np.datetime64(query["until"], "us"))
    except (KeyError, ValueError):
        return None
    return cut(window, snapshot)


def cut(window: Window, snapshot: Snapshot) -> Window | None:
    """Return what of a stretch of time is within reach of a run; None for nothing of it."""
    start = np.maximum(window.start, snapshot.began - _REACH)
    end = np.minimum(window.end, snapshot.until + _REACH)
    return Window(start, end) if start < end else None  # not so with NaT either


def rows_of(query: Mapping[str, str], rows: int) -> range | None:
    """Return which rows the query of an address names, as ``12-39``; None for all of them."""
    first, dash, last = query.get("rows", "").partition("-")
    if not (dash and all(text.isdecimal() and len(text) < 10 for text in (first, last))):
        return None
    found = range(int(first), min(int(last) + 1, rows))
    return found if 0 < len(found) < rows else None


class View(NamedTuple):
    """What a page of a run is made from."""

    snapshot: Snapshot
    params: Mapping[str, str]
    """Of the path: ``name`` of ``app/{name}``; decoded."""
    query: Mapping[str, str]
    """Of the address: the page's filters."""
    window: Window | None
    """None for the whole run."""
    source: Source
    """The database, for what frames do not hold: ``with view.source.read() as connection``."""
    trace_url: TraceUrl | None = None
    """Where traces are seen, if anywhere."""
    rows: range | None = None
    """Those in view of the plot whose y axis is followed; None for all."""

    @property
    def colours(self) -> dict[str, str]:
        """The colour of each app."""
        return self.snapshot.once("colours", lambda: app_colours(self.snapshot.sizes))

    @property
    def span(self) -> Span:
        """The window, or all of the run's time: what plots of time show."""
        if self.window is not None:
            return Span(*self.window)
        snapshot = self.snapshot
        shortest = snapshot.began + np.timedelta64(1, "s")
        return Span(snapshot.began, np.datetime64(np.fmax(snapshot.until, shortest), "us"))

    @property
    def asked(self) -> tuple[object, ...]:
        """What sets it apart from other views of its snapshot by the same page."""
        return (*sorted(self.params.items()), *sorted(self.query.items()), self.window, self.rows)

    @property
    def stretch(self) -> dict[str, str]:
        """What names the window in an address."""
        if self.window is None:
            return {}
        return {"from": str(self.window.start)[:23], "until": str(self.window.end)[:23]}

    def address(self, **changes: object) -> str:
        """
        Return the query of this page's address, but for some changes.

        An empty value leaves its name out.
        """
        pairs: dict[str, object] = {
            name: value
            for name, value in self.query.items()
            if name not in ("from", "until", "rows")
        }
        pairs |= self.stretch
        if self.rows is not None:
            pairs["rows"] = f"{self.rows.start}-{self.rows.stop - 1}"
        pairs |= changes
        return "?" + urlencode({name: value for name, value in pairs.items() if value != ""})

    @property
    def tries(self) -> pd.DataFrame:
        """The tries that ran, or stood open, within the window."""
        window = self.window
        if window is None:
            return self.snapshot.tries
        return self.snapshot.once(("tries", window), lambda: _within(self.snapshot, window))


class Plot(NamedTuple):
    """A plot of a page."""

    key: str
    """Its name within the page; the template places it with ``plot(key)``."""
    title: str
    help: str
    """What it shows and how that is computed."""
    draw: Callable[[View], Any]
    """Returns a HoloViews element, made by a function of ``elements``."""
    summarise: Callable[[View], str]
    """Returns it in words."""
    height: int = 260
    hint: str = ""
    """What its reader can do with it."""
    allows: Callable[[View], bool] = lambda _view: True
    """Whether that can be done with what is shown."""
    is_timed: bool = False
    """Whether its x axis is the run's time, which such plots of a page share."""
    legend: Callable[[View], Sequence[tuple[str, str]]] = lambda _view: ()
    """Names and colours, for what the plot itself does not name."""
    needs: tuple[str, ...] = ("tries",)
    """Frames without which it is not drawn; it says that they are being read."""
    follows_window: bool = False
    """Whether it is drawn anew when the reader chooses a stretch of time."""
    prepare: Callable[[View], object] | None = None
    """Works out, once for a snapshot, what it takes to draw any stretch of time."""
    picture: Callable[[View], hv.RGB | None] | None = None
    """Returns what alone differs from one stretch of time to another, where that is a picture."""
    follows_rows: bool = False
    """Whether it is drawn anew when the reader zooms its y axis; one plot of a page may be."""

    def asked(self, view: View) -> tuple[object, ...]:
        """Return what sets a view apart from others, but for what the plot does not follow."""
        window = view.window if self.follows_window else None
        rows = view.rows if self.follows_rows else None
        return view._replace(window=window, rows=rows).asked

    def is_ready(self, snapshot: Snapshot) -> bool:
        """Tell whether what it needs has been read."""
        return all(map(snapshot.has, self.needs))

    def advise(self, view: View) -> str:
        """Return what its reader can do with it now."""
        return self.hint if self.is_ready(view.snapshot) and self.allows(view) else ""

    def say(self, view: View) -> str:
        """Return what stands above it."""
        return self.summarise(view) if self.is_ready(view.snapshot) else "This is being read."


class RunPage(NamedTuple):
    """A page below ``/workflow/RUN/``."""

    path: str
    """The rest of its path; ``{name}`` stands for one part of it, ``{number:int}`` for digits."""
    template: str
    """Extends ``run.html``."""
    facts: Callable[[View], Facts]
    """Its numbers, which the page waits for; may raise NoSuchRun."""
    is_slow: Callable[[View], bool] = lambda _view: False
    """Whether they take a while where a run is large, and are kept with its snapshot."""
    tab: str = ""
    """Its name among the run's tabs; none by default."""
    tab_count: Callable[[Snapshot], int] = lambda _snapshot: 0
    """A number of what is wrong, beside its tab; 0 is not shown."""
    within: str = ""
    """The path of the page whose tab it stands under, where that is not its own."""
    plots: tuple[Plot, ...] = ()
    fragments: tuple[str, ...] = ()
    """Blocks of the template that change while the run goes on; each in an element ``f-BLOCK``."""
    needs: tuple[str, ...] = ("statuses",)
    """Frames without which it can say little."""
    find: Callable[[View], None] = lambda _view: None
    """Raises NoSuchRun where the path names nothing that there is."""
    report_facts: Callable[[View], Facts] = lambda _view: {}
    """What a report says beside, which a page leads to instead."""
    tables: Mapping[str, str] = {}
    """
    Where the rows of tables stand among its facts, as ``memory.apps``, and what these are: a report
    has the first of them where it would be too large, and says so.
    """
    is_reported: bool = False
    """Whether it is in ``otel-parsl report`` too; such a page has no parameters."""


def _within(snapshot: Snapshot, window: Window) -> pd.DataFrame:
    tries = snapshot.tries
    end = snapshot.once("ends of tries", lambda: frames.ends(tries, snapshot.until))
    return tries[(tries["running"].to_numpy() < window.end) & (end > window.start)]
