"""
Read a run into frames: whole at first, then what was added.

Flow: source -> **loading** -> frames -> snapshot
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from otel_parsl.query.runs import Run
from otel_parsl.query.task_states import running_tries
from otel_parsl.semconv import FINAL_STATES, TRY_FAILED_STATES
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

_RETURNED = FINAL_STATES | TRY_FAILED_STATES
_GIVEN_UP_S = 600.0
_MOST_UNSETTLED = 20_000
"""More are not of a moment: a Parsl of old did not write such things at all."""
_LONG = 20_000
"""Tasks from which on a run is shown before all of it is read."""


class Unsettled(NamedTuple):
    """
    Tasks that lack what their states tell of, to be read again at each change.

    Parsl's database manager commits the states of a batch before the tries that they are of
    (``parsl/monitoring/db_manager.py``); our store commits all in one.
    """

    task_ids: np.ndarray = np.array([], "int64")
    since_s: np.ndarray = np.array([], "float64")
    """By the monotonic clock."""


class Marks(NamedTuple):
    """How far the tables that only grow had been read."""

    status: int = 0
    """A row id of SQLite, as the next two."""
    sample: int = 0
    node: int = 0
    transaction: str = ""
    """Of PostgreSQL, which numbers no rows: all before it were over."""
    is_of_stages: bool = False
    """Whether a task may have been read before its states."""
    unsettled: Unsettled = Unsettled()


def read_marks(connection: Connection) -> Marks:
    """Return where the tables that only grow end now."""
    if connection.dialect.name != "sqlite":
        return Marks(transaction=connection.execute(queries.ELDEST_TRANSACTION).scalar_one())
    status, sample, node = (
        int(connection.execute(query).scalar_one())
        for query in (queries.LAST_STATUS, queries.LAST_SAMPLE, queries.LAST_NODE)
    )
    return Marks(status, sample, node)


def read_stages(source: Source, run: Run, progress: Progress) -> Iterator[tuple[Frames, Marks]]:
    """
    Yield the frames of a run so far, each time that another stage has been read, and its marks.

    Each stage has a transaction of its own, lest a writer without a write-ahead log have to wait
    for them all; what is written meanwhile is beyond the marks.
    """
    with source.read() as connection:
        marks = read_marks(connection)._replace(is_of_stages=True)
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
    if not run.is_ours and not is_long_over(run):
        task_ids = np.unique(statuses["task_id"].to_numpy())
        marks = marks._replace(unsettled=_unsettled(marks.unsettled, task_ids, known))
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
        """
        Return the columns of a table that only grows, up to a mark.

        Without row ids it is what there is now: what is beyond the marks is known then.
        """
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
        connection: Of ``Source.read``.
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

    before = {kind: known[kind] for kind in ("statuses", "samples", "nodes")}
    if until.transaction:
        # Another server may have taken its place, which had not heard of the last transactions.
        is_later = int(until.transaction) >= int(since.transaction)
        transaction = since.transaction if is_later else queries.FIRST_TRANSACTION
        written = read(queries.STATUSES_SINCE, transaction=transaction)
        samples = read(queries.SAMPLES_SINCE, transaction=transaction)
        nodes = read(queries.NODES_SINCE, transaction=transaction)
        key = ("task_id", "try_id", "time")
        states, before["statuses"] = _news(written, known["statuses"], (*key, "state"))
        samples, before["samples"] = _news(samples, known["samples"], key)
        nodes, before["nodes"] = _news(nodes, known["nodes"], ("uid", "time"))
    else:
        states = written = read(queries.STATUSES_BETWEEN, since=since.status, until=until.status)
        samples = read(queries.SAMPLES_BETWEEN, since=since.sample, until=until.sample)
        nodes = read(queries.NODES_BETWEEN, since=since.node, until=until.node)

    result = dict(known)
    # Of stages, a state that is known already may be newer than what was read of its task.
    changed = np.unique((written if since.is_of_stages else states)["task_id"])
    again = np.union1d(changed, since.unsettled.task_ids)
    if len(again):
        statuses = _by_rank(_appended("statuses", before["statuses"], states))
        tasks, tries = _patched(read, known, again, int(statuses["try_id"].max()))
        result |= assemble(connection, run, tasks, tries, statuses)
        result["statuses"] = statuses
        result["edges"] = patched_edges(connection, run.run_id, known["edges"], again)
    elif run.is_ours:
        result["tasks"] = _with_running(connection, run, known["tasks"])
    if not run.is_ours:
        until = until._replace(unsettled=_unsettled(since.unsettled, changed, result))
    for kind, more in (("samples", samples), ("nodes", nodes)):
        if len(more["time"]):
            result[kind] = frames.frame(kind, _appended(kind, before[kind], more))
    result["blocks"] = frames.frame("blocks", read(queries.BLOCKS))
    return result, until


def is_long_over(run: Run) -> bool:
    """Tell whether a run ended so long ago that nothing comes of it any more."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return run.completed_at is not None and now - run.completed_at > datetime.timedelta(hours=1)


