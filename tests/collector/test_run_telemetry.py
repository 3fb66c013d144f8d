"""The spans of a run's managers, and the metrics of the run, as its agent derives them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from otel_parsl_collector.connectors import lifecycle
from otel_parsl_collector.connectors.lifecycle import Lifecycle
from otel_parsl_collector.connectors.run_metrics import BOUNDS_S, CHUNK, RunMetrics

from otel_parsl import semconv, wire
from otel_parsl.identity import run_key, span_id
from otel_parsl.messages import manager_attributes, manager_metrics
from otel_parsl.semconv import STATES
from otel_parsl.spool import Frame, Place
from otel_parsl.wire import LOGS, METRICS, TRACES, Key
from tests.support.derived_spans import requests_of
from tests.support.parsl_messages import at, node_info
from tests.support.recorded_stream import RecordedRun, RecordedTask

Signals = list[tuple[int, bytes]]


def _run(*, is_lost: bool = False) -> RecordedRun:
    """Write down a run on one block: a task that is retried, one that fails, one that goes on."""
    run = RecordedRun("measured.py")
    run.start()
    run.block(1, "RUNNING")
    for task_id in range(3):
        task = RecordedTask(run, task_id, 2)
        task.becomes("pending")
        task.launch()
        if task_id == 0:
            task.execute(ValueError("once"))
            task.retry("ValueError('once')")
            task.launch()
        if task_id < 2:
            task.execute()
            task.becomes("exec_done" if task_id == 0 else "failed")
    (run.lost if is_lost else run.end)(30)
    return run


def _reports(run: RecordedRun, *reports: dict[str, Any]) -> bytes:
    made = [{**node_info(**report), "run_id": run.run_id} for report in reports]
    resource = wire.resource(
        (*run._of_run, *manager_attributes(made[0]), Key(semconv.EXECUTOR_LABEL).text("htex"))
    )
    return wire.request(
        resource,
        wire.scope(semconv.SCOPE, "1"),
        manager_metrics(made),
        schema_url=semconv.SCHEMA_URL,
    )


def _managers_ended(run: RecordedRun) -> bytes:
    record = wire.log_record(
        wire.sized(semconv.EVENT_MANAGERS_ENDED.encode()), 1, 1, run_key(run.run_id), bytes(8), []
    )
    return wire.request(
        wire.resource(run._of_run),
        wire.scope(semconv.SCOPE, "1"),
        [record],
        schema_url=semconv.SCHEMA_URL,
    )


def _agent_stream(run: RecordedRun) -> Signals:
    """Return reports of a manager that was held and of one that was not, and what comes late."""
    other = {"uid": "ffff", "block_id": "7", "hostname": "node2", "worker_count": 2}
    return [
        (METRICS, _reports(run, {"timestamp": at(3)}, {"timestamp": at(9)})),
        (METRICS, _reports(run, {"timestamp": at(4), **other})),
        (METRICS, _reports(run, {"timestamp": at(20), "active": False})),
        (LOGS, _managers_ended(run)),
        (METRICS, _reports(run, {"timestamp": at(40), "active": True})),
        (METRICS, _reports(run, {"timestamp": at(41), "uid": "late"})),
    ]


def _derive(path: Path, run: RecordedRun, batches: Iterable[Signals]) -> Signals:
    """Return what a connector makes of batches, restarted between any two."""
    made: list[bytes] = []
    place = 0
    for batch in batches:
        connector = Lifecycle(path, run.run_id, scope="auto", emit=made.extend)
        frames = []
        for signal, payload in batch:
            place += 1
            frames.append(Frame(signal, payload, Place(1, place)))
        connector.consume(frames, {"submit": Place(1, place)})
        connector.close()
    return requests_of(made)


def _spans(made: Signals) -> dict[bytes, Span]:
    spans = [
        span
        for signal, payload in made
        if signal == TRACES
        for group in ExportTraceServiceRequest.FromString(payload).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]
    found = {span.span_id: span for span in spans}
    assert len(found) == len(spans)
    return found


def _managers(made: Signals) -> list[bytes]:
    return sorted(
        span.SerializeToString(deterministic=True)
        for span in _spans(made).values()
        if span.name.startswith("manager")
    )


def _points(made: Signals) -> dict[str, dict[tuple[str, ...], Any]]:
    """Return the last point of each series: a value, or count and sum of a histogram."""
    found: dict[str, dict[tuple[str, ...], Any]] = {}
    for signal, payload in made:
        if signal != METRICS:
            continue
        for group in ExportMetricsServiceRequest.FromString(payload).resource_metrics:
            for metric in group.scope_metrics[0].metrics:
                if metric.HasField("gauge"):
                    continue
                data = getattr(metric, metric.WhichOneof("data") or "")
                assert data.aggregation_temporality == 2
                for point in data.data_points:
                    labels = tuple(pair.value.string_value for pair in point.attributes)
                    is_histogram = metric.HasField("histogram")
                    value = (point.count, round(point.sum, 6)) if is_histogram else point.as_int
                    found.setdefault(metric.name, {})[labels] = value
    return found


def _ns(seconds: float) -> int:
    return round(at(seconds).timestamp() * 1_000_000) * 1000


def test_manager_has_a_span_under_its_block(tmp_path: Path) -> None:
    """A manager's span goes from its first report to its last, or to its run's end."""
    run = _run()
    spans = _spans(_derive(tmp_path / "db", run, [[*run.requests, *_agent_stream(run)]]))
    key = run_key(run.run_id)
    held = spans[span_id(key, "manager", "0a1b2c3d4e5f")]
    other = spans[span_id(key, "manager", "ffff")]

    assert {"manager htex"} == {held.name, other.name}
    assert (held.start_time_unix_nano, held.end_time_unix_nano) == (_ns(3), _ns(20))
    assert (other.start_time_unix_nano, other.end_time_unix_nano) == (_ns(4), _ns(30))
    assert held.parent_span_id == span_id(key, "block", "htex", "0")
    assert held.parent_span_id in spans
    said = {pair.key: pair.value for pair in other.attributes}
    assert said["parsl.manager.uid"].string_value == "ffff"
    assert said["host.name"].string_value == "node2"
    assert said["parsl.manager.workers"].int_value == 2


@pytest.mark.parametrize("is_lost", [False, True])
def test_block_and_manager_that_a_dead_run_leaves_open_are_marked(
    tmp_path: Path, is_lost: bool
) -> None:
    """Where the submit process died nobody saw them end; at a good end nothing is wrong."""
    run = _run(is_lost=is_lost)
    batches = [run.requests, _agent_stream(run)]
    spans = _spans(_derive(tmp_path / "db", run, batches))
    key = run_key(run.run_id)

    def marks(*which: str) -> tuple[list[str], int]:
        span = spans[span_id(key, *which)]
        said = [pair.value.string_value for pair in span.attributes if pair.key == semconv.OUTCOME]
        return said, span.status.code

    left_open = (["lost"], Status.STATUS_CODE_ERROR) if is_lost else ([], 0)
    assert marks("block", "htex", "0") == left_open
    assert marks("manager", "ffff") == left_open
    assert marks("manager", "0a1b2c3d4e5f") == ([], 0), "it had left before"


def test_manager_whose_block_is_not_known_stands_under_the_run(tmp_path: Path) -> None:
    """No span names a parent that does not exist."""
    run = _run()
    spans = _spans(_derive(tmp_path / "db", run, [[*run.requests, *_agent_stream(run)]]))
    key = run_key(run.run_id)
    assert spans[span_id(key, "manager", "ffff")].parent_span_id == span_id(key, "run")
    assert [s.name for s in spans.values() if s.parent_span_id not in {b"", *spans}] == []


def test_what_managers_say_when_all_is_over_changes_nothing(tmp_path: Path) -> None:
    """A report that comes after the word that none will come makes and changes no span."""
    run = _run()
    stream = _agent_stream(run)
    late = _managers(_derive(tmp_path / "a", run, [[*run.requests, *stream]]))
    without = _managers(_derive(tmp_path / "b", run, [[*run.requests, *stream[:4]]]))
    assert late == without != []


_SHARES = st.lists(st.floats(0, 1), max_size=6).map(sorted)


@settings(max_examples=30, deadline=None)
@given(of_submit=_SHARES, of_agent=_SHARES)
def test_streams_in_any_step_give_the_same_manager_spans(
    tmp_path_factory: pytest.TempPathFactory, of_submit: list[float], of_agent: list[float]
) -> None:
    """However the two streams are cut and interleaved, with restarts, the bytes are the same."""
    run = _run()
    expected = _managers(
        _derive(tmp_path_factory.mktemp("d") / "db", run, [[*run.requests, *_agent_stream(run)]])
    )
    submit, agent = _cut(list(run.requests), of_submit), _cut(_agent_stream(run), of_agent)
    batches = [[*one, *other] for one, other in zip_longest(submit, agent, fillvalue=[])]
    assert _managers(_derive(tmp_path_factory.mktemp("d") / "db", run, batches)) == expected


def _cut(stream: Signals, shares: list[float]) -> list[Signals]:
    bounds = [0, *(round(share * len(stream)) for share in shares), len(stream)]
    return [stream[start:end] for start, end in pairwise(bounds)]


@pytest.mark.parametrize("batches", ["one", "each"])
def test_run_is_counted(tmp_path: Path, batches: str) -> None:
    """Tasks by state, their durations and waits, blocks and workers, over any restarts."""
    run = _run()
    stream = [*run.requests, *_agent_stream(run)]
    cut: Sequence[Signals] = [stream] if batches == "one" else [[item] for item in stream]
    found = _points(_derive(tmp_path / "db", run, cut))
    assert found["parsl.run.tasks"] == {
        ("pending",): 0,
        ("launched",): 1,
        ("exec_done",): 1,
        ("failed",): 1,
    }
    assert found["parsl.run.blocks"] == {("htex", "RUNNING"): 1}
    assert found["parsl.run.workers"] == {("htex",): 0}
    counts = {labels: count for labels, (count, _) in found["parsl.task.duration"].items()}
    assert counts == {("double", "success"): 1, ("double", "failure"): 1}
    ((labels, (count, waited_s)),) = found["parsl.task.queue_time"].items()
    assert (labels, count) == (("htex",), 3)
    assert 0 < waited_s < 3


def test_workers_are_counted_while_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers of managers that take tasks are counted, by executor."""
    monkeypatch.setattr(lifecycle, "METRICS_EVERY_S", 0.0)
    run = _run()
    stream = [*run.requests[:-1], *_agent_stream(run)]
    before = _points(_derive(tmp_path / "a", run, [stream[:-4]]))
    after = _points(_derive(tmp_path / "b", run, [stream[:-3]]))
    assert before["parsl.run.workers"] == {("htex",): 6}
    assert after["parsl.run.workers"] == {("htex",): 2}


