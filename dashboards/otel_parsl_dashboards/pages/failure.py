"""One cause of failures, with its tasks and the traces that they left: ``failures/CAUSE``."""

from __future__ import annotations

import numpy as np

from otel_parsl.cli import words
from otel_parsl.query.errors import NoSuchRun
from otel_parsl.query.failure_groups import FailureGroup, GroupMembers
from otel_parsl.query.failure_members import select_group_members
from otel_parsl.query.task_facts import TaskFacts, select_task_facts
from otel_parsl.query.task_states import FAILED, TaskState
from otel_parsl.query.tries import Try, TryKey, select_tries
from otel_parsl.query.workers import Block, select_blocks
from otel_parsl_dashboards.data.file_end import file_end
from otel_parsl_dashboards.pages.causes import group_named
from otel_parsl_dashboards.pages.failures import block_facts, group_facts
from otel_parsl_dashboards.pages.page import Facts, RunPage, View

_SHOWN = 100
Blocks = dict[tuple[str, str | None], Block]


def find(view: View) -> None:
    """
    Look whether there is such a cause.

    Raises:
        NoSuchRun: There is none.
    """
    if _group(view) is None:
        raise NoSuchRun(
            f"nothing has failed of cause {view.params['fingerprint']!r} in run"
            f" {view.snapshot.run.number}: its page Failures lists the causes"
        )


def facts(view: View) -> Facts:
    """Return all of the page."""
    group = _group(view)
    if group is None:  # what it was made of has been folded under another one since
        return {"group": None, "is_ours": view.snapshot.run.is_ours}
    asked = _asked(view)
    key = ("failure", group.fingerprint, asked)
    return view.snapshot.once(key, lambda: _facts(view, group, asked))


def _group(view: View) -> FailureGroup | None:
    return group_named(view, view.params["fingerprint"])


def _asked(view: View) -> TryKey | None:
    """Return the try that the address names."""
    task_id, try_id = view.query.get("task", ""), view.query.get("try", "")
    return (int(task_id), int(try_id)) if _is_id(task_id) and _is_id(try_id) else None


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _facts(view: View, group: FailureGroup, asked: TryKey | None) -> Facts:
    run = view.snapshot.run
    with view.source.read() as connection:
        members = select_group_members(connection, run, group, limit=_SHOWN)
        example = group.example_task, group.example_try
        ids = {each.task_id for each in members.tries} | {example[0]}
        if asked is not None:
            ids.add(asked[0])
        tries = {
            (item.task_id, item.try_id): item
            for found in select_tries(connection, run, sorted(ids)).values()
            for item in found
        }
        shown = asked if asked is not None and _is_of(group, tries.get(asked)) else example
        task = select_task_facts(connection, run, [shown[0]]).get(shown[0])
        blocks: Blocks = {(it.executor, it.block_id): it for it in select_blocks(connection, run)}
    return {
        "group": group_facts(group, view.snapshot),
        "rows": _rows(view, members, tries, blocks, shown),
        "dependents": members.dependents,
        "is_ours": run.is_ours,
        "shown": _shown(view, shown, task, tries.get(shown), blocks),
        "is_other": asked not in (None, shown),
    }


def _is_of(group: FailureGroup, item: Try | None) -> bool:
    failure = item.failure if item is not None else None
    return failure is not None and failure.fingerprint == group.fingerprint


def _rows(
    view: View, members: GroupMembers, tries: dict[TryKey, Try], blocks: Blocks, shown: TryKey
) -> list[Facts]:
    tasks = view.snapshot.tasks
    wanted = [each.task_id for each in members.tries]
    some = tasks[np.isin(tasks["task_id"].to_numpy(), wanted)]
    known = {row.task_id: row for row in some.itertuples()}
    rows = []
    for each in members.tries:
        key = each.task_id, each.try_id
        task, item = known.get(each.task_id), tries.get(key)
        rows.append(
            {
                "task_id": each.task_id,
                "try_id": each.try_id,
                "is_shown": key == shown,
                "app": task.app if task is not None else words.UNKNOWN,
                "is_final": each.is_final,
                "then": _then(each.is_final, task.state if task is not None else None),
                **_place(item, view, blocks),
            }
        )
    return rows


def _then(is_final: bool, state: str | None) -> str:
    """Return what became of a task after one of its tries failed."""
    if is_final:
        return "given up"
    if state is None:
        return words.UNKNOWN
    if state == TaskState.EXECUTED.value:
        return "succeeded when tried again"
    return "failed again" if state in [each.value for each in FAILED] else "tried again"


def _place(item: Try | None, view: View, blocks: Blocks) -> Facts:
    """Return when and where a try failed; dashes for what is not known."""
    if item is None:
        return dict.fromkeys(("at", "executor", "host", "block", "job"), words.UNKNOWN)
    block = blocks.get((item.executor, item.block_id))
    at = item.returned_at or item.ended_at or item.launched_at
    return {
        "at": words.local(at, view.snapshot.run.zone),
        "executor": item.executor or words.UNKNOWN,
        "host": item.hostname or words.UNKNOWN,
        "block": item.block_id or words.UNKNOWN,
        "job": (block.job_id if block is not None else None) or words.UNKNOWN,
    }


def _shown(
    view: View, key: TryKey, task: TaskFacts | None, item: Try | None, blocks: Blocks
) -> Facts:
    """Return all that one of the tries left."""
    rundir = view.snapshot.run.rundir
    failure = item.failure if item is not None else None
    block = blocks.get((item.executor, item.block_id)) if item is not None else None
    paths = (("stdout", task.stdout), ("stderr", task.stderr)) if task is not None else ()
    return {
        "task_id": key[0],
        "try_id": key[1],
        "app": task.app if task is not None else words.UNKNOWN,
        "message": failure.message if failure is not None else None,
        "stacktrace": failure.stacktrace if failure is not None else None,
        "exit_code": item.exit_code if item is not None else None,
        "files": [(name, file_end(path, rundir=rundir)) for name, path in paths if path],
        "block": block_facts(block, view) if block is not None else None,
        "place": _place(item, view, blocks),
    }


PAGE = RunPage(
    path="failures/{fingerprint}",
    template="failure.html",
    facts=facts,
    fragments=("failure",),
    find=find,
)
