"""
Where the time went: from when to when each task was in which phase, and workers had nothing to do.

A task is in one phase at a time, from its call until its future is done.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from otel_parsl.query.staging import is_staging
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.data.phases import (
    IDLE,
    LAUNCHING,
    PHASES,
    QUEUED,
    RETURNING,
    RUNNING,
    STAGING,
    WAITING,
)
from otel_parsl_dashboards.elements import capacity, used_of_all
from otel_parsl_dashboards.elements.levels import Amounts, total_s
from otel_parsl_dashboards.elements.span import Span

ALL: Final = (*PHASES, IDLE)
"""The phases of tasks, and what workers do without any."""
_UNKNOWN: Final = np.datetime64("NaT", "us")
_NEVER: Final = np.datetime64("9999-01-01", "us")


class Stretches(NamedTuple):
    """From when to when tasks were in a phase; each lasts."""

    start: np.ndarray
    end: np.ndarray
    app: np.ndarray
    """Places in ``Spent.apps``."""

    @property
    def amounts(self) -> Amounts:
        """How many tasks there were at each moment."""
        return Amounts(self.start, self.end, np.ones(len(self.start)))


class Spent(NamedTuple):
    """Where the time of a run went."""

    phases: dict[str, Stretches]
    """By each of ``PHASES``."""
    apps: list[str]
    idle: Amounts | None
    """Workers that were connected, less those that were busy; None where no manager reported."""
    connected: Amounts
    """Workers that were connected."""
    first_ran: np.datetime64 | None
    """When the first try ran, in a block where there are any; None before."""
    unsplit: Stretches
    """From launch to return of tries of which no worker said when it began them."""
    contradicting: int
    """Stretches left out: they end before they begin, by the clocks of two hosts."""

    def total_s(self, phase: str, span: Span) -> float:
        """Return the seconds of all tasks in a phase, or of idle workers; NaN if not known."""
        if phase == IDLE:
            return float("nan") if self.idle is None else max(total_s(self.idle, span), 0.0)
        return float(self.by_app_s(phase, span).sum())

    def by_app_s(self, phase: str, span: Span) -> np.ndarray:
        """Return the seconds in a phase of each app's tasks."""
        return _lasted_s(self.phases[phase], span, len(self.apps))

    def unsplit_s(self, span: Span) -> float:
        """Return the seconds between launch and return that nothing more is known of."""
        return float(_lasted_s(self.unsplit, span, len(self.apps)).sum())


def spent(
    tasks: pd.DataFrame,
    tries: pd.DataFrame,
    statuses: pd.DataFrame,
    edges: pd.DataFrame,
    nodes: pd.DataFrame,
    *,
    until: np.datetime64,
) -> Spent:
    """
    Return where the time went.

    Args:
        tasks: A frame of tasks.
        tries: A frame of tries.
        statuses: A frame of statuses: when join apps began to wait for what they stand for.
        edges: A frame of edges: what each task waited for.
        nodes: A frame of nodes.
        until: Up to when a phase that goes on is counted.
    """
    found = _Found(sorted({*tasks["app"].cat.categories, *tries["app"].cat.categories}))
    marks = _marks(tasks, tries, statuses, until)
    app = found.places(tries["app"])
    is_stage = np.array([is_staging(name) for name in found.apps], dtype=bool)
    staged = is_stage[app] if len(found.apps) else np.zeros(len(tries), dtype=bool)

    def or_until(times: np.ndarray) -> np.ndarray:
        """Return times, and where there is none of a task's last try up to when all is known."""
        is_open = np.isnat(times) & marks.goes_on
        return np.where(is_open, until, times)

    has_left = ~np.isnat(marks.launched)
    left = or_until(np.where(has_left, marks.launched, marks.returned))
    ready_at = _ready(tasks, edges)
    ready = _of_tasks(ready_at, tries["task_id"].to_numpy(), "ready")
    # A later try depends on nothing more.
    ready = np.where(marks.is_first, np.clip(ready, marks.since, left), marks.since)
    if not staged.any():
        found.add(WAITING, marks.since, ready, app)
    else:
        begun, over = _staging_of(tasks, tries, edges, staged, until)
        # Only the first try waits for files: what follows finds them there.
        is_waited = marks.is_first & ~np.isnat(begun)
        start = np.where(is_waited, np.clip(begun, marks.since, left), ready)
        end = np.where(is_waited, np.clip(over, start, left), ready)
        found.add(WAITING, marks.since, start, app)
        found.add(STAGING, start, end, app)
        ready = np.fmax(ready, end)
        found.add(WAITING, end, ready, app)
    found.add(LAUNCHING, ready, left, app)
    has_run = ~np.isnat(marks.running)
    found.add(QUEUED, marks.launched, or_until(marks.running), app)
    found.add("", marks.launched, marks.returned, app, has_left & ~has_run)
    for phase, is_it in ((RUNNING, ~staged), (STAGING, staged)):
        found.add(phase, marks.running, or_until(marks.ended), app, is_it)
    found.add(RETURNING, marks.ended, or_until(marks.handed_back), app, has_run)
    found.add(WAITING, marks.handed_back, marks.joined, app)
    _add_untried(found, tasks, tries, ready_at, until)
    connected = capacity.workers(nodes, until)
    return Spent(
        phases={phase: found.stretches(phase) for phase in PHASES},
        apps=found.apps,
        idle=_idle(tries, nodes, connected, until),
        connected=connected,
        first_ran=_first_ran(tries),
        unsplit=found.stretches(""),
        contradicting=found.contradicting,
    )


