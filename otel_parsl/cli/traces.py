"""Where the spans of a run and its tasks are, in Jaeger or any other backend."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from otel_parsl import rendezvous, semconv
from otel_parsl.identity import is_trace_scope, run_key, run_trace_tasks, span_id, task_trace_id
from otel_parsl.query.runs import Run


class TracePlace(NamedTuple):
    """A span, and the trace that it is in."""

    trace_id: str
    span_id: str


def trace_of_run(run: Run) -> TracePlace | None:
    """Return where a run's span is; None for a run that was not traced."""
    if not run.is_ours:
        return None
    key = run_key(run.run_id)
    return TracePlace(key.hex(), span_id(key, "run").hex())


def trace_of_task(run: Run, task_id: int) -> TracePlace | None:
    """Return where a task's span is; None in a run that was not traced."""
    if not run.is_ours:
        return None
    key = run_key(run.run_id)
    trace = task_trace_id(key, task_id, scope=trace_scope(run))
    return TracePlace(trace.hex(), span_id(key, "task", task_id).hex())


def trace_scope(run: Run) -> str:
    """Return the scope that a run was given, where its settings can still be read, else auto."""
    try:
        settings = rendezvous.read(Path(run.rundir) / "otel-parsl", rendezvous.SETTINGS)
    except (OSError, ValueError):
        settings = None
    scope = str((settings or {}).get("trace_scope", "auto"))
    return scope if is_trace_scope(scope) else "auto"


def search_words(run: Run, tasks: int) -> str:
    """Say how all spans of a run are found, since some may be in traces of their own."""
    search = f"search for {semconv.RUN_ID}={run.run_id}"
    here = run_trace_tasks(trace_scope(run))
    if here == 0:
        return f"each task is in a trace of its own: {search}"
    if here is None or tasks <= here:
        return f"all spans are in it; or {search}"
    return f"tasks from {here} on are in traces of their own: {search}"
