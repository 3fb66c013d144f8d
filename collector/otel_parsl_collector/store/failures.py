"""Write why tries failed, grouped by what they have in common."""

from __future__ import annotations

from otel_parsl.failures.failure import Failure, describe_failure
from otel_parsl.schema import otel_failure
from otel_parsl.semconv import FAILED_STATES
from otel_parsl_collector.materialise.facts import Facts, TaskState
from otel_parsl_collector.store.session import Session
from otel_parsl_collector.store.upsert import Row

_STATES = FAILED_STATES | {"fail_retryable"}
_KEY = "run_id task_id try_id"
_WHY = "fate fingerprint exception_type message template frame caused_by"
_COLUMNS = f"{_KEY} {_WHY} stacktrace app time_ns is_final"


def write_failures(facts: Facts, session: Session) -> None:
    """
    Write a row for each try that failed.

    The worker that saw the exception knows most of it, so what it says replaces what the submit
    process has seen, or what Parsl's ``task_fail_history`` says, whichever comes first; whether the
    task failed with it is known from the state alone.
    """
    seen = [
        _row(
            execution.run_id,
            execution.task_id,
            execution.try_id,
            describe_failure(
                exception_type=execution.exception_type,
                message=execution.message,
                stacktrace=execution.stacktrace,
            ),
            execution.stacktrace,
            execution.app,
            execution.ended_ns,
            is_final=False,
        )
        for execution in facts.executions
        if execution.exception_type is not None
    ]
    told = [
        _row(
            state.run_id,
            state.task_id,
            state.try_id,
            _describe(state),
            state.exception and state.exception.stacktrace,
            state.app,
            state.time_ns,
            is_final=state.state in FAILED_STATES,
        )
        for state in facts.states
        if state.state in _STATES
    ]
    lost = [
        _row(
            item.run_id,
            item.task_id,
            item.try_id,
            describe_failure(fail_history=item.fail_history),
            None,
            item.app,
            item.time_ns,
            is_final=True,  # unless Parsl says otherwise, whenever that comes
        )
        for item in facts.lost
    ]
    session.upsert(otel_failure, _COLUMNS, lost, update=f"{_WHY} app time_ns")
    session.upsert(otel_failure, _COLUMNS, seen, update=f"{_WHY} stacktrace app time_ns")
    session.upsert(otel_failure, _COLUMNS, told, update="is_final")


def _describe(state: TaskState) -> Failure:
    if state.exception is None:
        return describe_failure(fail_history=state.fail_history)
    kind, message, stacktrace = state.exception
    return describe_failure(exception_type=kind, message=message, stacktrace=stacktrace)


def _row(
    run_id: str,
    task_id: int,
    try_id: int,
    failure: Failure,
    stacktrace: str | None,
    app: str,
    time_ns: int,
    *,
    is_final: bool,
) -> Row:
    return (
        run_id,
        task_id,
        try_id,
        failure.fate.value,
        failure.fingerprint,
        failure.exception_type,
        failure.message,
        failure.template,
        failure.frame,
        ",".join(map(str, failure.caused_by)) or None,
        stacktrace,
        app,
        time_ns,
        is_final,
    )
