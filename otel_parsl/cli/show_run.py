"""Show one run: what it is, how it stands, and where its trace is."""

from __future__ import annotations

from otel_parsl.cli import words
from otel_parsl.cli.as_json import print_json
from otel_parsl.cli.exit_codes import TROUBLE, WELL
from otel_parsl.cli.status import (
    LABELS,
    Status,
    block_status,
    executor_lines,
    headline,
    read_status,
    run_facts,
)
from otel_parsl.cli.table import Column, table
from otel_parsl.cli.traces import search_words, trace_of_run, trace_scope
from otel_parsl.query.liveness import RunState
from otel_parsl.query.task_states import FAILED, TaskState


def show_run(database_url: str | None, which: str, *, as_json: bool) -> int:
    """
    Print what is known of a run.

    Raises:
        QueryError: There is no such database or run.
    """
    status = read_status(database_url, which)
    if as_json:
        print_json(_facts(status))
    else:
        print("\n".join(_lines(status)))
    has_failed = any(status.tasks[state] for state in FAILED)
    is_lost = status.liveness.state is RunState.LOST or bool(status.executors)
    return TROUBLE if has_failed or is_lost else WELL


def _facts(status: Status) -> dict[str, object]:
    trace = trace_of_run(status.run)
    return {
        **run_facts(status.run),
        "state": status.liveness.state,
        "because": status.liveness.because,
        "elapsed_s": status.elapsed_s,
        "tasks": {"total": status.tasks.total()}
        | {state.value: status.tasks[state] for state in TaskState},
        "trace_id": trace.trace_id if trace else None,
        "span_id": trace.span_id if trace else None,
        "trace_scope": trace_scope(status.run) if trace else None,
        "blocks": status.blocks,
        "executors": status.executors,
        "untraced_executors": status.untraced,
    }


def _lines(status: Status) -> list[str]:
    run = status.run
    facts = [
        ("run id", run.run_id),
        ("version", run.version or words.UNKNOWN),
        ("began", f"{words.local(run.began_at, run.zone)}  ({run.zone})"),
        ("ended", words.local(run.completed_at, run.zone)),
        ("elapsed", words.duration(status.elapsed_s)),
        ("host", f"{run.host}, by {run.user}"),
        ("directory", run.rundir),
        ("recorded by", f"otel_parsl, Parsl {run.parsl_version}" if run.is_ours else "Parsl"),
        ("tasks", _task_words(status)),
    ]
    lines = [headline(run, status.liveness), ""]
    lines += [f"  {name:<12}{words.visible(text)}" for name, text in facts]
    trace = trace_of_run(run)
    if trace is None:
        lines.append(f"  {'trace':<12}none: Parsl's own hub recorded this run")
    else:
        lines.append(f"  {'trace':<12}{trace.trace_id}")
        lines.append(f"  {'':<12}{search_words(run, status.tasks.total())}")
    if status.blocks:
        lines += ["", *_block_lines(status)]
    if status.executors or status.untraced:
        lines += ["", *executor_lines(status)]
    return lines


def _task_words(status: Status) -> str:
    said = [
        f"{words.number(status.tasks[state])} {LABELS[state]}"
        for state in TaskState
        if status.tasks[state]
    ]
    return f"{words.number(status.tasks.total())}: {', '.join(said)}" if said else "none"


def _block_lines(status: Status) -> list[str]:
    columns = (
        Column("executor", may_shrink=True),
        Column("block"),
        Column("job"),
        Column("status"),
        Column("since", leave_out=1),
        Column("message", may_shrink=True),
    )
    rows = [
        (
            words.visible(block.executor),
            block.block_id,
            words.visible(block.job_id or words.UNKNOWN),
            block_status(block, status),
            words.local(block.changed_at, status.run.zone),
            words.visible(block.submit_error or block.message or ""),
        )
        for block in status.blocks
    ]
    return table(columns, rows, indent="  ")
