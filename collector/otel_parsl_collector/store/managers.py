"""
Write what HTEX's interchange reported of its managers: tables ``node`` and ``otel_manager``.

The points of a report may be parted on the way, and ``node`` allows no NULL: so parts wait in
``otel_pending_report`` for the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, exists, select

from otel_parsl.schema import node, otel_manager, otel_pending_report
from otel_parsl_collector.materialise.facts import Facts, ManagerNumbers, ManagerReport
from otel_parsl_collector.store.received import INTERCHANGE
from otel_parsl_collector.store.session import Session

_NUMBERS = "worker_count cpu_count total_memory active last_heartbeat_ns tasks lost"
"""The columns of ``otel_pending_report`` for ``ManagerNumbers``."""
_ANY_PENDING = select(exists(select(otel_pending_report.c.uid)))
_TIMES_AT_ONCE = 500

_Item = TypeVar("_Item")
_Manager = tuple[str, str]
"""Run and uid."""


def write_managers(facts: Facts, session: Session) -> None:
    """Write every report of every manager, as Parsl does, and the latest of each beside them."""
    whole: list[ManagerReport] = []
    parts: list[ManagerReport] = []
    for report in facts.managers:
        (whole if report.numbers.are_whole else parts).append(report)
    for manager, some in _by_manager(parts).items():
        whole += _put_together(manager, some, session)
    if whole:
        _write(whole, session)
        _forget_parts(whole, session)


def _by_manager(reports: Sequence[ManagerReport]) -> dict[_Manager, list[ManagerReport]]:
    found: dict[_Manager, list[ManagerReport]] = defaultdict(list)
    for report in reports:
        found[report.run_id, report.uid].append(report)
    return found


def _put_together(
    manager: _Manager, parts: Sequence[ManagerReport], session: Session
) -> list[ManagerReport]:
    """Keep parts of a manager's reports, and return the reports that are whole with them."""
    run_id, _ = manager
    written = _written(manager, parts, session)
    new = [part for part in parts if part.time_ns not in written]
    session.repeated[run_id, INTERCHANGE] += len(parts) - len(new)
    session.insert_once(
        otel_pending_report,
        f"run_id uid time_ns {_NUMBERS}",
        [(*manager, part.time_ns, *part.numbers) for part in new],
        [run_id] * len(new),
        INTERCHANGE,
        fill=_NUMBERS,
    )
    of_time = {part.time_ns: part for part in new}
    columns = [otel_pending_report.c[name] for name in ("time_ns", *_NUMBERS.split())]
    together = []
    for is_one in _pending(manager, new):
        for time_ns, *numbers in session.connection.execute(select(*columns).where(is_one)):
            together.append(of_time[time_ns]._replace(numbers=ManagerNumbers(*numbers)))
    return [report for report in together if report.numbers.are_whole]


def _written(
    manager: _Manager, reports: Sequence[ManagerReport], session: Session
) -> frozenset[int]:
    """Return the times of those reports that ``node`` has."""
    run_id, uid = manager
    sql_time = session.datetimes[run_id]
    ns_of = {sql_time(report.time_ns): report.time_ns for report in reports}
    of_manager = (node.c.run_id == run_id) & (node.c.uid == uid)
    return frozenset(
        ns_of[time]
        for some in _chunks(list(ns_of))
        for time in session.connection.execute(
            select(node.c.timestamp).where(of_manager, node.c.timestamp.in_(some))
        ).scalars()
    )


def _forget_parts(reports: Sequence[ManagerReport], session: Session) -> None:
    """Delete what waited for the rest of reports that are written now."""
    if not session.connection.execute(_ANY_PENDING).scalar():
        return
    for manager, some in _by_manager(reports).items():
        for is_one in _pending(manager, some):
            session.connection.execute(otel_pending_report.delete().where(is_one))


def _pending(manager: _Manager, reports: Sequence[ManagerReport]) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions that find the parts that wait of these reports."""
    table = otel_pending_report.c
    for times in _chunks(sorted({report.time_ns for report in reports})):
        yield (table.run_id == manager[0]) & (table.uid == manager[1]) & table.time_ns.in_(times)


def _chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), _TIMES_AT_ONCE):
        yield items[start : start + _TIMES_AT_ONCE]


def _write(reports: Sequence[ManagerReport], session: Session) -> None:
    times = session.times
    session.insert_once(
        node,
        "run_id hostname uid block_id cpu_count total_memory active worker_count python_v timestamp"
        " last_heartbeat",
        [
            (
                run_id,
                hostname,
                uid,
                block_id,
                cpus,
                memory_bytes,
                bool(active),
                workers,
                python,
                times[run_id](time_ns),
                times[run_id](last_heartbeat_ns),
            )
            for run_id, uid, hostname, block_id, python, _, time_ns, (
                workers,
                cpus,
                memory_bytes,
                active,
                last_heartbeat_ns,
                *_,
            ) in reports
        ],
        [report.run_id for report in reports],
        INTERCHANGE,
    )
    latest: dict[tuple[str, str], ManagerReport] = {}
    first_ns: dict[tuple[str, str], int] = {}
    for report in reports:
        key = report.run_id, report.uid
        if key not in latest or report.time_ns >= latest[key].time_ns:
            latest[key] = report
        first_ns[key] = min(first_ns.get(key, report.time_ns), report.time_ns)
    for key, report in latest.items():
        _write_latest(report, first_ns[key], session)


def _write_latest(report: ManagerReport, first_ns: int, session: Session) -> None:
    is_it = (otel_manager.c.run_id == report.run_id) & (otel_manager.c.uid == report.uid)
    known = session.connection.execute(
        otel_manager.select()
        .with_only_columns(otel_manager.c.first_seen_ns, otel_manager.c.last_seen_ns)
        .where(is_it)
    ).first()
    if known is not None:
        first_ns = min(first_ns, known.first_seen_ns)
        if known.last_seen_ns > report.time_ns:
            session.connection.execute(
                otel_manager.update().where(is_it).values(first_seen_ns=first_ns)
            )
            return
    columns = (
        "block_id hostname cpu_count total_memory worker_count active tasks first_seen_ns"
        " last_seen_ns executor_label state"
    )
    session.upsert(
        otel_manager,
        f"run_id uid {columns}",
        [
            (
                report.run_id,
                report.uid,
                report.block_id,
                report.hostname,
                report.numbers.cpus,
                report.numbers.memory_bytes,
                report.numbers.workers,
                bool(report.numbers.active),
                report.numbers.tasks,
                first_ns,
                report.time_ns,
                report.executor,
                _state(report.numbers),
            )
        ],
        update=columns,
    )


def _state(numbers: ManagerNumbers) -> str:
    if numbers.active:
        return "connected"
    return "lost" if numbers.lost else "ended"
