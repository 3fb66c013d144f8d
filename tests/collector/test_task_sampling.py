"""A destination is sent whole tasks: a share of them, and all in which something failed."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from otel_parsl_collector.exporters.task_sampling import Rule, TaskSampling

from otel_parsl import trace_sampling
from otel_parsl.identity import run_key, task_trace_id
from otel_parsl.spool import Frame, Place
from otel_parsl.trace_sampling import is_sampled, share_from_environment
from otel_parsl.wire import LOGS, TRACES
from tests.support.derived_spans import derived_spans
from tests.support.recorded_stream import RecordedRun, RecordedTask

_CALLER = f"00-{'1f' * 16}-{'2e' * 8}-0"
TASKS = 20


def _run() -> RecordedRun:
    """Write down a run: each fourth task is retried once, each tenth fails in the end."""
    run = RecordedRun("sampled.py")
    run.start()
    run.block(1, "RUNNING")
    for task_id in range(TASKS):
        task = RecordedTask(run, task_id, 2)
        task.becomes("pending")
        task.launch()
        if task_id % 4 == 0:
            task.execute(ValueError("once"))
            task.retry("ValueError('once')")
            task.launch()
        has_failed = task_id % 10 == 0
        task.execute(ValueError("always") if has_failed else None)
        task.becomes("failed" if has_failed else "exec_done")
    run.end(600)
    return run


RUN = _run()
KEY = run_key(RUN.run_id)
FAILED = {task_id for task_id in range(TASKS) if task_id % 4 == 0 or task_id % 10 == 0}


def _stream() -> list[Frame]:
    recording = RUN.recording()
    requests = [*recording.requests, *derived_spans(recording)]
    return [Frame(signal, data, Place(1, n)) for n, (signal, data) in enumerate(requests, 1)]


STREAM = _stream()


def _spans_by_task(frames: Sequence[Frame]) -> dict[int | None, set[bytes]]:
    found: dict[int | None, set[bytes]] = defaultdict(set)
    for item in frames:
        if item.signal != TRACES:
            continue
        for group in ExportTraceServiceRequest.FromString(item.payload).resource_spans:
            for scope in group.scope_spans:
                for span in scope.spans:
                    ids = [p.value.int_value for p in span.attributes if p.key == "parsl.task.id"]
                    found[ids[0] if ids else None].add(span.SerializeToString(deterministic=True))
    return dict(found)


ALL = _spans_by_task(STREAM)


def _picked(
    rule: Rule, path: Path, batches: Sequence[Sequence[Frame]]
) -> tuple[list[Frame], TaskSampling]:
    sampling = TaskSampling(rule, path)
    picked: list[Frame] = []
    for batch in batches:
        picked += sampling.pick(batch)
        sampling.commit()
    return picked, sampling


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("keeps_failures", [False, True])
def test_tasks_are_kept_whole(tmp_path: Path, share: float, keeps_failures: bool) -> None:
    """Of every task all spans are sent or none, and what is left out is counted."""
    rule = Rule(share, keeps_failures=keeps_failures)
    picked, sampling = _picked(rule, tmp_path / "db", [STREAM])
    found = _spans_by_task(picked)
    expected = {t for t in range(TASKS) if is_sampled(KEY, t, share)}
    if keeps_failures:
        expected |= FAILED
    if share or keeps_failures:
        expected |= {None}  # type: ignore[arg-type]
    assert found == {task: ALL[task] for task in expected}
    left_out = sum(len(spans) for task, spans in ALL.items() if task not in expected)
    assert sampling.sampled_out == left_out


def test_other_signals_are_all_sent(tmp_path: Path) -> None:
    """Sampling is of traces: every log record and metric is sent."""
    picked, _ = _picked(Rule(0.0), tmp_path / "db", [STREAM])
    assert picked == [item for item in STREAM if item.signal != TRACES]
    assert any(item.signal == LOGS for item in picked)


@settings(max_examples=15, deadline=None)
@given(st.sets(st.integers(1, len(STREAM) - 1), max_size=8), st.randoms(use_true_random=False))
def test_pieces_and_restarts_pick_the_same(
    tmp_path_factory: pytest.TempPathFactory, cuts: set[int], choose: random.Random
) -> None:
    """However the stream is cut, and an agent is killed before or after it says so, all is sent."""
    path = tmp_path_factory.mktemp("sampling") / "db"
    rule = Rule(0.3, keeps_failures=True)
    bounds = [0, *sorted(cuts), len(STREAM)]
    picked: list[Frame] = []
    for start, end in pairwise(bounds):
        sampling = TaskSampling(rule, path)
        died = choose.choice(["never", "before", "after"])
        picked += sampling.pick(STREAM[start:end])
        if died != "before":
            sampling.commit()
        sampling.close()
        if died != "never":
            sampling = TaskSampling(rule, path)
            picked += sampling.pick(STREAM[start:end])
            sampling.commit()
            sampling.close()
    expected = {t for t in range(TASKS) if is_sampled(KEY, t, 0.3)} | FAILED | {None}
    found = _spans_by_task(picked)
    assert found == {task: ALL[task] for task in expected}


@given(st.integers(0, 1 << 40), st.floats(0, 1))
def test_decision_is_that_of_the_sdk_for_the_tasks_own_trace(task_id: int, share: float) -> None:
    """A task with a trace of its own is decided upon as any SDK's traceidratio would."""
    trace_id = int.from_bytes(task_trace_id(KEY, task_id, scope="task"), "big")
    decision = TraceIdRatioBased(share).should_sample(None, trace_id, "")
    assert is_sampled(KEY, task_id, share) == decision.decision.is_sampled()


@pytest.mark.parametrize(
    ("name", "argument", "caller", "share"),
    [
        ("", "", None, 1.0),
        ("always_on", "", None, 1.0),
        ("always_off", "", None, 0.0),
        ("always_off", "", _CALLER + "1", 0.0),
        ("traceidratio", "0.25", None, 0.25),
        ("traceidratio", "", None, 1.0),
        ("traceidratio", "2", None, 1.0),
        ("traceidratio", "a lot", None, 1.0),
        ("traceidratio", "0.25", _CALLER + "0", 0.25),
        ("parentbased_traceidratio", "0.25", None, 0.25),
        ("parentbased_traceidratio", "0.25", _CALLER + "1", 1.0),
        ("parentbased_always_on", "", _CALLER + "0", 0.0),
        ("parentbased_always_off", "", None, 0.0),
        ("", "", _CALLER + "0", 0.0),
        ("xray", "", None, 1.0),
    ],
)
def test_standard_variable_is_read(
    name: str, argument: str, caller: str | None, share: float
) -> None:
    """OTEL_TRACES_SAMPLER means what it means everywhere, for tasks in place of traces."""
    environment = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}
    assert share_from_environment(caller, environment) == share


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_TRACES_SAMPLER": "xray"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "many"},
    ],
)
def test_what_cannot_be_read_is_said(
    environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """A sampler that is not known, or an argument that is no share, is warned of by name."""
    with caplog.at_level("WARNING", trace_sampling.__name__):
        share_from_environment(None, environment)
    (record,) = caplog.records
    assert list(environment.values())[-1] in record.getMessage()
