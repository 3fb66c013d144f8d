"""Write what was measured and where it ran: tables ``resource``, ``node`` and ``block``."""

from __future__ import annotations

from otel_parsl.schema import block, node, otel_block, otel_manager, resource
from otel_parsl_collector.materialise.facts import BlockStatus, Facts, ManagerReport
from otel_parsl_collector.store.received import INTERCHANGE, WORKER
from otel_parsl_collector.store.session import Session

_SAMPLE_COLUMNS = (
    "try_id task_id run_id timestamp psutil_process_pid psutil_process_status psutil_cpu_num"
    " resource_monitoring_interval psutil_process_time_user psutil_process_time_system"
    " psutil_process_memory_resident psutil_process_memory_virtual psutil_process_memory_percent"
    " psutil_process_children_count psutil_process_disk_read psutil_process_disk_write"
    " psutil_process_num_ctx_switches_voluntary psutil_process_num_ctx_switches_involuntary"
)


_FIRST_WORD = BlockStatus._fields.index("job_id")
_LAST_WORD = BlockStatus._fields.index("submit_error") + 1


def write_samples(facts: Facts, session: Session) -> None:
    """Write resource samples."""
    times = session.times
    session.insert_once(
        resource,
        _SAMPLE_COLUMNS,
        [
            (
                sample.try_id,
                sample.task_id,
                sample.run_id,
                times[sample.run_id](sample.time_ns),
                sample.pid,
                sample.status,
                sample.cpu_num,
                *sample.values,
            )
            for sample in facts.samples
        ],
        [sample.run_id for sample in facts.samples],
        WORKER,
    )


def write_managers(facts: Facts, session: Session) -> None:
    """Write every report of every manager, as Parsl does, and the latest of each beside them."""
    if not facts.managers:
        return
    times = session.times
    session.insert_once(
        node,
        "run_id hostname uid block_id cpu_count total_memory active worker_count python_v timestamp"
        " last_heartbeat",
        [
            (
                report.run_id,
                report.hostname,
                report.uid,
                report.block_id,
                report.cpus,
                report.memory_bytes,
                bool(report.active),
                report.workers,
                report.python,
                times[report.run_id](report.time_ns),
                times[report.run_id](report.last_heartbeat_ns),
            )
            for report in facts.managers
        ],
        [report.run_id for report in facts.managers],
        INTERCHANGE,
    )
    latest: dict[tuple[str, str], ManagerReport] = {}
    first_ns: dict[tuple[str, str], int] = {}
    for report in facts.managers:
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
                report.cpus,
                report.memory_bytes,
                report.workers,
                bool(report.active),
                report.tasks,
                first_ns,
                report.time_ns,
                report.executor,
                "connected" if report.active else "lost" if report.lost else "ended",
            )
        ],
        update=columns,
    )


def write_blocks(facts: Facts, session: Session) -> None:
    """Write every status of every block, and the latest of each, with the provider's words."""
    if not facts.blocks:
        return
    session.upsert(
        block,
        "run_id executor_label block_id job_id timestamp status",
        [
            (
                change.run_id,
                change.executor,
                change.block_id,
                change.job_id,
                session.times[change.run_id](change.time_ns),
                change.status,
            )
            for change in facts.blocks
            if change.is_parsls
        ],
    )
    latest: dict[tuple[str, str, str], BlockStatus] = {}
    for change in facts.blocks:
        key = change.run_id, change.executor, change.block_id
        if key not in latest or change.sequence > latest[key].sequence:
            latest[key] = change
    for change in latest.values():
        _write_latest_block(change, session)


def _write_latest_block(change: BlockStatus, session: Session) -> None:
    table = otel_block.c
    known = session.connection.execute(
        otel_block.select()
        .with_only_columns(table.sequence)
        .where(
            table.run_id == change.run_id,
            table.executor_label == change.executor,
            table.block_id == change.block_id,
        )
    ).scalar()
    if known is not None and known >= change.sequence:
        return
    columns = (
        "status sequence changed_ns job_id message exit_code stdout_path stderr_path submit_error"
    )
    session.upsert(
        otel_block,
        f"run_id executor_label block_id {columns}",
        [
            (
                change.run_id,
                change.executor,
                change.block_id,
                change.status,
                change.sequence,
                change.time_ns,
                *change[_FIRST_WORD:_LAST_WORD],
            )
        ],
        update=columns,
    )
