"""The open list of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import panel as pn

from otel_parsl.query.errors import QueryError
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.pages import workflows
from otel_parsl_dashboards.pages.page import Facts
from otel_parsl_dashboards.pages.session import Session


def runs_facts(library: Library, query: Mapping[str, str]) -> Facts:
    """
    Return what the list shows.

    Raises:
        DatabaseUnusable: The database cannot be read.
    """
    return {**workflows.facts(library.runs(), query), "root": "./", "is_home": True}


class RunsSession(Session):
    """
    One browser that shows all runs.

    Args:
        library: The runs.
        document: Bokeh's document of the session.
        query: Filter and order, from the address.
    """

    def __init__(self, library: Library, document: Any, query: Mapping[str, str]) -> None:
        super().__init__(document, workflows.TEMPLATE, workflows.FRAGMENTS)
        self._library = library
        self._query = query

    def open(self, facts: Facts) -> None:
        """Fill the document with what it shows, and keep it current once its session is there."""
        self.open_with(facts)
        pn.state.onload(self._follow)

    def _follow(self) -> None:
        unsubscribe = self._library.subscribe(self._tell)
        self.document.on_session_destroyed(lambda _context: unsubscribe())
        self.aside(self._tell)  # of what has changed since it was filled

    def _tell(self) -> None:
        try:
            fragments = self.fragments(runs_facts(self._library, self._query))
        except QueryError as error:
            # The next reload says so at length.
            fragments = {"runs": str(error)}
        self.later(lambda: self.send(fragments))
