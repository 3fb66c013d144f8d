"""List the tasks of a run: filtered and sorted by the database, never all in memory."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Subquery,
    case,
    false,
    func,
    or_,
    select,
)

from otel_parsl.query.counts import select_counts
from otel_parsl.query.pace import seconds_between
from otel_parsl.query.runs import Run
from otel_parsl.query.task_states import TaskState, task_states
from otel_parsl.query.times import ns_from_utc
from otel_parsl.schema import otel_failure, otel_try, resource, task, try_

URGENCY = (
    TaskState.FAILED,
    TaskState.LOST,
    TaskState.UNFINISHED,
    TaskState.UNKNOWN,
    TaskState.RUNNING,
    TaskState.RETRYING,
    TaskState.JOINING,
    TaskState.QUEUED,
    TaskState.WAITING,
    TaskState.DEP_FAILED,
    TaskState.EXECUTED,
    TaskState.MEMOISED,
)
"""What people look for comes first: the tasks that are done would bury the rest."""

SORTS = ("urgency", "id", "latest", "run", "memory")


class TaskFilter(NamedTuple):
    """Which tasks are wanted; all conditions must hold."""

    apps: Sequence[str] = ()
    states: Sequence[TaskState] = ()
    hosts: Sequence[str] = ()
    """A host's whole name, or its first part."""
    text: str | None = None
    """Anywhere in the app's name, the inputs and outputs, a path or a failure, in any case."""


class TaskIds(NamedTuple):
    """The tasks that were found."""

    found: list[tuple[int, TaskState]]
    """Ids and states, in the order asked for."""
    total: int
    """How many there are without the limit."""


def select_task_ids(
    connection: Connection,
    run: Run,
    wanted: TaskFilter = TaskFilter(),  # noqa: B008 - immutable
    *,
    sort: str = "urgency",
    limit: int | None = None,
    now: datetime.datetime,
) -> TaskIds:
    """
    Return the tasks that a filter lets through.

    Args:
        connection: Of ``engine.Database.read``.
        run: The run.
        wanted: Which tasks.
        sort: One of ``SORTS``: what needs a look first, by id, the latest first, the longest run
            first, the largest memory first.
        limit: How many at most; None for all.
        now: Until when tries that run are taken to have run.
    """
    states = task_states(run)
    query = select(states.c.task_id, states.c.state)
    for condition in _conditions(run, wanted, states):
        query = query.where(condition)
    if sort == "urgency" and run.is_ours and limit is not None:
        queries = _state_by_state(connection, run, wanted, query, states)
    else:
        queries = iter([_sorted(connection, run, query, states, sort, now)])
    rows: list[tuple[int, TaskState]] = []
    while limit is None or len(rows) < limit:
        part = next(queries, None)
        if part is None:
            break
        rest = None if limit is None else limit - len(rows)
        found = connection.execute(part.limit(rest))
        rows += [(task_id, TaskState(state)) for task_id, state, *_ in found]
    return TaskIds(rows, _total(connection, run, wanted, query, len(rows), limit))


def _state_by_state(
    connection: Connection,
    run: Run,
    wanted: TaskFilter,
    query: Select[Any],
    states: Subquery,
) -> Iterator[Select[Any]]:
    """
    Give a query for each state that has tasks, the most urgent first.

    A million tasks need not be sorted for the fifty that are shown: they are taken in the order
    of the table, until there are enough.
    """
    present = {state for _, state in select_counts(connection, run)}
    for state in URGENCY:
        if state in present and (not wanted.states or state in wanted.states):
            yield query.where(states.c.state == state.value).order_by(states.c.task_id)


def _total(
    connection: Connection,
    run: Run,
    wanted: TaskFilter,
    query: Select[Any],
    found: int,
    limit: int | None,
) -> int:
    if limit is None or found < limit:
        return found
    if run.is_ours and not wanted.hosts and not wanted.text:
        return sum(
            tasks
            for (app, state), tasks in select_counts(connection, run).items()
            if (not wanted.apps or app in wanted.apps)
            and (not wanted.states or state in wanted.states)
        )
    counted = query.with_only_columns(func.count(), maintain_column_froms=True)
    return int(connection.execute(counted).scalar_one())


