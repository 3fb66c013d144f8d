"""Log records to facts: the events of the hub, and a worker's news of a try that lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from otel_parsl import semconv as names
from otel_parsl_collector.materialise.attributes import Attributes, read_attributes
from otel_parsl_collector.materialise.facts import (
    BlockStatus,
    ExecutorState,
    Facts,
    Heartbeat,
    LostTry,
    Run,
    Running,
    RunState,
    SeenException,
    TaskBorn,
    TaskState,
    UntracedExecutor,
)


def add(records: Iterable[Any], resource: Attributes, run: Run | None, facts: Facts) -> None:
    """Add what log records of one Resource say to the facts."""
    latest: tuple[int, int, Attributes] | None = None
    for record in records:
        read = READERS.get(record.event_name)
        if read is None or run is None:
            facts.unknown += 1
            continue
        found = read_attributes(record.attributes)
        time_ns = record.time_unix_nano
        try:
            read(time_ns, found, run.run_id, facts)
        except KeyError:
            facts.incomplete += 1
            continue
        if read is task_state and (latest is None or latest[0] < found[names.SEQUENCE]):
            latest = found[names.SEQUENCE], time_ns, found
    if latest is not None and run is not None:
        run_state(latest[1], latest[2], run.run_id, facts)


def task_state(time_ns: int, found: Attributes, run_id: str, facts: Facts) -> None:
    """
    Add that a task took a new state.

    Raises:
        KeyError: An attribute is missing that every such event has.
    """
    get = found.get
    task_id = found[names.TASK_ID]
    sequence = found[names.SEQUENCE]
    facts.states.append(
        TaskState(
            sequence,
            time_ns,
            run_id,
            task_id,
            found[names.TRY_ID],
            found[names.TASK_STATE],
            found[names.APP_NAME],
            found[names.EXECUTOR_LABEL],
            get(names.TASK_MEMOIZE, False),
            get(names.TASK_HASHSUM),
            get(names.TASK_INPUTS, "None"),
            get(names.TASK_FAIL_COUNT, 0),
            get(names.TASK_FAIL_COST, 0.0),
            get(names.TASK_TIME_RETURNED),
            get(names.TRY_TIME_LAUNCHED),
            get(names.TRY_TIME_RETURNED),
            get(names.TRY_FAIL_HISTORY, ""),
            get(names.TRY_JOINS),
            get(names.EXECUTOR_TASK_ID),
            get(names.RESOURCE_SPECIFICATION),
            _exception(found) if names.EXCEPTION_STACKTRACE in found else None,
        )
    )
    if names.TASK_TIME_INVOKED in found:
        facts.born[run_id, task_id] = TaskBorn(
            found[names.TASK_TIME_INVOKED],
            get(names.TASK_DEPENDS),
            get(names.TASK_OUTPUTS),
            get(names.TASK_STDIN),
            get(names.TASK_STDOUT),
            get(names.TASK_STDERR),
        )


def _exception(found: Attributes) -> SeenException:
    return SeenException(
        found.get(names.EXCEPTION_TYPE),
        found.get(names.EXCEPTION_MESSAGE),
        found[names.EXCEPTION_STACKTRACE],
    )


def block_status(
    time_ns: int, found: Attributes, run_id: str, facts: Facts, *, is_parsls: bool = True
) -> None:
    """
    Add that a block took a new status.

    Raises:
        KeyError: An attribute is missing that every such event has.
    """
    get = found.get
    facts.blocks.append(
        BlockStatus(
            found[names.SEQUENCE],
            time_ns,
            run_id,
            found[names.EXECUTOR_LABEL],
            found[names.BLOCK_ID],
            found[names.BLOCK_STATUS],
            get(names.BLOCK_JOB_ID),
            get(names.BLOCK_MESSAGE),
            get(names.BLOCK_EXIT_CODE),
            get(names.BLOCK_STDOUT),
            get(names.BLOCK_STDERR),
            get(names.BLOCK_SUBMIT_ERROR),
            is_parsls,
        )
    )


def _executor_state(time_ns: int, found: Attributes, run_id: str, facts: Facts) -> None:
    facts.executors.append(
        ExecutorState(
            found[names.SEQUENCE],
            time_ns,
            run_id,
            found[names.EXECUTOR_LABEL],
            found[names.EXECUTOR_STATE],
            found.get(names.EXECUTOR_MESSAGE),
        )
    )


def _untraced(time_ns: int, found: Attributes, run_id: str, facts: Facts) -> None:
    facts.untraced.append(
        UntracedExecutor(
            found[names.SEQUENCE],
            time_ns,
            run_id,
            found[names.EXECUTOR_LABEL],
            found[names.EXECUTOR_UNTRACED],
        )
    )


def _try_lost(time_ns: int, found: Attributes, run_id: str, facts: Facts) -> None:
    facts.lost.append(
        LostTry(
            time_ns,
            run_id,
            found[names.TASK_ID],
            found[names.TRY_ID],
            found[names.APP_NAME],
            found[names.TRY_FAIL_HISTORY],
        )
    )


def _running(time_ns: int, found: Attributes, run_id: str, facts: Facts) -> None:
    get = found.get
    facts.running.append(
        Running(
            run_id,
            found[names.TASK_ID],
            found[names.TRY_ID],
            get(names.EXECUTOR_LABEL),
            get(names.HOST_NAME),
            get(names.BLOCK_ID),
            get(names.EXECUTION_TIME_RUNNING),
            get(names.EXECUTION_TIME_ENDED),
        )
    )


def run_state(time_ns: int, found: Attributes, run_id: str, facts: Facts) -> None:
    """
    Add how far a run has come; every event of a task says so too.

    Raises:
        KeyError: The event has no sequence number.
    """
    facts.run_state(
        RunState(
            found[names.SEQUENCE],
            run_id,
            completed := found.get(names.TASKS_COMPLETED),
            found.get(names.TASKS_FAILED, None if completed is None else 0),
            time_ns,
            found.get(names.TIME_COMPLETED),
            found.get(names.OUTCOME),
        )
    )


def _alive(time_ns: int, found: Attributes, run_id: str, facts: Facts) -> None:
    known = facts.heartbeats.get(run_id)
    if known is None or known.time_ns < time_ns:
        facts.heartbeats[run_id] = Heartbeat(time_ns, found.get(names.STORE_LAG))


READERS: dict[str, Callable[[int, Attributes, str, Facts], None]] = {
    names.EVENT_RUN_ALIVE: _alive,
    names.EVENT_TASK_STATE: task_state,
    names.EVENT_RUN_STARTED: run_state,
    names.EVENT_RUN_ENDED: run_state,
    names.EVENT_BLOCK_STATUS: block_status,
    names.EVENT_BLOCK_DESCRIBED: partial(block_status, is_parsls=False),
    names.EVENT_EXECUTOR_STATE: _executor_state,
    names.EVENT_EXECUTOR_UNTRACED: _untraced,
    names.EVENT_TRY_LOST: _try_lost,
    names.EVENT_TRY_RUNNING: _running,
}
