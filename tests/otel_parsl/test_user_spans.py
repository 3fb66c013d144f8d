"""The context that a try gives to the user's code: in a process of its own, as on a worker."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest

_SCRIPT = """
import json, os, sys
from otel_parsl.open_tries import OpenTry
from otel_parsl.user_spans import Given, begin, end

given = json.loads(sys.argv[1])
made = Given(b"T" * 16, b"S" * 8, 17, given["is_sampled"], given["baggage"],
             tuple(given["propagators"]))
{before}
begun = begin(made, {{"service.name": "survey"}}, OpenTry(has_process=True))
variables = {{n: os.environ[n] for n in os.environ
              if n in ("TRACEPARENT", "BAGGAGE") or n.startswith("X_")}}
from opentelemetry import baggage, trace
with trace.get_tracer("mine").start_as_current_span("least squares") as span:
    recording = span.is_recording()
    user = baggage.get_baggage("user")
request = end(begun)
left = [n for n in variables if n in os.environ]
spans = []
if request:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    for group in ExportTraceServiceRequest.FromString(request).resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                spans.append([span.name, span.trace_id.decode("latin-1"),
                              span.parent_span_id.decode("latin-1"),
                              {{p.key: p.value.int_value for p in span.attributes}}])
print(json.dumps([variables, recording, user, left, spans]))
"""


def _run(
    *,
    is_sampled: bool = True,
    baggage: str = "",
    propagators: tuple[str, ...] = ("tracecontext", "baggage"),
    before: str = "",
) -> list[Any]:
    given = {"is_sampled": is_sampled, "baggage": baggage, "propagators": propagators}
    script = textwrap.dedent(_SCRIPT.format(before=before))
    result = subprocess.run(
        [sys.executable, "-c", script, json.dumps(given)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found: list[Any] = json.loads(result.stdout)
    return found


_PARENT = f"00-{'54' * 16}-{'53' * 8}"


def test_users_span_is_a_child_that_says_its_task() -> None:
    """A span made in an app is a child of the execution and has the task's id."""
    variables, recording, _, left, ((name, trace_id, parent, attributes),) = _run()
    assert variables == {"TRACEPARENT": f"{_PARENT}-01"}
    assert (recording, left) == (True, [])
    assert (name, trace_id, parent) == ("least squares", "T" * 16, "S" * 8)
    assert attributes == {"parsl.task.id": 17}


@pytest.mark.parametrize("sampler", ["", "always_on"])
def test_task_that_is_not_sampled_records_no_span(sampler: str) -> None:
    """The run's decision is followed by W3C's flag, whatever a variable on the worker says."""
    before = f"os.environ['OTEL_TRACES_SAMPLER'] = {sampler!r}" if sampler else ""
    variables, recording, _, _, spans = _run(is_sampled=False, before=before)
    assert variables == {"TRACEPARENT": f"{_PARENT}-00"}
    assert (recording, spans) == (False, [])


def test_baggage_is_carried() -> None:
    """What the run was loaded with is in the app's context and in its shell's environment."""
    variables, _, user, left, _ = _run(baggage="user=ada")
    assert variables == {"TRACEPARENT": f"{_PARENT}-01", "BAGGAGE": "user=ada"}
    assert (user, left) == ("ada", [])


def test_nothing_is_carried_where_none_is_asked_for() -> None:
    """With OTEL_PROPAGATORS=none an app's spans have traces of their own."""
    variables, recording, user, _, ((_, trace_id, parent, _),) = _run(
        propagators=(), baggage="user=ada"
    )
    assert (variables, recording, user, parent) == ({}, True, None, "")
    assert trace_id != "T" * 16


_FORMAT = """
from importlib import metadata
class Point:
    group, name = "opentelemetry_propagator", "mine"
    def load(self):
        class Propagator:
            def inject(self, carrier, context=None):
                from opentelemetry import trace
                found = trace.get_current_span(context).get_span_context()
                carrier["x-mine-span"] = format(found.span_id, "016x")
        return Propagator
found = metadata.entry_points
metadata.entry_points = lambda **by: [Point()] if by.get("name") == "mine" else found(**by)
"""


def test_any_installed_format_is_carried() -> None:
    """A propagator of another package writes its own variables, which leave with the try."""
    variables, _, _, left, ((_, _, parent, _),) = _run(propagators=("mine",), before=_FORMAT)
    assert variables == {"X_MINE_SPAN": "53" * 8}
    assert (parent, left) == ("S" * 8, [])


def test_format_that_a_worker_lacks_fails_no_try() -> None:
    """A propagator that is installed on the submit side alone is left out on the worker."""
    variables, *_ = _run(propagators=("tracecontext", "b3"))
    assert variables == {"TRACEPARENT": f"{_PARENT}-01"}
