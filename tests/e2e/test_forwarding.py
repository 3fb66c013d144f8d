"""What a run forwards to whom: by arguments, and by OpenTelemetry's own variables."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from otel_parsl_collector.signals import BY_NAME

from otel_parsl import semconv
from otel_parsl.identity import run_key
from otel_parsl.trace_sampling import is_sampled
from tests.support.otlp_sink import Sink, grpc_sink
from tests.support.programs import query, run

TASKS = """
@python_app(executors=["htex"])
def fit():
    from opentelemetry import trace
    with trace.get_tracer("mine").start_as_current_span("solve") as span:
        return span.is_recording()

@python_app(executors=["htex"])
def broken():
    raise ValueError("no such star")

config = Config(executors=[htex()], monitoring=OTelMonitoringHub({arguments}))
with parsl.load(config):
    print("recording:", {{fit().result() for _ in range(3)}})
    broken().exception()
"""


def _signals(sink: Sink) -> set[str]:
    return {signal for signal, _ in sink.received}


def _point_names(sink: Sink) -> set[str]:
    return {
        metric.name
        for signal, body in sink.received
        if signal == "metrics"
        for group in BY_NAME[signal].request.FromString(body).resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
    }


def test_each_destination_is_sent_what_it_asks_for(tmp_path: Path) -> None:
    """One is sent traces of failures alone, one metrics alone; a variable leaves out a third's."""
    with grpc_sink() as failures, grpc_sink() as metrics, grpc_sink() as others:
        arguments = (
            f"endpoint={others.url!r}, forward_to=["
            f"{{'endpoint': {failures.url!r}, 'signals': ['traces'], 'sampling': 0}},"
            f"{{'endpoint': {metrics.url!r}, 'signals': ['metrics']}}]"
        )
        program = run(tmp_path, TASKS.format(arguments=arguments), OTEL_TRACES_EXPORTER="none")
    assert [_signals(sink) for sink in (failures, metrics, others)] == [
        {"traces"},
        {"metrics"},
        {"metrics", "logs"},
    ]
    assert Counter(failures.span_names()) == {
        "program.py": 1,
        "block htex": 1,
        "manager htex": 1,
        "broken": 3,
    }
    expected = {"parsl.run.tasks", "parsl.task.duration", "parsl.try.cpu.user", "process.cpu.time"}
    assert expected <= _point_names(metrics)
    assert query(program.database, "select count(*) from task") == [(4,)]


def test_sampler_leaves_out_traces_and_no_rows(tmp_path: Path) -> None:
    """Under always_off no span is forwarded or recorded, and the tables have every task."""
    with grpc_sink() as sink:
        arguments = f"endpoint={sink.url!r}"
        program = run(tmp_path, TASKS.format(arguments=arguments), OTEL_TRACES_SAMPLER="always_off")
    assert _signals(sink) == {"metrics", "logs"}
    assert "recording: {False}" in program.output
    rows = query(program.database, "select count(*) from status where task_status_name = 'running'")
    assert rows == [(4,)]


@pytest.mark.parametrize("sampler", ["traceidratio", "parentbased_traceidratio"])
def test_sampler_keeps_its_share_of_tasks_whole(sampler: str, tmp_path: Path) -> None:
    """Of a task all spans are forwarded or none, as its id decides; the tables have every task."""
    many = TASKS.replace("for _ in range(3)", "for _ in range(20)")
    with grpc_sink() as sink:
        program = run(
            tmp_path,
            many.format(arguments=f"endpoint={sink.url!r}"),
            OTEL_TRACES_SAMPLER=sampler,
            OTEL_TRACES_SAMPLER_ARG="0.5",
        )
    ((run_id, tasks),) = query(program.database, "select run_id, count(*) from task")
    kept = {task_id for task_id in range(tasks) if is_sampled(run_key(run_id), task_id, 0.5)}
    assert tasks == 21
    spans: dict[int, set[str]] = defaultdict(set)
    for span in sink.spans():
        said = {pair.key: pair.value.int_value for pair in span.attributes}
        if semconv.TASK_ID in said:
            spans[said[semconv.TASK_ID]].add(span.span_id)
    assert spans.keys() == kept
    # The task's, its try's and its execution's, and the user's own; the last task makes none.
    assert {task_id: len(of_task) for task_id, of_task in spans.items()} == {
        task_id: 4 if task_id < tasks - 1 else 3 for task_id in kept
    }
    assert "recording: {False, True}" in program.output


