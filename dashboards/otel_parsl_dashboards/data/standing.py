"""How a run stands: the facts of its header, by the queries that ``otel-parsl status`` asks."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection, select

from otel_parsl.query.counts import AppStates, select_counts, with_left_open
from otel_parsl.query.liveness import Liveness, RunState, as_found, select_liveness, with_open_tasks
from otel_parsl.query.runs import Run
from otel_parsl.query.task_states import LEFT_OPEN, OPEN, TaskState
from otel_parsl.schema import workflow
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.data.loading import Frames
from otel_parsl_dashboards.data.local_clock import LocalClock


class Standing(NamedTuple):
    """A run, and how it stands."""

    run: Run
    liveness: Liveness
    counts: AppStates | None
    """Tasks by app and state; None while they are not known."""
    completed_count: int
    """As Parsl counted: tasks that ran and succeeded."""
    failed_count: int
    """As Parsl counted: tasks that failed by themselves."""
    now: datetime.datetime
    """When this was found; aware."""

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self.liveness.state is RunState.RUNNING

    @property
    def last_at(self) -> datetime.datetime:
        """Its end, or for one that goes on now, or when it was heard of last; aware."""
        if self.is_running:
            return self.now
        return self.run.completed_at or self.liveness.last_sign_at or self.run.began_at

    @property
    def elapsed_s(self) -> float:
        """How long it took, or has taken so far."""
        return max((self.last_at - self.run.began_at).total_seconds(), 0.0)

    @property
    def states(self) -> Counter[TaskState]:
        """How many tasks are in each state."""
        total: Counter[TaskState] = Counter()
        for (_, state), tasks in (self.counts or {}).items():
            total[state] += tasks
        return total

    @property
    def is_counted(self) -> bool:
        """Whether it is known how many tasks succeeded and failed; Parsl says so at a run's end."""
        return self.counts is not None or self.run.completed_at is not None

    @property
    def executed(self) -> int:
        """How many tasks ran and succeeded, as Parsl counted where their states are not known."""
        return self.completed_count if self.counts is None else self.states[TaskState.EXECUTED]

    @property
    def failed(self) -> int:
        """How many tasks failed by themselves, as Parsl counted where that is not known."""
        return self.failed_count if self.counts is None else self.states[TaskState.FAILED]

    @property
    def clock(self) -> LocalClock:
        """The clock of its frames."""
        return LocalClock(self.run.zone, self.run.began_at)

    def local(self, time: datetime.datetime) -> np.datetime64:
        """Return an aware time as frames have it."""
        return self.clock.local(time)

    def utc(self, time: np.datetime64) -> datetime.datetime:
        """Return a time of a frame as an aware one."""
        return self.clock.utc(time)


def read_standing(
    connection: Connection,
    run: Run,
    known: Frames | None,
    *,
    recorded: AppStates | None = None,
    now: datetime.datetime,
) -> Standing:
    """
    Return how a run stands.

    Args:
        connection: Of ``Source.read``.
        run: The run.
        known: Its frames, as far as they have been read, with what it left open marked.
        recorded: Its tasks by app and state as Parsl's own hub recorded them, if they were counted.
        now: The time it is.
    """
    liveness = select_liveness(connection, run, now=now)
    as_ended = as_found(run, liveness)
    counts = None
    if known is not None and "statuses" in known:
        counts = count(known)
    elif run.is_ours:
        counts = select_counts(connection, as_ended)
    elif recorded is not None:
        counts = with_left_open(recorded, as_ended)
    row = connection.execute(
        select(workflow.c.tasks_completed_count, workflow.c.tasks_failed_count).where(
            workflow.c.run_id == run.run_id
        )
    ).one()
    is_open = (*OPEN, *LEFT_OPEN)
    open_tasks = sum(tasks for (_, state), tasks in (counts or {}).items() if state in is_open)
    liveness = with_open_tasks(liveness, open_tasks)
    return Standing(run, liveness, counts, row[0] or 0, row[1] or 0, now)


def count(known: Frames) -> AppStates:
    """Return how many tasks of each app are in which state."""
    tasks = known["tasks"]
    states = list(tasks["state"].cat.categories)
    apps = list(tasks["app"].cat.categories)
    keys = tasks["app"].cat.codes.to_numpy().astype("int64") * len(states) + tasks[
        "state"
    ].cat.codes.to_numpy().astype("int64")
    numbers = np.bincount(keys, minlength=len(apps) * len(states)) if len(tasks) else np.array([])
    return Counter(
        {
            (apps[key // len(states)], TaskState(states[key % len(states)])): int(numbers[key])
            for key in np.flatnonzero(numbers)
        }
    )


def last_time(known: Frames) -> np.datetime64:
    """Return the latest time that any frame has; NaT where there is none."""
    latest = np.datetime64("NaT", "us")
    for kind, name in (("tries", "returned"), ("tries", "running"), ("statuses", "time")):
        times = known[kind][name].to_numpy().astype(frames.TIME) if kind in known else None
        if times is not None and len(times):
            latest = np.fmax(latest, np.fmax.reduce(times))
    return latest