def test_run_is_said_at_its_start(tmp_path: Path) -> None:
    """Metrics of a run come with its first event: where no logs go its row stands from then on."""
    run = _run()
    found = _points(_derive(tmp_path / "db", run, [[run.requests[0]]]))
    assert found == {"parsl.run.tasks": {("pending",): 0, ("launched",): 0}}


def test_states_of_a_million_tasks_are_kept_in_a_megabyte() -> None:
    """What is known of a task is a byte, and only what changed is written again."""
    counted = RunMetrics()
    for task_id in range(3 * CHUNK):
        counted.task_is(task_id, "pending")
    chunks = dict(counted.changed_chunks())
    counted.task_is(CHUNK, "launched")
    assert {number: len(chunk) for number, chunk in chunks.items()} == dict.fromkeys(
        range(3), CHUNK
    )
    changed = counted.changed_chunks()
    assert [number for number, _ in changed] == [1]
    again = RunMetrics(counted.state(), {**chunks, **dict(changed)})
    again.task_is(CHUNK, "exec_done")
    again.task_is(0, "pending")
    tasks = next(
        group.scope_metrics[0].metrics[0]
        for group in ExportMetricsServiceRequest.FromString(
            wire.request(b"\0", b"\0", again.metrics(1, 2, {})[:1], schema_url="")
        ).resource_metrics
    )
    values = {
        point.attributes[0].value.string_value: point.as_int for point in tasks.sum.data_points
    }
    assert values == {"pending": 3 * CHUNK - 1, "launched": 0, "exec_done": 1}


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(STATES)), max_size=60))
def test_every_task_is_counted_in_one_state(steps: list[tuple[int, str]]) -> None:
    """Whatever tasks do, the counts of all states sum to the number of tasks."""
    counted = RunMetrics()
    for task_id, state in steps:
        counted.task_is(task_id, state)
    assert sum(counted._tasks) == len({task_id for task_id, _ in steps})


@given(st.floats(0, 1e6))
def test_bucket_holds_what_is_up_to_its_bound(seconds: float) -> None:
    """A duration is counted in the bucket whose bound is the first that is not below it."""
    counted = RunMetrics()
    counted.task_ended("fit", "success", round(seconds * 1e9))
    ((counts),) = [histogram.counts for histogram in counted._durations.values()]
    index = counts.index(1)
    lower = 0 if index == 0 else BOUNDS_S[index - 1]
    upper = float("inf") if index == len(BOUNDS_S) else BOUNDS_S[index]
    assert lower <= round(seconds * 1e9) / 1e9 <= upper