def select_app_names(connection: Connection, run: Run) -> list[str]:
    """Return the names of the apps of a run's tasks."""
    query = select(task.c.task_func_name).where(task.c.run_id == run.run_id).distinct()
    return sorted(connection.execute(query).scalars())


def _conditions(run: Run, wanted: TaskFilter, states: Subquery) -> Iterator[ColumnElement[bool]]:
    if wanted.apps:
        yield states.c.app.in_(wanted.apps)
    if wanted.states:
        yield states.c.state.in_([state.value for state in wanted.states])
    if wanted.hosts:
        on_host = or_(
            *(try_.c.hostname == host for host in wanted.hosts),
            *(try_.c.hostname.startswith(f"{host}.", autoescape=True) for host in wanted.hosts),
        )
        yield states.c.task_id.in_(_task_ids(try_, run, on_host))
    if wanted.text:
        yield _says(run, wanted.text, states)


def _says(run: Run, text: str, states: Subquery) -> ColumnElement[bool]:
    texts = (
        task.c.task_func_name,
        task.c.task_inputs,
        task.c.task_outputs,
        task.c.task_stdin,
        task.c.task_stdout,
        task.c.task_stderr,
    )
    places: list[tuple[FromClause, tuple[ColumnElement[Any], ...]]] = [
        (task, texts),
        (try_, (try_.c.task_fail_history,)),
    ]
    if run.is_ours:
        ours = otel_failure.c
        places.append((otel_failure, (ours.exception_type, ours.message, ours.fate)))
    found: ColumnElement[bool] = false()
    for table, columns in places:
        any_column = or_(*(column.icontains(text, autoescape=True) for column in columns))
        found = or_(found, states.c.task_id.in_(_task_ids(table, run, any_column)))
    return found


def _task_ids(table: FromClause, run: Run, condition: ColumnElement[bool]) -> Select[Any]:
    return select(table.c.task_id).where(table.c.run_id == run.run_id, condition)


def _sorted(
    connection: Connection,
    run: Run,
    query: Select[Any],
    states: Subquery,
    sort: str,
    now: datetime.datetime,
) -> Select[Any]:
    if sort == "id":
        return query.order_by(states.c.task_id)
    if sort == "latest":
        return query.order_by(states.c.task_id.desc())
    if sort == "urgency":
        rank = case(
            *((states.c.state == state.value, number) for number, state in enumerate(URGENCY))
        )
        return query.order_by(rank, states.c.task_id)
    if sort == "run":
        measured = _run_times(run, now) if run.is_ours else _parsls_run_times(connection, run)
    else:
        measured = _memory_peaks(run)
    most = measured.group_by("task_id").subquery("most")
    return query.outerjoin(most, most.c.task_id == states.c.task_id).order_by(
        most.c.value.desc().nulls_last(), states.c.task_id
    )


def _run_times(run: Run, now: datetime.datetime) -> Select[Any]:
    until = case(
        (otel_try.c.ended_ns.is_not(None), otel_try.c.ended_ns),
        (otel_try.c.state == "launched", ns_from_utc(run.completed_at or now)),
    )
    value = func.max(until - otel_try.c.running_ns).label("value")
    return select(otel_try.c.task_id.label("task_id"), value).where(otel_try.c.run_id == run.run_id)


def _parsls_run_times(connection: Connection, run: Run) -> Select[Any]:
    took = seconds_between(connection, try_.c.task_try_time_running, try_.c.task_try_time_returned)
    return select(try_.c.task_id.label("task_id"), func.max(took).label("value")).where(
        try_.c.run_id == run.run_id
    )


def _memory_peaks(run: Run) -> Select[Any]:
    table, column = (
        (otel_try, otel_try.c.memory_peak_bytes)
        if run.is_ours
        else (resource, resource.c.psutil_process_memory_resident)
    )
    return select(table.c.task_id.label("task_id"), func.max(column).label("value")).where(
        table.c.run_id == run.run_id
    )
