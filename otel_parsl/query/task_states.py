"""
In which state each task of a run is, in words for people.

Parsl's states say what the submit side knows; whether a launched task runs is known from its
worker. Within a try the order of states decides, never clocks of two hosts.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, Subquery, and_, case, exists, func, literal, or_, select

from otel_parsl.query.runs import Run
from otel_parsl.schema import otel_failure, otel_task, otel_try, status, task


class TaskState(str, enum.Enum):
    """Every task is in exactly one of these, so their counts sum to the total."""

    WAITING = "waiting"
    """For tasks that it depends on, or for Parsl to launch it."""
    QUEUED = "queued"
    """Launched, and no worker has said that it began; what Parsl's executors hold is in here."""
    RETRYING = "retrying"
    """Failed before, and waiting or queued for another try."""
    RUNNING = "running"
    JOINING = "joining"
    """A join app that has returned, and whose tasks have not."""
    EXECUTED = "executed"
    MEMOISED = "memoised"
    """Its result was known already."""
    FAILED = "failed"
    DEP_FAILED = "dep_failed"
    """Never tried, because a task that it depends on failed."""
    LOST = "lost"
    """What ran it died, and so did all that could end it."""
    UNFINISHED = "unfinished"
    """Its run has ended without it."""
    UNKNOWN = "unknown"
    """A state that this program does not know."""

    def __str__(self) -> str:
        return self.value


OPEN = (
    TaskState.WAITING,
    TaskState.QUEUED,
    TaskState.RETRYING,
    TaskState.RUNNING,
    TaskState.JOINING,
)
LEFT_OPEN = (TaskState.LOST, TaskState.UNFINISHED)
FAILED = (TaskState.FAILED, TaskState.DEP_FAILED)

OF_PARSL: dict[str, TaskState] = {
    "unsched": TaskState.WAITING,
    "pending": TaskState.WAITING,
    "launched": TaskState.QUEUED,
    "running": TaskState.RUNNING,
    "running_ended": TaskState.RUNNING,
    "joining": TaskState.JOINING,
    "fail_retryable": TaskState.RETRYING,
    "exec_done": TaskState.EXECUTED,
    "memo_done": TaskState.MEMOISED,
    "failed": TaskState.FAILED,
    "dep_fail": TaskState.DEP_FAILED,
}
"""What each of Parsl's states means where nothing more is known of the task."""

_RANKED = tuple(OF_PARSL)
_RANKS = 16
"""More than there are ranks: a later try outranks every state of the one before."""


def task_states(run: Run) -> Subquery:
    """Return a subquery of all tasks of a run: ``task_id``, ``app`` and ``state``."""
    states = (_of_ours(run) if run.is_ours else _of_parsls(run)).subquery("states")
    left = left_open_as(run)
    if left is None:
        return states
    of_open = case(
        (states.c.state.in_([state.value for state in OPEN]), left.value), else_=states.c.state
    )
    return select(states.c.task_id, states.c.app, of_open.label("state")).subquery("ended")


def left_open_as(run: Run) -> TaskState | None:
    """Return what the open tasks of a run are that has ended; None while it goes on."""
    if run.outcome is None:
        return None
    return TaskState.LOST if run.outcome == "lost" else TaskState.UNFINISHED


def running_tries(run: Run) -> Select[Any]:
    """
    Return a query of the tries of a run of ours that a worker has begun and not ended.

    Its conditions are those of the partial index that keeps it quick.
    """
    return select(otel_try.c.task_id, otel_try.c.running_ns).where(
        otel_try.c.run_id == run.run_id,
        otel_try.c.running_ns.is_not(None),
        otel_try.c.ended_ns.is_(None),
        # The rest died with their workers, as the submit side has found out since.
        or_(otel_try.c.state.is_(None), otel_try.c.state == "launched"),
        # Or died with their executor, which the submit side never finds out.
        ~exists().where(
            otel_failure.c.run_id == otel_try.c.run_id,
            otel_failure.c.task_id == otel_try.c.task_id,
            otel_failure.c.try_id == otel_try.c.try_id,
        ),
    )


def lost_tasks(run: Run) -> Select[Any]:
    """Return a query of tasks of a run of ours that failed for good; its open ones are lost."""
    return select(otel_failure.c.task_id).where(
        otel_failure.c.run_id == run.run_id, otel_failure.c.is_final
    )


def failed_before(run: Run) -> Select[Any]:
    """Return a query of the tasks of a run of ours of which a try failed that was not the last."""
    return select(otel_failure.c.task_id).where(
        otel_failure.c.run_id == run.run_id, otel_failure.c.is_final.is_(False)
    )


def _of_ours(run: Run) -> Select[Any]:
    stored = otel_task.c.state
    running = running_tries(run).with_only_columns(otel_try.c.task_id)
    certain = [
        (stored == name, literal(state.value))
        for name, state in OF_PARSL.items()
        if name not in ("unsched", "pending", "launched")
    ]
    state = case(
        *certain,
        (otel_task.c.task_id.in_(lost_tasks(run)), TaskState.LOST.value),
        (otel_task.c.task_id.in_(running), TaskState.RUNNING.value),
        (otel_task.c.task_id.in_(failed_before(run)), TaskState.RETRYING.value),
        (stored == "launched", TaskState.QUEUED.value),
        (stored.in_(("unsched", "pending")), TaskState.WAITING.value),
        else_=TaskState.UNKNOWN.value,
    )
    return select(otel_task.c.task_id, otel_task.c.app, state.label("state")).where(
        otel_task.c.run_id == run.run_id
    )


def recorded_states(run_ids: Sequence[str]) -> Select[Any]:
    """
    Return a query of all tasks of runs: ``run_id``, ``task_id``, ``app`` and ``state``.

    The states are those that Parsl's own tables have; what a run left open is open in them.
    """
    rank = case(
        *((status.c.task_status_name == name, rank) for rank, name in enumerate(_RANKED)),
        else_=len(_RANKED),
    )
    furthest = (
        select(
            status.c.task_id,
            status.c.run_id,
            func.max(status.c.try_id * _RANKS + rank).label("place"),
        )
        .where(status.c.run_id.in_(run_ids))
        .group_by(status.c.task_id, status.c.run_id)
        .subquery("furthest")
    )
    place = furthest.c.place
    before_launch = [_RANKED.index(name) for name in ("unsched", "pending", "launched")]
    state = case(
        (place.is_(None), TaskState.WAITING.value),
        ((place >= _RANKS) & (place % _RANKS).in_(before_launch), TaskState.RETRYING.value),
        *((place % _RANKS == rank, OF_PARSL[name].value) for rank, name in enumerate(_RANKED)),
        else_=TaskState.UNKNOWN.value,
    )
    return (
        select(
            task.c.run_id,
            task.c.task_id,
            task.c.task_func_name.label("app"),
            state.label("state"),
        )
        .outerjoin(
            furthest,
            and_(furthest.c.task_id == task.c.task_id, furthest.c.run_id == task.c.run_id),
        )
        .where(task.c.run_id.in_(run_ids))
    )


def _of_parsls(run: Run) -> Select[Any]:
    recorded = recorded_states([run.run_id]).subquery("recorded").c
    return select(recorded.task_id, recorded.app, recorded.state)
