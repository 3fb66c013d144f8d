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

from otel_parsl.query.engine import of_one_moment
from otel_parsl.query.errors import NoSuchRun
from otel_parsl_dashboards.data.freed import give_back
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.pages import RUN_PAGES
from otel_parsl_dashboards.pages.page import RunPage, View, window_of
from otel_parsl_dashboards.pages.page_facts import outer_facts
from otel_parsl_dashboards.pages.run_session import RunSession
from otel_parsl_dashboards.pages.runs_session import RunsSession
from otel_parsl_dashboards.shell.environment import relative_root, waiting_page

LARGE = 100_000
"""So many tasks, or more, and numbers may take longer than a reader would wait for anything."""
_RUN = "/workflow/{run_id}"
_PLACE = re.compile(r"\{(\w+)(:int)?\}")


class Found(NamedTuple):
    """The page of a path."""

    page: RunPage
    run_id: str
    params: Mapping[str, str]


def routes(library: Library) -> dict[str, Callable[[], None]]:
    """Return what Panel is to serve: a function a route, which fills the session's document."""
    made: dict[str, Callable[[], None]] = {"/": _named(partial(_open_runs, library))}
    for page in RUN_PAGES:
        path = _route(page)
        made[path.rstrip("/")] = _named(partial(_open_run, library))
    return made


class Slow(NamedTuple):
    """A page whose numbers take a while."""

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

    def work_out(self) -> None:
        """Have its numbers kept with the snapshot."""
        try:
            of_one_moment(lambda: self.page.facts(self.view))
        finally:
            self.view.snapshot.worked_out.add((self.page.path, self.view.asked))
            give_back()

    def page_before(self, path: str) -> str:
        """Return the page without its numbers."""
        facts = outer_facts(self.page, self.view, relative_root(path))
        return waiting_page(facts, len(self.view.snapshot.tasks))


def look(library: Library, path: str, query: Mapping[str, str]) -> Slow | None:
    """
    Look whether there is anything to show, and return the page if its numbers take a while.

    Raises:
        NoSuchRun: There is no such run, task or app.
        DatabaseUnusable: The database cannot be read.
    """
    found = find_page(path)
    if found is None:
        library.source.open()
        library.runs()
        return None
    snapshot = library.snapshot(found.run_id, found.page.needs)
    view = View(snapshot, found.params, query, window_of(query), library.source, library.trace_url)
    found.page.find(view)
    is_slow = len(snapshot.tasks) >= LARGE and found.page.is_slow(view)
    return Slow(found.page, view) if is_slow else None


def find_page(path: str) -> Found | None:
    """Return the page of a run that a path names; None for the list of runs."""
    for page in RUN_PAGES:
        match = _pattern(page).fullmatch(path)
        if match is not None:
            params = {name: unquote(value) for name, value in match.groupdict().items()}
            return Found(page, params.pop("run_id"), params)
    return None


def _open_runs(library: Library) -> None:
    document = pn.state.curdoc
    RunsSession(library, document, _query(document)).open()


def _open_run(library: Library) -> None:
    document = pn.state.curdoc
    path = document.session_context.request.path.removesuffix("/ws")
    found = find_page(path)
    if found is None:
        raise NoSuchRun(f"there is no page {path}")
    RunSession(
        library,
        document,
        found.page,
        run_id=found.run_id,
        params=found.params,
        path=path,
        query=_query(document),
    ).open()


def _query(document: Any) -> dict[str, str]:
    return asked_by(document.session_context.request.arguments or {})


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
        parts.append(f"(?P<{match[1]}>{'[0-9]+' if match[2] else '[^/]+'})")
        at = match.end()
    return re.compile("".join(parts) + re.escape(path[at:]) + "/?")


def _named(function: partial[None]) -> Callable[[], None]:
    """Return a plain function: Panel calls nothing else."""

    def open_page() -> None:
        function()

    return open_page
