"""Start the server and serve until it is told to end."""

from __future__ import annotations

import errno
import gc
import logging
import re
import signal
from collections.abc import Callable
from functools import partial
from typing import Any, TextIO

import panel as pn
from bokeh.server import urls
from bokeh.server.views.static_handler import StaticHandler
from panel.io.server import get_server
from tornado.ioloop import IOLoop
from tornado.routing import PathMatches, Rule
from tornado.web import RedirectHandler

from otel_parsl_dashboards.data.freed import keep_little
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.pages.opening import routes
from otel_parsl_dashboards.server import downloads
from otel_parsl_dashboards.server.addresses import (
    POLICY_WARNING,
    announcement,
    free_port,
    is_loopback,
)
from otel_parsl_dashboards.server.ahead import Ahead
from otel_parsl_dashboards.server.handlers import (
    WORKER,
    NotFoundHandler,
    PageHandler,
    PrefixLeft,
    SocketHandler,
)
from otel_parsl_dashboards.server.tokens import TokenAuthProvider

_access = logging.getLogger("tornado.access")
_OPEN = (PageHandler, SocketHandler, downloads.TaskCsvHandler, StaticHandler)
"""What answers; the static files are BokehJS's, which are no secret."""
_KEEP_ALIVE_MS = 20_000
_UNUSED_SESSION_MS = 30_000
"""A page that takes longer to connect, over a slow line, has to be loaded again."""


def serve(
    library: Library,
    *,
    output: TextIO,
    address: str = "127.0.0.1",
    port: int | None = None,
    root_path: str = "",
    token: str | None = None,
    started: Callable[[str], None] | None = None,
) -> None:
    """
    Serve the pages of a database until SIGINT or SIGTERM.

    Args:
        library: The database's runs.
        output: Takes the three lines that say how the pages are reached.
        address: Where to listen.
        port: None for 8080, or the next port that is free.
        root_path: What a proxy puts before every path, as ``/user/me/8080``, and may take away.
        token: Whoever has it may look; a random one by default.
        started: Is called with the address, token included, once the server listens.

    Raises:
        PortBusy: It cannot listen there.
    """
    root_path = "/" + root_path.strip("/") if root_path.strip("/") else ""
    keep_little()
    provider = TokenAuthProvider(token)
    _use_our_handlers()
    pn.extension(console_output="disable")
    loop = IOLoop.current()
    make = partial(
        get_server,
        routes(),
        address=address,
        loop=loop,
        show=False,
        start=False,
        auth_provider=provider,
        cookie_secret=provider.cookie_secret,
        extra_patterns=[
            (downloads.ROUTE, downloads.TaskCsvHandler),
        ],
        compress_response=True,
        keep_alive_milliseconds=_KEEP_ALIVE_MS,
        unused_session_lifetime_milliseconds=_UNUSED_SESSION_MS,
    )
    number, server = _listening(make, address, port)
    ahead = Ahead(library, WORKER)
    application = server._tornado
    application.settings.update(
        otel_parsl_library=library,
        otel_parsl_ahead=ahead,
        otel_parsl_root_path=root_path,
        default_handler_class=NotFoundHandler,
        default_handler_args={},
        log_function=_log_request,
    )
    _close_other_routes(application)
    if root_path:
        # Links are relative, and reach the pages from below the prefix alone.
        below = {"url": root_path + "/", "permanent": False}
        application.default_router.rules[:0] = [
            Rule(PathMatches(re.escape(root_path)), RedirectHandler, below),
            Rule(PrefixLeft(root_path), NotFoundHandler),
        ]
    for number_of_signal in (signal.SIGINT, signal.SIGTERM):
        loop.asyncio_loop.add_signal_handler(number_of_signal, loop.stop)
    if not is_loopback(address):
        output.write(POLICY_WARNING + "\n")
    lines = announcement(address, number, provider.token, root_path)
    output.write("\n".join(lines) + "\n")
    output.flush()
    server.start()
    if started is not None:
        started(lines[0].split()[-1])
    # What is loaded by now stays: Python's collector of garbage takes a tenth of a second for it,
    # and a page would wait.
    gc.freeze()
    try:
        loop.start()
    finally:
        loop.run_sync(ahead.close)
        library.close()
        server.stop()


def _listening(make: Callable[..., Any], address: str, port: int | None) -> tuple[int, Any]:
    """Return a port and a server on it."""
    while True:
        number = free_port(address, port)
        try:
            return number, make(port=number)
        except OSError as error:
            # Another program has taken it since: the next one, or PortBusy where it was named.
            if error.errno != errno.EADDRINUSE:
                raise


def _use_our_handlers() -> None:
    """Put ours in the place of Panel's; what loads a page into another site is left out."""
    urls.per_app_patterns[:] = [(r"/ws", SocketHandler), (r"/?", PageHandler)]


def _close_other_routes(application: Any) -> None:
    """
    Leave the routes that the pages use: what is new in a Panel to come is closed too.

    One of Panel's imports whatever module the path names, for anybody, token or not.
    """
    router = application.wildcard_router
    router.rules[:] = [rule for rule in router.rules if rule.target in _OPEN]


def _log_request(handler: Any) -> None:
    """Log what went wrong, without the query, which may hold the token."""
    status = handler.get_status()
    if status >= 500:
        _access.error("%s %s %d", handler.request.method, handler.request.path, status)
    else:
        _access.debug("%s %s %d", handler.request.method, handler.request.path, status)
