"""What a run forwards to whom: by arguments, and by OpenTelemetry's own variables."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from otel_parsl_collector.signals import BY_NAME

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
