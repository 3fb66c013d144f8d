"""List what is in a group of failures: its tries, and the tasks that failed because of them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice
from typing import Any

from sqlalchemy import Connection, Select, select

from otel_parsl.query.failure_groups import (
    PROPAGATED,
    FailedTry,
    FailureGroup,
    GroupMembers,
)
from otel_parsl.query.failures import chunks, unsaid_roots
from otel_parsl.query.runs import Run
from otel_parsl.query.told_failures import select_told_members
from otel_parsl.query.tries import ids_in
from otel_parsl.schema import otel_failure

_failure = otel_failure.c


def select_group_members(
    connection: Connection, run: Run, group: FailureGroup, *, limit: int
) -> GroupMembers:
    """
    Return the first tries of a group, and the first tasks that are folded under it.

    How many there are of each stands in the group.

    Args:
        connection: Of ``engine.Database.read``.
        run: The run.
        group: One of ``failures.select_failure_groups``.
        limit: How many of each at most.
    """
    if not run.is_ours:
        return select_told_members(connection, run, group.fingerprint, limit=limit)
    if group.fate in PROPAGATED:
        return GroupMembers(_unfolded(connection, run, group.fingerprint, limit), [])
    query = _tries(run, group.fingerprint).limit(limit)
    tries = [FailedTry(row.task_id, row.try_id, row.is_final) for row in connection.execute(query)]
    dependents = _dependents(connection, run, group.fingerprint, limit) if group.dependents else []
    return GroupMembers(tries, dependents)


def _tries(run: Run, fingerprint: str) -> Select[Any]:
    return (
        select(_failure.task_id, _failure.try_id, _failure.is_final, _failure.caused_by)
        .where(_failure.run_id == run.run_id, _failure.fingerprint == fingerprint)
        .order_by(_failure.is_final.desc(), _failure.task_id, _failure.try_id)
    )


def _unfolded(connection: Connection, run: Run, fingerprint: str, limit: int) -> list[FailedTry]:
    """Return the tries of a group that go back to nothing known."""
    rows = list(connection.execute(_tries(run, fingerprint)))
    roots = {(row.task_id, row.try_id): root for row, root in unsaid_roots(connection, run)}
    for row in rows:
        if causes := ids_in(row.caused_by):
            roots[row.task_id, row.try_id] = causes[-1]
    causes_of = _final_causes(connection, run, set(roots.values()))
    unfolded = (
        FailedTry(row.task_id, row.try_id, row.is_final)
        for row in rows
        if roots.get((row.task_id, row.try_id)) not in causes_of
    )
    return list(islice(unfolded, limit))


def _dependents(connection: Connection, run: Run, fingerprint: str, limit: int) -> list[int]:
    propagated = (
        select(_failure.caused_by)
        .where(_failure.run_id == run.run_id, _failure.fate.in_(PROPAGATED))
        .where(_failure.caused_by.is_not(None))
        .distinct()
    )
    root_of = {
        text: causes[-1]
        for text in connection.execute(propagated).scalars()
        if (causes := ids_in(text))
    }
    unsaid = [(row.task_id, root) for row, root in unsaid_roots(connection, run) if row.is_final]
    wanted = {*root_of.values(), *(root for _, root in unsaid)}
    causes_of = _final_causes(connection, run, wanted)
    found = {task_id for task_id, root in unsaid if causes_of.get(root) == fingerprint}
    texts = [text for text, root in root_of.items() if causes_of.get(root) == fingerprint]
    return sorted({*found, *_caused_by(connection, run, texts, limit)})[:limit]


def _caused_by(connection: Connection, run: Run, texts: Iterable[str], limit: int) -> list[int]:
    def part(some: list[str]) -> Iterable[int]:
        query = select(_failure.task_id).where(
            _failure.run_id == run.run_id,
            _failure.fate.in_(PROPAGATED),
            _failure.caused_by.in_(some),
            _failure.is_final,
        )
        return connection.execute(query.order_by(_failure.task_id).limit(limit)).scalars()

    return list(chain.from_iterable(part(some) for some in chunks(texts)))


def _final_causes(connection: Connection, run: Run, task_ids: Iterable[int]) -> dict[int, str]:
    """Return the groups that tasks were given up in by themselves."""
    found: dict[int, str] = {}
    for some in chunks(task_ids):
        query = select(_failure.task_id, _failure.fingerprint).where(
            _failure.run_id == run.run_id,
            _failure.task_id.in_(some),
            _failure.is_final,
            _failure.fate.not_in(PROPAGATED),
        )
        found.update((row.task_id, row.fingerprint) for row in connection.execute(query))
    return found
