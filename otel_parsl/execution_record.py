"""
An ended try as its worker writes it down, and as OTLP.

Flow: worker -> **record** -> carrier -> spool -> **expand** (in the agent's pumps) -> exporters
A span and a sample are 3 KB of OTLP and take a worker's time to write, time in which its next task
waits, and then five processes carry them.
So the worker writes 300 bytes, and the agent, which may lag behind, makes OTLP of them, for many
tries at once.
Both directions are pure; workers import this module: the standard library alone.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from otel_parsl import __version__, semconv, wire
from otel_parsl.exceptions import STATUS_LIMIT, exception_attributes
from otel_parsl.identity import run_key, span_id, task_trace_id
from otel_parsl.sampling.sample_metrics import sample_metrics
from otel_parsl.sampling.sampler import Sample
from otel_parsl.wire import METRICS, TRACES, Key

EXECUTION = 4
"""A record's number in a spool, beside the three signals."""

_TASK_ID = Key(semconv.TASK_ID)
_TRY_ID = Key(semconv.TRY_ID)
_APP = Key(semconv.APP_NAME)
_EXECUTOR = Key(semconv.EXECUTOR_LABEL)
_HOST = Key(semconv.HOST_NAME)
_CPU_USER = Key(semconv.EXECUTION_CPU_USER)
_CPU_SYSTEM = Key(semconv.EXECUTION_CPU_SYSTEM)
_MEMORY_PEAK = Key(semconv.EXECUTION_MEMORY_PEAK)
_DISK_READ = Key(semconv.EXECUTION_DISK_READ)
_DISK_WRITE = Key(semconv.EXECUTION_DISK_WRITE)
_EXIT_CODE = Key(semconv.EXECUTION_EXIT_CODE)
_ERROR_TYPE = Key(semconv.ERROR_TYPE)
_EXCEPTION = wire.sized(semconv.EVENT_EXCEPTION.encode())
_PID = Key(semconv.PROCESS_PID)
_PYTHON = Key(semconv.PYTHON_VERSION)
_CREATED = Key(semconv.PROCESS_CREATION_TIME)
_INSTANCE = Key(semconv.SERVICE_INSTANCE_ID)
_SCOPE = wire.scope(semconv.SCOPE, __version__)

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Origin(NamedTuple):
    """The process that runs tries of one run: what all their records begin with."""

    run_id: str
    scope: str
    """Which trace a task lives in: see ``identity.task_trace_id``."""
    interval_s: float
    """The sampling interval asked for."""
    host: str
    pid: int
    python_version: str
    place: Sequence[Sequence[str]]
    """Attributes that say where among Parsl's workers it is: names and values."""
    creation_time: str = ""
    """When the process began, as ``process.creation.time`` has it; empty where nobody says."""

    def encoded(self) -> bytes:
        """Return what a record begins with."""
        return _encode(self).encode() + b"\n"


class Failure(NamedTuple):
    """What a try failed with."""

    type: str
    message: str
    stacktrace: str
    exit_code: int | None


class Ended(NamedTuple):
    """A try that has ended."""

    task_id: int
    try_id: int
    app: str
    executor: str
    start_ns: int
    end_ns: int
    sample: Sample | None
    """What it has used."""
    is_sampled: bool
    """Whether that counts as a resource sample, beside the totals."""
    failure: Failure | None
    more: dict[str, str | int | float | bool] | None = None
    """Further attributes of the span."""


def record(origin: bytes, ended: Ended) -> bytes:
    """
    Return the record of an ended try.

    Args:
        origin: What ``Origin.encoded`` gave.
        ended: The try.
    """
    return origin + _encode(ended).encode()


def origin_resource(origin: Origin, run: Iterable[bytes]) -> bytes:
    """Return the sized Resource of all that a process writes for a run."""
    own = [
        _INSTANCE.text(f"{origin.host}:{origin.pid}"),
        _HOST.text(origin.host),
        _PID.integer(origin.pid),
        _PYTHON.text(origin.python_version),
    ]
    if origin.creation_time:
        own.append(_CREATED.text(origin.creation_time))
    return wire.resource((*run, *own))


def place_attributes(origin: Origin) -> tuple[bytes, ...]:
    """Return the attributes that say where a try runs."""
    return (_HOST.text(origin.host), *(Key(name).text(value) for name, value in origin.place))


def try_attributes(
    task_id: int, try_id: int, app: str, executor: str, place: Iterable[bytes]
) -> list[bytes]:
    """Return the attributes that say which try it is, and where it runs."""
    return [
        _TASK_ID.integer(task_id),
        _TRY_ID.integer(try_id),
        _APP.text(app),
        _EXECUTOR.text(executor),
        *place,
    ]


