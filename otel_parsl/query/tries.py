"""Read all that is known of the tries of some tasks."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Table, func, select

from otel_parsl.failures.failure import describe_failure
from otel_parsl.query.runs import Run
from otel_parsl.query.times import utc_from_local, utc_from_ns
from otel_parsl.query.versions import select_known
from otel_parsl.schema import otel_failure, otel_try, resource, status, try_

_AT_ONCE = 500

TryKey = tuple[int, int]
"""A task's id and a try's."""


class TryFailure(NamedTuple):
    """Why a try failed."""

    fate: str
    fingerprint: str
    exception_type: str | None
    message: str | None
    template: str
    """The message without what differs from one failure of the group to the next."""
    frame: str | None
    stacktrace: str | None
    caused_by: tuple[int, ...]
    """The failed tasks that it goes back to, the root last."""

    @property
    def in_a_line(self) -> str:
        """What was raised, without its module, and what it says."""
        kind = (self.exception_type or self.fate).rpartition(".")[2]
        return f"{kind}: {self.message}" if self.message else kind


class Try(NamedTuple):
    """One try of a task."""

    task_id: int
    try_id: int
    executor: str
    hostname: str | None
    block_id: str | None
    launched_at: datetime.datetime | None
    running_at: datetime.datetime | None
    """By the worker's clock, as ``ended_at``."""
    ended_at: datetime.datetime | None
    returned_at: datetime.datetime | None
    joins: tuple[int, ...]
    failure: TryFailure | None
    samples: int
    """How many resource samples there are."""
    memory_peak_bytes: int | None
    """Of the try; of its samples where Parsl's own hub recorded it."""
    cpu_s: float | None
    """User and system together; Parsl's own hub counts from the worker's start, so None there."""
    read_bytes: int | None
    write_bytes: int | None
    exit_code: int | None
    pid: int | None
    worker_rank: str | None
    manager_uid: str | None
    executor_task_id: str | None
    resource_specification: str | None

    @property
    def queued_s(self) -> float | None:
        """From its launch to its begin; None where clocks contradict one another."""
        return _between(self.launched_at, self.running_at)

    @property
    def run_s(self) -> float | None:
        """From its begin to its end on the worker."""
        return _between(self.running_at, self.ended_at)

    @property
    def return_s(self) -> float | None:
        """From its end on the worker until the submit side had its result."""
        return _between(self.ended_at, self.returned_at)


def select_tries(connection: Connection, run: Run, task_ids: Sequence[int]) -> dict[int, list[Try]]:
    """Return the tries of tasks, in their order; a task without any is left out."""
    found: dict[int, list[Try]] = defaultdict(list)
    for start in range(0, len(task_ids), _AT_ONCE):
        chunk = task_ids[start : start + _AT_ONCE]
        for item in _tries(connection, run, chunk):
            found[item.task_id].append(item)
    return dict(found)


def select_latest_failures(
    connection: Connection, run: Run, task_ids: Sequence[int]
) -> dict[int, TryFailure]:
    """Return why the latest of its tries that failed did, of each task that has one."""
    latest: dict[int, tuple[int, TryFailure]] = {}
    for start in range(0, len(task_ids), _AT_ONCE):
        chunk = task_ids[start : start + _AT_ONCE]
        found = _failures if run.is_ours else _told_failures
        for (task_id, try_id), failure in found(connection, run, chunk).items():
            if task_id not in latest or latest[task_id][0] < try_id:
                latest[task_id] = try_id, failure
    return {task_id: failure for task_id, (_, failure) in latest.items()}


def ids_in(text: str | None) -> tuple[int, ...]:
    """Return the ids in one of Parsl's comma-separated texts, each once."""
    ids = (part for part in (text or "").split(",") if part.isdecimal())
    return tuple(dict.fromkeys(map(int, ids)))


def _tries(connection: Connection, run: Run, task_ids: Sequence[int]) -> Iterator[Try]:
    try_ids = _try_ids(connection, run, task_ids)
    ended = _ends(connection, run, task_ids)
    ours = _of_ours(connection, run, task_ids) if run.is_ours else {}
    failures = _failures(connection, run, task_ids) if run.is_ours else {}
    samples = _samples(connection, run, task_ids, try_ids)
    rows = _of_tasks(select(try_), try_, run, task_ids).where(try_.c.try_id.in_(try_ids))
    for row in connection.execute(rows.order_by(try_.c.task_id, try_.c.try_id)):
        key = row.task_id, row.try_id
        more = ours.get(key)
        number, sampled_peak = samples.get(key, (0, None))
        peak = more.memory_peak_bytes if more is not None else None
        peak = sampled_peak if peak is None else peak
        yield Try(
            task_id=row.task_id,
            try_id=row.try_id,
            executor=row.task_executor,
            hostname=row.hostname,
            block_id=row.block_id,
            launched_at=utc_from_local(row.task_try_time_launched, run.zone),
            running_at=(None if more is None else utc_from_ns(more.running_ns))
            or utc_from_local(row.task_try_time_running, run.zone),
            ended_at=(None if more is None else utc_from_ns(more.ended_ns)) or ended.get(key),
            returned_at=utc_from_local(row.task_try_time_returned, run.zone),
            joins=ids_in(row.task_joins),
            failure=failures.get(key) if run.is_ours else _told(row.task_fail_history),
            samples=number,
            memory_peak_bytes=None if peak is None else int(peak),
            cpu_s=_cpu_s(more),
            read_bytes=getattr(more, "read_bytes", None),
            write_bytes=getattr(more, "write_bytes", None),
            exit_code=getattr(more, "exit_code", None),
            pid=getattr(more, "pid", None),
            worker_rank=getattr(more, "worker_rank", None),
            manager_uid=getattr(more, "manager_uid", None),
            executor_task_id=getattr(more, "executor_task_id", None),
            resource_specification=getattr(more, "resource_specification", None),
        )


