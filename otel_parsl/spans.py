"""
Finished spans of tasks, tries, blocks and the run, made from the hub's events.

Flow: events -> **spans** -> any OTLP destination
Pure: the same events in any order give the same bytes. Run by the agent, so that it costs the
workflow nothing.
A try's span carries the events of its state changes whole, so a backend or a store that takes no
logs still has every fact; the spans of tasks and of the run are what a person looks at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from otel_parsl import semconv as names
from otel_parsl import wire
from otel_parsl.exceptions import STATUS_LIMIT, exception_attributes
from otel_parsl.failures.fail_history import failure_from_history
from otel_parsl.failures.fates import classify
from otel_parsl.identity import run_key, run_trace_tasks, span_id, task_trace_id
from otel_parsl.propagation import parse_traceparent
from otel_parsl.wire import Key, sized

MAX_LINKS = 128

_TASK_ID = Key(names.TASK_ID)
_TRY_ID = Key(names.TRY_ID)
_APP = Key(names.APP_NAME)
_OUTCOME = Key(names.OUTCOME)
_DEPENDENCY_COUNT = Key(names.DEPENDENCY_COUNT)
_RUN_ID = Key(names.RUN_ID)
_SCOPE = Key(names.TRACE_SCOPE)
_ELSEWHERE = Key(names.TASKS_ELSEWHERE)
_ERROR_TYPE = Key(names.ERROR_TYPE)
_FATE = Key(names.FATE)
_EXCEPTION = sized(names.EVENT_EXCEPTION.encode())
_TRACE_SPLIT = sized(names.EVENT_TRACE_SPLIT.encode())
_SHARED = frozenset(
    {names.TASK_ID, names.TRY_ID, names.APP_NAME, names.EXECUTOR_LABEL, names.TASK_MEMOIZE}
)
_EXCEPTION_KEYS = (names.EXCEPTION_TYPE, names.EXCEPTION_MESSAGE, names.EXCEPTION_STACKTRACE)
_BESIDE = _SHARED | {names.CALLER, names.ERROR_TYPE, names.FATE, *_EXCEPTION_KEYS}
"""What a span says itself, and so none of its state changes."""
_BESIDE_RUN = _BESIDE - {names.EXECUTOR_LABEL}
"""A run has many executors, so it is each event that names its own."""
_OF_PARSL = {
    "DependencyError": "parsl.dataflow.errors.DependencyError",
    "JoinError": "parsl.dataflow.errors.JoinError",
}
"""Exceptions that the DataFlowKernel makes, which are known by their ``repr()`` alone."""
_ON_TASK = frozenset(
    {
        names.TASK_DEPENDS,
        names.TASK_INPUTS,
        names.TASK_OUTPUTS,
        names.TASK_STDIN,
        names.TASK_STDOUT,
        names.TASK_STDERR,
        names.TASK_HASHSUM,
        names.TASK_FAIL_COUNT,
        names.TASK_FAIL_COST,
        names.TASK_MEMOIZE,
    }
)
OUTCOMES = {
    "exec_done": "success",
    "memo_done": "success",
    "failed": "failure",
    "dep_fail": "failure",
    "fail_retryable": "retried",
}
"""How a span ended, by the last state of what it is about."""


class Event:
    """
    One event of the hub, read as far as spans need it.

    Args:
        record: A LogRecord.
    """

    __slots__ = ("attributes", "encoded", "name", "sequence", "time_ns")

    def __init__(self, record: Any) -> None:
        self.name: str = record.event_name
        self.time_ns: int = record.time_unix_nano
        self.attributes: dict[str, Any] = {}
        self.encoded: dict[str, bytes] = {}
        for pair in record.attributes:
            kind = pair.value.WhichOneof("value")
            if kind is not None:
                self.attributes[pair.key] = getattr(pair.value, kind)
                self.encoded[pair.key] = sized(pair.SerializeToString())
        self.sequence: int = self.attributes.get(names.SEQUENCE, 0)

    def span_event(self, *, beside: frozenset[str] = _BESIDE) -> bytes:
        """Return the event as it rides on a span, without what the span says for all of them."""
        rest = (data for key, data in self.encoded.items() if key not in beside)
        return wire.span_event(sized(wire.utf8(self.name)), self.time_ns, rest)


_OF_EXECUTION = frozenset(
    {names.APP_NAME, names.HOST_NAME, names.SAMPLE_PID, names.EXECUTION_TIME_RUNNING}
)


def names_execution(news: Event) -> bool:
    """Tell whether a worker's news say of which execution they are, and that it goes on."""
    return news.attributes.keys() >= _OF_EXECUTION and names.EXECUTION_TIME_ENDED not in (
        news.attributes
    )


