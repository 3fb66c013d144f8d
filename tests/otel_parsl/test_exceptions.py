"""An exception as attributes."""

from __future__ import annotations

import traceback

from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_parsl.exceptions import exception_attributes, message_of, stacktrace_of, type_name
from tests.support.otlp_text import TEXT, as_sent

LIMIT_BYTES = 16_384
LONG_TEXTS = st.builds(
    lambda start, repeated, times, end: start + repeated * times + end,
    TEXT,
    st.sampled_from("aé漢🧬"),
    st.integers(LIMIT_BYTES // 8, LIMIT_BYTES),
    TEXT,
)


def _said(error: BaseException) -> dict[str, str]:
    pairs = exception_attributes(type_name(error), message_of(error), stacktrace_of(error))
    read = Resource.FromString(b"".join(b"\x0a" + pair for pair in pairs))
    return {pair.key: pair.value.string_value for pair in read.attributes}


@given(TEXT | LONG_TEXTS)
@example("é" * LIMIT_BYTES)
@example("🧬" * LIMIT_BYTES + "a")
def test_exception_is_cut_to_16_kib_between_characters(text: str) -> None:
    """A message keeps its beginning and a stack trace its end: what fits, as UTF-8, and no less."""
    error = ValueError(text)
    said = _said(error)

    message, kept = as_sent(text), said["exception.message"]
    assert message.startswith(kept)
    assert len(kept.encode()) <= LIMIT_BYTES
    assert kept == message or len(message[: len(kept) + 1].encode()) > LIMIT_BYTES

    trace, kept = as_sent("".join(traceback.format_exception(error))), said["exception.stacktrace"]
    assert trace.endswith(kept)
    assert len(kept.encode()) <= LIMIT_BYTES
    assert kept == trace or len(trace[-len(kept) - 1 :].encode()) > LIMIT_BYTES
