"""Write what was measured, and the blocks it ran in: tables ``resource`` and ``block``."""

from __future__ import annotations

from otel_parsl.schema import block, otel_block, resource
from otel_parsl_collector.materialise.facts import BlockStatus, Facts
from otel_parsl_collector.store.received import WORKER
from otel_parsl_collector.store.session import Session

_SAMPLE_KEY = "try_id task_id run_id timestamp"
_SAMPLE_VALUES = (
    "psutil_process_pid psutil_process_status psutil_cpu_num"
    " resource_monitoring_interval psutil_process_time_user psutil_process_time_system"
    " psutil_process_memory_resident psutil_process_memory_virtual psutil_process_memory_percent"
    " psutil_process_children_count psutil_process_disk_read psutil_process_disk_write"
    " psutil_process_num_ctx_switches_voluntary psutil_process_num_ctx_switches_involuntary"
)


_FIRST_WORD = BlockStatus._fields.index("job_id")
_LAST_WORD = BlockStatus._fields.index("submit_error") + 1


def write_samples(facts: Facts, session: Session) -> None:
    """Write resource samples; the points of one may come in several parts."""
    times = session.times
    session.insert_once(
        resource,
        f"{_SAMPLE_KEY} {_SAMPLE_VALUES}",
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
        fill=_SAMPLE_VALUES,
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