class Manager(NamedTuple):
    """What was heard of one of HTEX's managers."""

    uid: str
    executor: str
    block_id: str
    host: str
    python: str
    workers: int
    cpus: int
    memory_bytes: int
    first_ns: int
    last_ns: int
    is_active: bool
    """Whether it took tasks when it was last heard of."""
    is_lost: bool = False
    """Whether its heartbeats stopped."""


class _Failure(NamedTuple):
    """How a try failed."""

    attributes: tuple[bytes, bytes]
    """Its ``error.type`` and fate."""
    message: str
    exception: list[bytes]
    """The attributes of an event ``exception``; empty where a worker recorded one."""


def _failure(ordered: Sequence[Event]) -> _Failure:
    """
    Tell how a try failed, from its events.

    The last event has it all where the submit side saw the exception. Else, as for a dependency or
    a join, all that is known is Parsl's ``repr()`` of it, which comes after those of earlier tries.
    """
    first, last = ordered[0], ordered[-1]
    said = last.attributes
    history: str = said.get(names.TRY_FAIL_HISTORY, "")
    earlier: str = "" if first is last else first.attributes.get(names.TRY_FAIL_HISTORY, "")
    own = history.removeprefix(earlier).removeprefix(",")
    if names.ERROR_TYPE in said:
        exception = [last.encoded[key] for key in _EXCEPTION_KEYS if key in said]
        return _Failure((last.encoded[names.ERROR_TYPE], last.encoded[names.FATE]), own, exception)
    told = failure_from_history(own)
    kind = _OF_PARSL.get(told.exception_type or "", told.exception_type)
    fate = classify(exception_type=None, message=None, fail_history=own)
    return _Failure(
        (_ERROR_TYPE.text(kind or "_OTHER"), _FATE.text(fate.value)),
        own,
        exception_attributes(kind or "_OTHER", told.message, None),
    )


