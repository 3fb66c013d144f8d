"""Why tasks and blocks failed, by cause: ``/workflow/RUN/failures``."""

from __future__ import annotations

import datetime

from otel_parsl.cli import words
from otel_parsl.query.counts import select_lost
from otel_parsl.query.failure_groups import FailureGroup
from otel_parsl.query.failures import select_seen
from otel_parsl.query.liveness import with_outcome
from otel_parsl.query.tries import select_tries
from otel_parsl.query.workers import Block, alike, select_blocks, select_dead_executors
from otel_parsl_dashboards.data.file_end import file_end
from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.elements import failures_over_time
from otel_parsl_dashboards.pages.causes import failure_groups
from otel_parsl_dashboards.pages.page import Facts, Plot, RunPage, View

_GROUPS_SHOWN = 100
_HOSTS_SHOWN = 8
_BLOCKS_SHOWN = 10


def group_facts(group: FailureGroup, snapshot: Snapshot) -> Facts:
    """Return what both pages say of a cause."""
    zone = snapshot.run.zone
    hidden = len(group.hosts) - _HOSTS_SHOWN
    waiting = group.tasks - group.failed_tasks - group.recovered_tasks
    return {
        "fingerprint": group.fingerprint,
        "fate": group.fate,
        "exception": (group.exception_type or "").rpartition(".")[2],
        "frame": group.frame,
        "template": group.template,
        "message": group.message if group.message != group.template else None,
        "tries": group.tries,
        "failed_tasks": group.failed_tasks,
        "recovered_tasks": group.recovered_tasks,
        "other_tasks": max(waiting, 0),
        "dependents": group.dependents,
        "first": words.local(group.first_at, zone),
        "last": words.local(group.last_at, zone),
        "apps": group.apps,
        "hosts": group.hosts[:_HOSTS_SHOWN],
        "hidden_hosts": max(hidden, 0),
        "example": (group.example_task, group.example_try),
    }


def facts(view: View) -> Facts:
    """Return what the page says beside its plot."""
    every = failure_groups(view)
    seen = _seen(view)
    groups = [group for group in every if seen is None or group.fingerprint in seen]
    return {
        "groups": [group_facts(group, view.snapshot) for group in groups[:_GROUPS_SHOWN]],
        "hidden_groups": max(len(groups) - _GROUPS_SHOWN, 0),
        "sums": _sums(groups),
        "trouble": view.snapshot.once("trouble", lambda: _trouble(view)),
        "has_failed": bool(every),
        "is_ours": view.snapshot.run.is_ours,
        "is_running": view.snapshot.standing.is_running,
    }


def _seen(view: View) -> set[str] | None:
    """Return the fingerprints of the causes that were seen within the window; None without one."""
    window, standing = view.window, view.snapshot.standing
    if window is None:
        return None

    def read() -> set[str]:
        start, end = standing.utc(window.start), standing.utc(window.end)
        with view.source.read() as connection:
            return select_seen(connection, standing.run, start, end)

    return view.snapshot.once(("causes seen", window), read)


def _sums(groups: list[FailureGroup]) -> Facts:
    return {
        "causes": sum(group.failed_tasks > 0 for group in groups),
        "failed": sum(group.failed_tasks for group in groups),
        "dependents": sum(group.dependents for group in groups),
        "recovered": sum(group.recovered_tasks for group in groups),
    }


def _stacks(view: View) -> Facts:
    """Return the stack trace of one try of each cause."""
    groups = failure_groups(view)[:_GROUPS_SHOWN]
    with view.source.read() as connection:
        ids = sorted({group.example_task for group in groups})
        tries = select_tries(connection, view.snapshot.run, ids)
    failures = {
        (item.task_id, item.try_id): item.failure for found in tries.values() for item in found
    }
    stacks = {}
    for group in groups:
        failure = failures.get((group.example_task, group.example_try))
        if failure is not None and failure.stacktrace:
            stacks[group.fingerprint] = failure.stacktrace
    return {"stacks": stacks}


def _trouble(view: View) -> Facts:
    run = view.snapshot.run
    now = datetime.datetime.now(datetime.timezone.utc)
    with view.source.read() as connection:
        blocks = [block for block in select_blocks(connection, run) if block.is_trouble]
        executors = select_dead_executors(connection, run)
        lost = select_lost(connection, with_outcome(connection, run, now=now))
    return {
        "lost": lost,
        "executors": [
            {
                "name": executor.executor,
                "state": executor.state,
                "said": executor.message,
                "seen": words.local(executor.changed_at, run.zone),
            }
            for executor in executors
        ],
        "blocks": [_block(same, view) for same in alike(blocks)],
    }


def _block(same: list[Block], view: View) -> Facts:
    """Return the last of some blocks that ended alike, and the ids of the others."""
    block = same[-1]
    others = [other.block_id for other in same[:-1]]
    return {
        **block_facts(block, view),
        "others": others[-_BLOCKS_SHOWN:],
        "hidden_others": max(len(others) - _BLOCKS_SHOWN, 0),
    }


def block_facts(block: Block, view: View) -> Facts:
    """Return what is known of a block, and the ends of what its job printed."""
    run = view.snapshot.run
    paths = (("stdout", block.stdout_path), ("stderr", block.stderr_path))
    return {
        "executor": block.executor,
        "block": block.block_id,
        "status": block.status,
        "is_trouble": block.is_trouble,
        "job": block.job_id,
        "exit_code": block.exit_code,
        "said": block.said,
        "seen": words.local(block.changed_at, run.zone),
        "files": [(name, file_end(path, rundir=run.rundir)) for name, path in paths if path],
    }


PAGE = RunPage(
    path="failures",
    tab="Failures",
    tab_count=lambda snapshot: snapshot.standing.failed,
    template="failures.html",
    tables={"groups": "causes", "trouble.executors": "executors", "trouble.blocks": "blocks"},
    is_reported=True,
    report_facts=_stacks,
    facts=facts,
    is_slow=lambda _view: True,
    fragments=("sums", "window", "groups", "trouble"),
    plots=(
        Plot(
            key="over-time",
            title="Failures over time",
            help="When tries failed, as the submit host saw it: each bar counts those in one"
            " hundred and twentieth of the time in view.",
            hint="drag over a stretch of time: the causes seen in it alone are listed",
            draw=lambda view: failures_over_time.failures_over_time(
                view.snapshot.statuses, span=view.span
            ),
            summarise=lambda view: failures_over_time.summarise(
                view.snapshot.statuses, span=view.span
            ),
            legend=lambda _view: failures_over_time.LEGEND,
            needs=("statuses",),
            height=130,
            is_timed=True,
            follows_window=True,
        ),
    ),
)
