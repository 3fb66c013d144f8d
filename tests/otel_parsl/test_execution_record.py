"""What a worker writes down of a try is, as OTLP, what it says."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_parsl import semconv, wire
from otel_parsl.execution_record import Ended, Failure, Origin, expand, record
from otel_parsl.identity import run_key, span_id
from otel_parsl.sampling.sampler import Sample
from otel_parsl.wire import METRICS, TRACES
from tests.support.otlp_text import TEXT, as_sent

RUN_ID = "8f1d2a4e-3b6c-4d5e-9f70-123456789abc"
RUN = (wire.Key(semconv.RUN_ID).text(RUN_ID),)
SAMPLE = Sample(
    time_ns=1_700_000_000_000_000_000,
    pid=7,
    cpu_user_s=0.25,
    cpu_system_s=0.5,
    memory_resident_bytes=4096,
    memory_virtual_bytes=8192,
    memory_percent=0.1,
    memory_peak_bytes=5000,
    children_count=0,
    read_bytes=None,
    write_bytes=10,
    context_switches_voluntary=1,
    context_switches_involuntary=2,
    status="running",
    cpu_num=1,
)


def _origin(pid: int = 7) -> Origin:
    place = [(semconv.BLOCK_ID, "0")]
    return Origin(RUN_ID, "auto", 30.0, "node", pid, "3.11.7", place)


def _ended(task_id: int = 1, **other: Any) -> Ended:
    which = Ended(task_id, 0, "app", "htex", 1000, 2000, SAMPLE, True, None)
    return which._replace(**other)


def _refuse(_record: bytes, error: Exception) -> None:
    raise error


def _told(records: list[bytes]) -> dict[int, list[Any]]:
    """Return the requests that records stand for, decoded."""
    kinds = {TRACES: ExportTraceServiceRequest, METRICS: ExportMetricsServiceRequest}
    found: dict[int, list[Any]] = {TRACES: [], METRICS: []}
    for signal, payload in expand(records, RUN, _refuse):
        found[signal].append(kinds[signal].FromString(payload))
    return found


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@given(
    task_id=st.integers(0, 1 << 40),
    app=TEXT,
    failure=st.none() | st.builds(Failure, TEXT, TEXT, TEXT, st.none() | st.integers(-300, 300)),
)
def test_span_says_what_the_record_says(task_id: int, app: str, failure: Failure | None) -> None:
    """Whatever text an app's name and its failure have, the span has them, its totals and ids."""
    ended = _ended(task_id, app=app, failure=failure)
    (request,) = _told([record(_origin().encoded(), ended)])[TRACES]
    (of_process,) = request.resource_spans
    assert _values(of_process.resource.attributes) == {
        semconv.RUN_ID: RUN_ID,
        semconv.SERVICE_INSTANCE_ID: "node:7",
        semconv.HOST_NAME: "node",
        semconv.PROCESS_PID: 7,
        semconv.PYTHON_VERSION: "3.11.7",
    }
    (span,) = of_process.scope_spans[0].spans
    run = run_key(RUN_ID)
    assert span.span_id == span_id(run, "execution", task_id, 0, "node", 7, 1000)
    assert span.parent_span_id == span_id(run, "try", task_id, 0)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (1000, 2000)
    expected = {
        semconv.TASK_ID: task_id,
        semconv.TRY_ID: 0,
        semconv.APP_NAME: as_sent(app),
        semconv.EXECUTOR_LABEL: "htex",
        semconv.HOST_NAME: "node",
        semconv.BLOCK_ID: "0",
        semconv.EXECUTION_CPU_USER: 0.25,
        semconv.EXECUTION_CPU_SYSTEM: 0.5,
        semconv.EXECUTION_MEMORY_PEAK: 5000,
        semconv.EXECUTION_DISK_WRITE: 10,
    }
    if failure is not None:
        expected[semconv.ERROR_TYPE] = as_sent(failure.type)
        if failure.exit_code is not None:
            expected[semconv.EXECUTION_EXIT_CODE] = failure.exit_code
    assert _values(span.attributes) == expected
    assert [event.name for event in span.events] == [semconv.EVENT_EXCEPTION] * bool(failure)


def test_records_of_one_process_share_a_request() -> None:
    """A hundred tries of two processes make two requests of spans and two of samples."""
    records = [record(_origin(7 + n % 2).encoded(), _ended(n)) for n in range(100)]
    told = _told(records)
    of_process = [
        {_values(span.attributes)[semconv.TASK_ID] for span in scope.spans}
        for request in told[TRACES]
        for resource in request.resource_spans
        for scope in resource.scope_spans
    ]
    assert of_process == [set(range(0, 100, 2)), set(range(1, 100, 2))]
    assert len(told[METRICS]) == 2


def test_try_that_is_not_sampled_has_its_totals_alone() -> None:
    """Where no samples are asked for a try has the totals on its span, and no sample."""
    told = _told([record(_origin().encoded(), _ended(is_sampled=False))])
    assert (len(told[TRACES]), told[METRICS]) == (1, [])


def test_what_is_no_record_is_told_and_the_others_are_read() -> None:
    """A record that cannot be read is handed back with its error, and costs no other."""
    whole = record(_origin().encoded(), _ended())
    torn: list[bytes] = []
    bad = [whole[:-10], b"", b"\xff\n[]", b"{}\n{}"]
    found = list(expand([*bad, whole], RUN, lambda each, _error: torn.append(each)))
    assert torn == bad
    assert found == list(expand([whole], RUN, _refuse))


def test_a_newer_worker_may_say_more() -> None:
    """Fields that a newer worker adds at the end are passed over."""
    failure = Failure("builtins.ValueError", "no", "Traceback", None)
    told = record(_origin().encoded(), _ended(failure=failure))
    origin, ended = map(json.loads, told.split(b"\n"))
    for part in ("sample", "failure"):
        ended[Ended._fields.index(part)].append("new")
    newer = json.dumps([*origin, "new"]).encode() + b"\n" + json.dumps([*ended, "new"]).encode()
    assert _told([newer]) == _told([told])


def test_further_attributes_stand_on_the_span() -> None:
    """What else a worker has to say of a try stands on its span, each value of its kind."""
    more = {"a.text": "x", "a.number": 3, "a.share": 0.5, "a.truth": True}
    (request,) = _told([record(_origin().encoded(), _ended(more=more))])[TRACES]
    found = _values(request.resource_spans[0].scope_spans[0].spans[0].attributes)
    assert {name: found.get(name) for name in more} == more
