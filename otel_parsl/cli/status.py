"""``otel-parsl status``: how far a run is, and whether it is well."""

from __future__ import annotations

import argparse
import datetime
from collections import Counter
from typing import Any, NamedTuple

from otel_parsl.cli import words
from otel_parsl.cli.as_json import print_json
from otel_parsl.cli.exit_codes import TROUBLE, WELL
from otel_parsl.cli.paint import OF_STATE, paint
from otel_parsl.cli.run_arguments import add_database, add_json, add_run, opened_run
from otel_parsl.cli.table import Cell, Column, table
from otel_parsl.query.counts import AppStates, select_counts
from otel_parsl.query.liveness import Liveness, RunState, as_found, select_liveness, with_open_tasks
from otel_parsl.query.pace import OpenTasks, Pace, TimeLeft, estimate_time_left, select_pace
from otel_parsl.query.running import Running, select_running
from otel_parsl.query.runs import Run
from otel_parsl.query.task_states import FAILED, LEFT_OPEN, OPEN, TaskState
from otel_parsl.query.workers import (
    Block,
    DeadExecutor,
    UntracedExecutor,
    Workers,
    select_blocks,
    select_dead_executors,
    select_untraced_executors,
    select_workers,
)

LABELS = {
    TaskState.WAITING: "waiting on dependencies",
    TaskState.QUEUED: "queued",
    TaskState.RETRYING: "retrying",
    TaskState.RUNNING: "running",
    TaskState.JOINING: "joining",
    TaskState.EXECUTED: "executed",
    TaskState.MEMOISED: "memoised",
    TaskState.FAILED: "failed",
    TaskState.DEP_FAILED: "dependency failed",
    TaskState.LOST: "lost",
    TaskState.UNFINISHED: "unfinished",
    TaskState.UNKNOWN: "unknown",
}

_APPS_SHOWN = 40
_DEAD = {
    "lost": "its interchange is gone, and with it the tries that it had",
    "failed": "Parsl has given it up",
}


