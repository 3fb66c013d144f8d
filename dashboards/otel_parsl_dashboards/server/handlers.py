"""
What answers a request: Panel's handlers, behind the token, with our pages for what goes wrong.

There are no redirects to a login page: Panel's are relative and loop on our routes.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from bokeh.protocol.exceptions import ProtocolError
from bokeh.util.token import get_session_id
from panel.io.server import DocHandler, WSHandler
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.routing import Matcher
from tornado.web import RequestHandler

from otel_parsl.query.engine import of_one_moment
from otel_parsl.query.errors import DatabaseUnusable, NoSuchRun
from otel_parsl_dashboards.pages.opening import Slow, asked_by, find_page, look
from otel_parsl_dashboards.server.tokens import TokenAuthProvider
from otel_parsl_dashboards.shell.environment import message_page, relative_root

_log = logging.getLogger(__name__)
WORKER = ThreadPoolExecutor(1, thread_name_prefix="numbers")
"""One at a time: what each takes of memory on its way is let go before the next."""
_PATIENCE_S = 0.1
"""How long a page of a large run waits for its numbers before it is shown without them."""
_SHOWN_PATIENCE_S = 10.0
"""How long one that is shown without them waits before it asks again."""
_MOST_SAID = 500
"""Characters of what went wrong: a message may quote a whole query."""
_WAIT = "X-Otel-Parsl-Wait"
"""What such a page says: it wants to know when its numbers are there (``waiting.js``)."""

HEADERS = {
    # Nothing may come from or go to another host, whatever a library would like.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:;"
        " style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:;"
        " connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; form-action 'self';"
        " frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Guard(RequestHandler):  # type: ignore[misc]  # Tornado's, untyped
    """Lets nobody in without the token, and takes it out of the address."""

    def set_default_headers(self) -> None:
        """Send what keeps the page to itself."""
        for name, value in HEADERS.items():
            self.set_header(name, value)

    async def prepare(self) -> None:
        """Answer at once whoever gives a token, and whoever gives none."""
        self.settings["otel_parsl_ahead"].hold()
        await _maybe(super().prepare())
        provider: TokenAuthProvider = self.application.auth_provider
        given = self.get_query_argument("token", None)
        if given is not None and provider.is_token(given):
            provider.remember(self, self.settings["otel_parsl_root_path"] + "/")
            self.redirect(self._bare_url())
        elif provider.get_user(self) is None:
            self.answer(
                HTTPStatus.UNAUTHORIZED,
                "Which token?",
                "These pages need the token that otel-parsl visualize printed when it started."
                if given is None
                else "That is not the token of this server. It printed the right one when it"
                " started; a server that was started again has another.",
                asks_token=True,
            )

    def answer(self, status: HTTPStatus, title: str, message: str, **more: Any) -> None:
        """Send a page that says one thing."""
        root = relative_root(self.request.path)
        self.show(status, message_page(title=title, message=message, root=root, **more))

    def show(self, status: HTTPStatus, page: str) -> None:
        """Send a page that has no session."""
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(page)

    def write_error(self, status_code: int, **more: Any) -> None:
        """Say that this program has failed, and of what; the traceback is in its log."""
        status = HTTPStatus(status_code)
        error = more.get("exc_info", (None, None))[1]
        why = "" if error is None else f": {type(error).__name__}: {error}"[:_MOST_SAID]
        self.answer(
            status,
            status.phrase,
            f"This page could not be made{why}. The terminal that otel-parsl visualize runs in has"
            " more of it; where a run serves its pages, dashboard.log in its run directory has.",
        )

    def _bare_url(self) -> str:
        pairs = [
            (name, value.decode("utf-8", "replace"))
            for name, values in self.request.query_arguments.items()
            if name != "token"
            for value in values
        ]
        last = self.request.path.rsplit("/", 1)[-1]
        return f"{last or './'}{'?' + urlencode(pairs) if pairs else ''}"


class PageHandler(Guard, DocHandler):  # type: ignore[misc]  # Panel's, untyped
    """Serves a page, or says why there is none."""

    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Look whether there is anything to show before a session is made for it."""
        library, path = self.settings["otel_parsl_library"], self.request.path
        query = asked_by(self.request.query_arguments)
        aside = IOLoop.current().run_in_executor
        try:
            # In another thread: a database that is locked is waited for, and others' pages go on.
            opening = await aside(None, of_one_moment, partial(look, library, path, query))
            if (found := find_page(path)) is not None:
                self.settings["otel_parsl_ahead"].want(found.run_id)
            if isinstance(opening, Slow):
                working = asyncio.ensure_future(aside(WORKER, opening.work_out))
                is_shown = _WAIT in self.request.headers
                patience_s = _PATIENCE_S if opening.may_be_shown_before else None
                await asyncio.wait([working], timeout=_SHOWN_PATIENCE_S if is_shown else patience_s)
                if is_shown:
                    self.set_status(HTTPStatus.NO_CONTENT)
                    self.finish()
                    return
                if not working.done():
                    self.show(HTTPStatus.OK, opening.page_before(path))
                    return
                opening = await working
        except NoSuchRun as error:
            self.answer(HTTPStatus.NOT_FOUND, "Not found", str(error))
            return
        except DatabaseUnusable as error:
            self.answer(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The database cannot be read",
                str(error),
                again_s=3,
            )
            return
        self.request.filling = opening
        try:
            await super().get(*args, **kwargs)
        finally:
            # The session keeps its request, which is not to keep a snapshot that grows old.
            del self.request.filling

    async def get_session(self) -> Any:
        """Return the session of the page, or raise what its document could not be filled for."""
        session = await super().get_session()
        if self.request.filling.error is not None:
            raise self.request.filling.error
        return session


