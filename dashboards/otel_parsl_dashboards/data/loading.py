"""
Read a run into frames: whole at first, then what was added.

Flow: source -> **loading** -> frames -> snapshot
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from otel_parsl.query.runs import Run
from otel_parsl.query.task_states import running_tries
from otel_parsl_dashboards.data import frames, lanes, queries
from otel_parsl_dashboards.data.columns import Gathered, joined, read_columns
from otel_parsl_dashboards.data.edges import patched_edges, read_edges
from otel_parsl_dashboards.data.local_clock import LocalClock
from otel_parsl_dashboards.data.packed import read_packed
from otel_parsl_dashboards.data.queries import MANY, in_pieces
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.data.states import RANKS, latest_states, mark_running, state_ranks

Frames = dict[str, pd.DataFrame]
Progress = Callable[[int], None]
"""Is told, by any thread, how many rows more have been read."""

_LONG = 20_000
"""Tasks from which on a run is shown before all of it is read."""


class Marks(NamedTuple):
    """How far the tables that only grow had been read, as row ids of SQLite."""

    status: int = 0
    sample: int = 0
    node: int = 0


def read_marks(connection: Connection) -> Marks:
    """Return where the tables that only grow end now."""
    return Marks(
        *(
            int(connection.execute(query).scalar_one())
            for query in (queries.LAST_STATUS, queries.LAST_SAMPLE, queries.LAST_NODE)
        )
    )


def read_stages(source: Source, run: Run, progress: Progress) -> Iterator[tuple[Frames, Marks]]:
    """
    Yield the frames of a run so far, each time that another stage has been read, and its marks.

    Each stage has a transaction of its own, lest a writer without a write-ahead log have to wait
    for them all; what is written meanwhile is beyond the marks.
    """
    marks = Marks()
    if source.has_row_ids:
        with source.read() as connection:
            marks = read_marks(connection)
    read = _StageReader(source, run, progress)
    tasks, tries = read.tasks_and_tries()
    if len(tasks["task_id"]) > _LONG:
        # Of a long run the stream is shown before its states are known.
        with source.read() as connection:
            yield assemble(connection, run, tasks, tries, frames.empty("statuses")), marks
    statuses = _by_rank(read.statuses(marks))
    with source.read() as connection:
        known = assemble(connection, run, tasks, tries, statuses)
    known["statuses"] = statuses
    yield dict(known), marks
    known["edges"] = read.edges()
    known["nodes"] = frames.frame(
        "nodes", read.until(marks.node, queries.NODES_BETWEEN, queries.NODES)
    )
    known["blocks"] = frames.frame("blocks", read.whole(queries.BLOCKS))
    yield dict(known), marks
    known["samples"] = frames.frame(
        "samples", read.until(marks.sample, queries.SAMPLES_BETWEEN, queries.SAMPLES)
    )
    yield dict(known), marks


class _StageReader:
    """Reads tables of one run whole, each in a transaction of its own."""

    def __init__(self, source: Source, run: Run, progress: Progress) -> None:
        self._source = source
        self._run_id = run.run_id
        self._clock = LocalClock(run.zone, run.began_at)
        self._progress = progress
        _, gaps = source.open()
        self._is_packed = source.has_row_ids and not gaps

    def tasks_and_tries(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the columns of both."""
        if not self._is_packed:
            return self.whole(queries.TASKS), self.whole(queries.TRIES)
        return self._of_run(queries.TASKS_PACKED), self._of_run(queries.TRIES_PACKED)

    def statuses(self, marks: Marks) -> dict[str, Any]:
        """Return the columns of the states up to a mark."""
        if not self._is_packed:
            return self.until(marks.status, queries.STATUSES_BETWEEN, queries.STATUSES)
        return self._packed(queries.STATUSES_PACKED, 0, marks.status)

    def edges(self) -> pd.DataFrame:
        """Return what the tasks waited for."""
        with self._source.read() as connection:
            ends = self._ends(connection, queries.TASKS_PACKED) if self._is_packed else None
            return read_edges(connection, self._run_id, ends)

    def until(self, mark: int, between: queries.Reading, whole: queries.Reading) -> dict[str, Any]:
        """Return the columns of a table that only grows, up to a mark where it has row ids."""
        if not self._source.has_row_ids:
            return self.whole(whole)
        return self.whole(between, since=0, until=mark)

    def whole(self, reading: queries.Reading, **parameters: object) -> dict[str, Any]:
        """Return the columns of a table."""
        with self._source.read() as connection:
            columns = read_columns(
                connection,
                reading.query,
                reading.columns,
                {"run_id": self._run_id, **parameters},
                read=self._progress,
            )
        return self._clock.steadied(columns)

    def _of_run(self, reading: queries.PackedReading) -> dict[str, Any]:
        with self._source.read() as connection:
            ends = self._ends(connection, reading)
        return self._packed(reading, *ends)

    def _ends(self, connection: Connection, reading: queries.PackedReading) -> tuple[int, int]:
        """Return the row ids that the run's rows lie between; of the only run all of them do."""
        if connection.execute(queries.RUNS).scalar() == 1:
            return 0, connection.execute(reading.last).scalar_one()
        first, last = connection.execute(reading.ends, {"run_id": self._run_id}).one()
        return (first or 1) - 1, last or 0

    def _packed(self, reading: queries.PackedReading, since: int, until: int) -> dict[str, Any]:
        """Return the columns between two row ids; two threads read, as SQLite lets them."""
        middle = (since + until) // 2
        first = Gathered(reading.plain.columns)
        second = Gathered(reading.plain.columns, beside=first)

        def read(start: int, end: int, gathered: Gathered) -> None:
            with self._source.read() as connection:
                read_packed(
                    connection, reading, self._run_id, start, end, gathered, read=self._progress
                )

        rest = _beside(partial(read, middle, until, second))
        read(since, middle, first)
        rest.result()
        return self._clock.steadied(first.columns(second))


