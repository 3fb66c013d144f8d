"""
What a worker process has used since it began, by the semantic conventions (``process.*``).

Flow: sampling -> **process_metrics** -> worker
Cumulative and without a task: what one try has used is said by ``samples``.
Workers import this module: nothing here may load more than the standard library.
"""

from __future__ import annotations

import datetime
import os
import time
from functools import cache

from otel_parsl import semconv
from otel_parsl.sampling.process_usage import boot_clock_s
from otel_parsl.sampling.sampler import ProcessReading
from otel_parsl.semconv import TERMS
from otel_parsl.start_ticks import start_ticks
from otel_parsl.wire import Key, Metric, point_attributes

_Field = tuple[str, bytes]


def _metric(name: str, *, is_integer: bool) -> Metric:
    term = TERMS[name]
    is_counter = term.instrument == "counter"
    return Metric(name, term.unit, is_sum=True, is_integer=is_integer, is_monotonic=is_counter)


def _with(name: str, value: str) -> bytes:
    return point_attributes((Key(name).text(value),))


_METRICS: tuple[tuple[Metric, tuple[_Field, ...]], ...] = (
    (
        _metric(semconv.PROCESS_CPU_TIME, is_integer=False),
        (
            ("cpu_user_s", _with(semconv.CPU_MODE, "user")),
            ("cpu_system_s", _with(semconv.CPU_MODE, "system")),
        ),
    ),
    (
        _metric(semconv.PROCESS_MEMORY_USAGE, is_integer=True),
        (("memory_resident_bytes", b""),),
    ),
    (
        _metric(semconv.PROCESS_MEMORY_VIRTUAL, is_integer=True),
        (("memory_virtual_bytes", b""),),
    ),
    (
        _metric(semconv.PROCESS_DISK_IO, is_integer=True),
        (
            ("read_bytes", _with(semconv.DISK_IO_DIRECTION, "read")),
            ("write_bytes", _with(semconv.DISK_IO_DIRECTION, "write")),
        ),
    ),
    (
        _metric(semconv.PROCESS_CONTEXT_SWITCHES, is_integer=True),
        (
            ("context_switches_voluntary", _with(semconv.CONTEXT_SWITCH_TYPE, "voluntary")),
            ("context_switches_involuntary", _with(semconv.CONTEXT_SWITCH_TYPE, "involuntary")),
        ),
    ),
    (_metric(semconv.PROCESS_THREADS, is_integer=True), (("thread_count", b""),)),
    (_metric(semconv.PROCESS_FILES, is_integer=True), (("fd_count", b""),)),
)


def process_metrics(reading: ProcessReading, *, began_ns: int) -> list[bytes]:
    """
    Return the sized Metrics of one reading; a value that could not be measured is left out.

    Args:
        reading: What was measured.
        began_ns: When the process began.
    """
    metrics = []
    for metric, fields in _METRICS:
        points = [
            metric.point(attributes, began_ns, reading.time_ns, value)
            for field, attributes in fields
            if (value := getattr(reading, field)) is not None
        ]
        if points:
            metrics.append(metric.of(points))
    return metrics


def began_ns() -> int:
    """Return when this process began, in UTC nanoseconds."""
    return _began_ns(os.getpid())


def iso_time(time_ns: int) -> str:
    """Return a time as ``process.creation.time`` has it: ISO 8601, UTC, in milliseconds."""
    at = datetime.datetime.fromtimestamp(time_ns // 1_000_000 / 1000, tz=datetime.timezone.utc)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def _began_ns(pid: int) -> int:
    # Asked once a process: the two clocks drift against each other, and a Resource may not.
    try:
        ticks = start_ticks(pid)
    except OSError:
        import psutil

        return int(psutil.Process(pid).create_time() * 1e9)
    age_s = boot_clock_s() - ticks / os.sysconf("SC_CLK_TCK")
    return time.time_ns() - int(age_s * 1e9)