class _Marks(NamedTuple):
    """What is known of each try, in the order of time."""

    since: np.ndarray
    """When its task was called, or the try before came back."""
    launched: np.ndarray
    running: np.ndarray
    ended: np.ndarray
    handed_back: np.ndarray
    """When the submit side had what the worker gave."""
    joined: np.ndarray
    """Of a join app, until when it waited for the tasks that it stands for; else NaT."""
    returned: np.ndarray
    is_first: np.ndarray
    """Of its task."""
    goes_on: np.ndarray
    """Whether nothing came after it: the last of its task, not returned."""


def _marks(
    tasks: pd.DataFrame, tries: pd.DataFrame, statuses: pd.DataFrame, until: np.datetime64
) -> _Marks:
    ids = tries["task_id"].to_numpy()
    is_first, is_last = frames.ends_of_runs(ids)
    returned = tries["returned"].to_numpy().astype(frames.TIME)
    invoked, done = (_of_tasks(tasks, ids, name) for name in ("invoked", "returned"))
    since = np.where(is_first, invoked, np.roll(returned, 1))
    # A task that was memoised, or given up with another, was never launched.
    returned = np.where(is_last & np.isnat(returned), done, returned)
    joining = _joining(tries, statuses)
    joined = np.where(np.isnat(done), until, done)
    return _Marks(
        since=since,
        launched=tries["launched"].to_numpy().astype(frames.TIME),
        running=tries["running"].to_numpy().astype(frames.TIME),
        ended=np.fmin(tries["ended"].to_numpy().astype(frames.TIME), joining),
        # The task of a join app returns later than its try.
        handed_back=np.where(np.isnat(joining), returned, np.fmin(returned, joining)),
        joined=np.where(is_last & ~np.isnat(joining), joined, _UNKNOWN),
        returned=returned,
        is_first=is_first,
        goes_on=is_last & np.isnat(returned),
    )


def _of_tasks(tasks: pd.DataFrame, ids: np.ndarray, column: str) -> np.ndarray:
    """Return a time of the tasks with these ids; NaT for those that are not there."""
    times = np.full(len(ids), _UNKNOWN)
    row, is_there = frames.places(ids, tasks["task_id"].to_numpy())
    times[is_there] = tasks[column].to_numpy().astype(frames.TIME)[row[is_there]]
    return times


def _joining(tries: pd.DataFrame, statuses: pd.DataFrame) -> np.ndarray:
    times = np.full(len(tries), _UNKNOWN)
    said = statuses[(statuses["state"] == "joining").to_numpy()]
    row, is_there = frames.places_of_tries(said, tries)
    times[row[is_there]] = said["time"].to_numpy().astype(frames.TIME)[is_there]
    return times


def _staging_of(
    tasks: pd.DataFrame,
    tries: pd.DataFrame,
    edges: pd.DataFrame,
    staged: np.ndarray,
    until: np.datetime64,
) -> tuple[np.ndarray, np.ndarray]:
    """Return from when to when files were staged for the task of each try; NaT where none were."""
    stage = tries[staged]
    stage_ids, first = np.unique(stage["task_id"].to_numpy(), return_index=True)
    launched = stage["launched"].to_numpy().astype(frames.TIME)[first]
    done = _of_tasks(tasks, stage_ids, "returned")
    done = np.where(np.isnat(done), until, done)
    on = edges["on_task_id"].to_numpy()
    at, is_it = frames.places(on, stage_ids)
    is_it &= (edges["kind"] == "depends").to_numpy()
    is_it[is_it] = ~np.isnat(launched[at[is_it]])
    ids, place = np.unique(edges["task_id"].to_numpy()[is_it], return_inverse=True)
    found = pd.DataFrame({"task_id": ids})
    for name, times, keep in (("begun", launched, np.fmin), ("over", done, np.fmax)):
        kept = np.full(len(ids), _UNKNOWN)
        keep.at(kept, place.ravel(), times[at[is_it]])
        found[name] = kept
    wanted = tries["task_id"].to_numpy()
    return _of_tasks(found, wanted, "begun"), _of_tasks(found, wanted, "over")