def _beside(work: Callable[[], None]) -> Future[None]:
    """Have something done in a thread that the end of the program does not wait for."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            work()
            future.set_result(None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, name="reading", daemon=True).start()
    return future


def read_changes(
    connection: Connection, run: Run, known: Frames, since: Marks
) -> tuple[Frames, Marks]:
    """
    Return the frames of a run as they are now, and the marks.

    Args:
        connection: To an SQLite database.
        run: The run, as it is now.
        known: Its frames as they were, all of them.
        since: Where the tables that only grow ended then.
    """
    until = read_marks(connection)
    clock = LocalClock(run.zone, run.began_at)

    def read(reading: queries.Reading, **parameters: object) -> dict[str, Any]:
        return clock.steadied(
            read_columns(
                connection, reading.query, reading.columns, {"run_id": run.run_id, **parameters}
            )
        )

    result = dict(known)
    added = read(queries.STATUSES_BETWEEN, since=since.status, until=until.status)
    if len(added["task_id"]):
        statuses = _by_rank(_appended("statuses", known["statuses"], added))
        changed = np.unique(added["task_id"])
        tasks, tries = _patched(read, known, changed, int(statuses["try_id"].max()))
        result |= assemble(connection, run, tasks, tries, statuses)
        result["statuses"] = statuses
        result["edges"] = patched_edges(connection, run.run_id, known["edges"], changed)
    elif run.is_ours:
        result["tasks"] = _with_running(connection, run, known["tasks"])
    for kind, reading, mark, last in (
        ("samples", queries.SAMPLES_BETWEEN, since.sample, until.sample),
        ("nodes", queries.NODES_BETWEEN, since.node, until.node),
    ):
        more = read(reading, since=mark, until=last)
        if len(more["time"]):
            result[kind] = frames.frame(kind, _appended(kind, known[kind], more))
    result["blocks"] = frames.frame("blocks", read(queries.BLOCKS))
    return result, until


def assemble(
    connection: Connection,
    run: Run,
    tasks: dict[str, Any],
    tries: dict[str, Any],
    statuses: pd.DataFrame,
) -> Frames:
    """Return the frames of tasks, tries and lanes from what the tables say of them."""
    tasks = _sorted(dict(tasks), tasks["task_id"])
    spread = int(tries["try_id"].max(initial=0)) + 1
    tries = _sorted(dict(tries), tries["task_id"] * spread + tries["try_id"])
    tasks["state"], tasks["parsl_state"] = latest_states(tasks["task_id"], statuses)
    tries["app"] = _apps_of(tries["task_id"], tasks)
    tries["ended"] = _ended(tries, statuses)
    tries["lane"], lane_frame = lanes.pack(
        pd.Series(tries["host"]), pd.Series(tries["running"]), pd.Series(tries["ended"])
    )
    task_frame = frames.frame("tasks", tasks)
    if run.is_ours:
        task_frame = _with_running(connection, run, task_frame)
    return {"tasks": task_frame, "tries": frames.frame("tries", tries), "lanes": lane_frame}


def _patched(
    read: Callable[..., dict[str, Any]], known: Frames, changed: np.ndarray, last_try: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return tasks and tries with the rows of some tasks read again."""
    if len(changed) > MANY and len(changed) * 4 > len(known["tasks"]):
        return read(queries.TASKS), read(queries.TRIES)
    tasks = _kept(known["tasks"], changed, queries.TASKS.columns)
    tries = _kept(known["tries"], changed, queries.TRIES.columns)
    try_ids = list(range(last_try + 1))
    for ids in in_pieces(changed):
        tasks = _concatenated(tasks, read(queries.TASKS_OF, task_ids=ids))
        tries = _concatenated(tries, read(queries.TRIES_OF, task_ids=ids, try_ids=try_ids))
    return tasks, tries


