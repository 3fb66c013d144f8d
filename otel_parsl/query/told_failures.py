"""
Group the failures of a run that Parsl's own hub recorded, by what it keeps of each exception.

That is a column of text, so every failed try is read: it takes seconds where there are many.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from typing import Any, NamedTuple

from sqlalchemy import Connection, exists, or_, select

from otel_parsl.failures.failure import Failure, describe_failure
from otel_parsl.query.failure_groups import (
    PROPAGATED,
    FailedTry,
    FailureGroup,
    GroupMembers,
    GroupSums,
    Propagated,
    grouped,
    roots_by_edges,
)
from otel_parsl.query.runs import Run
from otel_parsl.query.times import utc_from_local
from otel_parsl.query.tries import ids_in
from otel_parsl.schema import status, task, try_
from otel_parsl.semconv import FAILED_STATES


class _Told(NamedTuple):
    row: Any
    failure: Failure
    is_final: bool


def select_told_groups(connection: Connection, run: Run) -> list[FailureGroup]:
    """Return the causes that tries failed of: those that cost most tasks first."""
    told = _select(connection, run)
    recovered = _executed(connection, run)
    by_group: dict[str, list[_Told]] = defaultdict(list)
    for item in told:
        by_group[item.failure.fingerprint].append(item)
    sums = {name: _sums(items, run, recovered) for name, items in by_group.items()}
    groups = grouped(sums, _propagated(connection, run, told), _final_fingerprints(told))
    return [_with_example(group, by_group[group.fingerprint]) for group in groups]


def select_told_seen(
    connection: Connection, run: Run, start: datetime.datetime, end: datetime.datetime
) -> set[str]:
    """Return the fingerprints of causes of which a try failed from one aware time to another."""
    told = ((item.failure.fingerprint, _at(item, run)) for item in _select(connection, run))
    return {name for name, at in told if at is None or start <= at <= end}


def select_told_members(
    connection: Connection, run: Run, fingerprint: str, *, limit: int
) -> GroupMembers:
    """Return the first tries of a group, and the first tasks that are folded under it."""
    told = _select(connection, run)
    final = {item.row.task_id: item.failure for item in told if item.is_final}
    folded = {
        (item.row.task_id, item.row.try_id): final[root].fingerprint
        for item, root in _with_roots(connection, run, told)
        if root in final and final[root].fate.value not in PROPAGATED
    }
    tries, dependents = [], []
    for item in told:
        key = item.row.task_id, item.row.try_id
        cause = folded.get(key)
        if cause is None and item.failure.fingerprint == fingerprint:
            tries.append(FailedTry(*key, item.is_final))
        elif cause == fingerprint and item.is_final:
            dependents.append(item.row.task_id)
    tries.sort(key=lambda each: not each.is_final)  # they come by task
    return GroupMembers(tries[:limit], sorted(dependents)[:limit])


def _select(connection: Connection, run: Run) -> list[_Told]:
    final = _final_tries(connection, run)
    # A join app that returns no future fails without a word in its history.
    was_given_up = exists().where(
        status.c.task_id == try_.c.task_id,
        status.c.run_id == try_.c.run_id,
        status.c.try_id == try_.c.try_id,
        status.c.task_status_name.in_(sorted(FAILED_STATES)),
    )
    query = (
        select(try_, task.c.task_func_name.label("app"))
        .join_from(
            try_, task, (task.c.task_id == try_.c.task_id) & (task.c.run_id == try_.c.run_id)
        )
        .where(
            try_.c.run_id == run.run_id,
            or_(try_.c.task_fail_history != "", was_given_up),
        )
        .order_by(try_.c.task_id, try_.c.try_id)
    )
    return [
        _Told(
            row,
            describe_failure(fail_history=row.task_fail_history),
            (row.task_id, row.try_id) in final,
        )
        for row in connection.execute(query)
    ]


def _final_tries(connection: Connection, run: Run) -> set[tuple[int, int]]:
    query = select(status.c.task_id, status.c.try_id).where(
        status.c.run_id == run.run_id, status.c.task_status_name.in_(sorted(FAILED_STATES))
    )
    return {(task_id, try_id) for task_id, try_id in connection.execute(query)}


def _executed(connection: Connection, run: Run) -> set[int]:
    query = select(status.c.task_id).where(
        status.c.run_id == run.run_id, status.c.task_status_name == "exec_done"
    )
    return set(connection.execute(query).scalars())


def _sums(items: list[_Told], run: Run, executed: set[int]) -> GroupSums:
    sums = GroupSums(items[0].failure.fate.value)
    for item in items:
        row, at = item.row, _at(item, run)
        sums.add(
            app=row.app,
            tries=1,
            tasks=0,
            failed_tasks=int(item.is_final),
            first_at=at,
            last_at=at,
            example_task=row.task_id,
        )
        if row.hostname is not None:
            sums.hosts[row.hostname] += 1
    tasks = {item.row.task_id for item in items}
    sums.tasks = len(tasks)
    sums.recovered_tasks = len(tasks & executed)
    return sums


def _at(item: _Told, run: Run) -> datetime.datetime | None:
    """Return when a try failed; None where neither its end nor its launch is known."""
    row = item.row
    return utc_from_local(row.task_try_time_returned or row.task_try_time_launched, run.zone)


def _propagated(connection: Connection, run: Run, told: list[_Told]) -> list[Propagated]:
    return [
        Propagated(item.failure.fingerprint, root, 1, int(item.is_final))
        for item, root in _with_roots(connection, run, told)
    ]


def _with_roots(connection: Connection, run: Run, told: list[_Told]) -> list[tuple[_Told, int]]:
    """Return what failed because of another task, with that task."""
    ours = [item for item in told if item.failure.fate.value in PROPAGATED]
    unsaid = {item.row.task_id for item in ours if not item.failure.caused_by}
    roots = _roots(connection, run, told, unsaid) if unsaid else {}
    found = []
    for item in ours:
        causes = item.failure.caused_by
        root = causes[-1] if causes else roots.get(item.row.task_id)
        if root is not None:
            found.append((item, root))
    return found


def _roots(connection: Connection, run: Run, told: list[_Told], unsaid: set[int]) -> dict[int, int]:
    failed = {
        item.row.task_id: item.failure.fate.value not in PROPAGATED
        for item in told
        if item.is_final
    }
    joined = {item.row.task_id: ids_in(item.row.task_joins) for item in told}
    query = select(task.c.task_id, task.c.task_depends).where(task.c.run_id == run.run_id)
    edges = {
        task_id: (*ids_in(depends), *joined.get(task_id, ()))
        for task_id, depends in connection.execute(query)
        if task_id in failed
    }
    return roots_by_edges(unsaid, edges, failed)


def _final_fingerprints(told: list[_Told]) -> dict[int, str]:
    return {item.row.task_id: item.failure.fingerprint for item in told if item.is_final}


def _with_example(group: FailureGroup, items: list[_Told]) -> FailureGroup:
    example = items[0]
    return group.with_example(
        try_id=example.row.try_id,
        exception_type=example.failure.exception_type,
        message=example.failure.message,
        template=example.failure.template,
        frame=example.failure.frame,
        stacktrace=None,
    )
