"""
Spans to facts.

An execution's span is the only source of a try's end on the worker and of its totals.
The spans of tasks, tries, blocks and the run say again, whole, what the events said before, so a
stream without the log signal gives the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from otel_parsl import semconv as names
from otel_parsl_collector.materialise import events
from otel_parsl_collector.materialise.attributes import Attributes, read_attributes
from otel_parsl_collector.materialise.facts import Execution, Facts, Run, Running

_CONSUMER = 5


def add(spans: Iterable[Any], resource: Attributes, run: Run | None, facts: Facts) -> None:
    """Add what the spans of one Resource say to the facts."""
    for span in spans:
        if run is None:
            facts.unknown += 1
            continue
        if span.kind == _CONSUMER:
            found = read_attributes(span.attributes)
            if names.TASK_ID in found and names.TRY_ID in found:
                _add_execution(span, found, resource, run.run_id, facts)
                continue
        if not _add_events(span, run.run_id, facts):
            facts.unknown += 1


def _add_execution(
    span: Any, found: Attributes, resource: Attributes, run_id: str, facts: Facts
) -> None:
    get = found.get
    task_id, try_id = found[names.TASK_ID], found[names.TRY_ID]
    start_ns, end_ns = span.start_time_unix_nano, span.end_time_unix_nano
    # Of one that its worker did not end, the end is only when that was found.
    was_ended = names.OUTCOME not in found
    facts.running.append(
        Running(
            run_id,
            task_id,
            try_id,
            get(names.EXECUTOR_LABEL),
            get(names.HOST_NAME),
            get(names.BLOCK_ID),
            start_ns,
            end_ns if was_ended else None,
        )
    )
    if not was_ended:
        return
    exception = _exception(span)
    facts.executions.append(
        Execution(
            run_id,
            task_id,
            try_id,
            span.name,
            start_ns,
            end_ns,
            get(names.WORKER_RANK),
            get(names.MANAGER_UID),
            resource.get(names.PROCESS_PID),
            get(names.EXECUTION_CPU_USER),
            get(names.EXECUTION_CPU_SYSTEM),
            get(names.EXECUTION_MEMORY_PEAK),
            get(names.EXECUTION_DISK_READ),
            get(names.EXECUTION_DISK_WRITE),
            get(names.EXECUTION_EXIT_CODE),
            exception.get(names.EXCEPTION_TYPE),
            exception.get(names.EXCEPTION_MESSAGE),
            exception.get(names.EXCEPTION_STACKTRACE),
        )
    )


def _exception(span: Any) -> Attributes:
    for event in span.events:
        if event.name == names.EVENT_EXCEPTION:
            return read_attributes(event.attributes)
    return {}


def _add_events(span: Any, run_id: str, facts: Facts) -> bool:
    """Add the events that ride on a span of the hub; tell whether there were any."""
    said = False
    common: Attributes | None = None
    for event in span.events:
        read = events.READERS.get(event.name)
        if read is None:
            continue
        if common is None:
            common = read_attributes(span.attributes)
            common.pop(names.OUTCOME, None)  # the span's, in words of spans; the run's own event
            # says its outcome where it has one
            common |= _exception(span)
        found = {**common, **read_attributes(event.attributes)}
        try:
            read(event.time_unix_nano, found, run_id, facts)
            if read is events.task_state:
                events.run_state(event.time_unix_nano, found, run_id, facts)
        except KeyError:
            facts.incomplete += 1
        said = True
    return said
