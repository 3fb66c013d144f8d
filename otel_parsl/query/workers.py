"""Which workers and blocks a run has."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from otel_parsl.failures.message_template import template
from otel_parsl.query.runs import Run
from otel_parsl.query.times import utc_from_local, utc_from_ns
from otel_parsl.query.versions import is_there, known, select_known
from otel_parsl.schema import block, node, otel_block, otel_executor, otel_manager, try_

TROUBLE = ("FAILED", "MISSING", "CANCELLED", "HELD", "TIMEOUT", "UNKNOWN")
"""Statuses of a block that are worth a look; TIMEOUT and CANCELLED may have been meant."""


class Workers(NamedTuple):
    """The workers whose managers are connected."""

    connected: int
    busy: int
    managers: int


class Block(NamedTuple):
    """A block of an executor: a job of its provider."""

    executor: str
    block_id: str
    job_id: str | None
    status: str
    changed_at: datetime.datetime | None
    message: str | None
    """The provider's own words."""
    exit_code: int | None
    stdout_path: str | None
    stderr_path: str | None
    submit_error: str | None
    """The scheduler's words when it refused the job."""

    @property
    def is_trouble(self) -> bool:
        """Whether it ended, or stands, as nobody wanted it to."""
        return self.status in TROUBLE or self.exit_code not in (None, 0)

    @property
    def said(self) -> str:
        """The scheduler's words, or else the provider's; empty for none."""
        return self.submit_error or self.message or ""


class DeadExecutor(NamedTuple):
    """An executor that runs nothing any more."""

    executor: str
    state: str
    """``lost``: its interchange is gone; ``failed``: Parsl has given it up."""
    message: str | None
    changed_at: datetime.datetime | None


def select_dead_executors(connection: Connection, run: Run) -> list[DeadExecutor]:
    """Return the executors that died or were given up; Parsl's own hub records none."""
    if not run.is_ours or not is_there(connection, otel_executor):
        return []
    table = otel_executor.c
    query = (
        select_known(connection, otel_executor)
        .where(table.run_id == run.run_id, table.state.in_(("lost", "failed")))
        .order_by(table.executor_label)
    )
    return [
        DeadExecutor(row.executor_label, row.state, row.message, utc_from_ns(row.changed_ns))
        for row in connection.execute(query)
    ]


class UntracedExecutor(NamedTuple):
    """An executor that is seen from the submit side only."""

    executor: str
    why: str


def select_untraced_executors(connection: Connection, run: Run) -> list[UntracedExecutor]:
    """Return the executors whose workers cannot trace."""
    table = otel_executor.c
    if not run.is_ours or not is_there(connection, table.untraced):
        return []
    query = (
        select(table.executor_label, table.untraced)
        .where(table.run_id == run.run_id, table.untraced.is_not(None))
        .order_by(table.executor_label)
    )
    return [UntracedExecutor(*row) for row in connection.execute(query)]


def select_workers(connection: Connection, run: Run) -> Workers:
    """Return how many workers there are, by the latest report of each manager."""
    return _workers_of_ours(connection, run) if run.is_ours else _workers_of_parsls(connection, run)


def select_blocks(connection: Connection, run: Run) -> list[Block]:
    """Return all blocks with their latest status, by executor and in the order of their ids."""
    blocks = _blocks_of_ours(connection, run) if run.is_ours else _blocks_of_parsls(connection, run)
    return sorted(blocks, key=lambda item: (item.executor, _number(item.block_id), item.block_id))


def select_lost_managers(connection: Connection, run: Run) -> dict[str, int]:
    """Return how many managers of each host were lost; Parsl's own hub does not tell."""
    manager = otel_manager.c
    if not run.is_ours or not is_there(connection, manager.state):
        return {}
    query = (
        select(manager.hostname, func.count())
        .where(manager.run_id == run.run_id, manager.state == "lost")
        .group_by(manager.hostname)
    )
    return {str(host): int(number) for host, number in connection.execute(query)}


def alike(blocks: Iterable[Block]) -> list[list[Block]]:
    """Put together the blocks that ended alike: a scheduler may refuse one every few seconds."""
    groups: dict[tuple[object, ...], list[Block]] = {}
    for item in blocks:
        key = item.executor, item.status, item.exit_code, template(item.said)
        groups.setdefault(key, []).append(item)
    return list(groups.values())


def _number(block_id: str) -> int:
    return int(block_id) if block_id.isdecimal() else 0


def _workers_of_ours(connection: Connection, run: Run) -> Workers:
    manager = otel_manager.c
    query = select(manager.worker_count, manager.tasks).where(
        manager.run_id == run.run_id, manager.active.is_(True)
    )
    if is_there(connection, manager.executor_label):
        lost = select(otel_executor.c.executor_label).where(
            otel_executor.c.run_id == run.run_id, otel_executor.c.state == "lost"
        )
        label = manager.executor_label
        query = query.where(label.is_(None) | label.not_in(lost))
    rows = [(workers or 0, tasks or 0) for workers, tasks in connection.execute(query)]
    # A manager may hold more tasks than it has workers.
    busy = sum(min(workers, tasks) for workers, tasks in rows)
    return Workers(sum(workers for workers, _ in rows), busy, len(rows))


def _workers_of_parsls(connection: Connection, run: Run) -> Workers:
    latest = (
        select(node.c.uid, func.max(node.c.id).label("id"))
        .where(node.c.run_id == run.run_id)
        .group_by(node.c.uid)
        .subquery()
    )
    managers = select(func.coalesce(func.sum(node.c.worker_count), 0), func.count()).join_from(
        node, latest, node.c.id == latest.c.id
    )
    connected, number = connection.execute(managers.where(node.c.active.is_(True))).one()
    under_way = select(func.count()).where(
        try_.c.run_id == run.run_id,
        try_.c.block_id.is_not(None),
        try_.c.task_try_time_running.is_not(None),
        try_.c.task_try_time_returned.is_(None),
    )
    busy = connection.execute(under_way).scalar() or 0
    return Workers(connected, min(busy, connected), number)


def _blocks_of_ours(connection: Connection, run: Run) -> list[Block]:
    columns = [known(connection, column) for column in otel_block.c]
    rows: Any = connection.execute(select(*columns).where(otel_block.c.run_id == run.run_id))
    return [
        Block(
            executor=row.executor_label,
            block_id=row.block_id,
            job_id=row.job_id,
            status=row.status,
            changed_at=utc_from_ns(row.changed_ns),
            message=row.message,
            exit_code=row.exit_code,
            stdout_path=row.stdout_path,
            stderr_path=row.stderr_path,
            submit_error=row.submit_error,
        )
        for row in rows
    ]


def _blocks_of_parsls(connection: Connection, run: Run) -> list[Block]:
    query = select(block).where(block.c.run_id == run.run_id).order_by(block.c.timestamp)
    latest = {}
    for row in connection.execute(query):
        latest[row.executor_label, row.block_id] = Block(
            executor=row.executor_label,
            block_id=row.block_id,
            job_id=row.job_id,
            status=row.status,
            changed_at=utc_from_local(row.timestamp, run.zone),
            message=None,
            exit_code=None,
            stdout_path=None,
            stderr_path=None,
            submit_error=None,
        )
    return list(latest.values())
