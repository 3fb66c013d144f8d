"""The open list of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import panel as pn

from otel_parsl.query.errors import QueryError
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.pages import workflows
from otel_parsl_dashboards.pages.session import Session


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

    def open(self) -> None:
        """Fill the document, and keep it current once its session is there."""
        self.open_with(self._facts())
        pn.state.onload(self._follow)

    def _follow(self) -> None:
        unsubscribe = self._library.subscribe(self._tell)
        self.document.on_session_destroyed(lambda _context: unsubscribe())
        self._tell()  # of what has changed since it was filled

    def _facts(self) -> dict[str, Any]:
        found = workflows.facts(self._library.runs(), self._query)
        return {**found, "root": "./", "is_home": True}

    def _tell(self) -> None:
        try:
            fragments = self.fragments(self._facts())
        except QueryError as error:
            # The next reload says so at length.
            fragments = {"runs": str(error)}
        self.later(lambda: self.send(fragments))