class SocketHandler(WSHandler):  # type: ignore[misc]  # Panel's, untyped
    """A page's connection to its session."""

    def check_origin(self, origin: str) -> bool:
        """
        Accept pages of this server alone.

        Behind a tunnel or a proxy the server does not know its own name, so that the page's is
        compared with the one that the browser asked for; nobody gets here without the cookie.
        """
        asked = self.request.headers.get("X-Forwarded-Host", self.request.headers.get("Host", ""))
        return (
            bool(asked) and urlsplit(origin).netloc.lower() == asked.split(",")[0].strip().lower()
        )

    def open(self, *args: Any, **kwargs: Any) -> None:
        """Refuse a page whose session has ended, or was never ours: it loads itself again."""
        try:
            # Bokeh would make another session, whose plots have no place in that page.
            self.application_context.get_session(get_session_id(self._token or ""))
            super().open(*args, **kwargs)
        except (ProtocolError, ValueError, KeyError) as error:  # the latter two of no token
            _log.info("the connection of a page is refused: %s", error)
            self.close()

    async def on_message(self, fragment: str | bytes) -> None:
        """Hear the page, unless its session ended while this waited to be read."""
        self.settings["otel_parsl_ahead"].hold()
        if not self._is_detached:
            await super().on_message(fragment)

    async def send_message(self, message: Any) -> None:
        """Send the page what it shows next: it may not have all of it yet."""
        self.settings["otel_parsl_ahead"].hold()
        await super().send_message(message)

    def on_close(self) -> None:
        """End the session, unless that was done when the page no longer answered."""
        if not self._is_detached:
            super().on_close()

    @property
    def _is_detached(self) -> bool:
        # Bokeh's keep-alive takes the session from a connection that it finds closed, and what was
        # received before may still be read; the rest of Bokeh counts on a session.
        return self.connection is not None and self.connection._session is None


class NotFoundHandler(Guard):
    """Answers what no route is for."""

    async def prepare(self) -> None:
        """Say that there is no such page, to whoever may look."""
        await super().prepare()
        if not self._finished:
            self.answer(HTTPStatus.NOT_FOUND, "Not found", f"There is no page {self.request.path}.")


class PrefixLeft(Matcher):  # type: ignore[misc]  # Tornado's, untyped
    """
    Takes a proxy's prefix from a path where the proxy has not: a route before all others.

    JupyterHub's proxy takes it away or leaves it, as it is asked for; without a proxy, the address
    that was printed has it.

    Args:
        prefix: It.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def match(self, request: HTTPServerRequest) -> None:
        """Go on to the next route, which is looked for without the prefix."""
        if request.path.startswith(self._prefix + "/"):
            request.path = request.path.removeprefix(self._prefix)


async def _maybe(result: Any) -> None:
    if result is not None:
        await result
