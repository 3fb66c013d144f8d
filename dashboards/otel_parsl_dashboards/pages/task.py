"""All that is known of one task: ``/workflow/RUN/task/N``."""

from __future__ import annotations

import datetime

import pandas as pd
from sqlalchemy import Connection

from otel_parsl.cli import words
from otel_parsl.cli.status import LABELS
from otel_parsl.cli.traces import trace_of_task
from otel_parsl.query.errors import NoSuchRun
from otel_parsl.query.liveness import with_outcome
from otel_parsl.query.runs import Run
from otel_parsl.query.staging import select_staging
from otel_parsl.query.task_facts import (
    SameHashsum,
    StateChange,
    TaskFacts,
    select_dependents,
    select_done_at,
    select_same_hashsum,
    select_state_changes,
    select_states_of,
    select_task,
)
from otel_parsl.query.task_states import FAILED, OPEN, TaskState
from otel_parsl.query.tries import Try, TryFailure, select_tries
from otel_parsl.query.workers import Block, select_blocks
from otel_parsl_dashboards.data.file_end import file_end
from otel_parsl_dashboards.data.phases import PHASES, STAGING, Phase, phases_of
from otel_parsl_dashboards.elements import task_usage
from otel_parsl_dashboards.elements.colours import OF_PARSL_STATE, OF_PHASE, OF_STATE
from otel_parsl_dashboards.pages.page import Facts, Plot, RunPage, View
from otel_parsl_dashboards.shell.environment import number_words, seconds_words

_NEIGHBOURS = 100
"""Tasks named on each side; the rest is counted."""
_MOST_ID = 2**63 - 1


def find(view: View) -> None:
    """
    Look whether there is such a task.

    Raises:
        NoSuchRun: There is none.
    """
    task_id, run = int(view.params["task_id"]), view.snapshot.run
    if task_id > _MOST_ID:
        raise NoSuchRun(f"run {run.number} ({run.run_id}) has no task {task_id}")
    with view.source.read() as connection:
        select_task(connection, run, task_id)


def facts(view: View) -> Facts:
    """Return what the page says beside its plots."""
    task_id, standing = int(view.params["task_id"]), view.snapshot.standing
    with view.source.read() as connection:
        run = with_outcome(connection, standing.run, now=standing.now)
        task, state = select_task(connection, run, task_id)
        tries = select_tries(connection, run, [task_id]).get(task_id, [])
        changes = select_state_changes(connection, run, task_id)
        same, same_total = select_same_hashsum(connection, run, task, limit=_NEIGHBOURS)
        neighbours = _neighbours(connection, run, task, tries)
        staging = select_staging(connection, run, task.depends)
        ready_at = select_done_at(connection, run, task.depends)
        blocks = select_blocks(connection, run)
    until = standing.last_at if state in OPEN else None
    phases = phases_of(
        tries,
        app=task.app,
        invoked_at=task.invoked_at,
        ready_at=ready_at if task.depends else task.invoked_at,
        returned_at=task.returned_at,
        until=until,
        joining={each.try_id: each.at for each in changes if each.state == "joining" and each.at},
        staging=staging,
    )
    return {
        "title": f"task {task_id} · {standing.run.name or 'run'}",
        "task": _task(task, state, run, until),
        "trace_url": _trace_url(view, task_id),
        "phases": [
            (name, OF_PHASE[name])
            for name in PHASES
            # Few runs have files staged by tasks.
            if name != STAGING or any(each.name == name for of_try in phases for each in of_try)
        ],
        "tries": _tries(tries, phases, blocks),
        "changes": [_change(change, task, run) for change in changes],
        "neighbours": neighbours,
        "same": [_same(each, run) for each in same],
        "same_more": same_total - len(same),
        "files": _files(task, view.snapshot.run),
        "is_sampled": bool(len(_samples(view))),
        "is_sample_read": view.snapshot.has("samples"),
    }


