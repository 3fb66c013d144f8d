"""
Bytes to requests that every exporter can read.

Flow: transport -> **receivers.codec** -> receivers.intake -> spool
Pure: no clock, no I/O.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from otel_parsl_collector.otlp_json import JsonError, fill, load
from otel_parsl_collector.receivers.refusal import Malformed
from otel_parsl_collector.receivers.validation import validate
from otel_parsl_collector.signals import SIGNALS, count_items

MAX_REQUEST_BYTES = 64 << 20
"""OTLP's recommended limit, before and after decompression."""


class Request(NamedTuple):
    """A request that has been read."""

    signal: int
    payload: bytes
    """Protobuf: the very bytes that were sent, where they were protobuf and all of it is taken."""
    items: int
    """How many are taken."""
    rejected: int
    """How many are not."""
    warning: str
    """What the sender is told; empty where there is nothing to say."""


def read_protobuf(signal: int, body: bytes) -> Request:
    """
    Read a request in protobuf.

    Raises:
        Malformed: It is none.
    """
    kind = SIGNALS[signal]
    message = kind.request()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise Malformed(f"the body is no {kind.request.DESCRIPTOR.name}: {error}") from error
    return _checked(signal, message, body)


def read_json(signal: int, body: bytes) -> Request:
    """
    Read a request in OTLP/JSON.

    Raises:
        Malformed: It is none.
    """
    kind = SIGNALS[signal]
    message = kind.request()
    try:
        fill(message, load(body))
    except JsonError as error:
        name = kind.request.DESCRIPTOR.name
        raise Malformed(f"the body is no {name} in JSON: {error}") from error
    return _checked(signal, message, None)


def response(request: Request) -> Any:
    """Return the Export*ServiceResponse: a partial success only where there is something to say."""
    kind = SIGNALS[request.signal]
    answer = kind.response()
    if request.rejected or request.warning:
        answer.partial_success.error_message = request.warning
        setattr(answer.partial_success, kind.rejected, request.rejected)
    return answer


def _checked(signal: int, message: Any, body: bytes | None) -> Request:
    verdict = validate(signal, message, body)
    if body is None or any(verdict):
        body = message.SerializeToString()
    return Request(signal, body, count_items(signal, body), verdict.rejected, _words(*verdict))


def _words(rejected: int, cleared: int) -> str:
    if rejected:
        return (
            f"{rejected} spans refused: trace_id must be 16 bytes and span_id 8, not all zero;"
            " parent_span_id and the ids of links of these lengths or absent"
        )
    if cleared:
        return f"{cleared} items taken without their trace_id and span_id, whose length is wrong"
    return ""