class RunSpans:
    """
    Make the spans of one run.

    Args:
        run_id: Parsl's run id.
        scope: Which trace a task lives in: see ``identity.task_trace_id``.
    """

    def __init__(self, run_id: str, *, scope: str = "auto") -> None:
        self._run_id = run_id
        self._run = run_key(run_id)
        self._scope = scope

    def of_try(
        self, events: Iterable[Event], *, cut_ns: int | None = None, outcome: str = "lost"
    ) -> bytes:
        """
        Return the span of a try, from its state changes.

        Args:
            events: At least one.
            cut_ns: When its run ended without it; None when the try ended by itself.
            outcome: Of a try that was cut: ``lost`` or ``unfinished``.
        """
        ordered = sorted(events, key=lambda event: event.sequence)
        last = ordered[-1]
        task_id, try_id = last.attributes[names.TASK_ID], last.attributes[names.TRY_ID]
        end_ns = cut_ns or last.attributes.get(names.TRY_TIME_RETURNED) or last.time_ns
        is_lost = last.name == names.EVENT_TRY_LOST
        if is_lost:
            outcome = "lost"
        elif cut_ns is None:
            outcome = OUTCOMES.get(last.attributes[names.TASK_STATE], "success")
        attributes = [last.encoded[key] for key in sorted(_SHARED) if key in last.encoded]
        attributes.append(_OUTCOME.text(outcome))
        span_events = [event.span_event() for event in ordered]
        error = None
        if outcome in ("failure", "retried") or is_lost:
            failure = _failure(ordered)
            error = failure.message or outcome
            attributes += failure.attributes
            if failure.exception:
                span_events.append(wire.span_event(_EXCEPTION, last.time_ns, failure.exception))
        elif outcome == "lost":
            error = outcome
            attributes.append(_ERROR_TYPE.text(outcome))
        return wire.span(
            self._trace(task_id),
            span_id(self._run, "try", task_id, try_id),
            span_id(self._run, "task", task_id),
            last.attributes[names.APP_NAME],
            wire.PRODUCER,
            ordered[0].time_ns,
            max(end_ns, last.time_ns),
            attributes,
            events=span_events,
            error=error and error[:STATUS_LIMIT],
        )

    def of_task(
        self, events: Iterable[Event], *, cut_ns: int | None = None, outcome: str = "lost"
    ) -> bytes:
        """
        Return the span of a task, from its state changes.

        Args:
            events: All; the first says what never changes.
            cut_ns: When its run ended without it; None when the task ended by itself.
            outcome: Of a task that was cut: ``lost`` or ``unfinished``.
        """
        ordered = sorted(events, key=lambda event: event.sequence)
        first, last = ordered[0], ordered[-1]
        task_id = last.attributes[names.TASK_ID]
        said = {**first.encoded, **last.encoded}
        attributes = [said[key] for key in sorted(_ON_TASK) if key in said]
        is_lost = last.name == names.EVENT_TRY_LOST
        if is_lost:
            outcome = "lost"
        elif cut_ns is None:
            outcome = OUTCOMES.get(last.attributes[names.TASK_STATE], "lost")
        attributes += (
            _TASK_ID.integer(task_id),
            _APP.text(last.attributes[names.APP_NAME]),
            _OUTCOME.text(outcome),
        )
        linked = _ids(first.attributes.get(names.TASK_DEPENDS))
        for joins in (event.attributes.get(names.TRY_JOINS) for event in ordered):
            linked += [task for task in _ids(joins) if task not in linked]
        if linked:
            attributes.append(_DEPENDENCY_COUNT.integer(len(linked)))
        trace_id = self._trace(task_id)
        of_run = span_id(self._run, "run")
        links = _link_to_caller(first)
        if trace_id != self._run:
            links.insert(0, wire.span_link(self._run, of_run))
        shown = linked[: MAX_LINKS - len(links)]
        links += (self._link(task) for task in shown)
        end_ns = cut_ns or last.attributes.get(names.TASK_TIME_RETURNED) or last.time_ns
        error = None
        if outcome == "failure" or is_lost:
            try_id = last.attributes[names.TRY_ID]
            failure = _failure([e for e in ordered if e.attributes[names.TRY_ID] == try_id])
            error = failure.message or outcome
            attributes += failure.attributes
        elif outcome == "lost":
            error = outcome
            attributes.append(_ERROR_TYPE.text(outcome))
        return wire.span(
            trace_id,
            span_id(self._run, "task", task_id),
            of_run if trace_id == self._run else None,
            last.attributes[names.APP_NAME],
            wire.PRODUCER,
            first.attributes.get(names.TASK_TIME_INVOKED, first.time_ns),
            max(end_ns, last.time_ns),  # a viewer takes a try that ends later for a wrong clock
            attributes,
            links=links,
            dropped_links=len(linked) - len(shown),
            error=error and error[:STATUS_LIMIT],
        )

    def of_block(
        self, events: Iterable[Event], *, end_ns: int, outcome: str | None = None
    ) -> bytes:
        """
        Return the span of a block, from its changes of status, when it or its run ends.

        Args:
            events: At least one.
            end_ns: When that was.
            outcome: Of a block that its run left open: ``lost`` or ``unfinished``.
        """
        ordered = sorted(events, key=lambda event: event.sequence)
        last = ordered[-1]
        label, block_id = last.attributes[names.EXECUTOR_LABEL], last.attributes[names.BLOCK_ID]
        status = last.attributes[names.BLOCK_STATUS]
        error = None
        if status in ("FAILED", "TIMEOUT", "MISSING", "HELD"):
            said = last.attributes
            words = said.get(names.BLOCK_SUBMIT_ERROR) or said.get(names.BLOCK_MESSAGE)
            error = (words or status)[:STATUS_LIMIT]
        attributes = [last.encoded[key] for key in sorted(last.encoded) if key != names.SEQUENCE]
        if outcome is not None:
            attributes.append(_OUTCOME.text(outcome))
            error = error or (outcome if outcome == "lost" else None)
        return wire.span(
            self._run,
            span_id(self._run, "block", label, block_id),
            span_id(self._run, "run"),
            f"block {label}",
            wire.INTERNAL,
            ordered[0].time_ns,
            max(end_ns, last.time_ns),
            attributes,
            events=[event.span_event() for event in ordered],
            error=error,
        )

    def of_lost_execution(
        self, news: Event, *, last: Event, end_ns: int, outcome: str = "lost"
    ) -> bytes:
        """
        Return the span of an execution whose worker can no longer write it.

        Its id is the one that the worker would have given it.

        Args:
            news: What the worker said when the try ran.
            last: What the submit side said of the try last.
            end_ns: When it was found that no more will come of it.
            outcome: ``lost`` or ``unfinished``.
        """
        said = news.attributes
        task_id, try_id = said[names.TASK_ID], said[names.TRY_ID]
        start_ns = said[names.EXECUTION_TIME_RUNNING]
        key = (task_id, try_id, said[names.HOST_NAME], said[names.SAMPLE_PID], start_ns)
        attributes = [
            news.encoded[name]
            for name in sorted(news.encoded)
            if name != names.EXECUTION_TIME_RUNNING
        ]
        attributes.append(_OUTCOME.text(outcome))
        error = None
        if names.ERROR_TYPE in last.attributes or last.name == names.EVENT_TRY_LOST:
            failure = _failure([last])
            attributes += failure.attributes
            error = failure.message or outcome
        elif outcome == "lost":
            attributes.append(_ERROR_TYPE.text(outcome))
            error = outcome
        return wire.span(
            self._trace(task_id),
            span_id(self._run, "execution", *key),
            span_id(self._run, "try", task_id, try_id),
            said[names.APP_NAME],
            wire.CONSUMER,
            start_ns,
            max(end_ns, start_ns),
            attributes,
            error=error and error[:STATUS_LIMIT],
        )

    def of_event(self, event: Event) -> bytes:
        """
        Return a span without length for an event that no other span can carry.

        It came when the span of what it is about was out, or it says that a try ran of which no
        execution's span says so.
        """
        said = event.attributes
        trace_id = self._run
        parent: tuple[object, ...] = ("run",)
        if names.TASK_ID in said:
            trace_id = self._trace(said[names.TASK_ID])
            parent = ("try", said[names.TASK_ID], said[names.TRY_ID])
        elif names.BLOCK_ID in said:
            parent = ("block", said[names.EXECUTOR_LABEL], said[names.BLOCK_ID])
        kind, *key = parent
        content = b"".join(event.encoded.values())
        return wire.span(
            trace_id,
            span_id(self._run, "event", event.name, event.time_ns, content),
            span_id(self._run, str(kind), *key),
            event.name,
            wire.INTERNAL,
            event.time_ns,
            event.time_ns,
            [event.encoded[key] for key in sorted(_SHARED) if key in event.encoded],
            events=[event.span_event()],
        )

    def of_manager(
        self, manager: Manager, *, run_ended_ns: int, has_block: bool, outcome: str | None = None
    ) -> bytes:
        """
        Return the span of a manager, from its first report to its last.

        Args:
            manager: What was heard of it until nothing more could be.
            run_ended_ns: Its end where it was active when it was last heard of.
            has_block: Whether its block has a span: else the run is its parent.
            outcome: Of a manager that its run left active: ``lost`` or ``unfinished``.
        """
        label = manager.executor
        parent = ("block", label, manager.block_id) if has_block else ("run",)
        end_ns, error = manager.last_ns, None
        if manager.is_active:
            end_ns = max(run_ended_ns, end_ns)
            error = "lost" if outcome == "lost" else None
        else:
            outcome = "lost" if manager.is_lost else None
            error = "its heartbeats stopped" if manager.is_lost else None
        texts = (
            (names.EXECUTOR_LABEL, label),
            (names.BLOCK_ID, manager.block_id),
            (names.MANAGER_UID, manager.uid),
            (names.HOST_NAME, manager.host),
            (names.MANAGER_PYTHON, manager.python),
            (names.MANAGER_WORKERS, manager.workers),
            (names.MANAGER_CPUS, manager.cpus),
            (names.MANAGER_MEMORY, manager.memory_bytes),
        )
        return wire.span(
            self._run,
            span_id(self._run, "manager", manager.uid),
            span_id(self._run, *parent),
            f"manager {label}",
            wire.INTERNAL,
            manager.first_ns,
            end_ns,
            [
                *(Key(name).any(value) for name, value in texts),
                *((_OUTCOME.text(outcome),) if outcome is not None else ()),
            ],
            error=error,
        )

    def of_run(self, events: Sequence[Event], *, name: str, tasks: int) -> bytes:
        """
        Return the span of the run, from its start and its end.

        Args:
            events: The run's own events; the last says how it ended.
            name: The workflow's name.
            tasks: How many tasks it had.
        """
        ordered = sorted(events, key=lambda event: event.sequence)
        last = ordered[-1]
        outcome = last.attributes.get(names.OUTCOME, "success")
        here = run_trace_tasks(self._scope)
        elsewhere = 0 if here is None else max(0, tasks - here)
        attributes = [
            _RUN_ID.text(self._run_id),
            _OUTCOME.text(outcome),
            _SCOPE.text(self._scope),
            _ELSEWHERE.integer(elsewhere),
        ]
        attributes += (
            last.encoded[key]
            for key in (names.TASKS_COMPLETED, names.TASKS_FAILED)
            if key in last.encoded
        )
        span_events = [event.span_event(beside=_BESIDE_RUN) for event in ordered]
        if elsewhere:
            told = (_RUN_ID.text(self._run_id), _ELSEWHERE.integer(elsewhere))
            span_events.append(wire.span_event(_TRACE_SPLIT, last.time_ns, told))
        return wire.span(
            self._run,
            span_id(self._run, "run"),
            None,
            name,
            wire.INTERNAL,
            ordered[0].time_ns,
            last.time_ns,
            attributes,
            events=span_events,
            links=_link_to_caller(ordered[0]),
            error=outcome if outcome == "lost" else None,
        )

    def _trace(self, task_id: int) -> bytes:
        return task_trace_id(self._run, task_id, scope=self._scope)

    def _link(self, task_id: int) -> bytes:
        of_task = span_id(self._run, "task", task_id)
        return wire.span_link(self._trace(task_id), of_task, (_TASK_ID.integer(task_id),))


def _link_to_caller(event: Event) -> list[bytes]:
    caller = parse_traceparent(event.attributes.get(names.CALLER))
    return [] if caller is None else [wire.span_link(caller.trace_id, caller.span_id)]


def _ids(text: str | None) -> list[int]:
    return [int(part) for part in (text or "").split(",") if part.isdecimal()]
