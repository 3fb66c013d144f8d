"""Tries that share a process: each has its own context and its own totals."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from otel_parsl_collector.signals import BY_NAME

from tests.support.otlp_sink import Sink, grpc_sink
from tests.support.programs import query, run

BURN_S = 0.05

THREADS = f"""
from opentelemetry import trace

tracer = trace.get_tracer("mine")

def thread_pool(label):
    return ThreadPoolExecutor(label=label, max_threads=4)

@python_app(executors=["threads"])
def fit(number):
    with tracer.start_as_current_span("fit"):
        until = time.thread_time() + {BURN_S}
        while time.thread_time() < until:
            pass
        with trace.get_tracer("inner").start_as_current_span("step"):
            return os.environ.get("TRACEPARENT")

@join_app
def joined():
    return nothing()

hub = OTelMonitoringHub(endpoint=os.environ["ENDPOINT"])
with parsl.load(Config(executors=[thread_pool("threads")], monitoring=hub)):
    assert {{f.result() for f in [fit(number) for number in range(8)]}} == {{None}}
    joined().result()

assert not tracer.start_span("outside").get_span_context().is_valid
from opentelemetry.sdk.trace import TracerProvider
provider = TracerProvider()
trace.set_tracer_provider(provider)
assert trace.get_tracer_provider() is provider
"""


def _spans(sink: Sink) -> list[tuple[Any, dict[str, Any], dict[str, Any]]]:
    """Return each span with its attributes and those of its Resource."""
    found = []
    for signal, body in sink.received:
        if signal == "traces":
            for group in BY_NAME[signal].request.FromString(body).resource_spans:
                of_process = _values(group.resource.attributes)
                for scope in group.scope_spans:
                    found += [(span, _values(span.attributes), of_process) for span in scope.spans]
    return found


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def test_threads_have_their_own_context_and_totals(tmp_path: Path) -> None:
    """In a thread pool an app's spans are under its execution, which tells its own CPU time."""
    with grpc_sink() as sink:
        program = run(tmp_path, THREADS, ENDPOINT=sink.url)
        spans = _spans(sink)

    executions = {
        said["parsl.task.id"]: span
        for span, said, _ in spans
        if span.kind == span.SPAN_KIND_CONSUMER
    }
    ((run_id,),) = query(program.database, "select run_id from workflow")
    made: dict[str, list[Any]] = {"fit": [], "step": []}
    for span, said, of_process in spans:
        if span.name in made and span.kind == span.SPAN_KIND_INTERNAL:
            assert of_process["parsl.run.id"] == run_id
            made[span.name].append((said["parsl.task.id"], span))
    assert list(range(8)) == sorted(task_id for task_id, _ in made["fit"])
    assert all(span.parent_span_id == executions[task_id].span_id for task_id, span in made["fit"])
    fits = {task_id: span.span_id for task_id, span in made["fit"]}
    assert {task_id: span.parent_span_id for task_id, span in made["step"]} == fits

    totals = query(
        program.database,
        "select cpu_user_s + cpu_system_s, memory_peak_bytes, read_bytes, pid is not null"
        " from otel_try where task_id < 8",
    )
    assert [(True, None, None, True)] * 8 == [
        (BURN_S * 0.9 < cpu_s < BURN_S * 4, *others) for cpu_s, *others in totals
    ]
    (inner,) = [
        span
        for span, said, _ in spans
        if said.get("parsl.task.id") == 9 and span.kind == span.SPAN_KIND_PRODUCER and span.links
    ]
    assert [executions[8].span_id] == [link.span_id for link in inner.links]


TOGETHER = """
import json, os, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from otel_parsl import carrier
from otel_parsl.worker import RunContext, TracedFunction, TryContext

run_id = "5f0c3a52-7a3c-4c7e-9a3e-0f1f2e3d4c5b"
context = RunContext(run_id, (), "auto", 0.2, "survey")
together = threading.Barrier(4)

def app(number):
    from opentelemetry import trace
    began = os.environ.get("TRACEPARENT")
    spans = [trace.get_current_span().get_span_context().span_id]
    if number >= 0:
        together.wait(60)
        time.sleep(0.01)
        began = os.environ.get("TRACEPARENT")
        if number % 4 == 0:
            until = time.thread_time() + 0.2
            while time.thread_time() < until:
                pass
    spans.append(trace.get_current_span().get_span_context().span_id)
    return began, os.environ.get("TRACEPARENT"), spans

blobs = []
carrier.deliver = lambda version, blob, payload: (blobs.append(blob), carrier.unpack(payload))[1]

def call(number):
    which = TryContext(number, 0, "app", "threads", True)
    return carrier.delivered(TracedFunction(app, context, which)(number))

alone = call(-1)
with ThreadPoolExecutor(4) as pool:
    shared = list(pool.map(call, range(24)))
after = call(-1)
records = []
from otel_parsl.spool import payloads
from otel_parsl.execution_record import EXECUTION
for blob in blobs:
    for signal, payload in payloads(blob.partition(b"\\0")[2]):
        if signal == EXECUTION:
            records.append(json.loads(payload.partition(b"\\n")[2]))
print(json.dumps([alone, shared, after, records]))
"""


@pytest.fixture(scope="module")
def together() -> list[Any]:
    """What 24 tries saw, four at a time in one worker process, and one before and one after."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(TOGETHER)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_environment_is_given_only_to_a_try_that_has_it_alone(together: list[Any]) -> None:
    """TRACEPARENT never changes inside a try: where several would share it, there is none."""
    alone, shared, after, _ = together
    for variable, same, (span_id, _) in (alone, after):
        assert variable == same
        assert variable.split("-")[2] == f"{span_id:016x}"
    assert {(None, None)} == {(began, ended) for began, ended, _ in shared}


def test_context_is_that_of_the_try_in_each_thread(together: list[Any]) -> None:
    """Of tries side by side each sees its own execution as the current span, all along."""
    _, shared, _, _ = together
    assert all(began == ended for _, _, (began, ended) in shared)
    assert len({began for _, _, (began, _) in shared}) == 24


def test_totals_of_tries_side_by_side_are_those_of_their_threads(together: list[Any]) -> None:
    """What cannot be told apart, such as memory, is left out; CPU time is each try's own."""
    *_, records = together
    assert len(records) == 26
    burnt = {}
    for task_id, _, _, _, _, _, sample, *_ in records:
        (_, _, user_s, system_s, resident, _, _, peak, *_) = sample
        assert (peak is None, resident is None) == (task_id >= 0, task_id >= 0)
        burnt[task_id] = user_s + system_s
    assert all((burnt[number] > 0.15) == (number % 4 == 0) for number in range(24)), burnt
