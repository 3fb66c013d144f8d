"""What each of Parsl's messages becomes, read with the real library."""

from __future__ import annotations

import datetime
import time
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from parsl.dataflow.dflow import DataFlowKernel
from parsl.dataflow.states import States

from otel_parsl import semconv
from otel_parsl.identity import run_key, span_id, task_trace_id
from otel_parsl.messages import (
    RunEvents,
    manager_attributes,
    manager_metrics,
    run_attributes,
    to_ns,
)
from otel_parsl.sampling.sample_metrics import sample_from_message, sample_metrics
from otel_parsl.sampling.sampler import Sample
from otel_parsl.wire import Key
from tests.support.parsl_messages import (
    BEGAN,
    RUN_ID,
    at,
    block_info,
    node_info,
    resource_info,
    run_ended,
    run_started,
    task_info,
    worker_task_info,
)

RUN = run_key(RUN_ID)
OBSERVED_NS = 1_800_000_000_000_000_001


def _body(sized: bytes) -> bytes:
    """Return what follows the length in front."""
    start = next(index for index, byte in enumerate(sized) if byte < 128) + 1
    return sized[start:]


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def _read(sized: bytes) -> dict[str, Any]:
    """Return an event as a dict of all that is set."""
    record = LogRecord.FromString(_body(sized))
    read = {
        "name": record.event_name,
        "time": record.time_unix_nano,
        "observed": record.observed_time_unix_nano,
        "severity": record.severity_number,
        "trace": record.trace_id,
        "span": record.span_id,
        **_attributes(record.attributes),
    }
    for field in ("event_name", "time_unix_nano", "observed_time_unix_nano", "severity_number"):
        record.ClearField(field)
    for field in ("trace_id", "span_id", "attributes"):
        record.ClearField(field)
    assert record == LogRecord()
    return read


@pytest.fixture
def events() -> RunEvents:
    """Give the events of a run from their beginning."""
    return RunEvents(RUN)


def test_hand_written_task_message_has_parsls_keys() -> None:
    """The message these tests are made with has the keys, and types, of the installed Parsl's."""
    record = {
        "func_name": "double",
        "memoize": False,
        "hashsum": None,
        "fail_count": 0,
        "fail_cost": 0,
        "status": States.pending,
        "id": 0,
        "time_invoked": at(1),
        "try_time_launched": None,
        "time_returned": None,
        "try_time_returned": None,
        "executor": "htex",
        "try_id": 0,
        "kwargs": {},
        "fail_history": [],
        "depends": [],
        "joins": None,
        "from_memo": None,
    }
    kernel = SimpleNamespace(run_id=RUN_ID, task_state_counts=Counter())
    real = DataFlowKernel._create_task_log_info(kernel, record)
    expected = task_info(timestamp=real["timestamp"], task_status=States.pending)
    assert real == expected


def test_run_started(events: RunEvents) -> None:
    """The first WORKFLOW_INFO is the event of a run's start, on the run's span."""
    assert _read(events.started(run_started(), OBSERVED_NS)) == {
        "name": "parsl.run.started",
        "time": to_ns(BEGAN),
        "observed": OBSERVED_NS,
        "severity": 9,
        "trace": RUN,
        "span": span_id(RUN, "run"),
        "parsl.sequence": 1,
        "parsl.run.tasks_completed": 0,
        "parsl.run.tasks_failed": 0,
    }


def test_run_ended(events: RunEvents) -> None:
    """The last WORKFLOW_INFO is the event of a run's end, with its counts."""
    message = run_ended(tasks_completed_count=7, tasks_failed_count=2)
    assert _read(events.ended(message, OBSERVED_NS)) == {
        "name": "parsl.run.ended",
        "time": to_ns(at(60)),
        "observed": OBSERVED_NS,
        "severity": 9,
        "trace": RUN,
        "span": span_id(RUN, "run"),
        "parsl.sequence": 1,
        "parsl.run.time_completed": to_ns(at(60)),
        "parsl.run.tasks_completed": 7,
        "parsl.run.tasks_failed": 2,
    }