def _try_ids(connection: Connection, run: Run, task_ids: Sequence[int]) -> list[int]:
    """Return the tries that there are of tasks: Parsl's key begins with them, and spares a scan."""
    query = _of_tasks(select(status.c.try_id).distinct(), status, run, task_ids)
    return sorted(set(connection.execute(query).scalars()))


def _of_tasks(query: Select[Any], table: Table, run: Run, task_ids: Sequence[int]) -> Select[Any]:
    return query.where(table.c.run_id == run.run_id, table.c.task_id.in_(task_ids))


def _ends(
    connection: Connection, run: Run, task_ids: Sequence[int]
) -> dict[TryKey, datetime.datetime | None]:
    query = _of_tasks(
        select(status.c.task_id, status.c.try_id, status.c.timestamp), status, run, task_ids
    ).where(status.c.task_status_name == "running_ended")
    return {
        (row.task_id, row.try_id): utc_from_local(row.timestamp, run.zone)
        for row in connection.execute(query)
    }


def _of_ours(connection: Connection, run: Run, task_ids: Sequence[int]) -> dict[TryKey, Any]:
    query = _of_tasks(select_known(connection, otel_try), otel_try, run, task_ids)
    return {(row.task_id, row.try_id): row for row in connection.execute(query)}


def _failures(
    connection: Connection, run: Run, task_ids: Sequence[int]
) -> dict[TryKey, TryFailure]:
    query = _of_tasks(select_known(connection, otel_failure), otel_failure, run, task_ids)
    return {
        (row.task_id, row.try_id): TryFailure(
            fate=row.fate,
            fingerprint=row.fingerprint,
            exception_type=row.exception_type,
            message=row.message,
            template=row.template or "",
            frame=row.frame,
            stacktrace=row.stacktrace,
            caused_by=ids_in(row.caused_by),
        )
        for row in connection.execute(query)
    }


def _told_failures(
    connection: Connection, run: Run, task_ids: Sequence[int]
) -> dict[TryKey, TryFailure]:
    query = select(try_.c.task_id, try_.c.try_id, try_.c.task_fail_history)
    rows = _of_tasks(query, try_, run, task_ids).where(
        try_.c.try_id.in_(_try_ids(connection, run, task_ids))
    )
    told = {
        (row.task_id, row.try_id): _told(row.task_fail_history) for row in connection.execute(rows)
    }
    return {key: failure for key, failure in told.items() if failure is not None}


def _told(fail_history: str | None) -> TryFailure | None:
    """Return what Parsl's own column tells of a failure; no stack trace is in there."""
    if not fail_history:
        return None
    told = describe_failure(fail_history=fail_history)
    return TryFailure(
        fate=told.fate.value,
        fingerprint=told.fingerprint,
        exception_type=told.exception_type,
        message=told.message,
        template=told.template,
        frame=told.frame,
        stacktrace=None,
        caused_by=told.caused_by,
    )


def _samples(
    connection: Connection, run: Run, task_ids: Sequence[int], try_ids: Sequence[int]
) -> dict[TryKey, tuple[int, float | None]]:
    key = resource.c.task_id, resource.c.try_id
    peak = func.max(resource.c.psutil_process_memory_resident)
    query = _of_tasks(select(*key, func.count(), peak), resource, run, task_ids)
    rows = connection.execute(query.where(resource.c.try_id.in_(try_ids)).group_by(*key))
    return {(task_id, try_id): (number, most) for task_id, try_id, number, most in rows}


def _cpu_s(row: Any) -> float | None:
    if row is None or (row.cpu_user_s is None and row.cpu_system_s is None):
        return None
    return float((row.cpu_user_s or 0) + (row.cpu_system_s or 0))


def _between(start: datetime.datetime | None, end: datetime.datetime | None) -> float | None:
    if start is None or end is None or end < start:
        return None
    return (end - start).total_seconds()
