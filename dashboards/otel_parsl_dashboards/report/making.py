"""
Make the report of a run.

Flow: source -> snapshot -> the pages' facts and figures -> **making** -> one HTML file
"""

from __future__ import annotations

import datetime
import re
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

from markupsafe import Markup

from otel_parsl import __version__
from otel_parsl.cli import words
from otel_parsl.errors import OTelParslError
from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.pages import RUN_PAGES
from otel_parsl_dashboards.pages.page import Facts, RunPage, View
from otel_parsl_dashboards.pages.page_facts import page_facts
from otel_parsl_dashboards.pages.run_header import header_facts
from otel_parsl_dashboards.report.drawing import Packed, bokeh_script, figures, pack
from otel_parsl_dashboards.shell.environment import templates

MOST_BYTES = 5_000_000
"""A report is never larger: it is sent by mail, and kept."""
_ROWS = (100, 30, 10, 3)
"""Of a table: as many of these as go into that size."""
_PLOTS_SHARE = 0.8
"""Of that size, what the plots and what draws them may take."""
_SERVER_LINK = re.compile(r'<a href="(?!#)[^"]*"')
"""A link to a page that only a server has; what comes from data is escaped and never fits."""
_PLOT_HINT = "drag over a stretch of time: all plots of time show that"


class ReportTooLarge(OTelParslError):
    """A report cannot be made small enough; the message says what to do instead."""


class Part(NamedTuple):
    """A page's place in the report."""

    name: str
    anchor: str
    html: Markup
    failures: str
    """The number beside its name; empty for none."""
    cut: list[str]
    """What of it was left out, in words."""


def make_report(snapshot: Snapshot, source: Source) -> str:
    """
    Return the report as HTML.

    Raises:
        ReportTooLarge: Even its shortest form is larger than a report may be.
    """
    view = View(snapshot, {}, {}, None, source)
    pages = [page for page in RUN_PAGES if page.is_reported]
    script = bokeh_script()
    drawn = figures(snapshot, ((page.path, plot, view) for page in pages for plot in page.plots))
    packed, left_out = _within(drawn, int(MOST_BYTES * _PLOTS_SHARE) - len(script))
    for rows in _ROWS:
        parts = [_part(page, view, packed, left_out, rows) for page in pages]
        report = _whole(view, script, packed, parts)
        if len(report.encode()) <= MOST_BYTES:
            return report
    raise ReportTooLarge(
        f"the report of run {snapshot.run.number} would be larger than {MOST_BYTES / 1e6:.0f} MB"
        " whatever is left out: look at the run with otel-parsl visualize"
    )


def _whole(view: View, script: str, packed: Packed, parts: list[Part]) -> str:
    run = view.snapshot.run
    return templates.get_template("report.html").render(
        **header_facts(view.snapshot),
        title=run.name or "run",
        is_run_page=True,
        run_root="",
        nonce=secrets.token_urlsafe(16),
        parts=parts,
        bokeh=script,
        packed=packed,
        made=words.local(datetime.datetime.now(datetime.timezone.utc), run.zone),
        database=view.source.name,
        version=__version__,
    )


def _within(drawn: dict[tuple[str, str], Any], most: int) -> tuple[Packed, set[tuple[str, str]]]:
    """Return plots that take so many bytes or fewer, and which had to be left out for that."""
    packed = pack(drawn)
    left_out: set[tuple[str, str]] = set()
    if len(packed.plots) <= most:
        return packed, left_out
    size = {key: len(pack({key: figure}).plots) for key, figure in drawn.items()}
    while len(packed.plots) > most:
        largest = max(drawn.keys() - left_out, key=lambda key: size[key])
        left_out.add(largest)
        packed = pack({key: each for key, each in drawn.items() if key not in left_out})
    return packed, left_out


def _part(
    page: RunPage, view: View, packed: Packed, left_out: set[tuple[str, str]], rows: int
) -> Part:
    facts, cut = _cut(page_facts(page, view, ""), page.tables, rows)
    undrawn = {plot.key for plot in page.plots if (page.path, plot.key) not in packed.roots}
    html = templates.get_template(page.template).render(
        **facts | page.report_facts(view) | {"is_report": True, "hints": _hints(page)},
        outer="part.html",
        plots={plot.key: plot for plot in page.plots},
        roots={
            f"plot-{key}": root for (path, key), root in packed.roots.items() if path == page.path
        },
        undrawn=undrawn,
    )
    tab = next((tab for tab in facts["tabs"] if tab.path == page.path), None)
    cut += [
        f"The plot {plot.title} is left out: with it the report would be larger than"
        f" {MOST_BYTES / 1e6:.0f} MB."
        if (page.path, plot.key) in left_out
        else f"The plot {plot.title} cannot be drawn: what made the report says why."
        for plot in page.plots
        if plot.key in undrawn
    ]
    return Part(
        name=page.tab,
        anchor=f"page-{page.path or 'workflow'}",
        html=Markup(_SERVER_LINK.sub("<a", html)),
        failures=tab.said if tab is not None else "",
        cut=cut,
    )


def _hints(page: RunPage) -> dict[str, str]:
    """Return what a reader can do with each plot where there is no server."""
    return {plot.key: _PLOT_HINT if plot.is_timed else "" for plot in page.plots}


def _cut(
    facts: Facts, tables: Mapping[str, str], rows: int, within: str = ""
) -> tuple[Facts, list[str]]:
    """Return facts with their tables cut, and what is said of those that were."""
    said: list[str] = []
    shown: Facts = {}
    for name, value in facts.items():
        place = within + name
        shown[name] = value
        if isinstance(value, dict):
            shown[name], said_within = _cut(value, tables, rows, f"{place}.")
            said += said_within
        elif place in tables and len(value) > rows:
            shown[name] = value[:rows]
            said.append(
                f"Of {words.number(len(value))} {tables[place]} the first {rows} are listed:"
                " otel-parsl visualize has them all."
            )
    return shown, said