def test_run_ended_without_cleanup(events: RunEvents) -> None:
    """An end that our hub tells of a run that was not cleaned up has an outcome and no counts."""
    message = {"time_completed": at(60), "outcome": "unfinished", "run_id": RUN_ID}
    found = _read(events.ended(message, OBSERVED_NS))
    assert {key: value for key, value in found.items() if key.startswith("parsl.")} == {
        "parsl.sequence": 1,
        "parsl.run.time_completed": to_ns(at(60)),
        "parsl.outcome": "unfinished",
    }


def test_run_attributes_are_the_row_of_the_workflow() -> None:
    """The Resource carries every column of the run's row of workflow, and the zone of its times."""
    pairs = [KeyValue.FromString(_body(data)) for data in run_attributes(run_started(), zone="UTC")]
    assert _attributes(pairs) == {
        "parsl.run.id": RUN_ID,
        "parsl.workflow.name": "corridor.py",
        "parsl.workflow.version": "2026-01-15 12:00:00",
        "parsl.workflow.host": "submit.example.org",
        "parsl.workflow.user": "me",
        "parsl.workflow.rundir": "/home/me/runinfo/000",
        "parsl.time.zone": "UTC",
        "parsl.version": "2026.10.26",
        "parsl.workflow.time_began": to_ns(BEGAN),
    }


_TASK = {
    "name": "parsl.task.state_changed",
    "observed": OBSERVED_NS,
    "severity": 9,
    "parsl.sequence": 1,
    "parsl.app.name": "double",
    "parsl.executor.label": "htex",
    "parsl.run.tasks_completed": 0,
}
"""What is as it mostly is (not memoised, no task failed) is not said."""


def _of_task(task_id: int, try_id: int) -> dict[str, Any]:
    return {
        "trace": task_trace_id(RUN, task_id),
        "span": span_id(RUN, "try", task_id, try_id),
        "parsl.task.id": task_id,
        "parsl.try.id": try_id,
    }


def test_first_message_of_a_task_says_what_never_changes(events: RunEvents) -> None:
    """The first TASK_INFO of a task carries dependencies, outputs and streams."""
    message = task_info(
        task_depends="1,2",
        task_outputs="[<File at 0x1>]",
        task_stdin="in.txt",
        task_stdout="out.txt",
        task_stderr="err.txt",
        task_inputs="[1]",
    )
    assert _read(events.task(message, OBSERVED_NS)) == {
        **_TASK,
        **_of_task(0, 0),
        "time": to_ns(at(1.000001)),
        "parsl.task.state": "pending",
        "parsl.task.time_invoked": to_ns(at(1)),
        "parsl.task.depends": "1,2",
        "parsl.task.outputs": "[<File at 0x1>]",
        "parsl.task.stdin": "in.txt",
        "parsl.task.stdout": "out.txt",
        "parsl.task.stderr": "err.txt",
        "parsl.task.inputs": "[1]",
    }


def test_later_message_of_a_task_says_all_that_may_change(events: RunEvents) -> None:
    """Any other TASK_INFO carries every column that may change, and none that may not."""
    message = task_info(
        task_id=1500,
        try_id=1,
        task_status_name="exec_done",
        timestamp=at(9),
        task_memoize=True,
        task_hashsum="9a0364b9e99bb480dd25e1f0284c8555",
        task_fail_count=1,
        task_fail_cost=0.5,
        task_inputs="[2]",
        task_try_time_launched=at(5),
        task_try_time_returned=at(8),
        task_time_returned=at(8.5),
        task_fail_history="ValueError('x')",
        task_joins="3,4",
        task_depends="1",
        tasks_completed_count=3,
        tasks_failed_count=1,
    )
    assert _read(events.task(message, OBSERVED_NS)) == {
        **_TASK,
        **_of_task(1500, 1),
        "time": to_ns(at(9)),
        "parsl.task.state": "exec_done",
        "parsl.task.memoize": True,
        "parsl.task.hashsum": "9a0364b9e99bb480dd25e1f0284c8555",
        "parsl.task.fail_count": 1,
        "parsl.task.fail_cost": 0.5,
        "parsl.task.inputs": "[2]",
        "parsl.try.time_launched": to_ns(at(5)),
        "parsl.try.time_returned": to_ns(at(8)),
        "parsl.task.time_returned": to_ns(at(8.5)),
        "parsl.try.fail_history": "ValueError('x')",
        "parsl.try.joins": "3,4",
        "parsl.run.tasks_completed": 3,
        "parsl.run.tasks_failed": 1,
    }
    assert task_trace_id(RUN, 1500) != RUN


