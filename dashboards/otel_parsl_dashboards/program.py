"""``otel-parsl visualize``, which ``parsl-visualize`` is too: serve the pages of a database."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.data.trace_url import chosen_trace_url
from otel_parsl_dashboards.server.addresses import free_port

TOKEN_VARIABLE = "OTEL_PARSL_DASHBOARD_TOKEN"  # its name, not its value


def run(arguments: argparse.Namespace) -> None:
    """
    Serve the pages until SIGINT.

    Raises:
        DatabaseUnusable: There is no such database, or it cannot be read.
        PortBusy: The port cannot be had.
        TraceUrlUnusable: What was given as the address of traces is none.
    """
    logging.basicConfig(
        level=logging.DEBUG if arguments.debug else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # Whoever closes a page is no news.
    logging.getLogger("bokeh.server.views.ws").setLevel(
        logging.DEBUG if arguments.debug else logging.ERROR
    )
    trace_url = chosen_trace_url(arguments.trace_url)
    source = Source(arguments.url)
    source.open()
    free_port(arguments.listen, arguments.port)
    # Seconds go by until these are imported, and what is wrong has been said by then.
    from otel_parsl_dashboards.data.library import Library
    from otel_parsl_dashboards.server.service import serve

    serve(
        Library(source, trace_url),
        output=sys.stdout,
        address=arguments.listen,
        port=arguments.port,
        root_path=arguments.root_path,
        token=chosen_token(),
    )


def chosen_token() -> str | None:
    """Return the token that the user chose, if any."""
    return os.environ.get(TOKEN_VARIABLE) or None
