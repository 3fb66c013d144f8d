"""
The list of tasks that several pages have: filtered, sorted and cut into pages here, never in the
browser, by what the address says.
"""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from otel_parsl.cli import words
from otel_parsl.cli.status import LABELS
from otel_parsl.query.task_facts import TaskFacts, select_task_facts
from otel_parsl.query.task_states import FAILED, TaskState
from otel_parsl.query.tries import Try, select_tries
from otel_parsl_dashboards.elements.colours import OF_STATE
from otel_parsl_dashboards.pages.causes import group_named
from otel_parsl_dashboards.pages.page import Facts, View
from otel_parsl_dashboards.pages.task_filter import (
    COLUMNS,
    Asked,
    blocks,
    first_order,
    fitting,
    misread,
    nodes,
    read_asked,
    run_times_s,
)
from otel_parsl_dashboards.pages.turns import turn
from otel_parsl_dashboards.shell.environment import time_words

PER_PAGE: Final = 50
_HELP: Final = {
    "state": "Sorted by what needs a look: failed tasks first, then open ones, then those done.",
    "tries": "How often it was tried, or is being tried.",
    "called": "When it was called, by the submit host's clock.",
    "completed": "When its future was done: with a result, or with what it failed of.",
    "run": "On workers, all tries of the task together.",
}
_ARROWS: Final = {"asc": " ▲", "desc": " ▼"}
_SHOWN_DEPENDS: Final = 8
_LISTED_DEPENDS: Final = 1000
"""With those that are folded away; fifty rows of so many make two megabytes."""


def task_list(view: View, *, app: str | None = None) -> Facts:
    """
    Return what the list shows.

    Args:
        view: Its ``query`` may have what ``task_filter.Asked`` has.
        app: The only app whose tasks are listed, for a page of one.
    """
    asked = read_asked(view.query)
    places = fitting(view, asked, app)
    turned = turn(len(places), asked.page, PER_PAGE, lambda page: asked.address(page=page))
    return {
        **turned.facts,
        "rows": _rows(view, view.snapshot.tasks.iloc[places[turned.shown]]),
        "columns": [_heading(key, asked) for key in COLUMNS if app is None or key != "app"],
        "csv": "tasks.csv" + (asked if app is None else asked._replace(app=app)).address(page=1),
        "apps": view.snapshot.apps if app is None else [],
        "is_of_app": app is not None,
        "states": [(state.value, LABELS[state]) for state in LABELS],
        "nodes": nodes(view),
        "blocks": blocks(view),
        "asked": asked._asdict(),
        "misread": misread(view, asked),
        "is_read": view.snapshot.has("statuses"),
        "is_filtered": asked.is_filtered,
        "cause": asked.cause if asked.cause and group_named(view, asked.cause) else "",
    }


def _heading(key: str, asked: Asked) -> Facts:
    is_here = key == asked.sort
    turned = "asc" if asked.order == "desc" else "desc"
    return {
        "key": key,
        "name": COLUMNS[key],
        "help": _HELP.get(key, ""),
        "address": asked.address(sort=key, order=turned if is_here else first_order(key), page=1),
        "sorted": {"asc": "ascending", "desc": "descending"}[asked.order] if is_here else "none",
        "arrow": _ARROWS[asked.order] if is_here else "",
        "is_number": key in ("tries", "called", "completed", "run"),
    }


def _rows(view: View, shown: pd.DataFrame) -> list[Facts]:
    ids = [int(task_id) for task_id in shown["task_id"]]
    run = view.snapshot.run
    with view.source.read() as connection:
        facts = select_task_facts(connection, run, ids)
        tries = select_tries(connection, run, ids)
    took = run_times_s(view)[shown.index.to_numpy()]
    return [
        _row(row, facts.get(row.task_id), tries.get(row.task_id, []), view, float(run_s))
        for row, run_s in zip(shown.itertuples(), took, strict=True)
    ]


def _row(row: Any, facts: TaskFacts | None, tries: list[Try], view: View, run_s: float) -> Facts:
    depends = facts.depends if facts is not None else ()
    state = TaskState(row.state)
    failure = next((item.failure for item in reversed(tries) if item.failure), None)
    return {
        "task_id": row.task_id,
        "app": row.app,
        "app_colour": view.colours.get(row.app, ""),
        "state": LABELS[state],
        "colour": OF_STATE[state.value],
        "is_bad": state in FAILED,
        "tries": len(tries),
        "depends": depends[:_SHOWN_DEPENDS],
        "depends_folded": depends[_SHOWN_DEPENDS:_LISTED_DEPENDS],
        "depends_more": len(depends[_LISTED_DEPENDS:]),
        "host": (tries[-1].hostname if tries else None) or words.UNKNOWN,
        "called": time_words(row.invoked),
        "completed": time_words(row.returned),
        "run_s": run_s,
        "error": failure.in_a_line if failure is not None else "",
    }