def test_what_only_the_submission_knows_rides_along(events: RunEvents) -> None:
    """Further attributes of a launched try are on its event."""
    extra = [Key(semconv.EXECUTOR_TASK_ID).text("17")]
    found = _read(events.task(task_info(task_status_name="launched"), OBSERVED_NS, extra))
    assert found["parsl.executor.task_id"] == "17"


@pytest.mark.parametrize("state", [state.name for state in States])
def test_every_state_of_parsls_has_an_event(events: RunEvents, state: str) -> None:
    """Each state that Parsl knows is carried by name; failures are errors, retries warnings."""
    found = _read(events.task(task_info(task_status_name=state, try_id=1), OBSERVED_NS))
    severity = {"failed": 17, "dep_fail": 17, "fail_retryable": 13}.get(state, 9)
    assert (found["parsl.task.state"], found["severity"]) == (state, severity)


@pytest.mark.parametrize("scope", ["run", "task", "auto"])
def test_events_of_a_task_are_in_its_trace(scope: str) -> None:
    """A task's event is in the trace that the scope gives the task."""
    events = RunEvents(RUN, scope=scope)
    for task_id in (0, 999, 1000):
        found = _read(events.task(task_info(task_id=task_id), OBSERVED_NS))
        assert found["trace"] == task_trace_id(RUN, task_id, scope=scope)


def test_events_are_numbered_in_order(events: RunEvents) -> None:
    """Events of all kinds share one row of numbers, so that the later fact is known."""
    found = [
        _read(events.started(run_started(), OBSERVED_NS)),
        _read(events.task(task_info(), OBSERVED_NS)),
        _read(events.block(block_info(), OBSERVED_NS)),
        _read(events.ended(run_ended(), OBSERVED_NS)),
    ]
    assert [event["parsl.sequence"] for event in found] == [1, 2, 3, 4]


def test_block_status(events: RunEvents) -> None:
    """An entry of BLOCK_INFO is an event on the block's span, with what the provider says."""
    words = [Key(semconv.BLOCK_MESSAGE).text("no such account")]
    message = block_info(status="FAILED", job_id=4711)
    assert _read(events.block(message, OBSERVED_NS, words)) == {
        "name": "parsl.block.status_changed",
        "time": to_ns(at(0.5)),
        "observed": OBSERVED_NS,
        "severity": 9,
        "trace": RUN,
        "span": span_id(RUN, "block", "htex", "0"),
        "parsl.sequence": 1,
        "parsl.executor.label": "htex",
        "parsl.block.id": "0",
        "parsl.block.status": "FAILED",
        "parsl.block.message": "no such account",
        "parsl.block.job_id": "4711",
    }


def test_block_without_a_job(events: RunEvents) -> None:
    """A block that has no job id yet says none."""
    found = _read(events.block(block_info(job_id=None), OBSERVED_NS))
    assert "parsl.block.job_id" not in found