def _trace_url(view: View, task_id: int) -> str | None:
    place = trace_of_task(view.snapshot.run, task_id)
    if view.trace_url is None or place is None:
        return None
    return view.trace_url.of(place)


def _task(task: TaskFacts, state: TaskState, run: Run, until: datetime.datetime | None) -> Facts:
    end = task.returned_at or until
    took_s = None
    if end is not None and task.invoked_at is not None:
        took_s = max((end - task.invoked_at).total_seconds(), 0.0)
    return {
        "task_id": task.task_id,
        "app": task.app,
        "state": LABELS[state],
        "colour": OF_STATE[state.value],
        "is_bad": state in FAILED,
        "invoked": words.local(task.invoked_at, run.zone),
        "returned": words.local(task.returned_at, run.zone)
        if task.returned_at is not None or until is None
        else "not yet",
        "took_s": took_s,
        "fail_count": task.fail_count,
        "fail_cost": number_words(task.fail_cost),
        "memoize": "yes" if task.is_memoised else "no",
        "hashsum": task.hashsum or "not known yet",
    }


def _tries(tries: list[Try], phases: list[list[Phase]], blocks: list[Block]) -> list[Facts]:
    jobs: dict[tuple[str, str | None], str | None] = {
        (it.executor, it.block_id): it.job_id for it in blocks
    }
    ends = [(each.start, each.end) for of_try in phases for each in of_try]
    first = min((start for start, _ in ends), default=None)
    whole_s = max(((end - first).total_seconds() for _, end in ends if first), default=0.0)
    return [
        {
            "try_id": item.try_id,
            "bars": [_bar(each, first, whole_s) for each in of_try if first is not None],
            "took": _together(of_try),
            "executor": item.executor,
            "block": item.block_id,
            "job": jobs.get((item.executor, item.block_id)),
            "host": item.hostname,
            "worker": item.worker_rank,
            "pid": item.pid,
            "cpu_s": item.cpu_s,
            "memory_peak_bytes": item.memory_peak_bytes,
            "asked_for": item.resource_specification,
            "failure": _failure(item.failure),
        }
        for item, of_try in zip(tries, phases, strict=True)
    ]


def _bar(phase: Phase, first: datetime.datetime, whole_s: float) -> Facts:
    start_s = (phase.start - first).total_seconds()
    share = 100 / whole_s if whole_s else 0.0
    return {
        "left": round(min(start_s * share, 100.0), 3),
        "width": round((phase.took_s or 0.0) * share, 3),
        "colour": OF_PHASE[phase.name],
        "said": f"{phase.name}: {_took(phase)}",
    }


def _together(phases: list[Phase]) -> dict[str, str]:
    """Return how long each phase took, in words; a try may wait twice."""
    by_name: dict[str, list[Phase]] = {}
    for phase in phases:
        by_name.setdefault(phase.name, []).append(phase)
    return {name: _took(*each) for name, each in by_name.items()}


def _took(*phases: Phase) -> str:
    lengths = [each.took_s for each in phases if each.took_s is not None]
    if len(lengths) < len(phases):
        return "? (clocks differ)"
    took = seconds_words(sum(lengths))
    return f"{took} so far" if phases[-1].is_open else took


def _failure(failure: TryFailure | None) -> Facts | None:
    if failure is None:
        return None
    return {
        "fate": failure.fate,
        "exception": ": ".join(filter(None, (failure.exception_type, failure.message))),
        "frame": failure.frame,
        "caused_by": failure.caused_by,
        "stacktrace": "\n".join(words.visible_lines(failure.stacktrace or "")),
    }


def _change(change: StateChange, task: TaskFacts, run: Run) -> Facts:
    since_s = None
    if change.at is not None and task.invoked_at is not None:
        since_s = (change.at - task.invoked_at).total_seconds()
    return {
        "try_id": change.try_id,
        "state": change.state,
        "colour": OF_PARSL_STATE.get(change.state, OF_STATE["unknown"]),
        "date": words.local(change.at, run.zone).partition(" ")[0],
        "clock": words.clock(change.at, run.zone),
        # Before its call: by the clock of another host.
        "since_s": since_s if since_s is None or since_s >= 0 else None,
    }


