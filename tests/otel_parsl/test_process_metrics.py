"""What a worker process has used, as the semantic conventions have it."""

from __future__ import annotations

import datetime
import os

import psutil
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otel_parsl import semconv, wire
from otel_parsl.process_metrics import began_ns, iso_time, process_metrics
from otel_parsl.sampling.sampler import ProcessReading
from otel_parsl.spool import _whole_frames
from otel_parsl.worker import RunContext, TryContext, Writer

READING = ProcessReading(5_000, 1.5, 0.25, 1 << 20, 1 << 30, 10, 20, 30, 40, 3, None)


def _read(metrics: list[bytes]) -> list[Metric]:
    request = ExportMetricsServiceRequest.FromString(
        wire.request(b"\0", b"\0", metrics, schema_url="")
    )
    return list(request.resource_metrics[0].scope_metrics[0].metrics)


def test_reading_becomes_cumulative_metrics_without_a_task() -> None:
    """Counters and levels count from the process's start; what was not measured is left out."""
    found = {}
    for metric in _read(process_metrics(READING, began_ns=1_000)):
        assert metric.sum.aggregation_temporality == 2
        for point in metric.sum.data_points:
            assert (point.start_time_unix_nano, point.time_unix_nano) == (1_000, 5_000)
            labels = [(pair.key, pair.value.string_value) for pair in point.attributes]
            value = getattr(point, point.WhichOneof("value") or "")
            found[(metric.name, *labels)] = (value, metric.sum.is_monotonic)
    switches = "process.context_switches"
    assert found == {
        ("process.cpu.time", ("cpu.mode", "user")): (1.5, True),
        ("process.cpu.time", ("cpu.mode", "system")): (0.25, True),
        ("process.memory.usage",): (1 << 20, False),
        ("process.memory.virtual",): (1 << 30, False),
        ("process.disk.io", ("disk.io.direction", "read")): (10, True),
        ("process.disk.io", ("disk.io.direction", "write")): (20, True),
        (switches, ("process.context_switch.type", "voluntary")): (30, True),
        (switches, ("process.context_switch.type", "involuntary")): (40, True),
        ("process.thread.count",): (3, False),
    }


def test_process_began_when_psutil_says() -> None:
    """The creation time is that of this process, to the system's clock tick."""
    assert began_ns() / 1e9 == pytest.approx(psutil.Process().create_time(), abs=1.5)
    assert began_ns() == began_ns()


def test_creation_time_is_iso_8601() -> None:
    """The creation time is UTC with milliseconds, and read back as the same moment."""
    text = iso_time(1_700_558_734_853_000_000)
    assert text == "2023-11-21T09:25:34.853Z"
    at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    assert at.timestamp() == 1_700_558_734.853


@pytest.mark.parametrize(
    ("interval_s", "is_monitored", "expected"),
    [(3600.0, True, [True, False]), (0.0, True, [False] * 2), (3600.0, False, [False] * 2)],
)
def test_worker_measures_itself_once_an_interval(
    interval_s: float, is_monitored: bool, expected: list[bool]
) -> None:
    """The first try of a worker sends its process's metrics, the next after the interval only."""
    writer = Writer(RunContext("run", (), "auto", interval_s, "service"))
    which = TryContext(0, 0, "fit", "htex", is_monitored)
    frames = [writer.process_frame(which) for _ in range(2)]
    assert [bool(data) for data in frames] == expected
    for data in filter(None, frames):
        ((_, start, end),) = _whole_frames(data)
        (group,) = ExportMetricsServiceRequest.FromString(data[start:end]).resource_metrics
        said = {pair.key: pair.value for pair in group.resource.attributes}
        assert said[semconv.PROCESS_PID].int_value == os.getpid()
        assert said[semconv.PROCESS_CREATION_TIME].string_value == iso_time(began_ns())
        assert said[semconv.SERVICE_INSTANCE_ID].string_value.endswith(f":{os.getpid()}")
        names = {metric.name for metric in group.scope_metrics[0].metrics}
        assert {"process.cpu.time", "process.memory.usage"} <= names
