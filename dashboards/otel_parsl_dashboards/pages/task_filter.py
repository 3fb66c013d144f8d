"""Which tasks a list shows and in which order, by what its address asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import numpy as np

from otel_parsl.query.task_states import TaskState
from otel_parsl.query.tasks import URGENCY, TaskFilter, select_task_ids
from otel_parsl_dashboards.data import frames, lanes
from otel_parsl_dashboards.pages.causes import group_named, tasks_of
from otel_parsl_dashboards.pages.page import View

COLUMNS: Final = {
    "task": "task",
    "app": "app",
    "state": "state",
    "tries": "tries",
    "called": "called",
    "completed": "completed",
    "run": "run time",
}
"""What a list can be sorted by, and the headings."""
ORDERS: Final = ("asc", "desc")
_LARGEST_FIRST: Final = ("tries", "run")
_FILTERS: Final = (
    *("app", "state", "node", "block", "cause"),
    *("since", "until", "run_min", "run_max", "q"),
)
_STATES: Final = frozenset(state.value for state in TaskState)
_IN_ADDRESS: Final = {"since": "from"}
"""Where a field cannot have the name that stands in the address."""


class Asked(NamedTuple):
    """What an address asks for, as its texts; empty for what it does not."""

    app: str = ""
    state: str = ""
    node: str = ""
    block: str = ""
    """``EXECUTOR/BLOCK``."""
    cause: str = ""
    """The fingerprint of a cause of failures: its tasks and their dependents."""
    since: str = ""
    until: str = ""
    run_min: str = ""
    """Seconds; as ``run_max`` of all tries together."""
    run_max: str = ""
    q: str = ""
    """A text in names, inputs, outputs, paths and failures."""
    sort: str = "state"
    """By default what needs a look comes first: of many tasks the most are done."""
    order: str = "asc"
    page: int = 1

    @property
    def is_filtered(self) -> bool:
        """Whether not all tasks are asked for."""
        return any(getattr(self, name) for name in _FILTERS)

    def address(self, **changes: object) -> str:
        """Return the query of an address that asks for this, but for some changes."""
        asked = self._replace(**changes)  # type: ignore[arg-type]
        pairs: dict[str, Any] = {
            _IN_ADDRESS.get(name, name): value
            for name, value in asked._asdict().items()
            if value not in ("", 1)
        }
        return "?" + urlencode(pairs)


def read_asked(query: Mapping[str, str]) -> Asked:
    """Return what the query of an address asks for."""
    sort = query.get("sort", "")
    sort = sort if sort in COLUMNS else Asked._field_defaults["sort"]
    order = query.get("order", "")
    page = query.get("page", "")
    return Asked(
        **{name: query.get(_IN_ADDRESS.get(name, name), "").strip() for name in _FILTERS},
        sort=sort,
        order=order if order in ORDERS else first_order(sort),
        page=max(int(page), 1) if page.isdecimal() and len(page) < 10 else 1,
    )


def first_order(sort: str) -> str:
    """Return how a column is sorted when it is first asked for."""
    return "desc" if sort in _LARGEST_FIRST else "asc"


def misread(view: View, asked: Asked) -> list[str]:
    """Return a sentence for each thing asked for that means nothing, and that is left out."""
    said = []
    is_cause = bool(asked.cause) and group_named(view, asked.cause) is not None
    for name, is_known, what in (
        ("since", _time(asked.since) is not None, "a time such as 2026-01-31T08:00:00"),
        ("until", _time(asked.until) is not None, "a time such as 2026-01-31T08:00:00"),
        ("run_min", _seconds(asked.run_min) is not None, "a number of seconds"),
        ("run_max", _seconds(asked.run_max) is not None, "a number of seconds"),
        ("state", asked.state in _STATES, f"one of {', '.join(sorted(_STATES))}"),
        ("cause", is_cause, "the fingerprint of a cause: the page Failures lists them"),
    ):
        value = getattr(asked, name)
        if value and not is_known:
            said.append(
                f"In the address {_IN_ADDRESS.get(name, name)} is {value!r}, which is not {what}:"
                " it is left out."
            )
    return said


def fitting(view: View, asked: Asked, app: str | None = None) -> np.ndarray:
    """
    Return the places of the tasks that fit, in the order asked for.

    Args:
        view: Of any page of the run.
        asked: Which tasks, and in which order.
        app: The only app whose tasks are wanted, for a page of one.
    """
    tasks = view.snapshot.tasks
    fits = np.ones(len(tasks), dtype=bool)
    state = asked.state if asked.state in _STATES else ""
    for name, column in ((app, "app"), (asked.app, "app"), (state, "state")):
        if name:
            fits &= (tasks[column] == name).to_numpy()
    if asked.node or asked.block:
        fits &= np.isin(tasks["task_id"].to_numpy(), _at(view, asked))
    group = group_named(view, asked.cause) if asked.cause else None
    if group is not None:
        fits &= np.isin(tasks["task_id"].to_numpy(), tasks_of(view, group))
    fits &= _under_way(view, asked) & _took(view, asked)
    if asked.q:
        found = view.snapshot.once(("tasks with", asked.q), lambda: _with_text(view, asked.q))
        fits &= np.isin(tasks["task_id"].to_numpy(), found)
    return _sorted(view, np.flatnonzero(fits), asked)


def run_times_s(view: View) -> np.ndarray:
    """Return how long the tries of each task ran together, NaN where none is known to have."""
    return view.snapshot.once("run time of tasks", lambda: _run_times_s(view))


def tries_of_tasks(view: View) -> np.ndarray:
    """Return how many tries each task has."""
    return view.snapshot.once(
        "tries of tasks",
        lambda: np.bincount(_places_of_tries(view), minlength=len(view.snapshot.tasks)),
    )


def nodes(view: View) -> list[str]:
    """Return the nodes that tries ran on, naturally sorted."""

    def find() -> list[str]:
        hosts = view.snapshot.tries["host"].cat.remove_unused_categories().cat.categories
        return sorted((str(host) for host in hosts if host), key=lanes.natural)

    return view.snapshot.once("nodes of tries", find)


def blocks(view: View) -> list[str]:
    """Return the blocks that tries ran in, as ``EXECUTOR/BLOCK``, naturally sorted."""

    def find() -> list[str]:
        pairs = view.snapshot.tries[["executor", "block"]].drop_duplicates()
        pairs = pairs[(pairs["block"] != "").to_numpy()]
        names = [f"{pair.executor}/{pair.block}" for pair in pairs.itertuples()]
        return sorted(names, key=lanes.natural)

    return view.snapshot.once("blocks of tries", find)


def _at(view: View, asked: Asked) -> np.ndarray:
    """Return the tasks of which one try ran on the node and in the block that are asked for."""
    tries = view.snapshot.tries
    fits = np.ones(len(tries), dtype=bool)
    if asked.node:
        fits &= (tries["host"] == asked.node).to_numpy()
    if asked.block:
        executor, _, block = asked.block.rpartition("/")
        fits &= (tries["block"] == block).to_numpy()
        if executor:
            fits &= (tries["executor"] == executor).to_numpy()
    found: np.ndarray = tries["task_id"].to_numpy()[fits]
    return found


def _under_way(view: View, asked: Asked) -> np.ndarray:
    """Tell which tasks had been called and were not done yet, at some moment of a time."""
    tasks = view.snapshot.tasks
    fits = np.ones(len(tasks), dtype=bool)
    since, until = _time(asked.since), _time(asked.until)
    if until is not None:
        fits &= tasks["invoked"].to_numpy() <= until
    if since is not None:
        returned = tasks["returned"].to_numpy()
        fits &= np.isnat(returned) | (returned >= since)
    return fits


def _took(view: View, asked: Asked) -> np.ndarray:
    fits = np.ones(len(view.snapshot.tasks), dtype=bool)
    least, most = _seconds(asked.run_min), _seconds(asked.run_max)
    if least is not None:
        fits &= run_times_s(view) >= least
    if most is not None:
        fits &= run_times_s(view) <= most
    return fits


def _time(text: str) -> np.datetime64 | None:
    try:
        time = np.datetime64(text, "us")
    except ValueError:
        return None
    return None if np.isnat(time) else time


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return None if np.isnan(seconds) else seconds


def _with_text(view: View, text: str) -> np.ndarray:
    standing = view.snapshot.standing
    with view.source.read() as connection:
        found = select_task_ids(
            connection, standing.run, TaskFilter(text=text), sort="id", now=standing.now
        )
    return np.array([task_id for task_id, _ in found.found], dtype="int64")


def _sorted(view: View, places: np.ndarray, asked: Asked) -> np.ndarray:
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
        order = sorted(names) if sort == "app" else [state.value for state in URGENCY]
        ranks = {name: rank for rank, name in enumerate(order)}
        # Numbers this short are sorted in a tenth of the time.
        of_code = np.array([ranks.get(name, len(ranks)) for name in names], dtype="int16")
        of_task: np.ndarray = of_code[column.cat.codes.to_numpy()]
        return of_task
    if sort == "tries":
        return tries_of_tasks(view).astype("float64")
    if sort == "run":
        return run_times_s(view)
    times = tasks["invoked" if sort == "called" else "returned"].to_numpy().astype(frames.TIME)
    key: np.ndarray = times.astype("int64").astype("float64")
    key[np.isnat(times)] = np.nan
    return key


def _run_times_s(view: View) -> np.ndarray:
    tries, size = view.snapshot.tries, len(view.snapshot.tasks)
    took = frames.run_times_s(tries)
    has_run = ~np.isnan(took)
    places = _places_of_tries(view)[has_run]
    # Of nothing, bincount has whole numbers.
    summed = np.bincount(places, weights=took[has_run], minlength=size).astype("float64")
    summed[np.bincount(places, minlength=size) == 0] = np.nan
    return summed


def _places_of_tries(view: View) -> np.ndarray:
    """Return where the task of each try stands."""
    tasks, tries = view.snapshot.tasks, view.snapshot.tries
    places: np.ndarray = np.searchsorted(tasks["task_id"].to_numpy(), tries["task_id"].to_numpy())
    return places
