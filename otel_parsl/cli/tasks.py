"""``otel-parsl tasks``: list a run's tasks, filtered and sorted."""

from __future__ import annotations

import argparse
import datetime
import difflib
import sys
from typing import Any, NamedTuple

from otel_parsl.cli import words
from otel_parsl.cli.as_json import print_json
from otel_parsl.cli.exit_codes import WELL
from otel_parsl.cli.paint import OF_STATE
from otel_parsl.cli.run_arguments import (
    add_database,
    add_json,
    add_limit,
    add_run,
    opened_run,
)
from otel_parsl.cli.table import Cell, Column, table
from otel_parsl.query.liveness import with_outcome
from otel_parsl.query.runs import Run
from otel_parsl.query.task_facts import TaskFacts, select_task_facts
from otel_parsl.query.task_states import OF_PARSL, TaskState
from otel_parsl.query.tasks import SORTS, TaskFilter, TaskIds, select_app_names, select_task_ids
from otel_parsl.query.tries import Try, select_tries

_LIMIT = 50
_STATES: dict[str, TaskState] = {**OF_PARSL, **{state.value: state for state in TaskState}}
_SORT_HELP = (
    "urgency (the default: failed, then open, then done), id, latest (the last called first),"
    " run (the longest first), memory (the largest first)"
)


class _Task(NamedTuple):
    facts: TaskFacts
    state: TaskState
    tries: list[Try]

    @property
    def last(self) -> Try | None:
        return self.tries[-1] if self.tries else None

    @property
    def error(self) -> str | None:
        """The latest failure, in a line."""
        failure = next((item.failure for item in reversed(self.tries) if item.failure), None)
        return failure.in_a_line if failure is not None else None

    def run_s(self, now: datetime.datetime) -> float | None:
        """How long its last try ran, or has run so far."""
        last = self.last
        if last is None:
            return None
        if last.run_s is None and self.state is TaskState.RUNNING and last.running_at:
            return max((now - last.running_at).total_seconds(), 0.0)
        return last.run_s


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_run(parser)
    parser.add_argument("--app", action="append", default=[], help="only this app; repeatable")
    parser.add_argument(
        "--state",
        action="append",
        default=[],
        choices=sorted(_STATES),
        metavar="STATE",
        help=f"only this state; repeatable: {', '.join(TaskState)}, or one of Parsl's",
    )
    parser.add_argument(
        "--host", action="append", default=[], help="only tasks tried on this host; repeatable"
    )
    parser.add_argument(
        "--text", help="only tasks with this in app, inputs, outputs, paths or failure"
    )
    parser.add_argument("--sort", choices=SORTS, default="urgency", help=_SORT_HELP)
    add_limit(parser, default=_LIMIT, things="tasks")
    add_database(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the tasks that were asked for."""
    now = datetime.datetime.now(datetime.timezone.utc)
    wanted = TaskFilter(
        apps=arguments.app,
        states=[_STATES[name] for name in arguments.state],
        hosts=arguments.host,
        text=arguments.text,
    )
    with opened_run(arguments.db, arguments.run) as (connection, named):
        found = with_outcome(connection, named, now=now)
        ids = select_task_ids(
            connection,
            found,
            wanted,
            sort=arguments.sort,
            limit=arguments.limit or None,
            now=now,
        )
        numbers = [task_id for task_id, _ in ids.found]
        facts = select_task_facts(connection, found, numbers)
        tries = select_tries(connection, found, numbers)
        known_apps = [] if ids.total or not wanted.apps else select_app_names(connection, found)
    tasks = [
        _Task(facts[task_id], state, tries.get(task_id, []))
        for task_id, state in ids.found
        if task_id in facts
    ]
    if arguments.json:
        print_json(_facts(found, tasks, ids, now))
        return WELL
    for line in _lines(found, tasks, ids, now):
        print(line)
    _warn_of_apps(wanted, known_apps)
    return WELL


def _facts(found: Run, tasks: list[_Task], ids: TaskIds, now: datetime.datetime) -> dict[str, Any]:
    return {
        "run_id": found.run_id,
        "total": ids.total,
        "shown": len(tasks),
        "tasks": [_task_facts(task, now) for task in tasks],
    }


def _task_facts(task: _Task, now: datetime.datetime) -> dict[str, Any]:
    last = task.last
    return {
        "task_id": task.facts.task_id,
        "app": task.facts.app,
        "state": task.state,
        "tries": len(task.tries),
        "executor": last.executor if last else None,
        "hostname": last.hostname if last else None,
        "block_id": last.block_id if last else None,
        "invoked_at": task.facts.invoked_at,
        "returned_at": task.facts.returned_at,
        "queued_s": last.queued_s if last else None,
        "run_s": task.run_s(now),
        "cpu_s": last.cpu_s if last else None,
        "memory_peak_bytes": last.memory_peak_bytes if last else None,
        "error": task.error,
    }


def _lines(found: Run, tasks: list[_Task], ids: TaskIds, now: datetime.datetime) -> list[str]:
    if not tasks:
        return [f"no such task in run {found.number}"]
    columns = (
        Column("task", is_right=True),
        Column("app", may_shrink=True),
        Column("state"),
        Column("tries", is_right=True, leave_out=5),
        Column("executor", may_shrink=True, leave_out=2),
        Column("host", may_shrink=True, leave_out=4),
        Column("queued", is_right=True, leave_out=3),
        Column("run", is_right=True),
        Column("cpu", is_right=True, leave_out=1),
        Column("memory", is_right=True, leave_out=6),
        Column("error", may_shrink=True),
    )
    lines = table(columns, [_row(task, now) for task in tasks])
    if ids.total > len(tasks):
        lines += [
            "",
            f"{words.number(len(tasks))} of {words.number(ids.total)} tasks are shown:"
            " --limit N shows more, --limit 0 all",
        ]
    return lines


def _row(task: _Task, now: datetime.datetime) -> list[str | Cell]:
    last = task.last
    return [
        str(task.facts.task_id),
        words.visible(task.facts.app),
        Cell(task.state.value, OF_STATE[task.state.value]),
        str(len(task.tries)),
        words.visible(last.executor) if last else words.UNKNOWN,
        words.visible(last.hostname or words.UNKNOWN) if last else words.UNKNOWN,
        words.duration(last.queued_s if last else None),
        words.duration(task.run_s(now)),
        words.duration(last.cpu_s if last else None),
        words.size(last.memory_peak_bytes if last else None),
        words.visible(task.error or ""),
    ]


def _warn_of_apps(wanted: TaskFilter, known: list[str]) -> None:
    if not known:
        return
    for app in wanted.apps:
        if app not in known:
            close = difflib.get_close_matches(app, known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(known[:20])}"
            sys.stderr.write(f"otel-parsl: no app {app!r}. {hint}\n")
