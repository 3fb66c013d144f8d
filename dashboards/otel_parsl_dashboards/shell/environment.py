"""
The templates and what they may call.

Everything is escaped: names, messages and paths come from whoever wrote the workflow.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import jinja2
import numpy as np
import pandas as pd
from bokeh.server.views.static_handler import StaticHandler
from markupsafe import Markup

from otel_parsl.cli import words

_HERE = Path(__file__).parent
RUN_TEMPLATE = "run.html"
_SHORT = np.timedelta64(10, "s")
"""A stretch of time whose ends are told to the millisecond."""
DOCUMENTATION = "https://parsl.readthedocs.io/en/latest/userguide/monitoring.html"


def seconds_words(value: float | None) -> str:
    """Return a length of time for people; a dash for what is not known."""
    return words.duration(None if value is None or math.isnan(value) else float(value))


def number_words(value: float | None, digits: int = 3) -> str:
    """Return a number with so many significant digits, a count with its thousands apart."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return words.UNKNOWN
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def time_words(value: Any, unit: Literal["s", "ms"] = "s") -> str:
    """Return a time of a frame to the second or millisecond; a dash for NaT."""
    if pd.isna(value):  # NaT, as numpy and as pandas have it
        return words.UNKNOWN
    return str(np.datetime64(value, unit)).replace("T", " ")


def share_words(part: float, whole: float) -> str:
    """Return a share in per cent, never rounded to all or nothing."""
    if not whole:
        return words.UNKNOWN
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "<0.1 %"
    if 99.9 < share < 100:
        return ">99.9 %"
    return f"{share:.0f} %" if share in (0, 100) else f"{share:.1f} %"


def path_part(name: str) -> str:
    """Return a name as one part of a path, slashes and dots and all."""
    quoted = quote(name, safe="")
    return quoted.replace(".", "%2E") if set(name) <= {"."} else quoted


def relative_root(path: str) -> str:
    """Return how the root is reached from a path, so that links hold behind any proxy."""
    return "../" * (path.count("/") - 1) or "./"


def help_mark(text: str) -> Markup:
    """Return a question mark that explains a figure, to mouse, keyboard and screen reader."""
    return Markup(
        '<span class="help" tabindex="0" role="note" aria-label="{0}"><span>?</span>'
        "<em>{0}</em></span>"
    ).format(text)


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """Return the entries of a legend: names and their colours."""
    entry = Markup('<li><span class="swatch" style="background: {1}"></span>{0}</li>')
    return Markup("").join(entry.format(name, colour) for name, colour in entries)


def window_notice(window: tuple[Any, Any] | None, before: str, after: str = "") -> Markup:
    """
    Return the notice that a page shows a stretch of time alone, with the way back.

    Args:
        window: Its start and end, as a frame's times; nothing is said of the whole run.
        before: What of the page it holds for; the two times follow.
        after: What is said behind them.
    """
    if window is None:
        return Markup("")
    start, end = window
    unit: Literal["s", "ms"] = "ms" if end - start < _SHORT else "s"
    return Markup(
        '<p class="notice">{} between {} and {}{}.'
        ' <button type="button" data-whole-run>Whole run</button></p>'
    ).format(before, time_words(start, unit), time_words(end, unit), after)


@functools.cache
def static(name: str) -> Markup:
    """Return a style sheet or script of ours, to stand in a page: no data is ever in them."""
    return Markup((_HERE / "static" / name).read_text(encoding="utf-8"))


templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.globals.update(
    help=help_mark,
    legend=legend,
    documentation=DOCUMENTATION,
    bokeh_script=f"static/{StaticHandler.append_version('js/bokeh.min.js')}",
    static=static,
    unknown=words.UNKNOWN,
    window_notice=window_notice,
)
templates.filters.update(
    duration=seconds_words,
    number=number_words,
    time=time_words,
    size=words.size,
    visible=words.visible,
    visible_lines=lambda text: "\n".join(words.visible_lines(text)),
    part=path_part,
)


def render_block(template: str, block: str, facts: dict[str, Any]) -> str:
    """Return one block of a template, or of the one that all of a run's pages extend."""
    for name in (template, RUN_TEMPLATE):
        found = templates.get_template(name)
        if block in found.blocks:
            return "".join(found.blocks[block](found.new_context(facts)))
    raise LookupError(f"{template} has no block {block!r}")


def waiting_page(facts: dict[str, Any], tasks: int) -> str:
    """Return a run's page without its numbers, which asks for them again."""
    return templates.get_template("waiting.html").render(outer="frame.html", tasks=tasks, **facts)


def message_page(
    *,
    title: str,
    message: str,
    root: str,
    asks_token: bool = False,
    again_s: int | None = None,
) -> str:
    """Return a page that says one thing."""
    return templates.get_template("message.html").render(
        title=title, message=message, root=root, asks_token=asks_token, again_s=again_s
    )
