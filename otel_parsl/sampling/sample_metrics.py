"""
A resource sample of a try as OTLP metrics.

Flow: sampling (or Parsl's RESOURCE_INFO) -> **samples** -> carrier, spool
The SDK's instruments cannot do it: they take no timestamps and fold everything beyond 2,000
attribute sets into one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_parsl import semconv
from otel_parsl.sampling.sampler import Sample
from otel_parsl.wire import Key, Metric, point_attributes

_METRICS: tuple[tuple[str, str, Metric], ...] = (
    ("cpu_user_s", "psutil_process_time_user", Metric(semconv.TRY_CPU_USER, "s")),
    ("cpu_system_s", "psutil_process_time_system", Metric(semconv.TRY_CPU_SYSTEM, "s")),
    (
        "memory_resident_bytes",
        "psutil_process_memory_resident",
        Metric(semconv.TRY_MEMORY_RESIDENT, "By", is_integer=True),
    ),
    (
        "memory_virtual_bytes",
        "psutil_process_memory_virtual",
        Metric(semconv.TRY_MEMORY_VIRTUAL, "By", is_integer=True),
    ),
    ("memory_percent", "psutil_process_memory_percent", Metric(semconv.TRY_MEMORY_PERCENT, "%")),
    (
        "children_count",
        "psutil_process_children_count",
        Metric(semconv.TRY_CHILDREN, "{process}", is_integer=True),
    ),
    (
        "read_bytes",
        "psutil_process_disk_read",
        Metric(semconv.TRY_DISK_READ, "By", is_integer=True),
    ),
    (
        "write_bytes",
        "psutil_process_disk_write",
        Metric(semconv.TRY_DISK_WRITE, "By", is_integer=True),
    ),
    (
        "context_switches_voluntary",
        "psutil_process_num_ctx_switches_voluntary",
        Metric(semconv.TRY_SWITCHES_VOLUNTARY, "{context_switch}", is_integer=True),
    ),
    (
        "context_switches_involuntary",
        "psutil_process_num_ctx_switches_involuntary",
        Metric(semconv.TRY_SWITCHES_INVOLUNTARY, "{context_switch}", is_integer=True),
    ),
)
_SAMPLE = Metric(semconv.TRY_SAMPLE, "s")
_TASK_ID, _TRY_ID = Key(semconv.TASK_ID), Key(semconv.TRY_ID)
_PID, _STATUS, _CPU_NUM = (
    Key(name) for name in (semconv.SAMPLE_PID, semconv.SAMPLE_STATUS, semconv.SAMPLE_CPU_NUM)
)
_FIELDS = tuple((Sample._fields.index(field), metric) for field, _, metric in _METRICS)


def sample_metrics(sample: Sample, *, task_id: int, try_id: int, interval_s: float) -> list[bytes]:
    """
    Return the sized Metrics of one sample; a value that could not be measured is left out.

    Args:
        sample: What was measured.
        task_id: Parsl's task id.
        try_id: Parsl's try id.
        interval_s: The interval that was asked for.
    """
    key = [_TASK_ID.integer(task_id), _TRY_ID.integer(try_id)]
    attributes = point_attributes(key)
    key.append(_PID.integer(sample.pid))
    if sample.status is not None:
        key.append(_STATUS.text(sample.status))
    if sample.cpu_num is not None:
        key.append(_CPU_NUM.integer(sample.cpu_num))
    time_ns = sample.time_ns
    metrics = [_SAMPLE.of((_SAMPLE.point(point_attributes(key), 0, time_ns, interval_s),))]
    for index, metric in _FIELDS:
        value: Any = sample[index]
        if value is not None:
            metrics.append(metric.of((metric.point(attributes, 0, time_ns, value),)))
    return metrics


def sample_from_message(message: Mapping[str, Any], time_ns: int) -> Sample:
    """Return a RESOURCE_INFO that came by a radio of the user's choice as a sample."""
    measured = {field: message.get(column) for field, column, _ in _METRICS}
    cpu_num = message.get("psutil_cpu_num")
    return Sample(
        time_ns=time_ns,
        pid=message["psutil_process_pid"],
        memory_peak_bytes=None,
        status=message.get("psutil_process_status"),
        cpu_num=None if cpu_num is None else int(cpu_num),
        **measured,
    )
