"""Ask an OTLP endpoint, by an Export request that holds nothing, which signals it takes."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from otel_parsl.destination import Destination

SERVICES = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
}
TIMEOUT_S = 5.0
_BODY_SHOWN = 200


class Answer(NamedTuple):
    """What an endpoint said to one signal."""

    signal: str
    is_taken: bool
    is_reached: bool
    """Whether an OTLP server answered at all."""
    said: str


def probe(target: Destination) -> list[Answer]:
    """Return the answers of an endpoint; where it is not reached, one answer says so."""
    ask = _ask_grpc(target) if target.protocol == "grpc" else _ask_http(target)
    answers = []
    for answer in ask:
        answers.append(answer)
        if not answer.is_reached:
            break
    return answers


def _ask_grpc(target: Destination) -> Iterator[Answer]:
    import grpc

    parts = urlsplit(target.endpoint)
    if parts.scheme == "https":
        channel = grpc.secure_channel(parts.netloc, target.tls().credentials())
    else:
        channel = grpc.insecure_channel(parts.netloc)
    metadata = [(name.lower(), value) for name, value in target.headers]
    with closing(channel):
        for signal, service in SERVICES.items():
            try:
                channel.unary_unary(f"/{service}/Export")(b"", timeout=TIMEOUT_S, metadata=metadata)
            except grpc.RpcError as error:
                yield _grpc_answer(target, signal, error)
            else:
                yield Answer(signal, is_taken=True, is_reached=True, said="OK")


def _grpc_answer(target: Destination, signal: str, error: Any) -> Answer:
    name = error.code().name
    # What is not gRPC at all shows as one of these.
    is_reached = name not in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN")
    said = target.tls().explained(f"{name}: {error.details()}")
    return Answer(signal, is_taken=False, is_reached=is_reached, said=said)


def _ask_http(target: Destination) -> Iterator[Answer]:
    headers = {"Content-Type": "application/x-protobuf", **dict(target.headers)}
    for signal in target.signals:
        path = target.path(signal)
        try:
            with closing(_connection(target)) as connection:
                connection.request("POST", path, b"", headers)
                response = connection.getresponse()
                body = response.read(_BODY_SHOWN)
        except (OSError, http.client.HTTPException) as error:
            reason = target.tls().explained(str(error) or type(error).__name__)
            yield Answer(signal, is_taken=False, is_reached=False, said=reason)
            return
        said = f"HTTP {response.status} {response.reason}"
        is_taken = 200 <= response.status < 300
        if not is_taken and body:
            said += f": {body.decode(errors='replace').strip()}"
        yield Answer(signal, is_taken=is_taken, is_reached=True, said=said)


def _connection(target: Destination) -> http.client.HTTPConnection:
    parts = urlsplit(target.endpoint)
    if parts.scheme != "https":
        return http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
    return http.client.HTTPSConnection(
        parts.netloc, timeout=TIMEOUT_S, context=target.tls().context()
    )
