"""What the template of a run's page is given: the same in a browser's session and in a report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial

from otel_parsl.query.errors import QueryError
from otel_parsl_dashboards.pages import RUN_PAGES
from otel_parsl_dashboards.pages.page import Facts, Plot, RunPage, View
from otel_parsl_dashboards.pages.run_header import header_facts, tabs
from otel_parsl_dashboards.shell.environment import path_part

_log = logging.getLogger(__name__)
CANNOT_BE_DRAWN = "This plot cannot be drawn: the terminal that the pages come from says why."
_NO_STRETCH = (
    "In the address from and until name no stretch of time within a year of this run, such as"
    " from=2026-01-31T08:00:00 and until=2026-01-31T09:00:00: the whole run is shown."
)


def page_facts(
    page: RunPage, view: View, root: str, *, summarise: Callable[[Plot], str] | None = None
) -> Facts:
    """
    Return all that the page's template is given beside its plots.

    Args:
        page: The page.
        view: What it is made from.
        root: How the root of the pages is reached from it.
        summarise: Says what stands above a plot; by default what it shows, in words.
    """
    summarise = summarise or partial(summary, page, view)
    return {
        **outer_facts(page, view, root),
        "summaries": {plot.key: summarise(plot) for plot in page.plots},
        **kept_facts(page, view),
    }


def kept_facts(page: RunPage, view: View) -> Facts:
    """Return what the page says beside ``outer_facts``, worked out once where that is slow."""

    def make() -> Facts:
        return {
            "hints": {plot.key: plot.advise(view) for plot in page.plots},
            "legends": {plot.key: plot.legend(view) for plot in page.plots},
            **page.facts(view),
        }

    return view.snapshot.once(_key(page, view), make) if page.is_slow(view) else make()


def are_kept(page: RunPage, view: View) -> bool:
    """Tell whether what ``kept_facts`` returns is there."""
    return view.snapshot.has_made(_key(page, view))


def _key(page: RunPage, view: View) -> tuple[object, ...]:
    return ("facts", page.path, view.asked)


def outer_facts(page: RunPage, view: View, root: str) -> Facts:
    """Return what every page of a run is given, whatever it shows."""
    stretch, header = _stretch(page, view), header_facts(view.snapshot)
    if stretch is not None and view.window is None and _names_stretch(view.query):
        header["notices"].append(_NO_STRETCH)
    return {
        "title": view.snapshot.run.name or "run",
        "root": root,
        "run_root": f"{root}workflow/{path_part(view.snapshot.run.run_id)}/",
        "is_home": False,
        "is_run_page": page.path == "",
        "is_report": False,
        "window": view.window,
        "stretch": stretch,
        "tabs": tabs(RUN_PAGES, page.within or page.path, view.snapshot),
        **header,
    }


def _names_stretch(query: Mapping[str, str]) -> bool:
    return any(query.get(name) for name in ("from", "until"))


def _stretch(page: RunPage, view: View) -> Facts | None:
    """Return from when to when the page shows the run, and which lanes, where one may choose."""
    if not any(plot.follows_window for plot in page.plots):
        return None
    lanes = len(view.snapshot.lanes) if any(plot.follows_rows for plot in page.plots) else 0
    rows = view.rows or range(lanes)
    return {
        "start": str(view.span.start)[:23],
        "end": str(view.span.end)[:23],
        "lanes": lanes,
        "first": rows.start + 1,
        "last": rows.stop,
    }


def summary(page: RunPage, view: View, plot: Plot) -> str:
    """Return a plot in words, worked out once for a snapshot; one that fails fails alone."""

    def say() -> str:
        try:
            return plot.say(view)
        except QueryError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it is said
            _log.exception("page %r: the plot %r cannot be told in words", page.path, plot.title)
            return CANNOT_BE_DRAWN

    return view.snapshot.once(("summary", page.path, plot.key, plot.asked(view)), say)
