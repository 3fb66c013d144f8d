"""Every name that a run writes is in semconv.TERMS, and every name there is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from otel_parsl_collector.signals import BY_NAME

from otel_parsl import semconv
from otel_parsl.semconv import TERMS
from tests.support.otlp_sink import Sink, grpc_sink
from tests.support.programs import run

CODE = """
from parsl.data_provider.files import File

@python_app(executors=["htex"])
def fit(value, inputs=(), outputs=(), parsl_resource_specification={}):
    import time
    time.sleep(value)
    for output in outputs:
        open(output.filepath, "w").close()
    return value

@python_app(executors=["htex"], cache=True)
def seen(value):
    return value

@bash_app(executors=["htex"])
def shell(stdin=None, stdout=parsl.AUTO_LOGNAME, stderr="errors.txt"):
    return "exit 3"

@python_app(executors=["htex"])
def dies():
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)

@join_app
def joined():
    return seen(0)

brief = htex(
    "brief",
    drain_period=1,  # so that the interchange sees its manager leave
    provider=LocalProvider(init_blocks=1, min_blocks=0, max_blocks=1),
)
config = Config(
    executors=[
        htex(heartbeat_period=1, heartbeat_threshold=60),  # to miss a worker soon
        ThreadPoolExecutor(label="threads", max_threads=1),
        brief,
    ],
    retries=1,
    monitoring=OTelMonitoringHub(
        workflow_version="3",
        resource_monitoring_interval=1,
        trace_scope="task",
        endpoint=os.environ["ENDPOINT"],
    ),
)
with parsl.load(config):
    first = fit(3, outputs=[File("made.txt")], parsl_resource_specification={"priority": 1})
    futures = [first, fit(0, inputs=first.outputs), joined(), shell(stdin="given"), dies()]
    [future.exception() for future in futures]
    [seen(1).result() for _ in range(2)]
    while "0" not in brief.connected_blocks() or brief.connected_managers():
        time.sleep(0.1)
"""

CONDITIONAL = {
    semconv.MONITORS_RESOURCES: "with resource_monitoring_enabled=False",
    semconv.TASKS_FAILED: "absent is 0 until the run has a failure",
    semconv.EXECUTION_TIME_ENDED: "from an executor that keeps a radio of the user's choice",
    semconv.BLOCK_MESSAGE: "where the provider says something",
    semconv.BLOCK_EXIT_CODE: "where the provider tells a job's exit code",
    semconv.BLOCK_STDOUT: "where the provider keeps a job's output",
    semconv.BLOCK_STDERR: "where the provider keeps a job's output",
    semconv.BLOCK_SUBMIT_ERROR: "where the scheduler refuses a job",
    semconv.EVENT_BLOCK_DESCRIBED: "where the provider says more of a block than Parsl",
    semconv.EXECUTOR_STATE: "where an executor is lost or given up",
    semconv.EXECUTOR_MESSAGE: "where an executor is lost or given up",
    semconv.EVENT_EXECUTOR_STATE: "where an executor is lost or given up",
    semconv.EVENT_TRY_LOST: "where an executor is lost or given up",
    semconv.TRANSPORT_ERROR: "where a worker cannot reach the agent directly",
    semconv.TRANSPORT_FAILURES: "where a worker cannot reach the agent directly",
    semconv.EXECUTOR_UNTRACED: "where an executor's workers lack otel_parsl",
    semconv.EVENT_EXECUTOR_UNTRACED: "where an executor's workers lack otel_parsl",
    semconv.EVENT_AGENT_UNREACHED: "where a worker cannot reach the agent directly",
    semconv.OUTCOME: "on spans always, on the end of a run that was lost or unfinished",
}
"""Names that not every run writes, and when one does."""


class _Names:
    """The names in what a destination was sent, by the kinds of ``TERMS``."""

    def __init__(self, sink: Sink) -> None:
        self.found: dict[str, set[str]] = {
            kind: set() for kind in ("resource", "attribute", "event", "metric")
        }
        self.metrics: dict[str, tuple[str, str]] = {}
        self.schemas: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for signal, body in sink.received:
            request = BY_NAME[signal].request.FromString(body)
            groups, scopes = {
                "traces": ("resource_spans", "scope_spans"),
                "metrics": ("resource_metrics", "scope_metrics"),
                "logs": ("resource_logs", "scope_logs"),
            }[signal]
            for group in getattr(request, groups):
                for scope in getattr(group, scopes):
                    self.schemas[signal].add((group.schema_url, scope.schema_url))
                self._keys("resource", group.resource.attributes)
                getattr(self, f"_of_{signal}")(group)

    def _of_traces(self, group: Any) -> None:
        for span in (span for scope in group.scope_spans for span in scope.spans):
            self._keys("attribute", span.attributes)
            for event in span.events:
                self.found["event"].add(event.name)
                self._keys("attribute", event.attributes)
            for link in span.links:
                self._keys("attribute", link.attributes)

    def _of_logs(self, group: Any) -> None:
        for record in (record for scope in group.scope_logs for record in scope.log_records):
            self.found["event"].add(record.event_name)
            self._keys("attribute", record.attributes)

    def _of_metrics(self, group: Any) -> None:
        for metric in (metric for scope in group.scope_metrics for metric in scope.metrics):
            kind = metric.WhichOneof("data")
            if kind == "sum":
                kind = "counter" if metric.sum.is_monotonic else "updowncounter"
            self.metrics[metric.name] = (kind, metric.unit)
            self.found["metric"].add(metric.name)
            for point in getattr(metric, metric.WhichOneof("data")).data_points:
                self._keys("attribute", point.attributes)

    def _keys(self, kind: str, pairs: Iterable[Any]) -> None:
        self.found[kind].update(pair.key for pair in pairs)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> _Names:
    """The names that a run of all kinds of apps sent to a destination."""
    with grpc_sink() as sink:
        directory: Path = tmp_path_factory.mktemp("names")
        (directory / "given").touch()
        traceparent = f"00-{'1f' * 16}-{'2e' * 8}-01"
        run(directory, CODE, ENDPOINT=sink.url, TRACEPARENT=traceparent)
        return _Names(sink)


def test_every_name_that_is_written_is_a_term(names: _Names) -> None:
    """A run writes no name without a meaning in the reference."""
    written = set().union(*names.found.values())
    assert sorted(written - TERMS.keys()) == []


def test_every_term_is_written(names: _Names) -> None:
    """The reference has no name that nothing writes, but those said to be conditional."""
    written = set().union(*names.found.values())
    assert sorted(TERMS.keys() - written - CONDITIONAL.keys()) == []


@pytest.mark.parametrize("kind", ["event", "metric"])
def test_terms_are_of_the_kind_they_are_said_to_be(names: _Names, kind: str) -> None:
    """An event's name is on events, a metric's on metrics."""
    assert {name: TERMS[name].kind for name in names.found[kind]} == dict.fromkeys(
        names.found[kind], kind
    )


def test_metrics_have_the_unit_and_the_instrument_of_the_reference(names: _Names) -> None:
    """A metric is sent as the instrument, and in the unit, that the reference names."""
    assert names.metrics == {
        name: (TERMS[name].instrument, TERMS[name].unit) for name in names.metrics
    }


def test_all_that_is_sent_names_the_conventions_that_it_follows(names: _Names) -> None:
    """Every Resource and every scope of every signal has the schema URL of the conventions."""
    url = "https://opentelemetry.io/schemas/1.44.0"
    assert names.schemas == {signal: {(url, url)} for signal in BY_NAME}
