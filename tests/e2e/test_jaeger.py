"""A run in a real Jaeger, read back by its query API."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.support.jaeger import Jaeger
from tests.support.programs import Program, query, run

CODE = """
@python_app(executors=["htex"])
def fit(*values):
    from opentelemetry import trace
    with trace.get_tracer("survey").start_as_current_span("least squares"):
        return 1

@python_app(executors=["htex"])
def broken():
    raise ValueError("no such star")

@bash_app(executors=["htex"])
def context(stdout):
    return "echo $TRACEPARENT"

@python_app(executors=["htex"])
def dies():
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)

@join_app
def joined():
    return fit()

def calling():
    from opentelemetry import trace
    context = trace.SpanContext(int("3d" * 16, 16), int("4c" * 8, 16), is_remote=False)
    return trace.use_span(trace.NonRecordingSpan(context))

quick = htex(heartbeat_period=1, heartbeat_threshold=60)  # to miss a worker
with parsl.load(Config(executors=[quick], retries=1,
                       monitoring=OTelMonitoringHub(endpoint=os.environ["ENDPOINT"]))):
    with calling():
        first = fit()
    futures = [first, fit(first), joined(), context(stdout="traceparent.txt")]
    [future.result() for future in futures]
    broken().exception()
    dies().exception()
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, jaeger: Jaeger) -> Program:
    """A run whose telemetry also went to Jaeger."""
    return run(
        tmp_path_factory.mktemp("jaeger"),
        CODE,
        ENDPOINT=jaeger.otlp_grpc_endpoint,
        TRACEPARENT=f"00-{'1f' * 16}-{'2e' * 8}-01",
    )


@pytest.fixture(scope="module")
def spans(program: Program, jaeger: Jaeger) -> dict[str, dict[str, Any]]:
    """The spans of the run's trace, by their ids."""
    ((run_id,),) = query(program.database, "select run_id from workflow")
    ((tries,),) = query(program.database, "select count(*) from try")
    ((tasks,),) = query(program.database, "select count(*) from task")
    ((executions,),) = query(
        program.database, "select count(*) from status where task_status_name = 'running'"
    )
    expected = (
        tasks + tries + executions + 3 + 3
    )  # a run, a block, a manager; three spans of the user's
    return jaeger.spans(run_id.replace("-", ""), span_count=expected)


def _tags(span: dict[str, Any]) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def test_trace_has_a_span_for_the_run_and_every_task_try_and_execution(
    spans: dict[str, dict[str, Any]],
) -> None:
    """The trace whose id is the run's holds a span of everything, and nothing else."""
    found = Counter(
        (span["operationName"], _tags(span).get("span.kind")) for span in spans.values()
    )

    assert {
        ("program.py", "internal"): 1,
        ("block htex", "internal"): 1,
        ("manager htex", "internal"): 1,
        ("fit", "producer"): 6,
        ("fit", "consumer"): 3,
        ("least squares", "internal"): 3,
        ("joined", "producer"): 2,
        ("joined", "consumer"): 1,
        ("context", "producer"): 2,
        ("context", "consumer"): 1,
        ("broken", "producer"): 3,
        ("broken", "consumer"): 2,
        ("dies", "producer"): 3,
        ("dies", "consumer"): 2,
    } == found


def test_every_parent_exists(spans: dict[str, dict[str, Any]]) -> None:
    """No span names a parent that is not in the trace, and the run alone has none."""
    parents = [
        (
            span["operationName"],
            {each["spanID"] for each in span["references"] if each["refType"] == "CHILD_OF"},
        )
        for span in spans.values()
    ]

    assert [] == [name for name, ids in parents if not ids <= spans.keys()]
    assert ["program.py"] == [name for name, ids in parents if not ids]


def test_no_span_stands_outside_of_its_parent(spans: dict[str, dict[str, Any]]) -> None:
    """Jaeger finds nothing amiss with any span, such as a clock that is wrong."""
    assert [] == [span["warnings"] for span in spans.values() if span["warnings"]]


def test_users_own_span_is_a_child_of_its_execution(spans: dict[str, dict[str, Any]]) -> None:
    """A span that an app makes with the plain API stands under the app's execution."""
    own = [span for span in spans.values() if span["operationName"] == "least squares"]

    parents = [spans[span["references"][0]["spanID"]] for span in own]

    assert ["consumer"] * 3 == [_tags(parent)["span.kind"] for parent in parents]
    assert {"fit"} == {parent["operationName"] for parent in parents}


