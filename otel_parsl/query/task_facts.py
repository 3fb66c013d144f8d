"""Read what is known of tasks themselves, and what hangs on one of them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, String, cast, func, literal, or_, select

from otel_parsl.query.errors import NoSuchRun
from otel_parsl.query.runs import Run
from otel_parsl.query.task_states import OF_PARSL, TaskState, task_states
from otel_parsl.query.times import utc_from_local
from otel_parsl.query.tries import ids_in
from otel_parsl.schema import otel_edge, status, task, workflow

_AT_ONCE = 500


class TaskFacts(NamedTuple):
    """A task, without its tries."""

    task_id: int
    app: str
    depends: tuple[int, ...]
    is_memoised: bool
    """Whether its app looks results up, not whether this one was found."""
    hashsum: str | None
    inputs: str | None
    outputs: str | None
    stdin: str | None
    stdout: str | None
    stderr: str | None
    invoked_at: datetime.datetime | None
    returned_at: datetime.datetime | None
    fail_count: int
    fail_cost: float | None
    """None where an older Parsl did not record it."""


class StateChange(NamedTuple):
    """A task took a state."""

    try_id: int
    state: str
    """Parsl's name."""
    at: datetime.datetime | None


class Neighbours(NamedTuple):
    """Tasks on one side of a task."""

    task_ids: list[int]
    """The first of them."""
    total: int


class SameHashsum(NamedTuple):
    """A task with the same hashsum, of the same run or another."""

    run_id: str
    run_number: str
    """The name of its run directory, as ``000``."""
    run_name: str | None
    task_id: int


def select_task_facts(
    connection: Connection, run: Run, task_ids: Sequence[int]
) -> dict[int, TaskFacts]:
    """Return what is known of tasks, by id; one that does not exist is left out."""
    found = {}
    for start in range(0, len(task_ids), _AT_ONCE):
        query = select(task).where(
            task.c.run_id == run.run_id,
            task.c.task_id.in_(task_ids[start : start + _AT_ONCE]),
        )
        for row in connection.execute(query):
            found[row.task_id] = _facts(row, run)
    return found


def select_task(connection: Connection, run: Run, task_id: int) -> tuple[TaskFacts, TaskState]:
    """
    Return one task, and in which state it is.

    Raises:
        NoSuchRun: The run has no such task.
    """
    facts = select_task_facts(connection, run, [task_id]).get(task_id)
    if facts is None:
        number = connection.execute(
            select(func.count()).where(task.c.run_id == run.run_id)
        ).scalar_one()
        raise NoSuchRun(
            f"run {run.number} ({run.run_id}) has no task {task_id}; it has {number} tasks"
        )
    states = task_states(run)
    query = select(states.c.state).where(states.c.task_id == task_id)
    return facts, TaskState(connection.execute(query).scalar_one_or_none() or TaskState.UNKNOWN)


def select_done_at(
    connection: Connection, run: Run, task_ids: Sequence[int]
) -> datetime.datetime | None:
    """Return when the last of these tasks was done; None while one is not, or is unknown."""
    done = []
    wanted = sorted(set(task_ids))
    for start in range(0, len(wanted), _AT_ONCE):
        query = select(task.c.task_time_returned).where(
            task.c.run_id == run.run_id,
            task.c.task_id.in_(wanted[start : start + _AT_ONCE]),
        )
        done += [at for at in connection.execute(query).scalars() if at is not None]
    return utc_from_local(max(done), run.zone) if done and len(done) == len(wanted) else None


def select_state_changes(connection: Connection, run: Run, task_id: int) -> list[StateChange]:
    """Return the states that a task took, in their order: that of clocks may be another."""
    query = select(status).where(status.c.task_id == task_id, status.c.run_id == run.run_id)
    changes = [
        StateChange(row.try_id, row.task_status_name, utc_from_local(row.timestamp, run.zone))
        for row in connection.execute(query.order_by(status.c.timestamp))
    ]
    ranks = {name: rank for rank, name in enumerate(OF_PARSL)}
    return sorted(changes, key=lambda change: (change.try_id, ranks.get(change.state, len(ranks))))


def select_dependents(
    connection: Connection, run: Run, task_id: int, *, limit: int = 20
) -> Neighbours:
    """Return the tasks that wait, or waited, for a task."""
    if run.is_ours:
        column: Any = otel_edge.c.task_id
        conditions: tuple[ColumnElement[bool], ...] = (
            otel_edge.c.run_id == run.run_id,
            otel_edge.c.on_task_id == task_id,
            otel_edge.c.kind == "depends",
        )
    else:
        column = task.c.task_id
        listed = literal(",") + cast(task.c.task_depends, String) + ","
        conditions = (task.c.run_id == run.run_id, listed.contains(f",{task_id},"))
    query = select(column).where(*conditions)
    found = list(connection.execute(query.order_by(column).limit(limit + 1)).scalars())
    total = len(found)
    if total > limit:
        counted = select(func.count()).where(*conditions)
        total = connection.execute(counted).scalar_one()
    return Neighbours(found[:limit], total)


def select_same_hashsum(
    connection: Connection, run: Run, facts: TaskFacts, *, limit: int = 20
) -> tuple[list[SameHashsum], int]:
    """Return the first other tasks with a task's hashsum, of any run, and how many there are."""
    if facts.hashsum is None:
        return [], 0
    conditions = (
        task.c.task_hashsum == facts.hashsum,
        or_(task.c.run_id != run.run_id, task.c.task_id != facts.task_id),
    )
    query = (
        select(task.c.run_id, workflow.c.rundir, workflow.c.workflow_name, task.c.task_id)
        .join(workflow, workflow.c.run_id == task.c.run_id)
        .where(*conditions)
        .order_by(workflow.c.time_began, task.c.task_id)
        .limit(limit)
    )
    found = [
        SameHashsum(run_id, PurePath(rundir).name, name, task_id)
        for run_id, rundir, name, task_id in connection.execute(query)
    ]
    if len(found) < limit:
        return found, len(found)
    total = connection.execute(select(func.count()).where(*conditions)).scalar_one()
    return found, total


def select_states_of(
    connection: Connection, run: Run, task_ids: Sequence[int]
) -> dict[int, TaskState]:
    """Return the states of a few tasks."""
    if not task_ids:
        return {}
    states = task_states(run)
    query = select(states.c.task_id, states.c.state).where(
        or_(*(states.c.task_id == task_id for task_id in task_ids))
    )
    return {task_id: TaskState(state) for task_id, state in connection.execute(query)}


def _facts(row: Any, run: Run) -> TaskFacts:
    return TaskFacts(
        task_id=row.task_id,
        app=row.task_func_name,
        depends=ids_in(row.task_depends),
        is_memoised=row.task_memoize not in ("0", "False", "false"),
        hashsum=row.task_hashsum,
        inputs=_said(row.task_inputs),
        outputs=_said(row.task_outputs),
        stdin=_said(row.task_stdin),
        stdout=_said(row.task_stdout),
        stderr=_said(row.task_stderr),
        invoked_at=utc_from_local(row.task_time_invoked, run.zone),
        returned_at=utc_from_local(row.task_time_returned, run.zone),
        fail_count=row.task_fail_count,
        fail_cost=row.task_fail_cost,
    )


def _said(text: str | None) -> str | None:
    """Return what Parsl's text says; several of its texts mean nothing at all."""
    return None if text in (None, "", "None", "[]") else text
