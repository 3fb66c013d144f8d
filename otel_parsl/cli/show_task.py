"""Show one task: its tries and their phases, its states, its failure, its neighbours."""

from __future__ import annotations

import datetime
from typing import Any, NamedTuple

from otel_parsl.cli import words
from otel_parsl.cli.as_json import plain, print_json
from otel_parsl.cli.exit_codes import TROUBLE, WELL
from otel_parsl.cli.log_tail import tail
from otel_parsl.cli.paint import OF_STATE, paint
from otel_parsl.cli.run_arguments import opened_run
from otel_parsl.cli.traces import TracePlace, trace_of_task
from otel_parsl.query.liveness import with_outcome
from otel_parsl.query.runs import Run
from otel_parsl.query.task_facts import (
    Neighbours,
    StateChange,
    TaskFacts,
    select_dependents,
    select_state_changes,
    select_states_of,
    select_task,
)
from otel_parsl.query.task_states import FAILED, OF_PARSL, TaskState
from otel_parsl.query.tries import Try, select_tries

_NEIGHBOURS_SHOWN = 20


class _Shown(NamedTuple):
    run: Run
    facts: TaskFacts
    state: TaskState
    tries: list[Try]
    changes: list[StateChange]
    dependents: Neighbours
    states: dict[int, TaskState]
    """Of its neighbours."""
    trace: TracePlace | None


def show_task(database_url: str | None, which: str, task_id: int, *, as_json: bool) -> int:
    """
    Print what is known of a task.

    Raises:
        QueryError: There is no such database, run or task.
    """
    shown = _read(database_url, which, task_id)
    if as_json:
        print_json(_facts(shown))
    else:
        print("\n".join(_lines(shown)))
    return TROUBLE if shown.state in FAILED else WELL


def _read(database_url: str | None, which: str, task_id: int) -> _Shown:
    now = datetime.datetime.now(datetime.timezone.utc)
    with opened_run(database_url, which) as (connection, named):
        run = with_outcome(connection, named, now=now)
        facts, state = select_task(connection, run, task_id)
        tries = select_tries(connection, run, [task_id]).get(task_id, [])
        changes = select_state_changes(connection, run, task_id)
        dependents = select_dependents(connection, run, task_id, limit=_NEIGHBOURS_SHOWN)
        joined = [other for item in tries for other in item.joins]
        near = [*facts.depends[:_NEIGHBOURS_SHOWN], *joined[:_NEIGHBOURS_SHOWN]]
        states = select_states_of(connection, run, [*near, *dependents.task_ids])
    return _Shown(
        run, facts, state, tries, changes, dependents, states, trace_of_task(run, task_id)
    )


def _facts(shown: _Shown) -> dict[str, Any]:
    return {
        "run_id": shown.run.run_id,
        **plain(shown.facts),
        "state": shown.state,
        "tries": [
            plain(item)
            | {"queued_s": item.queued_s, "run_s": item.run_s, "return_s": item.return_s}
            for item in shown.tries
        ],
        "states": shown.changes,
        "dependents": shown.dependents.task_ids,
        "dependents_total": shown.dependents.total,
        "trace_id": shown.trace.trace_id if shown.trace else None,
        "span_id": shown.trace.span_id if shown.trace else None,
        "stdout_tail": tail(shown.facts.stdout, rundir=shown.run.rundir),
        "stderr_tail": tail(shown.facts.stderr, rundir=shown.run.rundir),
    }


def _lines(shown: _Shown) -> list[str]:
    facts, run = shown.facts, shown.run
    app = paint(words.visible(facts.app), "bold")
    state = paint(shown.state.value, OF_STATE[shown.state.value])
    lines = [f"{app}  task {facts.task_id} of run {run.number}  {state}", ""]
    lines += [
        f"  {name:<12}{words.visible(text)}" for name, text in _said(shown) if text is not None
    ]
    lines += _neighbour_lines(shown)
    for item in shown.tries:
        lines += ["", *_try_lines(item, shown)]
    lines += ["", *_change_lines(shown)]
    for label, path in (("stdout", facts.stdout), ("stderr", facts.stderr)):
        end = tail(path, rundir=run.rundir)
        if end:
            lines += ["", f"  the end of {label}", *(f"    {words.visible(line)}" for line in end)]
    return lines


