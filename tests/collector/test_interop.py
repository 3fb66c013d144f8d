"""Beside the real ones: a stock OpenTelemetry Collector sends to ours, ours sends to Jaeger."""

from __future__ import annotations

import gzip
import json
import re
import secrets
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from otel_parsl_collector.otlp_json import fill, render
from otel_parsl_collector.signals import SIGNALS

from otel_parsl.wire import LOGS, METRICS, TRACES
from tests.support.backend_fixtures import missing_fails_or_skips
from tests.support.collector import (
    CollectorProcess,
    Running,
    collector_config,
    requests_in,
    running,
    span_names,
)
from tests.support.delivery import deliver, in_order
from tests.support.http_wire import post
from tests.support.jaeger import Jaeger
from tests.support.otel_collector import Forwarding, OtelCollector
from tests.support.otlp_requests import logs_request, metrics_request, trace_request
from tests.support.recorded_cases import CASES
from tests.support.server_process import wait_for
from tests.support.store_rows import read_rows

PROTOBUF, JSON = "application/x-protobuf", "application/json"


def rich_request() -> Any:
    """Return a request with what OTLP/JSON writes in ways of its own."""
    request = trace_request("rich")
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.parent_span_id = bytes(range(8))
    span.flags = 257
    span.status.code = 2
    span.status.message = "größer"
    span.events.add(name="e", time_unix_nano=2**63)
    span.links.add(trace_id=bytes(range(16)), span_id=bytes(range(8)))
    values = [span.attributes.add(key=key).value for key in "abcdefg"]
    values[0].int_value = -(2**63)
    values[1].double_value = 0.1
    values[2].bool_value = False
    values[3].bytes_value = b"\xff\x00"
    values[4].string_value = ""
    values[5].array_value.values.add().int_value = 1
    values[5].array_value.values.add().string_value = "x"
    values[6].kvlist_value.values.add(key="k").value.double_value = 1e300
    return request


REQUESTS: dict[int, Any] = {
    TRACES: rich_request(),
    METRICS: metrics_request(0.5, -1.0),
    LOGS: logs_request("said"),
}


@pytest.mark.parametrize("signal", REQUESTS)
@pytest.mark.parametrize("type_", [PROTOBUF, JSON])
def test_our_json_is_the_opentelemetry_collectors(
    otel_collector: OtelCollector, signal: int, type_: str
) -> None:
    """It reads our JSON, and what it writes of a request reads as that request, by our reader."""
    request = REQUESTS[signal]
    written = json.dumps(render(request)).encode()
    body = request.SerializeToString() if type_ == PROTOBUF else written
    before = len(otel_collector.requests())
    path = f"/v1/{SIGNALS[signal].name}"
    assert post(otel_collector.ports[1], path, body, {"Content-Type": type_}).status == 200
    wait_for(lambda: len(otel_collector.requests()) > before or None, what="the line")
    again = SIGNALS[signal].request()
    fill(again, otel_collector.requests()[before])
    # It writes messages that were left out as empty ones.
    for group in getattr(again, SIGNALS[signal].request.DESCRIPTOR.fields[0].name):
        if not group.resource.ListFields():
            group.ClearField("resource")
        for scope in getattr(group, group.DESCRIPTOR.fields[1].name):
            scope.ClearField("scope")
    assert again == request


