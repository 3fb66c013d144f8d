"""How many tasks of each app are in which state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from otel_parsl.query.runs import Run
from otel_parsl.query.task_states import (
    OF_PARSL,
    OPEN,
    TaskState,
    failed_before,
    left_open_as,
    lost_tasks,
    recorded_states,
    running_tries,
)
from otel_parsl.schema import otel_count, otel_task, otel_try

AppStates = Counter[tuple[str, TaskState]]

_UNDER_WAY = ("unsched", "pending", "launched")


def select_counts(connection: Connection, run: Run) -> AppStates:
    """Return the number of tasks by app and state, without those that are zero."""
    if run.is_ours:
        return _of_ours(connection, run)
    return with_left_open(select_recorded_counts(connection, [run.run_id])[run.run_id], run)


def select_recorded_counts(connection: Connection, run_ids: Sequence[str]) -> dict[str, AppStates]:
    """
    Return the number of tasks by app and state of runs that Parsl's own hub recorded.

    All rows are gone through, however many runs are asked for: a million tasks take seconds.
    """
    states = recorded_states(run_ids).subquery("states").c
    query = select(states.run_id, states.app, states.state, func.count()).group_by(
        states.run_id, states.app, states.state
    )
    counts: dict[str, AppStates] = {run_id: Counter() for run_id in run_ids}
    for run_id, app, state, tasks in connection.execute(query):
        counts[run_id][app, TaskState(state)] = tasks
    return counts


def with_left_open(counts: AppStates, run: Run) -> AppStates:
    """Return counts with those tasks that are open as what they are once their run has ended."""
    left = left_open_as(run)
    if left is None:
        return counts
    ended: AppStates = Counter()
    for (app, state), tasks in counts.items():
        ended[app, left if state in OPEN else state] += tasks
    return ended


def _of_ours(connection: Connection, run: Run) -> AppStates:
    """Take the counts that the store keeps, and tell apart what it has as launched or pending."""
    query = select(otel_count.c.app, otel_count.c.state, otel_count.c.tasks).where(
        otel_count.c.run_id == run.run_id, otel_count.c.tasks != 0
    )
    counts: AppStates = Counter()
    left = left_open_as(run)
    is_under_way = False
    for app, state, tasks in connection.execute(query):
        known = OF_PARSL.get(state, TaskState.UNKNOWN)
        counts[app, (left or known) if known in OPEN else known] += tasks
        is_under_way |= state in _UNDER_WAY
    if is_under_way and left is None:
        _move(connection, run, counts)
    return +counts


def _move(connection: Connection, run: Run, counts: AppStates) -> None:
    tasks = otel_task.c
    running = running_tries(run).with_only_columns(otel_try.c.task_id)
    of_run = (tasks.run_id == run.run_id, tasks.state.in_(_UNDER_WAY))
    grouped = select(tasks.app, tasks.state, func.count()).group_by(tasks.app, tasks.state)
    begun = grouped.where(*of_run, tasks.task_id.in_(running))
    lost = grouped.where(*of_run, tasks.task_id.in_(lost_tasks(run)))
    again = grouped.where(
        *of_run,
        tasks.task_id.in_(failed_before(run)),
        tasks.task_id.not_in(running),
        tasks.task_id.not_in(lost_tasks(run)),
    )
    for query, state in (
        (begun, TaskState.RUNNING),
        (again, TaskState.RETRYING),
        (lost, TaskState.LOST),
    ):
        for app, stored, number in connection.execute(query):
            counts[app, OF_PARSL[stored]] -= number
            counts[app, state] += number


def select_lost(connection: Connection, run: Run) -> int:
    """Return how many tasks died with their run, of which no failure tells."""
    if left_open_as(run) is not TaskState.LOST:
        return 0
    counts = select_counts(connection, run)
    lost = sum(tasks for (_, state), tasks in counts.items() if state is TaskState.LOST)
    if not lost or not run.is_ours:
        return lost
    stored = [name for name, state in OF_PARSL.items() if state in OPEN]
    told = select(func.count()).where(
        otel_task.c.run_id == run.run_id,
        otel_task.c.state.in_(stored),
        otel_task.c.task_id.in_(lost_tasks(run)),
    )
    return lost - (connection.execute(told).scalar() or 0)