def test_variables_leave_out_metrics_and_logs(tmp_path: Path) -> None:
    """Under OTEL_METRICS_EXPORTER and OTEL_LOGS_EXPORTER=none traces alone are forwarded."""
    with grpc_sink() as sink:
        program = run(
            tmp_path,
            TASKS.format(arguments=f"endpoint={sink.url!r}"),
            OTEL_METRICS_EXPORTER="none",
            OTEL_LOGS_EXPORTER="none",
        )
    assert _signals(sink) == {"traces"}
    samples = "select count(distinct task_id) from resource"
    assert query(program.database, samples) == [(4,)]


def test_each_signal_goes_where_its_variable_says(tmp_path: Path) -> None:
    """OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and its kin name a destination for one signal each."""
    with grpc_sink() as traces, grpc_sink() as rest:
        program = run(
            tmp_path,
            TASKS.format(arguments=""),
            OTEL_EXPORTER_OTLP_ENDPOINT=rest.url,
            OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=traces.url,
        )
    assert _signals(traces) == {"traces"}
    assert _signals(rest) == {"metrics", "logs"}
    assert "solve" in traces.span_names()
    assert query(program.database, "select count(*) from task") == [(4,)]


def test_disabled_sdk_forwards_nothing_and_keeps_the_tables(tmp_path: Path) -> None:
    """With OTEL_SDK_DISABLED nothing leaves, an app records no span, and every row is written."""
    with grpc_sink() as sink:
        arguments = f"endpoint={sink.url!r}"
        tasks = TASKS.format(arguments=arguments)
        elsewhere = 'provider=LocalProvider(worker_init="unset OTEL_SDK_DISABLED")'
        tasks = tasks.replace("htex()", f"htex({elsewhere})")
        program = run(tmp_path, tasks, OTEL_SDK_DISABLED="true")
    assert sink.received == []
    assert "recording: {False}" in program.output
    rows = query(program.database, "select count(*) from status where task_status_name = 'running'")
    assert rows == [(4,)]


def test_names_and_attributes_of_the_variables_are_on_all_that_leaves(tmp_path: Path) -> None:
    """The environment says what the run is called and how it is marked; arguments win over it."""
    with grpc_sink() as sink:
        arguments = f"endpoint={sink.url!r}, resource_attributes={{'team': 'sky'}}"
        run(
            tmp_path,
            TASKS.format(arguments=arguments),
            OTEL_SERVICE_NAME="survey",
            OTEL_RESOURCE_ATTRIBUTES="team=sea,deployment.environment.name=night",
        )
    for signal, body in sink.received:
        groups = BY_NAME[signal].request.FromString(body)
        for group in getattr(groups, groups.DESCRIPTOR.fields[0].name):
            said = {pair.key: pair.value.string_value for pair in group.resource.attributes}
            assert said["service.name"] == "survey"
            assert said["team"] == "sky"
            assert said["deployment.environment.name"] == "night"
    assert _signals(sink) == {"traces", "metrics", "logs"}


@pytest.mark.parametrize(
    ("propagators", "carried"), [("tracecontext", "True False"), ("baggage", "False True")]
)
def test_context_is_carried_on_as_the_propagators_say(
    tmp_path: Path, propagators: str, carried: str
) -> None:
    """A worker's app is given what OTEL_PROPAGATORS names, and nothing else."""
    program = run(
        tmp_path,
        """
@bash_app(executors=["htex"])
def context(stdout="context.txt"):
    return "echo TRACEPARENT=$TRACEPARENT BAGGAGE=$BAGGAGE"

# Else its workers have them from here, by themselves.
local = LocalProvider(init_blocks=1, max_blocks=1, worker_init="unset TRACEPARENT BAGGAGE")
with parsl.load(Config(executors=[htex(provider=local)], monitoring=OTelMonitoringHub())):
    context().result()
said = open("context.txt").read()
print("carried:", "TRACEPARENT=00-" in said, "BAGGAGE=team=sky" in said)
""",
        OTEL_PROPAGATORS=propagators,
        TRACEPARENT=f"00-{'1f' * 16}-{'2e' * 8}-01",
        BAGGAGE="team=sky",
    )
    assert f"carried: {carried}" in program.output
