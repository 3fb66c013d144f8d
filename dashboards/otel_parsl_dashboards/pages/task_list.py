"""
The list of tasks that several pages have: filtered, sorted and cut into pages here, never in the
browser, by what the address says.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl.cli.status import LABELS
from otel_parsl.query.task_facts import TaskFacts, select_task_facts
from otel_parsl.query.task_states import FAILED, TaskState
from otel_parsl.query.tasks import TaskFilter, select_task_ids
from otel_parsl.query.tries import Try, select_tries
from otel_parsl_dashboards.data import frames, lanes
from otel_parsl_dashboards.elements.colours import OF_STATE
from otel_parsl_dashboards.pages.page import Facts, View
from otel_parsl_dashboards.shell.environment import time_words

PER_PAGE: Final = 50
_COLUMNS: Final = {
    "task": "task",
    "app": "app",
    "state": "state",
    "tries": "tries",
    "called": "called",
    "completed": "completed",
    "run": "run time",
}
_LARGEST_FIRST: Final = ("tries", "run")
_ARROWS: Final = {"asc": " ▲", "desc": " ▼"}
_LISTED_DEPENDS: Final = 8


class _Asked(NamedTuple):
    app: str
    state: str
    node: str
    q: str
    sort: str
    order: str
    page: int

    def address(self, **changes: object) -> str:
        """Return the query of an address that asks for this, but for some changes."""
        asked = self._replace(**changes)  # type: ignore[arg-type]
        pairs: dict[str, Any] = {
            name: value for name, value in asked._asdict().items() if value not in ("", 1)
        }
        return "?" + urlencode(pairs)


def task_list(view: View, *, app: str | None = None) -> Facts:
    """
    Return what the list shows.

    Args:
        view: Its ``query`` may have ``app``, ``state``, ``node``, ``q`` (a text in names, inputs,
            outputs, paths and failures), ``sort``, ``order`` and ``page``.
        app: The only app whose tasks are listed, for a page of one.
    """
    asked = _asked(view)
    tasks = view.snapshot.tasks
    places = _sorted(view, _fitting(view, asked, app), asked)
    pages = max(-(-len(places) // PER_PAGE), 1)
    page = min(asked.page, pages)
    first = (page - 1) * PER_PAGE
    shown = tasks.iloc[places[first : first + PER_PAGE]]
    return {
        "rows": _rows(view, shown),
        "total": len(places),
        "first": first + 1,
        "last": first + len(shown),
        "page": page,
        "pages": pages,
        "turns": [
            (name, asked.address(page=to) if 1 <= to <= pages and to != page else "")
            for name, to in (
                ("First", 1),
                ("Previous", page - 1),
                ("Next", page + 1),
                ("Last", pages),
            )
        ],
        "columns": [_heading(key, asked) for key in _COLUMNS if app is None or key != "app"],
        "apps": view.snapshot.apps if app is None else [],
        "is_of_app": app is not None,
        "states": [(state.value, LABELS[state]) for state in LABELS],
        "nodes": _nodes(view),
        "asked": asked._asdict(),
        "is_read": view.snapshot.has("statuses"),
        "is_filtered": any((asked.app, asked.state, asked.node, asked.q)),
    }


def run_times_s(view: View) -> np.ndarray:
    """Return how long the tries of each task ran together, NaN where none is known to have."""
    return view.snapshot.once("run time of tasks", lambda: _run_times_s(view))


def _asked(view: View) -> _Asked:
    query = view.query
    sort = query.get("sort", "")
    sort = sort if sort in _COLUMNS else "task"
    order = query.get("order", "")
    page = query.get("page", "")
    return _Asked(
        app=query.get("app", ""),
        state=query.get("state", ""),
        node=query.get("node", ""),
        q=query.get("q", "").strip(),
        sort=sort,
        order=order if order in _ARROWS else _first_order(sort),
        page=max(int(page), 1) if page.isdecimal() and len(page) < 10 else 1,
    )


def _first_order(sort: str) -> str:
    return "desc" if sort in _LARGEST_FIRST else "asc"


def _fitting(view: View, asked: _Asked, app: str | None) -> np.ndarray:
    """Return the places of the tasks that the filter lets through."""
    tasks = view.snapshot.tasks
    fits = np.ones(len(tasks), dtype=bool)
    for name, column in ((app, "app"), (asked.app, "app"), (asked.state, "state")):
        if name:
            fits &= (tasks[column] == name).to_numpy()
    if asked.node:
        tries = view.snapshot.tries
        on_node = tries["task_id"].to_numpy()[(tries["host"] == asked.node).to_numpy()]
        fits &= np.isin(tasks["task_id"].to_numpy(), on_node)
    if asked.q:
        found = view.snapshot.once(("tasks with", asked.q), lambda: _with_text(view, asked.q))
        fits &= np.isin(tasks["task_id"].to_numpy(), found)
    return np.flatnonzero(fits)


def _with_text(view: View, text: str) -> np.ndarray:
    standing = view.snapshot.standing
    with view.source.read() as connection:
        found = select_task_ids(
            connection, standing.run, TaskFilter(text=text), sort="id", now=standing.now
        )
    return np.array([task_id for task_id, _ in found.found], dtype="int64")


def _sorted(view: View, places: np.ndarray, asked: _Asked) -> np.ndarray:
    if asked.sort == "task":
        return places if asked.order == "asc" else places[::-1]
    key = _sort_key(view, asked.sort)[places]
    # What is not known comes last, whichever way.
    return places[np.argsort(key if asked.order == "asc" else -key, kind="stable")]


def _sort_key(view: View, sort: str) -> np.ndarray:
    tasks = view.snapshot.tasks
    if sort in ("app", "state"):
        column = tasks[sort]
        names = [str(name) for name in column.cat.categories]
        order = sorted(names) if sort == "app" else [state.value for state in LABELS]
        ranks = {name: rank for rank, name in enumerate(order)}
        of_code = np.array([ranks.get(name, len(ranks)) for name in names], dtype="float64")
        of_task: np.ndarray = of_code[column.cat.codes.to_numpy()]
        return of_task
    if sort == "tries":
        return _tries(view).astype("float64")
    if sort == "run":
        return run_times_s(view)
    times = tasks["invoked" if sort == "called" else "returned"].to_numpy().astype(frames.TIME)
    key: np.ndarray = times.astype("int64").astype("float64")
    key[np.isnat(times)] = np.nan
    return key


def _run_times_s(view: View) -> np.ndarray:
    tasks, tries = view.snapshot.tasks, view.snapshot.tries
    took = frames.seconds(tries["ended"], tries["running"])
    has_run = ~np.isnan(took)
    places = np.searchsorted(tasks["task_id"].to_numpy(), tries["task_id"].to_numpy()[has_run])
    summed = np.bincount(places, weights=took[has_run], minlength=len(tasks))
    summed[np.bincount(places, minlength=len(tasks)) == 0] = np.nan
    return summed


def _tries(view: View) -> np.ndarray:
    tasks, tries = view.snapshot.tasks, view.snapshot.tries
    places = np.searchsorted(tasks["task_id"].to_numpy(), tries["task_id"].to_numpy())
    return np.bincount(places, minlength=len(tasks))


def _nodes(view: View) -> list[str]:
    def find() -> list[str]:
        hosts = view.snapshot.tries["host"].cat.remove_unused_categories().cat.categories
        return sorted((str(host) for host in hosts if host), key=lanes.natural)

    return view.snapshot.once("nodes of tries", find)


def _heading(key: str, asked: _Asked) -> Facts:
    is_here = key == asked.sort
    turned = "asc" if asked.order == "desc" else "desc"
    return {
        "key": key,
        "name": _COLUMNS[key],
        "address": asked.address(sort=key, order=turned if is_here else _first_order(key), page=1),
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
        "depends": depends[:_LISTED_DEPENDS],
        "depends_more": len(depends[_LISTED_DEPENDS:]),
        "host": (tries[-1].hostname if tries else None) or words.UNKNOWN,
        "called": time_words(row.invoked),
        "completed": time_words(row.returned),
        "run_s": run_s,
        "error": failure.in_a_line if failure is not None else "",
    }
