"""
Find the page of a path, and open it for a browser.

Flow: path -> **opening** -> session -> template
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote

import panel as pn

from otel_parsl.query.errors import NoSuchRun
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.pages import RUN_PAGES
from otel_parsl_dashboards.pages.page import RunPage, View
from otel_parsl_dashboards.pages.run_session import RunSession
from otel_parsl_dashboards.pages.runs_session import RunsSession

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


def find_problem(library: Library, path: str) -> None:
    """
    Raise what there is to say in a page's place.

    Raises:
        NoSuchRun: There is no such run, task or app.
        DatabaseUnusable: The database cannot be read.
    """
    found = find_page(path)
    if found is None:
        library.source.open()
        library.runs()
        return
    snapshot = library.snapshot(found.run_id, found.page.needs)
    found.page.find(View(snapshot, found.params, {}, None, library.source))


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
    arguments = document.session_context.request.arguments or {}
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