def _neighbours(connection: Connection, run: Run, task: TaskFacts, tries: list[Try]) -> list[Facts]:
    dependents = select_dependents(connection, run, task.task_id, limit=_NEIGHBOURS)
    joins = list(dict.fromkeys(other for item in tries for other in item.joins))
    sides = (
        ("depends on", list(task.depends), len(task.depends)),
        ("needed by", dependents.task_ids, dependents.total),
        ("joins", joins, len(joins)),
    )
    near = {other for _, ids, _ in sides for other in ids[:_NEIGHBOURS]}
    states = select_states_of(connection, run, sorted(near))
    return [
        {
            "name": name,
            "tasks": [
                {
                    "task_id": other,
                    "state": LABELS[states[other]] if other in states else "not known",
                    "colour": OF_STATE[states.get(other, TaskState.UNKNOWN).value],
                }
                for other in ids[:_NEIGHBOURS]
            ],
            "more": total - len(ids[:_NEIGHBOURS]),
        }
        for name, ids, total in sides
    ]


def _same(each: SameHashsum, run: Run) -> Facts:
    return {
        "run_id": each.run_id,
        "task_id": each.task_id,
        "run_name": "" if each.run_id == run.run_id else f"{each.run_name or ''} {each.run_number}",
    }


def _files(task: TaskFacts, run: Run) -> list[Facts]:
    said = [("inputs", task.inputs), ("outputs", task.outputs), ("stdin", task.stdin)]
    written = [("stdout", task.stdout), ("stderr", task.stderr)]
    return [
        *({"name": name, "said": each, "file": None} for name, each in said),
        *(
            {"name": name, "said": None, "file": path and file_end(path, rundir=run.rundir)}
            for name, path in written
        ),
    ]


def _samples(view: View) -> pd.DataFrame:
    samples, task_id = view.snapshot.samples, int(view.params["task_id"])
    return view.snapshot.once(
        ("samples", task_id), lambda: samples[samples["task_id"].to_numpy() == task_id]
    )


def _of_task(view: View) -> pd.DataFrame:
    tries = view.snapshot.tries
    return tries[tries["task_id"].to_numpy() == int(view.params["task_id"])]


PAGE = RunPage(
    path="task/{task_id:int}",
    template="task.html",
    facts=facts,
    is_slow=lambda _view: True,
    find=find,
    fragments=("task", "usage", "more"),
    needs=("samples",),
    plots=(
        Plot(
            key="cpu",
            title="CPU time",
            help="User and system time of the try's process and its children since the try began,"
            " as Parsl's resource monitor sampled it on the worker. A try shorter than the"
            " interval of sampling may have no sample. Parsl's own hub counts from the start of the"
            " worker, which runs many tries: of its runs, the time since the first sample.",
            draw=lambda view: task_usage.cpu_time(
                _samples(view), _of_task(view), counts_from_try=view.snapshot.run.is_ours
            ),
            summarise=lambda view: task_usage.summarise_cpu(
                _samples(view), counts_from_try=view.snapshot.run.is_ours
            ),
            legend=lambda view: task_usage.legend(_samples(view)),
            needs=("tries", "samples"),
            height=200,
        ),
        Plot(
            key="memory",
            title="Memory",
            help="Resident memory of the try's process and its children at each sample, drawn until"
            " the next one. A MB is 1,000,000 bytes.",
            draw=lambda view: task_usage.memory(_samples(view), _of_task(view)),
            summarise=lambda view: task_usage.summarise_memory(_samples(view)),
            legend=lambda view: task_usage.legend(_samples(view)),
            needs=("tries", "samples"),
            height=200,
        ),
    ),
)