@pytest.mark.parametrize(
    ("is_first", "key"),
    [(True, "parsl.execution.time_running"), (False, "parsl.execution.time_ended")],
)
def test_worker_message_of_a_users_radio(events: RunEvents, is_first: bool, key: str) -> None:
    """A WORKER_TASK_INFO says when and where a try began, or that it ended."""
    message = worker_task_info(task_id=3, try_id=1, first_msg=is_first, last_msg=not is_first)
    assert _read(events.worker(message, OBSERVED_NS)) == {
        "name": "parsl.try.running",
        "time": to_ns(at(3)),
        "observed": OBSERVED_NS,
        "severity": 9,
        **_of_task(3, 1),
        "host.name": "node1.example.org",
        "parsl.block.id": "0",
        key: to_ns(at(3)),
    }


def test_worker_message_without_a_block(events: RunEvents) -> None:
    """A worker that belongs to no block says none."""
    found = _read(events.worker(worker_task_info(block_id=None), OBSERVED_NS))
    assert "parsl.block.id" not in found


def _points(metrics: list[bytes]) -> dict[str, list[tuple[int, float]]]:
    """Return time and value of each point by metric, which must be a gauge."""
    read = [Metric.FromString(_body(data)) for data in metrics]
    assert all(metric.WhichOneof("data") == "gauge" for metric in read)
    return {
        metric.name: [
            (point.time_unix_nano, getattr(point, point.WhichOneof("value") or ""))
            for point in metric.gauge.data_points
        ]
        for metric in read
    }


def test_manager_reports_are_points_of_their_times() -> None:
    """Each NODE_INFO of a manager is a point of each metric, with the report's own time."""
    reports = [
        node_info(),
        node_info(
            timestamp=at(7), last_heartbeat=at(6), tasks=[1, 2], active=False, worker_count=3
        ),
    ]
    first, second = to_ns(at(2.000001)), to_ns(at(7))
    assert _points(manager_metrics(reports)) == {
        "parsl.manager.workers": [(first, 4), (second, 3)],
        "parsl.manager.cpus": [(first, 8), (second, 8)],
        "parsl.manager.memory": [(first, 16 << 30), (second, 16 << 30)],
        "parsl.manager.active": [(first, 1), (second, 0)],
        "parsl.manager.last_heartbeat": [(first, to_ns(at(2))), (second, to_ns(at(6)))],
        "parsl.manager.lost": [(second, 0)],
        "parsl.manager.tasks": [(first, 0), (second, 2)],
    }
    pairs = [KeyValue.FromString(_body(data)) for data in manager_attributes(node_info())]
    assert _attributes(pairs) == {
        "parsl.manager.uid": "0a1b2c3d4e5f",
        "parsl.manager.host": "node1.example.org",
        "parsl.block.id": "0",
        "parsl.manager.python": "3.11.9",
    }


@pytest.mark.parametrize(("silence_s", "lost"), [(4, 0), (4.1, 1)])
def test_manager_whose_heartbeats_stopped_is_lost(silence_s: float, lost: int) -> None:
    """Longer silent than the interchange waits, it is lost; else it was told to leave."""
    report = node_info(timestamp=at(60), last_heartbeat=at(60 - silence_s), active=False)
    points = _points(manager_metrics([report], heartbeat_threshold_s=4))
    assert points["parsl.manager.lost"] == [(to_ns(at(60)), lost)]


def test_manager_that_cannot_count_its_cores() -> None:
    """What psutil could not tell (cpu_count(logical=False) in a container) is left out."""
    points = _points(manager_metrics([node_info(cpu_count=None)]))
    assert points["parsl.manager.workers"] == [(to_ns(at(2.000001)), 4)]
    assert points.get("parsl.manager.cpus", []) == []