def execution_id(origin: Origin, run: bytes, task_id: int, try_id: int, start_ns: int) -> bytes:
    """Return the id of the span of an execution."""
    return span_id(run, "execution", task_id, try_id, origin.host, origin.pid, start_ns)


def expand(
    records: Iterable[bytes],
    run: tuple[bytes, ...],
    unreadable: Callable[[bytes, Exception], None],
) -> Iterator[tuple[int, bytes]]:
    """
    Yield signals and requests: those of one process together.

    Args:
        records: As ``record`` made them.
        run: The run's Resource attributes.
        unreadable: Takes a record that is none, and why.
    """
    spans: dict[bytes, list[bytes]] = defaultdict(list)
    metrics: dict[bytes, list[bytes]] = defaultdict(list)
    for each in records:
        try:
            origin, _, ended = each.partition(b"\n")
            source = _source(origin, run)
            told = _ended(json.loads(ended))
            span, measured = source.span(told), source.sample(told)
        except Exception as error:  # noqa: BLE001 - a border: it came from a worker
            unreadable(each, error)
            continue
        spans[source.resource].append(span)
        metrics[source.resource] += measured
    for signal, grouped in ((TRACES, spans), (METRICS, metrics)):
        for resource, items in grouped.items():
            if items:
                yield signal, wire.request(resource, _SCOPE, items, schema_url=semconv.SCHEMA_URL)


def _ended(fields: Sequence[Any]) -> Ended:
    """Return an Ended of its fields; a newer worker may add some at the end."""
    ended = Ended(*fields[: len(Ended._fields)])
    sample, failure = _known(Sample, ended.sample), _known(Failure, ended.failure)
    return ended._replace(sample=sample, failure=failure)


def _known(kind: type[Any], fields: Sequence[Any] | None) -> Any:
    return None if fields is None else kind(*fields[: len(kind._fields)])


@lru_cache(maxsize=1024)
def _source(origin: bytes, run: tuple[bytes, ...]) -> _Source:
    return _Source(Origin(*json.loads(origin)[: len(Origin._fields)]), run)


class _Source:
    """A process, and what all that it writes has in common."""

    def __init__(self, origin: Origin, run: tuple[bytes, ...]) -> None:
        self.resource = origin_resource(origin, run)
        self._origin = origin
        self._run = run_key(origin.run_id)
        self._place = place_attributes(origin)

    def span(self, ended: Ended) -> bytes:
        """Return the sized span of an execution."""
        task_id, try_id, failure = ended.task_id, ended.try_id, ended.failure
        attributes = try_attributes(task_id, try_id, ended.app, ended.executor, self._place)
        if ended.sample is not None:
            attributes += _totals(ended.sample)
        events = []
        if failure is not None:
            attributes.append(_ERROR_TYPE.text(failure.type))
            if failure.exit_code is not None:
                attributes.append(_EXIT_CODE.integer(failure.exit_code))
            told = exception_attributes(failure.type, failure.message, failure.stacktrace)
            events.append(wire.span_event(_EXCEPTION, ended.end_ns, told))
        if ended.more is not None:
            attributes += (Key(name).any(value) for name, value in ended.more.items())
        return wire.span(
            task_trace_id(self._run, task_id, scope=self._origin.scope),
            execution_id(self._origin, self._run, task_id, try_id, ended.start_ns),
            span_id(self._run, "try", task_id, try_id),
            ended.app,
            wire.CONSUMER,
            ended.start_ns,
            ended.end_ns,
            attributes,
            events=events,
            error=None if failure is None else failure.message[:STATUS_LIMIT],
        )

    def sample(self, ended: Ended) -> list[bytes]:
        """Return the sized Metrics of the last sample, none where none is asked for."""
        if ended.sample is None or not ended.is_sampled:
            return []
        return sample_metrics(
            ended.sample,
            task_id=ended.task_id,
            try_id=ended.try_id,
            interval_s=self._origin.interval_s,
        )


def _totals(sample: Sample) -> list[bytes]:
    values: tuple[tuple[Callable[[Any], bytes], float | None], ...] = (
        (_CPU_USER.double, sample.cpu_user_s),
        (_CPU_SYSTEM.double, sample.cpu_system_s),
        (_MEMORY_PEAK.integer, sample.memory_peak_bytes),
        (_DISK_READ.integer, sample.read_bytes),
        (_DISK_WRITE.integer, sample.write_bytes),
    )
    return [encode(value) for encode, value in values if value is not None]
