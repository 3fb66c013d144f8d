"""One open page: its document, and what is sent to it when something changes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import panel as pn
from bokeh.models import CustomJS, Spacer
from tornado.ioloop import IOLoop

from otel_parsl.query.errors import QueryError
from otel_parsl_dashboards.pages.page import Facts
from otel_parsl_dashboards.shell.environment import render_block, templates

_log = logging.getLogger(__name__)


class Session:
    """
    What all pages have in common: HTML from a template, and blocks of it that are sent anew.

    Args:
        document: Bokeh's document of the session.
        template: The page's.
        fragments: Blocks of it that may change.
    """

    def __init__(self, document: Any, template: str, fragments: tuple[str, ...]) -> None:
        self.document = document
        self._context = document.session_context
        self._loop = IOLoop.current()
        self._template = template
        self._fragments = fragments
        self._sent: dict[str, str] = {}
        self._control = Spacer(name="control", visible=False)
        # Tags are free for any use, and travel like every property.
        self._control.js_on_change("tags", CustomJS(code="otelParsl.show(cb_obj.tags)"))
        # The page says it, and loads itself again: a session that has ended cannot be gone on with.
        document.config.update(
            reconnect_session=False, notify_connection_status=False, notifications=None
        )
        document.js_on_event("connection_lost", CustomJS(code="otelParsl.lost()"))

    def open_with(self, facts: Facts) -> None:
        """Fill the document that the browser is about to be sent."""
        # Panel counts on a path without a slash at its end, which Parsl's routes have.
        pn.state.rel_path = str(facts["root"]).rstrip("/")
        self.document.template = templates.get_template(self._template)
        self.document.template_variables.update(facts)
        self.document.title = str(facts["title"])
        self.document.add_root(self._control)
        self._sent = {name: render_block(self._template, name, facts) for name in self._fragments}

    def later(self, callback: Callable[[], None]) -> None:
        """Have a function called with the document's lock, from any thread, if it is still open."""
        # Bokeh knows of one current document, whatever thread made it so: only one may touch it.
        self._loop.add_callback(self._at_next_tick, callback)

    def _at_next_tick(self, callback: Callable[[], None]) -> None:
        if not self._context.destroyed:
            self.document.add_next_tick_callback(callback)

    def aside(self, work: Callable[[], None]) -> None:
        """Have a function called in another thread: what it reads may be locked for seconds."""
        self._loop.run_in_executor(None, self._logged, work)

    def _logged(self, work: Callable[[], None]) -> None:
        try:
            work()
        except QueryError as error:
            _log.warning("%s", error)
        except Exception:  # noqa: BLE001 - whatever it is, it is said
            _log.exception("a page cannot be updated")

    def fragments(self, facts: Facts, only: tuple[str, ...] = ()) -> dict[str, str]:
        """Return the blocks that may change, as HTML; all of them by default."""
        names = only or self._fragments
        return {name: render_block(self._template, name, facts) for name in names}

    def send(self, fragments: Mapping[str, str], query: str | None = None) -> None:
        """Send the browser the blocks that differ from what it has; with the document's lock."""
        commands: list[dict[str, str]] = [
            {"kind": "html", "id": name, "html": html}
            for name, html in fragments.items()
            if self._sent.get(name) != html
        ]
        self._sent.update(fragments)
        if query is not None:
            commands.append({"kind": "query", "query": query})
        if commands:
            self._control.tags = commands