@pytest.mark.parametrize(
    ("protocol", "compression"),
    [("grpc", "gzip"), ("grpc", "none"), ("http/protobuf", "gzip")],
)
def test_a_stock_collector_sends_to_ours(tmp_path: Path, protocol: str, compression: str) -> None:
    """What the OpenTelemetry Collector forwards by each transport arrives whole."""
    with running(collector_config(tmp_path)) as at:
        address = at.http if protocol == "http/protobuf" else f"http://{at.grpc}"
        forwarding = Forwarding(endpoint=address, protocol=protocol, compression=compression)
        (tmp_path / "otelcol").mkdir()
        with missing_fails_or_skips():
            stock = OtelCollector(tmp_path / "otelcol", forwarding=forwarding)
        with stock:
            for signal, request in REQUESTS.items():
                path, body = f"/v1/{SIGNALS[signal].name}", request.SerializeToString()
                headers = {"Content-Type": PROTOBUF, "Content-Encoding": "gzip"}
                assert post(stock.ports[1], path, gzip.compress(body), headers).status == 200
            out = tmp_path / "out.jsonl"
            wait_for(lambda: len(requests_in(out)) == 3 or None, what="three requests")
    found = {next(iter(request)) for request in requests_in(out)}
    assert found == {"resourceSpans", "resourceMetrics", "resourceLogs"}
    (spans,) = (r for r in requests_in(out) if "resourceSpans" in r)
    expected = render(REQUESTS[TRACES])["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert spans["resourceSpans"][0]["scopeSpans"][0]["spans"] == expected


@pytest.mark.parametrize("case", ["samples", "managers"])
def test_a_stock_collector_may_part_what_makes_one_row(tmp_path: Path, case: str) -> None:
    """Samples and reports that its batches cut through are the rows that they are uncut."""
    requests = CASES[case]().requests
    uncut = deliver(tmp_path / "uncut.db", requests, in_order(len(requests)))
    path = tmp_path / "cut.db"
    exporters = {"parsl_sql": {"url": f"sqlite:///{path}"}}
    with running(collector_config(tmp_path, exporters=exporters)) as at:
        forwarding = Forwarding(endpoint=f"http://{at.grpc}", most_items=3)
        (tmp_path / "otelcol").mkdir()
        with missing_fails_or_skips():
            stock = OtelCollector(tmp_path / "otelcol", forwarding=forwarding)
        with stock:
            for signal, body in requests:
                headers = {"Content-Type": PROTOBUF}
                answer = post(stock.ports[1], f"/v1/{SIGNALS[signal].name}", body, headers)
                assert answer.status == 200
            wait_for(lambda: (path.exists() and read_rows(str(path)) == uncut) or None, what="rows")


@pytest.fixture(params=["otlp", "otlphttp"])
def forwarding_to(
    request: pytest.FixtureRequest, tmp_path: Path, jaeger: Jaeger
) -> Iterator[Running]:
    """A collector of ours that forwards to Jaeger, and writes a file."""
    is_grpc = request.param == "otlp"
    endpoint = jaeger.otlp_grpc_endpoint if is_grpc else jaeger.otlp_http_endpoint
    exporters = {
        request.param: {"endpoint": endpoint},
        "file": {"path": str(tmp_path / "out.jsonl")},
    }
    with running(collector_config(tmp_path, exporters=exporters)) as at:
        yield at


def test_ours_sends_to_jaeger(forwarding_to: Running, jaeger: Jaeger, tmp_path: Path) -> None:
    """Spans arrive in Jaeger by either transport; other signals, which it lacks, hold up none."""
    trace_id = secrets.token_bytes(16)
    names = {f"span-{number}" for number in range(50)}
    for path, request in (
        ("/v1/logs", logs_request("said")),
        ("/v1/metrics", metrics_request(1.0)),
        ("/v1/traces", trace_request(*sorted(names), trace_id=trace_id)),
    ):
        body = request.SerializeToString()
        answer = post(forwarding_to.http_port, path, body, {"Content-Type": PROTOBUF})
        assert answer.status == 200
    found = jaeger.spans(trace_id.hex(), span_count=50)
    assert {span["operationName"] for span in found.values()} == names
    out = tmp_path / "out.jsonl"
    wait_for(lambda: set(span_names(out)) == names or None, what="the file")


_SAMPLE = re.compile(r"^(otelcol_\w+)(?:\{([^}]*)\})? (\S+)$", re.M)


def _counted(url: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return what a page of counters says, by name and labels; only those that both can have."""
    with urllib.request.urlopen(url, timeout=30) as page:
        found = _SAMPLE.findall(page.read().decode())
    shared = {"receiver": "otlp", "transport": "http", "exporter": "file"}
    counted = {}
    for name, text, value in found:
        labels = dict(re.findall(r'(\w+)="([^"]*)"', text))
        if all(shared.get(label) == said for label, said in labels.items()):
            counted[name, tuple(sorted(labels))] = float(value)
    return counted


def test_counters_are_named_and_count_as_the_opentelemetry_collectors(tmp_path: Path) -> None:
    """After the same requests both pages have the same numbers under the same names and labels."""
    spans = SIGNALS[TRACES].request()
    spans.MergeFrom(trace_request("first"))
    spans.MergeFrom(trace_request("second"))
    expected = {
        ("otelcol_receiver_accepted_spans", ("receiver", "transport")): 2.0,
        ("otelcol_receiver_refused_spans", ("receiver", "transport")): 0.0,
        ("otelcol_receiver_accepted_log_records", ("receiver", "transport")): 1.0,
        ("otelcol_exporter_sent_spans", ("exporter",)): 2.0,
        ("otelcol_exporter_sent_log_records", ("exporter",)): 1.0,
    }
    (tmp_path / "real").mkdir()
    (tmp_path / "ours").mkdir()
    with (
        missing_fails_or_skips(),
        OtelCollector(tmp_path / "real") as real,
        CollectorProcess(tmp_path / "ours") as ours,
    ):
        for port in (real.ports[1], ours.ports[1]):
            for path, request in (("traces", spans), ("logs", logs_request("said"))):
                body = request.SerializeToString()
                assert post(port, f"/v1/{path}", body, {"Content-Type": PROTOBUF}).status == 200
        for each in (real, ours):

            def is_counted(url: str = each.metrics_url) -> bool:
                return expected.items() <= _counted(url).items()

            wait_for(lambda: is_counted() or None, what=f"the counters of {each.name}")
        process = {name for name, _ in _counted(ours.metrics_url) if "_process_" in name}
        assert process <= {name for name, _ in _counted(real.metrics_url)}
        assert process