def _exceptions(spans: dict[str, dict[str, Any]], name: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the exceptions on the spans of a name: the kind of span, and what is told."""
    return [
        (_tags(span)["span.kind"], {field["key"]: field["value"] for field in log["fields"]})
        for span in spans.values()
        for log in span["logs"]
        if span["operationName"] == name
        and any(field["value"] == "exception" for field in log["fields"])
    ]


def test_exception_is_told_once_a_try_with_its_stack_trace(
    spans: dict[str, dict[str, Any]],
) -> None:
    """Each try that failed has its exception on the worker's span, and nowhere else."""
    found = _exceptions(spans, "broken")

    assert ["consumer"] * 2 == [kind for kind, _ in found]
    for _, fields in found:
        assert ("ValueError", "no such star") == (
            fields["exception.type"],
            fields["exception.message"],
        )
        assert "in broken" in fields["exception.stacktrace"]


def test_exception_that_no_worker_could_tell_is_on_the_try(
    spans: dict[str, dict[str, Any]],
) -> None:
    """A try whose worker was killed has the submit side's exception, with its stack trace."""
    found = _exceptions(spans, "dies")

    assert ["producer"] * 2 == [kind for kind, _ in found]
    for _, fields in found:
        assert "parsl.executors.high_throughput.errors.WorkerLost" == fields["exception.type"]
        assert "Task failure due to loss of worker" in fields["exception.message"]
        assert "WorkerLost" in fields["exception.stacktrace"]


@pytest.mark.parametrize(
    ("name", "fate", "error_type"),
    [
        ("broken", "app_exception", "ValueError"),
        ("dies", "worker_lost", "parsl.executors.high_throughput.errors.WorkerLost"),
    ],
)
def test_spans_of_what_failed_have_its_fate(
    spans: dict[str, dict[str, Any]], name: str, fate: str, error_type: str
) -> None:
    """Both tries and the task say why they failed, in one word, and with which class."""
    tags = [_tags(span) for span in spans.values() if span["operationName"] == name]
    failed = [found for found in tags if found["span.kind"] == "producer"]

    assert [(fate, error_type)] * 3 == [(f["parsl.fate"], f["error.type"]) for f in failed]


def test_manager_stands_under_its_block(spans: dict[str, dict[str, Any]]) -> None:
    """The span of a manager has its block's as its parent, and says where it was."""
    (manager,) = (span for span in spans.values() if span["operationName"] == "manager htex")

    assert "block htex" == spans[manager["references"][0]["spanID"]]["operationName"]
    assert 2 == _tags(manager)["parsl.manager.workers"]
    assert _tags(manager)["host.name"]


def test_task_links_to_what_it_depends_on(
    program: Program, spans: dict[str, dict[str, Any]]
) -> None:
    """A task's span links to the task whose result it was given."""
    dependent = next(
        span for span in spans.values() if _tags(span).get("parsl.task.depends") == "0"
    )
    linked = [r["spanID"] for r in dependent["references"] if r["refType"] == "FOLLOWS_FROM"]

    assert [0] == [_tags(spans[span_id])["parsl.task.id"] for span_id in linked]


def test_run_and_task_link_to_the_spans_that_called(spans: dict[str, dict[str, Any]]) -> None:
    """The run's span links to the one it was loaded in, a task's to the one its app was called in.

    The first comes by TRACEPARENT, as from a script that traces itself; the other is current.
    """
    linked = {
        (span["operationName"], reference["traceID"], reference["spanID"])
        for span in spans.values()
        for reference in span["references"]
        if reference["traceID"] != span["traceID"]
    }

    assert {
        ("program.py", "1f" * 16, "2e" * 8),
        ("fit", "3d" * 16, "4c" * 8),
    } == linked


def test_bash_app_is_given_the_context_of_its_execution(
    program: Program, spans: dict[str, dict[str, Any]]
) -> None:
    """What a bash app starts finds W3C's TRACEPARENT in its environment."""
    version, _, span_id, flags = (
        (program.directory / "traceparent.txt").read_text().strip().split("-")
    )

    assert ("00", "01") == (version, flags)
    assert "context" == spans[span_id]["operationName"]