def _unsettled(before: Unsettled, changed: np.ndarray, known: Frames) -> Unsettled:
    """Return which of these tasks, and of those that changed, lack what their states tell of."""
    now_s = time.monotonic()
    new = np.setdiff1d(changed, before.task_ids)
    task_ids = np.concatenate([before.task_ids, new])
    if not len(task_ids):
        return before  # all states would be looked through
    since_s = np.concatenate([before.since_s, np.full(len(new), now_s)])
    is_left = np.isin(task_ids, _untold(task_ids, known)) & (now_s - since_s < _GIVEN_UP_S)
    if np.count_nonzero(is_left) > _MOST_UNSETTLED:
        return Unsettled()
    return Unsettled(task_ids[is_left], since_s[is_left])


def _untold(task_ids: np.ndarray, known: Frames) -> np.ndarray:
    """Return which tasks have a state without the try that it is of, or without its time."""
    tries = known["tries"]
    of_these = known["statuses"][np.isin(known["statuses"]["task_id"].to_numpy(), task_ids)]
    task, state = of_these["task_id"].to_numpy(), of_these["state"].array
    _, is_last = frames.ends_of_runs(task)
    place, has_try = frames.places_of_tries(of_these, tries)
    lacks = ~has_try & is_last & ~state.isin(("unsched", "pending"))
    for name, is_told in (
        ("running", state == "running"),
        ("returned", is_last & state.isin(_RETURNED)),
    ):
        at = np.flatnonzero(has_try & is_told)
        lacks[at] |= np.isnat(tries[name].to_numpy()[place[at]])
    return np.unique(task[lacks])


def _news(
    rows: dict[str, Any], known: pd.DataFrame, key: Sequence[str]
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the rows that are not known as they are now, and the known ones but those."""
    if not len(rows["time"]):
        return rows, known
    is_of_them = known[key[0]].isin(np.unique(np.asarray(rows[key[0]]))).to_numpy()
    is_late = known["time"].to_numpy() >= np.fmin.reduce(rows["time"])
    near = np.flatnonzero(is_of_them & is_late)
    names = [*key, *(name for name in rows if name not in key)]
    values = zip(*(_plain(known[name].array[near]) for name in names), strict=True)
    there = {row[: len(key)]: (at, row) for at, row in zip(near, values, strict=True)}
    new, replaced = [], []
    for at, row in enumerate(zip(*(_plain(rows[name]) for name in names), strict=True)):
        found = there.get(row[: len(key)])
        if found is None or found[1] != row:
            new.append(at)
            replaced += [] if found is None else [found[0]]
    if replaced:
        known = known.take(np.delete(np.arange(len(known)), replaced))
    return {name: column[new] for name, column in rows.items()}, known


def _plain(values: Any) -> list[Any]:
    """Return values that are equal where they say the same: what is missing is None."""
    return [None if value != value else value for value in np.asarray(values).tolist()]


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
