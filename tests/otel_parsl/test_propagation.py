"""Which context is carried on, as OTEL_PROPAGATORS and the user's own spans say."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, context, trace

from otel_parsl import propagation
from otel_parsl.propagation import (
    baggage_at_load,
    current_span,
    parse_traceparent,
    propagators,
    span_at_load,
)

_TRACEPARENT = f"00-{'1f' * 16}-{'2e' * 8}-01"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ("tracecontext", "baggage")),
        ("", ("tracecontext", "baggage")),
        ("tracecontext", ("tracecontext",)),
        (" baggage , tracecontext,baggage", ("baggage", "tracecontext")),
        ("none", ()),
        ("tracecontext,none", ()),
    ],
)
def test_variable_says_what_is_carried(value: str | None, expected: tuple[str, ...]) -> None:
    """OTEL_PROPAGATORS is read as the specification says, W3C's two being the default."""
    environment = {} if value is None else {"OTEL_PROPAGATORS": value}
    assert propagators(environment) == expected


def test_format_that_no_package_provides_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """A format whose package is missing is left out, and the log says what to install."""
    with caplog.at_level(logging.WARNING, propagation.__name__):
        assert propagators({"OTEL_PROPAGATORS": "b3,baggage"}) == ("baggage",)
    assert "'b3'" in caplog.text
    assert "pip install opentelemetry-propagator-b3" in caplog.text


def test_current_span_is_told_as_traceparent() -> None:
    """The span that is current is found, with its flags; without one there is none."""
    assert current_span() is None
    of_user = trace.SpanContext(0xA1, 0xB2, is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(of_user)):
        assert current_span() == f"00-{0xA1:032x}-{0xB2:016x}-01"
        assert span_at_load(("tracecontext",), {"TRACEPARENT": _TRACEPARENT}) == current_span()


@pytest.mark.parametrize(
    ("formats", "given", "expected"),
    [
        (("tracecontext",), _TRACEPARENT, _TRACEPARENT),
        (("tracecontext",), f" {_TRACEPARENT.upper()}\n", _TRACEPARENT),
        (("baggage",), _TRACEPARENT, None),
        (("tracecontext",), "00-zz-1-01", None),
        (("tracecontext",), f"00-{'0' * 32}-{'2e' * 8}-01", None),
    ],
)
def test_run_is_loaded_in_the_span_of_the_environment(
    formats: tuple[str, ...], given: str, expected: str | None
) -> None:
    """TRACEPARENT names the span that a run is loaded in, if it is one and is to be read."""
    assert span_at_load(formats, {"TRACEPARENT": given}) == expected


def test_baggage_is_that_of_the_context_or_of_the_environment() -> None:
    """Baggage that is current goes before the variable, and none is read where none is carried."""
    environment = {"BAGGAGE": "site=north"}
    assert baggage_at_load(("baggage",), environment) == "site=north"
    assert baggage_at_load(("tracecontext",), environment) == ""
    token = context.attach(baggage.set_baggage("user", "ada lovelace"))
    try:
        assert baggage_at_load(("baggage",), environment) == "user=ada+lovelace"
    finally:
        context.detach(token)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8), st.integers(0, 255))
def test_traceparent_is_read_back(trace_id: bytes, span_id: bytes, flags: int) -> None:
    """Every traceparent but one of zeros is read; the lowest flag says that it is sampled."""
    read = parse_traceparent(f"00-{trace_id.hex()}-{span_id.hex()}-{flags:02x}")
    if any(trace_id) and any(span_id):
        assert read == (trace_id, span_id, bool(flags & 1))
    else:
        assert read is None


def test_program_without_opentelemetry_loads_none_of_it() -> None:
    """Asking for the current span loads nothing of OpenTelemetry."""
    code = (
        "import sys; from otel_parsl import propagation as p;"
        " p.current_span(), p.span_at_load(p.DEFAULT, {}), p.baggage_at_load(p.DEFAULT, {});"
        " sys.exit('opentelemetry' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
