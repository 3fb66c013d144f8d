"""Write why tries failed, grouped by what they have in common."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from enum import IntEnum

from otel_parsl.failures.failure import Failure, describe_failure
from otel_parsl.failures.fates import Fate
from otel_parsl.schema import otel_failure, otel_try
from otel_parsl.semconv import FAILED_STATES
from otel_parsl_collector.materialise.facts import Execution, Facts, LostTry, TaskState
from otel_parsl_collector.store.session import Session
from otel_parsl_collector.store.upsert import Row

_STATES = FAILED_STATES | {"fail_retryable"}
_KEY = "run_id task_id try_id"
_WHY = (
    "fate fingerprint exception_type message template frame caused_by stacktrace app time_ns"
    " certainty"
)
_COLUMNS = f"{_KEY} {_WHY} is_final"
_GIVEN_UP = frozenset({Fate.WORKER_LOST, Fate.MANAGER_LOST, Fate.BLOCK_FAILED})


class _Certainty(IntEnum):
    """How much of a failure its teller knows."""

    HISTORY = 0
    """Parsl's ``task_fail_history``."""
    GIVEN_UP = 1
    """The exception by which an executor gave the try up."""
    LOST = 2
    """Why it was lost, which executors say less of."""
    RESULT = 3
    """What the app raised, as the submit process has it."""
    WORKER = 4
    """What the app raised, as its worker saw it."""


def write_failures(facts: Facts, session: Session) -> None:
    """
    Write a row for each try that failed.

    Who knows most of it says why, and of several the latest; whether the task failed with it is
    known from the state alone.
    """
    seen = [
        _row(
            execution,
            describe_failure(
                exception_type=execution.exception_type,
                message=execution.message,
                stacktrace=execution.stacktrace,
            ),
            execution.stacktrace,
            execution.ended_ns,
            _Certainty.WORKER,
            is_final=False,
        )
        for execution in facts.executions
        if execution.exception_type is not None
    ]
    told = [_told(state) for state in facts.states if state.state in _STATES]
    lost = [
        _row(
            item,
            describe_failure(fail_history=item.fail_history),
            None,
            item.time_ns,
            _Certainty.LOST,
            is_final=True,
        )
        for item in facts.lost
    ]
    rows = [*seen, *lost, *told]
    session.upsert(otel_failure, _COLUMNS, rows, update=_WHY, unless_below="certainty time_ns")
    # A try that is lost is its task's last, unless Parsl says otherwise, whenever that comes.
    ended = set(_ended(facts.lost, session))
    lost = [row for row in lost if row[:3] not in ended]
    session.upsert(otel_failure, _COLUMNS, [*lost, *told], update="is_final")


def _ended(lost: Iterable[LostTry], session: Session) -> Iterator[tuple[str, int, int]]:
    """Yield which tries of these tasks have failed in Parsl's words."""
    tasks: dict[str, set[int]] = defaultdict(set)
    for item in lost:
        tasks[item.run_id].add(item.task_id)
    for run_id, ids in tasks.items():
        for row in session.existing(otel_try, run_id, ids, ("task_id", "try_id", "state")):
            if row.state in _STATES:
                yield run_id, row.task_id, row.try_id


def _told(state: TaskState) -> Row:
    failure = _describe(state)
    certainty = _Certainty.HISTORY
    if state.exception is not None:
        was_given_up = failure.fate in _GIVEN_UP
        certainty = _Certainty.GIVEN_UP if was_given_up else _Certainty.RESULT
    return _row(
        state,
        failure,
        state.exception and state.exception.stacktrace,
        state.time_ns,
        certainty,
        is_final=state.state in FAILED_STATES,
    )


def _describe(state: TaskState) -> Failure:
    if state.exception is None:
        return describe_failure(fail_history=state.fail_history)
    kind, message, stacktrace = state.exception
    return describe_failure(exception_type=kind, message=message, stacktrace=stacktrace)


def _row(
    told: Execution | LostTry | TaskState,
    failure: Failure,
    stacktrace: str | None,
    time_ns: int,
    certainty: _Certainty,
    *,
    is_final: bool,
) -> Row:
    return (
        told.run_id,
        told.task_id,
        told.try_id,
        failure.fate.value,
        failure.fingerprint,
        failure.exception_type,
        failure.message,
        failure.template,
        failure.frame,
        ",".join(map(str, failure.caused_by)) or None,
        stacktrace,
        told.app,
        time_ns,
        int(certainty),
        is_final,
    )
