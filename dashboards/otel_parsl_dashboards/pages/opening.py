"""
Find the page of a path, and open it for a browser.

Flow: path -> **opening** -> session -> template
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote

import panel as pn

from otel_parsl.query.errors import NoSuchRun
from otel_parsl_dashboards.data.freed import give_back
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.pages import RUN_PAGES
from otel_parsl_dashboards.pages.page import RunPage, View, rows_of, window_of
from otel_parsl_dashboards.pages.page_facts import are_kept, outer_facts
from otel_parsl_dashboards.pages.run_session import RunSession, first_facts
from otel_parsl_dashboards.pages.runs_session import RunsSession, runs_facts
from otel_parsl_dashboards.shell.environment import relative_root, waiting_page

LARGE = 20_000
"""So many tasks, or more, and numbers may take longer than a reader would wait for anything."""
_RUN = "/workflow/{run_id}"
_NUMBER = "[0-9]{1,4000}"
"""Python reads no number of more than 4300 digits."""
_PLACE = re.compile(r"\{(\w+)(:int)?\}")


class Found(NamedTuple):
    """The page of a path."""

    page: RunPage
    run_id: str
    params: Mapping[str, str]


def routes() -> dict[str, Callable[[], None]]:
    """Return what Panel is to serve: a function a route, which fills the session's document."""
    paths = ["/", *(_route(page).rstrip("/") for page in RUN_PAGES)]
    return dict.fromkeys(paths, _fill)


def _fill() -> None:
    document = pn.state.curdoc
    document.session_context.request.filling.fill(document)


class Filling:
    """
    Fills a document with what was worked out aside.

    It keeps what goes wrong for whoever answers the browser: Panel would print it, and send an
    empty page.

    Args:
        filled: Makes the session, and fills its document.
    """

    def __init__(self, filled: Callable[[Any], None]) -> None:
        self._filled = filled
        self.error: Exception | None = None

    def fill(self, document: Any) -> None:
        """Fill a document."""
        try:
            self._filled(document)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised again
            self.error = error


class Slow(NamedTuple):
    """A page whose numbers take a while."""

    opened: partial[Filling]
    page: RunPage
    view: View

    @property
    def may_be_shown_before(self) -> bool:
        """
        Whether it is shown without them.

        Those of a run that goes on would soon be old; what was worked out before is kept, or takes
        as long each time, or fails.
        """
        snapshot = self.view.snapshot
        is_known = (self.page.path, self.view.asked) in snapshot.worked_out
        return not (snapshot.standing.is_running or is_known)

    def work_out(self) -> Filling:
        """Return the page with its numbers, which are kept with the snapshot."""
        try:
            return self.opened()
        finally:
            self.view.snapshot.worked_out.add((self.page.path, self.view.asked))
            give_back()

    def page_before(self, path: str) -> str:
        """Return the page without its numbers."""
        facts = outer_facts(self.page, self.view, relative_root(path))
        return waiting_page(facts, len(self.view.snapshot.tasks))


def look(library: Library, path: str, query: Mapping[str, str]) -> Filling | Slow:
    """
    Look what there is to show, and work it out unless that takes a while.

    It reads, and may wait for a writer: call it where nothing else waits.

    Raises:
        NoSuchRun: There is no such run, task or app.
        DatabaseUnusable: The database cannot be read.
    """
    found = find_page(path)
    if found is None and path.strip("/"):
        raise NoSuchRun(f"there is no page {path}")
    if found is None:
        runs = runs_facts(library, query)
        return Filling(lambda document: RunsSession(library, document, query).open(runs))
    page = found.page
    snapshot = library.snapshot(found.run_id, page.needs)
    rows = None
    if any(plot.follows_rows for plot in page.plots):
        rows = rows_of(query, len(snapshot.lanes))
    window = window_of(query, snapshot)
    view = View(snapshot, found.params, query, window, library.source, library.trace_url, rows)
    page.find(view)
    opened = partial(_opened, library, page, view, path)
    is_slow = is_large(snapshot) and page.is_slow(view) and not are_kept(page, view)
    return Slow(opened, page, view) if is_slow else opened()


def is_large(snapshot: Snapshot) -> bool:
    """Tell whether a run has so many tasks that the numbers of a page may take a while."""
    return len(snapshot.tasks) >= LARGE


def _opened(library: Library, page: RunPage, view: View, path: str) -> Filling:
    facts = first_facts(page, view, path)

    def fill(document: Any) -> None:
        RunSession(library, document, page, view, path).open(view.snapshot, facts)

    return Filling(fill)


def find_page(path: str) -> Found | None:
    """Return the page of a run that a path names; None for the list of runs."""
    for page in RUN_PAGES:
        match = _pattern(page).fullmatch(path)
        if match is not None:
            params = {name: unquote(value) for name, value in match.groupdict().items()}
            return Found(page, params.pop("run_id"), params)
    return None


def asked_by(arguments: Mapping[str, Sequence[bytes]]) -> dict[str, str]:
    """Return what the query of an address asks for: of what stands there twice the last."""
    return {name: values[-1].decode("utf-8", "replace") for name, values in arguments.items()}


def _route(page: RunPage) -> str:
    return f"{_RUN}/{page.path}" if page.path else _RUN


def _pattern(page: RunPage) -> re.Pattern[str]:
    path = _route(page).rstrip("/")
    parts, at = [], 0
    for match in _PLACE.finditer(path):
        parts.append(re.escape(path[at : match.start()]))
        parts.append(f"(?P<{match[1]}>{_NUMBER if match[2] else '[^/]+'})")
        at = match.end()
    return re.compile("".join(parts) + re.escape(path[at:]) + "/?")
