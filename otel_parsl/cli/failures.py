"""``otel-parsl failures``: why tasks and blocks failed, by cause."""

from __future__ import annotations

import argparse
import datetime
from typing import Any, NamedTuple

from otel_parsl.cli import words
from otel_parsl.cli.as_json import plain, print_json
from otel_parsl.cli.exit_codes import TROUBLE, WELL
from otel_parsl.cli.log_tail import tail
from otel_parsl.cli.paint import paint
from otel_parsl.cli.run_arguments import (
    add_database,
    add_json,
    add_limit,
    add_run,
    opened_run,
)
from otel_parsl.query.counts import select_lost
from otel_parsl.query.failure_groups import FailureGroup
from otel_parsl.query.failures import select_failure_groups
from otel_parsl.query.liveness import RunState, with_outcome
from otel_parsl.query.runs import Run
from otel_parsl.query.workers import (
    Block,
    DeadExecutor,
    alike,
    select_blocks,
    select_dead_executors,
)

_LIMIT = 20
_HOSTS_SHOWN = 5
_STACK_LINES = 40
_BLOCKS_SHOWN = 10


class _Failures(NamedTuple):
    run: Run
    lost: int
    """How many tasks died with their run, of which no failure tells."""
    groups: list[FailureGroup]
    blocks: list[Block]
    executors: list[DeadExecutor]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_run(parser)
    parser.add_argument(
        "--stack", action="store_true", help="show the stack trace of an example of each cause"
    )
    add_limit(parser, default=_LIMIT, things="causes")
    add_database(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print why tasks and blocks failed."""
    now = datetime.datetime.now(datetime.timezone.utc)
    with opened_run(arguments.db, arguments.run) as (connection, named):
        found = with_outcome(connection, named, now=now)
        lost = select_lost(connection, found)
        groups = select_failure_groups(connection, found)
        blocks = [block for block in select_blocks(connection, found) if block.is_trouble]
        executors = select_dead_executors(connection, found)
    failures = _Failures(found, lost, groups, blocks, executors)
    if arguments.json:
        print_json(_facts(failures))
    else:
        limit = arguments.limit or len(groups)
        print("\n".join(_lines(failures, limit, with_stack=arguments.stack)))
    is_given_up = any(group.failed_tasks or group.dependents for group in groups)
    is_lost = found.outcome == RunState.LOST.value
    return TROUBLE if is_given_up or blocks or executors or is_lost else WELL


def _facts(failures: _Failures) -> dict[str, Any]:
    return {
        "run_id": failures.run.run_id,
        "failed_tasks": sum(group.failed_tasks for group in failures.groups),
        "dependents": sum(group.dependents for group in failures.groups),
        "lost_tasks": failures.lost,
        "executors": [plain(executor) for executor in failures.executors],
        "groups": [plain(group) | {"hosts": dict(group.hosts)} for group in failures.groups],
        "blocks": [
            plain(block) | {"stderr_tail": tail(block.stderr_path, rundir=failures.run.rundir)}
            for block in failures.blocks
        ],
    }


def _lines(failures: _Failures, limit: int, *, with_stack: bool) -> list[str]:
    groups = failures.groups
    if not groups and not failures.blocks and not failures.executors and not failures.lost:
        return [f"nothing has failed in run {failures.run.number}"]
    lines = [_summary(failures)]
    for executor in failures.executors:
        has_blocks = any(block.executor == executor.executor for block in failures.blocks)
        lines += ["", *_executor_lines(executor, failures.run, has_blocks=has_blocks)]
    for blocks in alike(failures.blocks):
        lines += ["", *_block_lines(blocks, failures.run)]
    for group in groups[:limit]:
        lines += ["", *_group_lines(group, failures.run, with_stack=with_stack)]
    if len(groups) > limit:
        more = words.counted(len(groups) - limit, "more cause")
        lines += ["", f"and {more}: --limit 0 shows all"]
    return lines


def _summary(failures: _Failures) -> str:
    groups = failures.groups
    parts = []
    failed = sum(group.failed_tasks for group in groups)
    fatal = sum(group.failed_tasks > 0 for group in groups)
    dependents = sum(group.dependents for group in groups)
    recovered = sum(group.recovered_tasks for group in groups)
    if failed:
        parts.append(f"{words.counted(failed, 'task')} failed of {words.counted(fatal, 'cause')}")
    else:
        parts.append("no task failed")
    if dependents:
        parts.append(f"{words.counted(dependents, 'dependent')} with them")
    if recovered:
        parts.append(f"{words.number(recovered)} succeeded when tried again")
    if failures.blocks:
        parts.append(words.counted(len(failures.blocks), "block") + " in trouble")
    for executor in failures.executors:
        parts.append(f"executor {words.visible(executor.executor)} {executor.state}")
    if failures.lost:
        parts.append(f"{words.counted(failures.lost, 'task')} lost with the run")
    name = words.visible(failures.run.name or "(no name)")
    return f"{paint(name, 'bold')}  run {failures.run.number}: {', '.join(parts)}"


def _group_lines(group: FailureGroup, run: Run, *, with_stack: bool) -> list[str]:
    kind = (group.exception_type or "").rpartition(".")[2]
    head = f"{paint(group.fate, 'red')}  {kind}".rstrip()
    if group.frame:
        head += f"  in {words.visible(group.frame)}"
    lines = [head]
    if group.template:
        lines.append(f"  {words.visible(group.template)}")
    if group.message and group.message != group.template:
        lines.append(f"  {paint('such as', 'dim')}   {words.visible(_short(group.message))}")
    lines.append(f"  {paint('tasks', 'dim')}     {_task_words(group)}")
    first, last = words.local(group.first_at, run.zone), words.local(group.last_at, run.zone)
    seen = first if first == last else f"{first} to {last}"
    lines.append(f"  {paint('seen', 'dim')}      {seen}")
    if group.apps:
        lines.append(f"  {paint('apps', 'dim')}      {words.visible(', '.join(group.apps))}")
    if group.hosts:
        lines.append(f"  {paint('hosts', 'dim')}     {_host_words(group)}")
    example = f"otel-parsl show {run.number}/{group.example_task}"
    lines.append(f"  {paint('example', 'dim')}   {example}")
    if with_stack and group.stacktrace:
        stack = words.visible_lines(group.stacktrace)
        lines += [f"    {line}" for line in stack[-_STACK_LINES:]]
    return lines


def _task_words(group: FailureGroup) -> str:
    parts = [f"{words.number(group.failed_tasks)} failed"]
    if group.dependents:
        parts.append(f"{words.counted(group.dependents, 'dependent')} with them")
    if group.recovered_tasks:
        parts.append(f"{words.number(group.recovered_tasks)} succeeded when tried again")
    others = group.tasks - group.failed_tasks - group.recovered_tasks
    if others > 0:
        parts.append(f"{words.number(others)} tried again")
    return f"{', '.join(parts)}, in {words.counted(group.tries, 'try')}"


def _host_words(group: FailureGroup) -> str:
    shown = [f"{words.visible(host)} ({tries})" for host, tries in group.hosts[:_HOSTS_SHOWN]]
    if len(group.hosts) > _HOSTS_SHOWN:
        shown.append(f"and {len(group.hosts) - _HOSTS_SHOWN} more")
    return ", ".join(shown)


def _executor_lines(executor: DeadExecutor, run: Run, *, has_blocks: bool) -> list[str]:
    head = paint(f"executor_{executor.state}", "red")
    lines = [f"{head}  {words.visible(executor.executor)}"]
    if executor.state == "failed":
        lines.append("  Parsl has given it up: all its tasks fail, those to come too")
    if not has_blocks:  # else Parsl only repeats what they say
        said = words.visible_lines(executor.message or "")
        lines += [f"  {line}" for line in said if line.strip()]
    return [*lines, f"  {paint('seen', 'dim')}      {words.local(executor.changed_at, run.zone)}"]


def _block_lines(blocks: list[Block], run: Run) -> list[str]:
    block = blocks[-1]
    where = f"block {block.block_id} of {block.executor}"
    if block.job_id:
        where += f"  job {block.job_id}"
    if block.exit_code is not None:
        where += f"  exit code {block.exit_code}"
    lines = [f"{paint('block_' + block.status.lower(), 'red')}  {words.visible(where)}"]
    lines += [f"  {line}" for line in words.visible_lines(block.said) if line.strip()]
    lines.append(f"  {paint('seen', 'dim')}      {words.local(block.changed_at, run.zone)}")
    if len(blocks) > 1:
        others = [other.block_id for other in blocks[:-1]]
        shown = ", ".join(others[-_BLOCKS_SHOWN:])
        more = " and earlier ones" if len(others) > _BLOCKS_SHOWN else ""
        number = words.counted(len(others), "more block")
        lines.append(f"  {paint('alike', 'dim')}     {number}: {words.visible(shown)}{more}")
    for label, path in (("stdout", block.stdout_path), ("stderr", block.stderr_path)):
        if path:
            lines.append(f"  {paint(label, 'dim')}    {words.visible(path)}")
    for line in tail(block.stderr_path, rundir=run.rundir) or []:
        lines.append(f"    {words.visible(line)}")
    return lines


def _short(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