def _ready(tasks: pd.DataFrame, edges: pd.DataFrame) -> pd.DataFrame:
    """Return when each task's dependencies were all done, or its call where it has none."""
    is_it = (edges["kind"] == "depends").to_numpy()
    done = _of_tasks(tasks, edges["on_task_id"].to_numpy()[is_it], "returned")
    done = np.where(np.isnat(done), _NEVER, done)
    ids = tasks["task_id"].to_numpy()
    row, is_there = frames.places(edges["task_id"].to_numpy()[is_it], ids)
    ready = tasks["invoked"].to_numpy().astype(frames.TIME)
    np.maximum.at(ready.view("int64"), row[is_there], done[is_there].view("int64"))
    return pd.DataFrame({"task_id": ids, "ready": ready}, copy=False)


def _first_ran(tries: pd.DataFrame) -> np.datetime64 | None:
    """Return when the first try ran: what runs on threads beside blocks needs no worker."""
    running = tries["running"].to_numpy().astype(frames.TIME)
    is_in_block = (tries["block"] != "").to_numpy() & ~np.isnat(running)
    first = np.fmin.reduce(running[is_in_block] if is_in_block.any() else running, initial=_UNKNOWN)
    return None if np.isnat(first) else np.datetime64(first, "us")


def _idle(
    tries: pd.DataFrame, nodes: pd.DataFrame, connected: Amounts, until: np.datetime64
) -> Amounts | None:
    if not len(connected.start):
        return None
    busy = used_of_all.busy(tries, nodes, until)
    return Amounts(
        np.concatenate([connected.start, busy.start]),
        np.concatenate([connected.end, busy.end]),
        np.concatenate([connected.amount, -busy.amount]),
    )


def _add_untried(
    found: _Found,
    tasks: pd.DataFrame,
    tries: pd.DataFrame,
    ready_at: pd.DataFrame,
    until: np.datetime64,
) -> None:
    """Add that tasks without any try wait to be launched, or waited until they were done."""
    is_it = ~np.isin(tasks["task_id"].to_numpy(), tries["task_id"].to_numpy())
    if is_it.any():
        some = tasks[is_it]
        done = some["returned"].to_numpy().astype(frames.TIME)
        invoked = some["invoked"].to_numpy().astype(frames.TIME)
        end = np.where(np.isnat(done), until, done)
        ready = np.clip(ready_at["ready"].to_numpy()[is_it], invoked, end)
        app = found.places(some["app"])
        found.add(WAITING, invoked, ready, app)
        found.add(LAUNCHING, ready, end, app)


class _Found:
    """Stretches by phase, as they are found."""

    def __init__(self, apps: list[str]) -> None:
        self.apps = apps
        self.contradicting = 0
        self._parts: dict[str, list[Stretches]] = {}

    def places(self, names: pd.Series) -> np.ndarray:
        """Return the places of a column of apps."""
        of_code = pd.Index(self.apps).get_indexer(pd.Index(names.cat.categories))
        codes = names.cat.codes.to_numpy()
        # There is one for each stretch, and there are few apps.
        of_code = of_code.astype(np.min_scalar_type(-1 - len(self.apps)))
        places: np.ndarray = of_code[codes] if len(of_code) else codes
        return places

    def add(
        self,
        phase: str,
        start: np.ndarray,
        end: np.ndarray,
        app: np.ndarray,
        is_it: np.ndarray | None = None,
    ) -> None:
        """Add what lasts of some stretches; a NaT at either side leaves one out."""
        if is_it is not None:
            start, end, app = start[is_it], end[is_it], app[is_it]
        lasts = end > start
        if phase in (QUEUED, RETURNING):  # of the others each has one host's clock
            self.contradicting += int((end < start).sum())
        self._parts.setdefault(phase, []).append(Stretches(start[lasts], end[lasts], app[lasts]))

    def stretches(self, phase: str) -> Stretches:
        """Return all of a phase."""
        parts = self._parts.get(phase, [])
        if len(parts) == 1:
            return parts[0]
        return Stretches(
            np.concatenate([np.array([], frames.TIME), *(part.start for part in parts)]),
            np.concatenate([np.array([], frames.TIME), *(part.end for part in parts)]),
            np.concatenate([np.array([], "int8"), *(part.app for part in parts)]),
        )


def _lasted_s(stretches: Stretches, span: Span, apps: int) -> np.ndarray:
    start = np.maximum(stretches.start, span.start)
    end = np.minimum(stretches.end, span.end)
    lasted = np.maximum((end - start).astype("int64"), 0) / 1e6
    seconds: np.ndarray = np.bincount(stretches.app, weights=lasted, minlength=apps)
    return seconds
