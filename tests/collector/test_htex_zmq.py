"""What comes over HTEX's monitoring channel is spooled if it can be read, else counted and said."""

from __future__ import annotations

import datetime
import logging
import pickle
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from otel_parsl_collector.receivers.htex_zmq import HtexReceiver, Socket
from otel_parsl_collector.receivers.relay import Relay
from parsl.monitoring.message_type import MessageType

from otel_parsl.rendezvous import MESSAGE_TAG
from otel_parsl.spool import frame, payloads
from otel_parsl.wire import LOGS, METRICS, TRACES
from tests.support.otlp_requests import logs_request, trace_request
from tests.support.parsl_messages import node_info

SOUND = frame(LOGS, logs_request("one").SerializeToString())
MORE = frame(TRACES, trace_request("two").SerializeToString())


class _Spool:
    """What was spooled."""

    def __init__(self) -> None:
        self.data = b""
        self.has_some = threading.Event()

    def append(self, frames: Iterable[bytes]) -> None:
        self.data += b"".join(frames)
        self.has_some.set()


@contextmanager
def _sending(spool: _Spool) -> Iterator[tuple[HtexReceiver, Callable[[bytes], None]]]:
    where = Socket("htex", "127.0.0.1", (52000, 56000), None, None, "htex", 120.0)
    receiver = HtexReceiver(where, resource=lambda: (), spool=spool.append)
    context = zmq.Context()
    channel = context.socket(zmq.DEALER)
    channel.connect(f"tcp://127.0.0.1:{receiver.port}")
    try:
        yield receiver, channel.send
        channel.close(linger=5000)
        receiver.close()
    finally:
        channel.close()
        context.term()


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
    spool = _Spool()
    with _sending(spool) as (receiver, send):
        send(_message(MessageType.NODE_INFO, node_info()))
        send(_message(_AsBefore3114(MessageType, "NODE_INFO"), node_info()))
        send(_message(_AsBefore3114(MessageType, "__class__"), node_info()))
        send(_message(_AsBefore3114(datetime.datetime, "now"), node_info()))

    found = [ExportMetricsServiceRequest.FromString(each) for _, each in payloads(spool.data)]
    assert sum(map(_reports, found)) == 2
    assert receiver.malformed == 2


def _reports(request: ExportMetricsServiceRequest) -> int:
    """Return how many reports of a manager a request has."""
    (group,) = request.resource_metrics
    (scope,) = group.scope_metrics
    return max(len(metric.gauge.data_points or metric.sum.data_points) for metric in scope.metrics)


def test_what_cannot_be_read_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Rubbish, code, frames and reports that are none are counted; what is sound is spooled."""
    spool = _Spool()
    with caplog.at_level(logging.ERROR), _sending(spool) as (receiver, send):
        send(b"rubbish")
        send(pickle.dumps(threading.current_thread))
        send(_message("stranger", b"what"))
        send(_message(MESSAGE_TAG, SOUND + frame(LOGS, b"\xff" * 9) + frame(9, b"what") + MORE))
        send(_message(MESSAGE_TAG, SOUND[:-1]))
        send(_message(3, {**node_info(), "tasks": 7}))
        send(_message(3, {"uid": "a manager that says no more"}))
        send(_message(3, node_info()))
    assert [signal for signal, _ in payloads(spool.data)] == [LOGS, TRACES, METRICS]
    assert spool.data.startswith(SOUND + MORE)
    assert (receiver.malformed, receiver.refused) == (5, 3)
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "a message that is none of HTEX's was dropped",
        "a worker of htex sent what is no telemetry",
    ]


@given(st.lists(st.one_of(st.just(SOUND), st.just(MORE), st.binary(max_size=30)), max_size=6))
def test_whatever_a_worker_sends_only_requests_are_spooled(parts: list[bytes]) -> None:
    """Of any bytes, what is let in are whole frames, the sound ones from the front among them."""
    relay = Relay("htex")
    content = b"".join(parts)
    spooled = relay.sound(content)
    front = len(parts) if all(part in (SOUND, MORE) for part in parts) else 0
    assert list(payloads(spooled))[:front] == list(payloads(content))[:front]
    assert all(signal in (TRACES, METRICS, LOGS) for signal, _ in payloads(spooled))
    assert relay.refused > 0 or spooled == content


def test_span_with_a_wrong_id_is_taken_out(caplog: pytest.LogCaptureFixture) -> None:
    """A span that would have its whole request refused elsewhere does not come in."""
    request = trace_request("good", "bad")
    request.resource_spans[0].scope_spans[0].spans[1].span_id = b"short"
    relay = Relay("htex")
    spooled = relay.sound(frame(TRACES, request.SerializeToString()))
    assert spooled == frame(TRACES, trace_request("good").SerializeToString())
    assert (relay.rejected, relay.refused) == (1, 0)
    assert caplog.messages[0].startswith("a worker of htex: 1 spans refused: trace_id must be")
