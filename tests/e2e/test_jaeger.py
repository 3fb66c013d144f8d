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

@join_app
def joined():
    return fit()

with parsl.load(Config(executors=[htex()], retries=1,
                       monitoring=OTelMonitoringHub(endpoint=os.environ["ENDPOINT"]))):
    first = fit()
    futures = [first, fit(first), joined(), context(stdout="traceparent.txt")]
    [future.result() for future in futures]
    broken().exception()
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, jaeger: Jaeger) -> Program:
    """A run whose telemetry also went to Jaeger."""
    return run(tmp_path_factory.mktemp("jaeger"), CODE, ENDPOINT=jaeger.otlp_grpc_endpoint)


@pytest.fixture(scope="module")
def spans(program: Program, jaeger: Jaeger) -> dict[str, dict[str, Any]]:
    """The spans of the run's trace, by their ids."""
    ((run_id,),) = query(program.database, "select run_id from workflow")
    ((tries,),) = query(program.database, "select count(*) from try")
    ((tasks,),) = query(program.database, "select count(*) from task")
    ((executions,),) = query(
        program.database, "select count(*) from status where task_status_name = 'running_ended'"
    )
    expected = tasks + tries + executions + 2 + 3  # a run, a block; three spans of the user's
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
        ("fit", "producer"): 6,
        ("fit", "consumer"): 3,
        ("least squares", "internal"): 3,
        ("joined", "producer"): 2,
        ("joined", "consumer"): 1,
        ("context", "producer"): 2,
        ("context", "consumer"): 1,
        ("broken", "producer"): 3,
        ("broken", "consumer"): 2,
    } == found


def test_every_parent_exists(spans: dict[str, dict[str, Any]]) -> None:
    """No span names a parent that is not in the trace, and the run alone has none."""
    parents = {
        span["operationName"]: [
            reference["spanID"]
            for reference in span["references"]
            if reference["refType"] == "CHILD_OF"
        ]
        for span in spans.values()
    }

    assert [] == [name for name, ids in parents.items() if not set(ids) <= spans.keys()]
    assert ["program.py"] == [name for name, ids in parents.items() if not ids]


def test_users_own_span_is_a_child_of_its_execution(spans: dict[str, dict[str, Any]]) -> None:
    """A span that an app makes with the plain API stands under the app's execution."""
    own = [span for span in spans.values() if span["operationName"] == "least squares"]

    parents = [spans[span["references"][0]["spanID"]] for span in own]

    assert ["consumer"] * 3 == [_tags(parent)["span.kind"] for parent in parents]
    assert {"fit"} == {parent["operationName"] for parent in parents}


def test_exception_is_told_once_a_try_with_its_stack_trace(
    spans: dict[str, dict[str, Any]],
) -> None:
    """Each try that failed has its exception on the worker's span, and nowhere else."""
    events = [
        (
            span["operationName"],
            _tags(span)["span.kind"],
            {f["key"]: f["value"] for f in log["fields"]},
        )
        for span in spans.values()
        for log in span["logs"]
        if any(field["value"] == "exception" for field in log["fields"])
    ]

    assert [("broken", "consumer")] * 2 == [(name, kind) for name, kind, _ in events]
    for _, _, fields in events:
        assert ("ValueError", "no such star") == (
            fields["exception.type"],
            fields["exception.message"],
        )
        assert "in broken" in fields["exception.stacktrace"]


def test_task_links_to_what_it_depends_on(
    program: Program, spans: dict[str, dict[str, Any]]
) -> None:
    """A task's span links to the task whose result it was given."""
    dependent = next(
        span for span in spans.values() if _tags(span).get("parsl.task.depends") == "0"
    )
    linked = [r["spanID"] for r in dependent["references"] if r["refType"] == "FOLLOWS_FROM"]

    assert [0] == [_tags(spans[span_id])["parsl.task.id"] for span_id in linked]


def test_bash_app_is_given_the_context_of_its_execution(
    program: Program, spans: dict[str, dict[str, Any]]
) -> None:
    """What a bash app starts finds W3C's TRACEPARENT in its environment."""
    version, _, span_id, flags = (
        (program.directory / "traceparent.txt").read_text().strip().split("-")
    )

    assert ("00", "01") == (version, flags)
    assert "context" == spans[span_id]["operationName"]
