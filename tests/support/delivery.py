"""Deliver a recorded stream to a store, as whatever lies between may have put it together."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_parsl_collector.materialise.facts import Facts
from otel_parsl_collector.materialise.otlp import materialise
from otel_parsl_collector.store.engine import open_store
from otel_parsl_collector.store.writer import StoreWriter

from otel_parsl.wire import LOGS, METRICS, TRACES
from tests.support.recorded_stream import Request
from tests.support.store_rows import Rows, read_rows

_SHAPES: dict[int, tuple[type[Any], str, str, str]] = {
    TRACES: (ExportTraceServiceRequest, "resource_spans", "scope_spans", "spans"),
    METRICS: (ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", "metrics"),
    LOGS: (ExportLogsServiceRequest, "resource_logs", "scope_logs", "log_records"),
}


class Joint(Enum):
    """How a request is joined to the one before it."""

    SCOPE = "in its scope, where signal and Resource are the same"
    REQUEST = "in its request, where the signal is the same"
    TRANSACTION = "in its transaction"
    NONE = "not at all"


Delivery = list[tuple[int, Joint]]
"""Which request of a recording comes next, and how it is joined to the one before."""


def deliveries(count: int) -> st.SearchStrategy[Delivery]:
    """Return every order of so many requests, with any of them repeated, joined in any way."""
    joints = st.sampled_from(Joint)
    again = st.lists(st.integers(0, max(0, count - 1)), max_size=count)
    orders = again.flatmap(lambda repeated: st.permutations([*range(count), *repeated]))
    return orders.flatmap(
        lambda order: st.tuples(*(st.tuples(st.just(n), joints) for n in order))
    ).map(list)


def parted(requests: Sequence[Request], choose: random.Random) -> list[Request]:
    """
    Return requests whose metrics are parted anywhere, also within what travels together.

    So does an OpenTelemetry Collector whose ``send_batch_max_size`` is small.
    """
    found: list[Request] = []
    for signal, payload in requests:
        if signal == METRICS:
            found += ((METRICS, part) for part in _parts(payload, choose))
        else:
            found.append((signal, payload))
    return found


def _parts(payload: bytes, choose: random.Random) -> list[bytes]:
    count = choose.randint(1, 4)
    parts = [ExportMetricsServiceRequest() for _ in range(count)]
    for group in ExportMetricsServiceRequest.FromString(payload).resource_metrics:
        for scope in group.scope_metrics:
            homes = [
                part.resource_metrics.add(resource=group.resource, schema_url=group.schema_url)
                for part in parts
            ]
            scopes = [home.scope_metrics.add(scope=scope.scope) for home in homes]
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                points = list(getattr(metric, kind).data_points)
                del getattr(metric, kind).data_points[:]
                for point in points:
                    chosen = choose.choice(scopes)
                    if not chosen.metrics or chosen.metrics[-1].name != metric.name:
                        chosen.metrics.add().CopyFrom(metric)
                    getattr(chosen.metrics[-1], kind).data_points.append(point)
    return [part.SerializeToString() for part in parts]


def in_order(count: int) -> Delivery:
    """Return the delivery in which each request comes once, in order and alone."""
    return [(index, Joint.NONE) for index in range(count)]


def shuffled_delivery(count: int, seed: int) -> Delivery:
    """Return a delivery of many requests, half of them twice."""
    choose = random.Random(seed)
    order = [*range(count), *choose.sample(range(count), count // 2)]
    choose.shuffle(order)
    return [(index, choose.choice(list(Joint))) for index in order]


def deliver(path: Path, requests: Sequence[Request], delivery: Delivery) -> Rows:
    """Write a recording to a new SQLite file, and return all rows that it has then."""
    writer = StoreWriter(open_store(f"sqlite:///{path}"), "spool")
    write(writer, requests, delivery)
    writer.close()
    return read_rows(str(path))


def write(writer: StoreWriter, requests: Sequence[Request], delivery: Delivery) -> None:
    """Write a recording to a store."""
    for transaction in _transactions(requests, delivery):
        facts = Facts()
        for signal, payload in transaction:
            materialise(signal, payload, facts)
        assert facts.incomplete == 0
        writer.write(facts, {})


def _transactions(requests: Sequence[Request], delivery: Delivery) -> list[list[Request]]:
    transactions: list[list[Request]] = []
    for index, joint in delivery:
        signal, payload = requests[index]
        if joint is Joint.NONE or not transactions:
            transactions.append([(signal, payload)])
            continue
        last = transactions[-1]
        if joint is Joint.TRANSACTION or last[-1][0] != signal:
            last.append((signal, payload))
        elif joint is Joint.REQUEST:
            last[-1] = (signal, last[-1][1] + payload)
        else:
            last[-1] = (signal, _in_one_scope(signal, last[-1][1], payload))
    return transactions


def _in_one_scope(signal: int, before: bytes, payload: bytes) -> bytes:
    """Return two requests as one, with the second's items in the first's scope if they may be."""
    kind, groups, scopes, items = _SHAPES[signal]
    first, second = kind.FromString(before), kind.FromString(payload)
    of_first, of_second = getattr(first, groups)[-1], getattr(second, groups)[0]
    if of_first.resource != of_second.resource:
        return before + payload
    of_scopes = getattr(of_second, scopes)
    getattr(getattr(of_first, scopes)[0], items).extend(getattr(of_scopes[0], items))
    # A request of metrics may be about several Resources.
    getattr(of_first, scopes).extend(of_scopes[1:])
    getattr(first, groups).extend(getattr(second, groups)[1:])
    return bytes(first.SerializeToString())