def _said(shown: _Shown) -> list[tuple[str, str | None]]:
    facts, run, trace = shown.facts, shown.run, shown.trace
    costs = f"{facts.fail_count}, at a cost of {facts.fail_cost:g}" if facts.fail_count else None
    where = None
    if trace is not None:
        where = f"{trace.trace_id}  (its span: {trace.span_id})"
    return [
        ("called", words.local(facts.invoked_at, run.zone)),
        ("returned", words.local(facts.returned_at, run.zone)),
        ("failures", costs),
        ("inputs", facts.inputs),
        ("outputs", facts.outputs),
        ("stdin", facts.stdin),
        ("stdout", facts.stdout),
        ("stderr", facts.stderr),
        ("hashsum", facts.hashsum),
        ("trace", where),
    ]


def _neighbour_lines(shown: _Shown) -> list[str]:
    lines = []
    depends = shown.facts.depends
    joined = [other for item in shown.tries for other in item.joins]
    for label, ids, total in (
        ("depends on", depends, len(depends)),
        ("joined", joined, len(joined)),
        ("needed by", shown.dependents.task_ids, shown.dependents.total),
    ):
        if not total:
            continue
        parts = [_neighbour(other, shown) for other in ids[:_NEIGHBOURS_SHOWN]]
        if total > len(parts):
            parts.append(f"and {words.number(total - len(parts))} more")
        lines.append(f"  {label:<12}{', '.join(parts)}")
    return lines


def _neighbour(task_id: int, shown: _Shown) -> str:
    state = shown.states.get(task_id)
    if state is None:
        return str(task_id)
    return f"{task_id} {paint(state.value, OF_STATE[state.value])}"


def _try_lines(item: Try, shown: _Shown) -> list[str]:
    place = [item.executor]
    place += [f"block {item.block_id}"] if item.block_id is not None else []
    place += [f"host {item.hostname}"] if item.hostname else []
    place += [f"worker {item.worker_rank}"] if item.worker_rank is not None else []
    place += [f"process {item.pid}"] if item.pid is not None else []
    lines = [f"  try {item.try_id}  {words.visible(', '.join(place))}"]
    lines += [
        f"    {name:<12}{words.visible(text)}"
        for name, text in _try_facts(item, shown)
        if text is not None
    ]
    if item.failure is not None and item.failure.stacktrace:
        lines += [f"      {line}" for line in words.visible_lines(item.failure.stacktrace)]
    return lines


def _try_facts(item: Try, shown: _Shown) -> list[tuple[str, str | None]]:
    used = [
        f"{label} {text}"
        for label, text in (
            ("CPU", words.duration(item.cpu_s)),
            ("memory", words.size(item.memory_peak_bytes)),
            ("read", words.size(item.read_bytes)),
            ("written", words.size(item.write_bytes)),
        )
        if text != words.UNKNOWN
    ]
    failure = item.failure
    cause = None
    if failure is not None:
        cause = ": ".join(filter(None, (failure.exception_type, failure.message))) or None
    return [
        ("phases", _phases(item, shown)),
        ("used", ", ".join(used) or "not measured"),
        ("samples", words.number(item.samples) if item.samples else None),
        ("asked for", item.resource_specification),
        ("executor id", item.executor_task_id),
        ("fate", failure.fate if failure else None),
        ("error", cause),
        ("at", failure.frame if failure else None),
        ("because of", ", ".join(map(str, failure.caused_by)) or None if failure else None),
    ]


def _phases(item: Try, shown: _Shown) -> str:
    """Tell where the time of a try went; workers have clocks of their own."""
    before = shown.facts.invoked_at if item.try_id == 0 else None
    parts = []
    if before is not None and item.launched_at is not None:
        waited_s = (item.launched_at - before).total_seconds()
        parts.append(f"waited {words.duration(max(waited_s, 0.0))}")
    for label, start, end, took_s in (
        ("queued", item.launched_at, item.running_at, item.queued_s),
        ("ran", item.running_at, item.ended_at, item.run_s),
        ("returned in", item.ended_at, item.returned_at, item.return_s),
    ):
        if took_s is not None:
            parts.append(f"{label} {words.duration(took_s)}")
        elif start is not None and end is not None:
            parts.append(f"{label} ? (the clocks of two hosts differ)")
    return ", ".join(parts) or "never launched"


def _change_lines(shown: _Shown) -> list[str]:
    lines = ["  states"]
    for change in shown.changes:
        known = OF_PARSL.get(change.state, TaskState.UNKNOWN)
        state = paint(change.state, OF_STATE[known.value])
        at = words.clock(change.at, shown.run.zone)
        lines.append(f"    {at}  try {change.try_id}  {state}")
    return lines