class Status(NamedTuple):
    """How a run stands."""

    run: Run
    liveness: Liveness
    counts: AppStates
    pace: Pace
    time_left: TimeLeft | None
    elapsed_s: float
    workers: Workers
    blocks: list[Block]
    executors: list[DeadExecutor]
    untraced: list[UntracedExecutor]
    now: datetime.datetime

    @property
    def tasks(self) -> Counter[TaskState]:
        """How many tasks are in each state."""
        total: Counter[TaskState] = Counter()
        for (_, state), tasks in self.counts.items():
            total[state] += tasks
        return total

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self.liveness.state is RunState.RUNNING


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_run(parser)
    add_database(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print how a run stands."""
    status = read_status(arguments.db, arguments.run)
    if arguments.json:
        print_json(_facts(status))
    else:
        print("\n".join(_lines(status)))
    has_failed = any(status.tasks[state] for state in FAILED)
    is_lost = status.liveness.state is RunState.LOST or bool(status.executors)
    return TROUBLE if has_failed or is_lost else WELL


def read_status(database_url: str | None, which: str) -> Status:
    """
    Return how a run stands.

    Raises:
        QueryError: There is no such database or run.
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    with opened_run(database_url, which) as (connection, found):
        liveness = select_liveness(connection, found, now=now)
        counts = select_counts(connection, as_found(found, liveness))
        open_tasks: Counter[str] = Counter()
        for (app, state), tasks in counts.items():
            if state in (*OPEN, *LEFT_OPEN):
                open_tasks[app] += tasks
        liveness = with_open_tasks(liveness, open_tasks.total())
        until = found.completed_at or now
        pace = select_pace(connection, found, until=until)
        time_left = None
        workers = Workers(0, 0, 0)
        if liveness.state is RunState.RUNNING:
            running = select_running(connection, found, now=now)
            time_left = estimate_time_left(
                pace,
                {
                    app: OpenTasks(tasks, *running.get(app, Running(0, 0.0)))
                    for app, tasks in open_tasks.items()
                },
            )
            workers = select_workers(connection, found)
        elif found.completed_at is None:
            until = liveness.last_sign_at or found.began_at
        blocks = select_blocks(connection, found)
        executors = select_dead_executors(connection, found)
        untraced = select_untraced_executors(connection, found)
    elapsed_s = max((until - found.began_at).total_seconds(), 0.0)
    return Status(
        found,
        liveness,
        counts,
        pace,
        time_left,
        elapsed_s,
        workers,
        blocks,
        executors,
        untraced,
        now,
    )


def _facts(status: Status) -> dict[str, Any]:
    return {
        "run": run_facts(status.run),
        "state": status.liveness.state,
        "because": status.liveness.because,
        "elapsed_s": status.elapsed_s,
        "last_seen_at": status.liveness.last_sign_at,
        "lag_s": status.run.lag_s,
        "tasks": {"total": status.tasks.total()}
        | {state.value: status.tasks[state] for state in TaskState},
        "apps": [
            {
                "app": app,
                "total": sum(states.values()),
                **{state.value: states[state] for state in TaskState},
                "mean_run_s": _mean_run_s(status.pace, app),
            }
            for app, states in _by_app(status)
        ],
        "rate_per_s": status.pace.rate_per_s,
        "time_left_s": status.time_left.seconds if status.time_left else None,
        "time_left_unseen_apps": status.time_left.unseen_apps if status.time_left else [],
        "workers": status.workers,
        "blocks": [
            {**block._asdict(), "is_over": not _is_open(block, status)} for block in status.blocks
        ],
        "executors": status.executors,
        "untraced_executors": status.untraced,
    }


def run_facts(found: Run) -> dict[str, Any]:
    """Return what identifies a run, for JSON."""
    return {
        "run_id": found.run_id,
        "name": found.name,
        "version": found.version,
        "number": found.number,
        "rundir": found.rundir,
        "host": found.host,
        "user": found.user,
        "began_at": found.began_at,
        "completed_at": found.completed_at,
        "time_zone": found.zone,
        "parsl_version": found.parsl_version,
        "recorded_by": "otel_parsl" if found.is_ours else "parsl",
    }


def headline(found: Run, liveness: Liveness) -> str:
    """Return the line that names a run and says how it stands."""
    name = paint(words.visible(found.name or "(no name)"), "bold")
    state = paint(liveness.state.value, OF_STATE[liveness.state.value])
    return f"{name}  run {found.number}  {state}: {words.visible(liveness.because)}"


def _lines(status: Status) -> list[str]:
    found = status.run
    lines = [headline(found, status.liveness), ""]
    lines.append(f"  run id      {found.run_id}")
    began = words.local(found.began_at, found.zone)
    lines.append(f"  began       {began}  on {found.host} by {words.visible(found.user)}")
    lines.append(f"  elapsed     {words.duration(status.elapsed_s)}")
    lines.append(f"  last seen   {_last_seen(status)}")
    lines += ["", *_state_lines(status)]
    if status.counts:
        lines += ["", *_app_lines(status)]
    lines += ["", *_pace_lines(status), *_block_lines(status)]
    lines += executor_lines(status)
    has_failed = any(status.tasks[state] for state in FAILED)
    if has_failed or status.executors or any(map(_is_trouble, status.blocks)):
        lines += ["", f"why it failed: otel-parsl failures {found.number}"]
    return lines


def _last_seen(status: Status) -> str:
    at = status.liveness.last_sign_at
    if at is None:
        return words.UNKNOWN
    age_s = max((status.now - at).total_seconds(), 0.0)
    seen = f"{words.local(at, status.run.zone)}  {words.duration(age_s)} ago"
    lag_s = status.run.lag_s
    if not status.is_running or lag_s is None:
        return seen
    return f"{seen}; what happens is here within {words.duration(lag_s)}"


def _state_lines(status: Status) -> list[str]:
    total, tasks = status.tasks.total(), status.tasks
    if not total:
        return ["no task yet" if status.is_running else "no task"]
    rows = [
        (
            Cell(LABELS[state], OF_STATE[state.value]),
            words.number(tasks[state]),
            f"{tasks[state] / total:.1%}",
        )
        for state in TaskState
        if tasks[state] or (status.is_running and state not in (TaskState.UNKNOWN, *LEFT_OPEN))
    ]
    rows.append((Cell("total", "bold"), words.number(total), ""))
    columns = (Column("tasks"), Column("", is_right=True), Column("", is_right=True))
    return table(columns, rows, indent="  ")


def _app_lines(status: Status) -> list[str]:
    used = [state for state in TaskState if status.tasks[state]]
    columns = [Column("app", may_shrink=True), Column("total", is_right=True)]
    columns += [Column(state.value, is_right=True) for state in used]
    columns.append(Column("mean run", is_right=True))
    rows = []
    apps = _by_app(status)
    for app, states in apps[:_APPS_SHOWN]:
        row: list[str | Cell] = [words.visible(app), words.number(sum(states.values()))]
        row += [
            Cell(words.number(states[state]), OF_STATE[state.value] if states[state] else "dim")
            for state in used
        ]
        row.append(words.duration(_mean_run_s(status.pace, app)))
        rows.append(row)
    more = len(apps) - _APPS_SHOWN
    return table(columns, rows, indent="  ") + (
        [f"  and {words.counted(more, 'more app')}: --json has them all"] if more > 0 else []
    )


def _by_app(status: Status) -> list[tuple[str, Counter[TaskState]]]:
    apps: dict[str, Counter[TaskState]] = {}
    for (app, state), tasks in status.counts.items():
        apps.setdefault(app, Counter())[state] += tasks
    return sorted(apps.items(), key=lambda item: (-item[1].total(), item[0]))


def _mean_run_s(pace: Pace, app: str) -> float | None:
    of_app = pace.apps.get(app)
    return None if of_app is None else of_app.mean_run_s


def _pace_lines(status: Status) -> list[str]:
    rate = f"  rate        {status.pace.rate_per_s:.3g} tries/s"
    if not status.is_running:
        return [f"{rate} over the whole run"]
    lines = [f"{rate} over the last {words.duration(status.pace.recent_s)}"]
    if any(status.tasks[state] for state in OPEN):
        lines.append(f"  time left   {_time_left_words(status.time_left)}")
    workers = status.workers
    lines.append(
        f"  workers     {words.number(workers.connected)} connected in"
        f" {words.counted(workers.managers, 'manager')}, {words.number(workers.busy)} busy"
    )
    return lines


def _time_left_words(time_left: TimeLeft | None) -> str:
    if time_left is None:
        return "not known yet: no try has ended"
    about = f"about {words.duration(time_left.seconds)}, by what finished tasks of each app took"
    if time_left.unseen_apps:
        return (
            f"{about}; none of {words.visible(', '.join(time_left.unseen_apps))} has finished yet"
        )
    return about


def executor_lines(status: Status) -> list[str]:
    """Return a line for each executor that runs nothing any more, or is not seen whole."""
    lines = [
        f"  executor    {words.visible(dead.executor)}: {paint(dead.state, 'red')},"
        f" {_DEAD[dead.state]}"
        for dead in status.executors
    ]
    lines += (
        f"  executor    {words.visible(each.executor)}: seen from the submit side only, its workers"
        f" cannot import otel_parsl ({words.visible(each.why)})"
        for each in status.untraced
    )
    return lines


def block_status(block: Block, status: Status) -> str:
    """Return a block's status in words: where its run is over, nobody hears of its end."""
    said = block.status.lower()
    is_unseen = not (_has_ended(block) or _is_open(block, status))
    return f"{said} when last seen" if is_unseen else said


def _is_open(block: Block, status: Status) -> bool:
    return status.is_running and not _has_ended(block)


def _has_ended(block: Block) -> bool:
    return block.status.lower() not in ("running", "pending")


def _block_lines(status: Status) -> list[str]:
    by_executor: dict[str, Counter[str]] = {}
    for block in status.blocks:
        by_executor.setdefault(block.executor, Counter())[block_status(block, status)] += 1
    lines = []
    for executor, states in sorted(by_executor.items()):
        said = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        lines.append(f"  blocks      {words.visible(executor)}: {said}")
    return lines


def _is_trouble(block: Block) -> bool:
    return block.is_trouble
