"""Write tasks: table ``task``, the state of each, and how many are in which state."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from otel_parsl.schema import otel_count, otel_edge, otel_task, task
from otel_parsl_collector.materialise.facts import Facts, TaskBorn, TaskState
from otel_parsl_collector.store.session import Session
from otel_parsl_collector.store.upsert import Row

_LATEST = (
    "task_func_name task_memoize task_hashsum task_inputs task_fail_count task_fail_cost"
    " task_time_returned"
)
_BORN = "task_time_invoked task_depends task_outputs task_stdin task_stdout task_stderr"
_ALL = " ".join(task.c.keys())
_UNBORN = TaskBorn(None, None, None, None, None, None)


def write_tasks(facts: Facts, session: Session) -> None:
    """Write the latest state of each task in the facts, and what never changes of it."""
    latest: dict[str, dict[int, TaskState]] = defaultdict(dict)
    for state in facts.states:
        known = latest[state.run_id].get(state.task_id)
        if known is None or state.sequence > known.sequence:
            latest[state.run_id][state.task_id] = state
    for run_id, states in latest.items():
        _write_run(run_id, states, facts, session)
    _write_edges(facts, session)


def _write_run(run_id: str, states: dict[int, TaskState], facts: Facts, session: Session) -> None:
    before = {
        row.task_id: row
        for row in session.existing(
            otel_task, run_id, states, ("task_id", "app", "state", "sequence")
        )
    }
    moved: Counter[tuple[str, str]] = Counter()
    whole: list[Row] = []
    changed: list[Row] = []
    born_late: list[Row] = []
    current: list[Row] = []
    for task_id, state in states.items():
        old = before.get(task_id)
        born = facts.born.get((run_id, task_id))
        is_news = old is None or state.sequence > old.sequence
        row = _row(state, born or _UNBORN, session)
        if not is_news:
            if born is not None:
                born_late.append(row)
            continue
        (changed if born is None else whole).append(row)
        current.append((run_id, task_id, state.app, state.state, state.sequence, state.time_ns))
        if old is not None:
            moved[old.app, old.state] -= 1
        moved[state.app, state.state] += 1
    session.upsert(task, _ALL, whole, update=f"{_LATEST} {_BORN}")
    session.upsert(task, _ALL, changed, update=_LATEST)
    session.upsert(task, _ALL, born_late, update=_BORN)
    session.upsert(
        otel_task,
        "run_id task_id app state sequence changed_ns",
        current,
        update="app state sequence changed_ns",
    )
    session.upsert(
        otel_count,
        "run_id app state tasks",
        [(run_id, app, name, count) for (app, name), count in moved.items() if count],
        add="tasks",
    )
    if any(count < 0 for count in moved.values()):
        emptied = (otel_count.c.run_id == run_id) & (otel_count.c.tasks == 0)
        session.connection.execute(otel_count.delete().where(emptied))


def _row(state: TaskState, born: TaskBorn, session: Session) -> Row:
    time = session.times[state.run_id]
    return (
        state.task_id,
        state.run_id,
        born.depends,
        state.app,
        session.text_of_bool[state.memoize],
        state.hashsum,
        state.inputs,
        born.outputs,
        born.stdin,
        born.stdout,
        born.stderr,
        time(born.invoked_ns),
        time(state.returned_ns),
        state.fail_count,
        state.fail_cost,
    )


def _write_edges(facts: Facts, session: Session) -> None:
    edges: list[Row] = []
    for (run_id, task_id), born in facts.born.items():
        edges += _edges(run_id, task_id, born.depends, "depends")
    for state in facts.states:
        edges += _edges(state.run_id, state.task_id, state.joins, "joins")
    session.upsert(otel_edge, "run_id task_id on_task_id kind", edges)


def _edges(run_id: str, task_id: int, ids: str | None, kind: str) -> Iterable[Row]:
    """Return a row for each of the ids in Parsl's comma-separated text."""
    if not ids:
        return ()
    return [(run_id, task_id, int(other), kind) for other in ids.split(",") if other.isdecimal()]
