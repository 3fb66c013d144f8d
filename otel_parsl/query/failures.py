"""
Group the failures of a run by their cause.

What failed only because another task did is folded under that task's failure: it is counted there
as a dependent, and is no group of its own.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, case, func, select

from otel_parsl.query.failure_groups import (
    PROPAGATED,
    FailureGroup,
    GroupSums,
    Propagated,
    grouped,
    roots_by_edges,
)
from otel_parsl.query.runs import Run
from otel_parsl.query.times import ns_from_utc, utc_from_ns
from otel_parsl.query.told_failures import select_told_groups, select_told_seen
from otel_parsl.query.tries import ids_in
from otel_parsl.schema import otel_edge, otel_failure, otel_task, try_

Key = TypeVar("Key", int, str)
_AT_ONCE = 500
_failure = otel_failure.c


def select_failure_groups(connection: Connection, run: Run) -> list[FailureGroup]:
    """Return the causes that tries failed of: those that cost most tasks first."""
    if not run.is_ours:
        return select_told_groups(connection, run)
    sums = _sums(connection, run)
    if not sums:
        return []
    _add_recovered(connection, run, sums)
    _add_hosts(connection, run, sums)
    propagated = _propagated(connection, run)
    roots = {failure.root for failure in propagated}
    groups = grouped(sums, propagated, _final_fingerprints(connection, run, roots))
    return [_with_example(connection, run, group) for group in groups]


def select_seen(
    connection: Connection, run: Run, start: datetime.datetime, end: datetime.datetime
) -> set[str]:
    """Return the fingerprints of causes of which a try failed from one aware time to another."""
    if not run.is_ours:
        return select_told_seen(connection, run, start, end)
    query = _of_run(run, _failure.fingerprint.distinct()).where(
        _failure.time_ns.between(ns_from_utc(start), ns_from_utc(end))
    )
    return set(connection.execute(query).scalars())


def _sums(connection: Connection, run: Run) -> dict[str, GroupSums]:
    query = _of_run(
        run,
        _failure.fingerprint,
        _failure.app,
        func.min(_failure.fate),
        func.count(),
        func.count(_failure.task_id.distinct()),
        func.sum(case((_failure.is_final, 1), else_=0)),
        func.min(_failure.time_ns),
        func.max(_failure.time_ns),
        func.min(_failure.task_id),
    ).group_by(_failure.fingerprint, _failure.app)
    sums: dict[str, GroupSums] = {}
    for (
        fingerprint,
        app,
        fate,
        tries,
        tasks,
        final,
        first_ns,
        last_ns,
        example,
    ) in connection.execute(query):
        group = sums.setdefault(fingerprint, GroupSums(fate))
        group.add(
            app=app,
            tries=tries,
            tasks=tasks,
            failed_tasks=int(final),
            first_at=utc_from_ns(first_ns),
            last_at=utc_from_ns(last_ns),
            example_task=example,
        )
    return sums


def _add_recovered(connection: Connection, run: Run, sums: dict[str, GroupSums]) -> None:
    if all(group.tries == group.failed_tasks for group in sums.values()):
        return
    query = (
        _of_run(run, _failure.fingerprint, func.count(_failure.task_id.distinct()))
        .join(
            otel_task,
            (otel_task.c.run_id == _failure.run_id) & (otel_task.c.task_id == _failure.task_id),
        )
        .where(_failure.is_final.is_(False), otel_task.c.state == "exec_done")
        .group_by(_failure.fingerprint)
    )
    for fingerprint, tasks in connection.execute(query):
        sums[fingerprint].recovered_tasks += tasks


def _add_hosts(connection: Connection, run: Run, sums: dict[str, GroupSums]) -> None:
    query = (
        _of_run(run, _failure.fingerprint, try_.c.hostname, func.count())
        .join(
            try_,
            (try_.c.try_id == _failure.try_id)
            & (try_.c.task_id == _failure.task_id)
            & (try_.c.run_id == _failure.run_id),
        )
        .where(try_.c.hostname.is_not(None))
        .group_by(_failure.fingerprint, try_.c.hostname)
    )
    for fingerprint, host, tries in connection.execute(query):
        sums[fingerprint].hosts[host] += tries


def _propagated(connection: Connection, run: Run) -> list[Propagated]:
    final = func.sum(case((_failure.is_final, 1), else_=0))
    query = (
        _of_run(run, _failure.fingerprint, _failure.caused_by, func.count(), final)
        .where(_failure.fate.in_(PROPAGATED), _failure.caused_by.is_not(None))
        .group_by(_failure.fingerprint, _failure.caused_by)
    )
    said = [
        Propagated(fingerprint, causes[-1], tries, int(tasks))
        for fingerprint, caused_by, tries, tasks in connection.execute(query)
        if (causes := ids_in(caused_by))
    ]
    return said + _propagated_unsaid(connection, run)


def _propagated_unsaid(connection: Connection, run: Run) -> list[Propagated]:
    return [
        Propagated(row.fingerprint, root, 1, int(row.is_final))
        for row, root in unsaid_roots(connection, run)
    ]


def unsaid_roots(connection: Connection, run: Run) -> list[tuple[Any, int]]:
    """
    Return the failed tries whose text does not say which task they go back to, with that task.

    Each is a row with ``task_id``, ``try_id``, ``fingerprint`` and ``is_final``.
    """
    query = _of_run(
        run, _failure.task_id, _failure.try_id, _failure.fingerprint, _failure.is_final
    ).where(_failure.fate.in_(PROPAGATED), _failure.caused_by.is_(None))
    rows = list(connection.execute(query))
    if not rows:
        return []
    tasks = {row.task_id for row in rows}
    edges: dict[int, list[int]] = defaultdict(list)
    level = tasks
    while level:
        above = set()
        for task_id, other in _edges(connection, run, level):
            edges[task_id].append(other)
            above.add(other)
        level = above - edges.keys()
    failed = _failed_by_themselves(connection, run, {*tasks, *chain(*edges.values())})
    roots = roots_by_edges(tasks, edges, failed)
    return [(row, roots[row.task_id]) for row in rows if row.task_id in roots]


def _edges(connection: Connection, run: Run, task_ids: Iterable[int]) -> Iterator[tuple[int, int]]:
    for chunk in chunks(task_ids):
        query = select(otel_edge.c.task_id, otel_edge.c.on_task_id).where(
            otel_edge.c.run_id == run.run_id, otel_edge.c.task_id.in_(chunk)
        )
        yield from ((task_id, other) for task_id, other in connection.execute(query))


def _failed_by_themselves(
    connection: Connection, run: Run, task_ids: Iterable[int]
) -> dict[int, bool]:
    found: dict[int, bool] = {}
    for chunk in chunks(task_ids):
        query = _of_run(run, _failure.task_id, _failure.fate).where(
            _failure.task_id.in_(chunk), _failure.is_final
        )
        found.update(
            (task_id, fate not in PROPAGATED) for task_id, fate in connection.execute(query)
        )
    return found


def _final_fingerprints(
    connection: Connection, run: Run, task_ids: Iterable[int]
) -> dict[int, str]:
    """Return the groups that tasks were given up in."""
    found: dict[int, str] = {}
    for chunk in chunks(task_ids):
        query = _of_run(run, _failure.task_id, _failure.fingerprint).where(
            _failure.task_id.in_(chunk), _failure.is_final
        )
        found.update((task_id, fingerprint) for task_id, fingerprint in connection.execute(query))
    return found


def chunks(keys: Iterable[Key]) -> Iterator[list[Key]]:
    """Give keys in such numbers as one query may name."""
    wanted = sorted(keys)
    for start in range(0, len(wanted), _AT_ONCE):
        yield wanted[start : start + _AT_ONCE]


def _with_example(connection: Connection, run: Run, group: FailureGroup) -> FailureGroup:
    query = (
        _of_run(
            run,
            _failure.try_id,
            _failure.exception_type,
            _failure.message,
            _failure.template,
            _failure.frame,
            _failure.stacktrace,
        )
        .where(_failure.task_id == group.example_task, _failure.fingerprint == group.fingerprint)
        .order_by(_failure.try_id)
        .limit(1)
    )
    row = connection.execute(query).one()
    return group.with_example(
        try_id=row.try_id,
        exception_type=row.exception_type,
        message=row.message,
        template=row.template,
        frame=row.frame,
        stacktrace=row.stacktrace,
    )


def _of_run(run: Run, *columns: Any) -> Select[Any]:
    return select(*columns).select_from(otel_failure).where(_failure.run_id == run.run_id)
