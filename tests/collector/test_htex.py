"""What comes over HTEX's monitoring channel is spooled if it can be read, else counted and said."""

from __future__ import annotations

import datetime
import logging
import pickle
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from otel_parsl_collector.receivers.htex import HtexMessages
from otel_parsl_collector.receivers.relay import Relay
from parsl.monitoring.message_type import MessageType

from otel_parsl.interchange_messages import Heard
from otel_parsl.rendezvous import MESSAGE_TAG
from otel_parsl.spool import frame, payloads
from otel_parsl.wire import LOGS, METRICS, TRACES
from tests.support.otlp_requests import logs_request, trace_request
from tests.support.parsl_messages import node_info

SOUND = frame(LOGS, logs_request("one").SerializeToString())
MORE = frame(TRACES, trace_request("two").SerializeToString())


def _made(*messages: bytes) -> tuple[HtexMessages, bytes]:
    """Return who has read messages, and what was made of them."""
    reader = HtexMessages()
    return reader, b"".join(reader.frames(Heard("htex", 120.0, messages), ()))


def _message(tag: Any, content: Any) -> bytes:
    return pickle.dumps((tag, content))


class _AsBefore3114:
    """Pickled as Python 3.11.0 to 3.11.3, Debian 12's for one, pickle a member of an enum."""

    def __init__(self, of: type, name: str) -> None:
        self._of, self._name = of, name

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self._of, self._name)


def test_reports_of_every_python_are_read() -> None:
    """The tag of a report is known by its number and by its name; no other attribute is given."""
    reader, made = _made(
        _message(MessageType.NODE_INFO, node_info()),
        _message(_AsBefore3114(MessageType, "NODE_INFO"), node_info()),
        _message(_AsBefore3114(MessageType, "__class__"), node_info()),
        _message(_AsBefore3114(datetime.datetime, "now"), node_info()),
    )
    found = [ExportMetricsServiceRequest.FromString(each) for _, each in payloads(made)]
    assert sum(map(_reports, found)) == 2
    assert reader.malformed == 2


def _reports(request: ExportMetricsServiceRequest) -> int:
    """Return how many reports of a manager a request has."""
    (group,) = request.resource_metrics
    (scope,) = group.scope_metrics
    return max(len(metric.gauge.data_points or metric.sum.data_points) for metric in scope.metrics)


def test_what_cannot_be_read_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Rubbish, code, frames and reports that are none are counted; what is sound is spooled."""
    with caplog.at_level(logging.ERROR):
        reader, made = _made(
            b"rubbish",
            pickle.dumps(threading.current_thread),
            _message(10**5000, None),  # which Python writes down for nobody
            b"\x80\x04" + b"]" * 5000 + b"a" * 4999 + b"N\x86.",  # a list in a list in a list
            _message("stranger", b"what"),
            _message(MESSAGE_TAG, SOUND + frame(LOGS, b"\xff" * 9) + frame(9, b"what") + MORE),
            _message(MESSAGE_TAG, SOUND[:-1]),
            _message(3, {**node_info(), "tasks": 7}),
            _message(3, {"uid": "a manager that says no more"}),
            _message(3, node_info()),
        )
    assert [signal for signal, _ in payloads(made)] == [LOGS, TRACES, METRICS]
    assert made.startswith(SOUND + MORE)
    assert (reader.malformed, reader.refused) == (7, 3)
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "a message that is none of HTEX's was dropped",
        "a worker of htex sent what is no telemetry",
    ]


@given(st.lists(st.one_of(st.just(SOUND), st.just(MORE), st.binary(max_size=30)), max_size=6))
def test_whatever_a_worker_sends_only_requests_are_spooled(parts: list[bytes]) -> None:
    """Of any bytes, what is let in are whole frames, the sound ones from the front among them."""
    relay = Relay()
    content = b"".join(parts)
    spooled = relay.sound(content, "htex")
    front = len(parts) if all(part in (SOUND, MORE) for part in parts) else 0
    assert list(payloads(spooled))[:front] == list(payloads(content))[:front]
    assert all(signal in (TRACES, METRICS, LOGS) for signal, _ in payloads(spooled))
    assert relay.refused > 0 or spooled == content


def test_span_with_a_wrong_id_is_taken_out(caplog: pytest.LogCaptureFixture) -> None:
    """A span that would have its whole request refused elsewhere does not come in."""
    request = trace_request("good", "bad")
    request.resource_spans[0].scope_spans[0].spans[1].span_id = b"short"
    relay = Relay()
    spooled = relay.sound(frame(TRACES, request.SerializeToString()), "htex")
    assert spooled == frame(TRACES, trace_request("good").SerializeToString())
    assert (relay.rejected, relay.refused) == (1, 0)
    assert caplog.messages[0].startswith("a worker of htex: 1 spans refused: trace_id must be")