def _kept(
    frame: pd.DataFrame, changed: np.ndarray, columns: tuple[tuple[str, str], ...]
) -> dict[str, Any]:
    is_kept = ~np.isin(frame["task_id"].to_numpy(), changed)
    return {
        name: frame[name].array[is_kept] if kind == frames.NAME else frame[name].to_numpy()[is_kept]
        for name, kind in columns
    }


def _appended(kind: str, known: pd.DataFrame, added: dict[str, Any]) -> dict[str, Any]:
    before = {
        column.name: known[column.name].array
        if column.kind == frames.NAME
        else known[column.name].to_numpy()
        for column in frames.FRAMES[kind]
    }
    return _concatenated(before, added)


def _concatenated(before: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    return {
        name: joined(before[name], added[name])
        if isinstance(before[name], pd.Categorical)
        else np.concatenate([before[name], added[name]])
        for name in before
    }


def _by_rank(statuses: dict[str, Any]) -> pd.DataFrame:
    """
    Return the frame of statuses, by task, try and rank of the state.

    Within a try the order of states decides, since events come late and clocks of hosts differ.
    """
    try_id = statuses["try_id"]
    tries = int(try_id.max(initial=0)) + 1
    place = (statuses["task_id"] * tries + try_id) * RANKS + state_ranks(statuses["state"])
    return frames.frame("statuses", _sorted(statuses, place))


def _sorted(columns: dict[str, Any], key: np.ndarray) -> dict[str, Any]:
    """
    Return columns in the ascending order of a key, rows with equal ones as they stand.

    They are taken out one by one, lest there be two of each at once.
    """
    if np.all(key[1:] >= key[:-1]):
        return dict(columns)
    # Quick where most are in their order, as in what grows at its end.
    order = np.argsort(key, kind="stable")
    return {name: columns.pop(name).take(order) for name in list(columns)}


def _apps_of(task_ids: np.ndarray, tasks: dict[str, Any]) -> pd.Categorical:
    known, apps = tasks["task_id"], tasks["app"]
    categories = [*apps.categories, *([] if "" in apps.categories else [""])]
    codes = np.full(len(task_ids), categories.index(""))
    place, is_there = frames.places(task_ids, known)
    codes[is_there] = apps.codes[place[is_there]]
    return pd.Categorical.from_codes(codes, categories=categories)


def _ended(tries: dict[str, Any], statuses: pd.DataFrame) -> np.ndarray:
    """Return when the worker was done with each try; when it returned where that is not known."""
    ended: np.ndarray = tries["returned"].copy()
    if not len(statuses):
        return ended
    said = statuses[statuses["state"].to_numpy() == "running_ended"]
    place, is_there = frames.places_of_tries(said, tries)
    ended[place[is_there]] = said["time"].to_numpy()[is_there]
    return ended


def _with_running(connection: Connection, run: Run, tasks: pd.DataFrame) -> pd.DataFrame:
    """Return tasks with those marked that a worker has begun: our store knows it first."""
    ids = [task_id for task_id, _ in connection.execute(running_tries(run))]
    if not ids:
        return tasks
    is_running = np.isin(tasks["task_id"].to_numpy(), np.array(ids))
    before = tasks["state"].array
    state = mark_running(before, is_running)
    if state.categories.equals(before.categories) and (state.codes == before.codes).all():
        return tasks
    return tasks.assign(state=state)