def test_resource_message_of_a_users_radio_is_a_sample() -> None:
    """A RESOURCE_INFO says each of its columns as a point, and its texts once."""
    message = resource_info(task_id=3, try_id=1)
    time_ns = to_ns(message["timestamp"])
    sample = sample_from_message(message, time_ns)
    assert sample == Sample(
        time_ns=time_ns,
        pid=4711,
        cpu_user_s=1.25,
        cpu_system_s=0.5,
        memory_resident_bytes=100 << 20,
        memory_virtual_bytes=3 << 30,
        memory_percent=1.5,
        memory_peak_bytes=None,
        children_count=0,
        read_bytes=1 << 20,
        write_bytes=4096,
        context_switches_voluntary=17,
        context_switches_involuntary=3,
        status="sleeping",
        cpu_num=5,
    )
    metrics = sample_metrics(sample, task_id=3, try_id=1, interval_s=10)
    assert _points(metrics) == {
        "parsl.try.sample": [(time_ns, 10.0)],
        "parsl.try.cpu.user": [(time_ns, 1.25)],
        "parsl.try.cpu.system": [(time_ns, 0.5)],
        "parsl.try.memory.resident": [(time_ns, 100 << 20)],
        "parsl.try.memory.virtual": [(time_ns, 3 << 30)],
        "parsl.try.memory.percent": [(time_ns, 1.5)],
        "parsl.try.children": [(time_ns, 0)],
        "parsl.try.disk.read": [(time_ns, 1 << 20)],
        "parsl.try.disk.write": [(time_ns, 4096)],
        "parsl.try.context_switches.voluntary": [(time_ns, 17)],
        "parsl.try.context_switches.involuntary": [(time_ns, 3)],
    }
    said = {
        metric.name: _attributes(metric.gauge.data_points[0].attributes)
        for metric in (Metric.FromString(_body(data)) for data in metrics)
    }
    which = {"parsl.task.id": 3, "parsl.try.id": 1}
    texts = {
        "parsl.try.pid": 4711,
        "parsl.try.process.status": "sleeping",
        "parsl.try.process.cpu_num": 5,
    }
    assert said.pop("parsl.try.sample") == {**which, **texts}
    assert all(attributes == which for attributes in said.values())


@given(st.sets(st.sampled_from(range(2, 17)), max_size=15))
def test_what_could_not_be_measured_is_absent(missing: set[int]) -> None:
    """A value that is None leaves its point or attribute out; it is never 0."""
    whole = sample_from_message(resource_info(), 1)
    sample = Sample._make(None if index in missing else value for index, value in enumerate(whole))
    found = _points(sample_metrics(sample, task_id=0, try_id=0, interval_s=10))
    full = _points(sample_metrics(whole, task_id=0, try_id=0, interval_s=10))
    unknown = {
        name
        for name, field in (
            ("parsl.try.cpu.user", "cpu_user_s"),
            ("parsl.try.cpu.system", "cpu_system_s"),
            ("parsl.try.memory.resident", "memory_resident_bytes"),
            ("parsl.try.memory.virtual", "memory_virtual_bytes"),
            ("parsl.try.memory.percent", "memory_percent"),
            ("parsl.try.children", "children_count"),
            ("parsl.try.disk.read", "read_bytes"),
            ("parsl.try.disk.write", "write_bytes"),
            ("parsl.try.context_switches.voluntary", "context_switches_voluntary"),
            ("parsl.try.context_switches.involuntary", "context_switches_involuntary"),
        )
        if getattr(sample, field) is None
    }
    assert found == {name: points for name, points in full.items() if name not in unknown}


@pytest.fixture(params=["UTC", "Asia/Kathmandu", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ZoneInfo]:
    """Have this process keep a zone, and put it back."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield ZoneInfo(request.param)
    monkeypatch.undo()
    time.tzset()


def test_local_time_is_exact_to_the_microsecond(zone: ZoneInfo) -> None:
    """A naive local time is the same instant in UTC, to the microsecond, in summer and winter."""
    for naive in (
        datetime.datetime(2026, 1, 15, 12, 0, 0, 1),
        datetime.datetime(2026, 7, 15, 23, 59, 59, 999999),
        datetime.datetime(2038, 1, 19, 3, 14, 8, 333333),
        datetime.datetime(1970, 6, 1, 0, 0, 0, 7),
    ):
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        micros = (naive.replace(tzinfo=zone) - epoch) // datetime.timedelta(microseconds=1)
        assert to_ns(naive) == micros * 1000
