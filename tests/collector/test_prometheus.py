"""The page of the exporter ``prometheus``: runs and worker processes, without single tries."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics
from otel_parsl_collector.connectors.run_metrics import RunMetrics
from otel_parsl_collector.errors import ConfigError
from otel_parsl_collector.exporters.prometheus_page import PrometheusPage
from otel_parsl_collector.signals import BY_NAME
from otel_parsl_collector.stats import Stats
from prometheus_client.parser import text_string_to_metric_families

from otel_parsl import wire
from otel_parsl.process_metrics import process_metrics
from otel_parsl.sampling.sample_metrics import sample_metrics
from otel_parsl.sampling.sampler import ProcessReading, Sample
from otel_parsl.wire import Key
from tests.support.collector import collector_config, running
from tests.support.server_process import free_ports, wait_for

READING = ProcessReading(5_000, 1.5, 0.25, 1 << 20, None, None, None, 30, 40, 3, None)
RESOURCE = (
    Key("service.name").text("fit"),
    Key("service.instance.id").text("node1:7"),
    Key("parsl.run.id").text("0f8f"),
)
_BASE = 'instance="node1:7",job="fit"'
_OF_RUN = f'{_BASE},parsl_run_id="0f8f"'


def _request(metrics: list[bytes]) -> ExportMetricsServiceRequest:
    body = wire.request(wire.resource(RESOURCE), wire.scope("s", "1"), metrics, schema_url="")
    return ExportMetricsServiceRequest.FromString(body)


def _page(*requests: ExportMetricsServiceRequest, expiration_s: float = 300) -> str:
    page = PrometheusPage(expiration_s)
    for request in requests:
        page.take(request.resource_metrics)
    return page.text()


def test_worker_process_is_shown() -> None:
    """Counters end in _total, units are in the names, and a value not measured has no line."""
    lines = _page(_request(process_metrics(READING, began_ns=1_000))).splitlines()

    assert [line for line in lines if not line.startswith("# HELP")] == [
        "# TYPE process_context_switches_total counter",
        f'process_context_switches_total{{{_OF_RUN},process_context_switch_type="involuntary"}} 40',
        f'process_context_switches_total{{{_OF_RUN},process_context_switch_type="voluntary"}} 30',
        "# TYPE process_cpu_time_seconds_total counter",
        f'process_cpu_time_seconds_total{{cpu_mode="system",{_OF_RUN}}} 0.25',
        f'process_cpu_time_seconds_total{{cpu_mode="user",{_OF_RUN}}} 1.5',
        "# TYPE process_memory_usage_bytes gauge",
        f"process_memory_usage_bytes{{{_OF_RUN}}} 1048576",
        "# TYPE process_thread_count gauge",
        f"process_thread_count{{{_OF_RUN}}} 3",
    ]


def _run_metrics(now_ns: int = 2_000) -> list[bytes]:
    metrics = RunMetrics()
    metrics.task_is(0, "exec_done")
    metrics.task_is(1, "running")
    metrics.task_ended("fit", "success", 2_000_000_000)
    return metrics.metrics(1_000, now_ns, {"htex": 2})


def test_run_is_shown() -> None:
    """Tasks by state are a gauge, since they go down again; durations are a histogram."""
    lines = _page(_request(_run_metrics())).splitlines()

    assert "# TYPE parsl_run_tasks gauge" in lines
    assert f'parsl_run_tasks{{{_OF_RUN},parsl_task_state="exec_done"}} 1' in lines
    assert (
        f'parsl_run_workers{{{_BASE},parsl_executor_label="htex",parsl_run_id="0f8f"}} 2' in lines
    )
    assert "# TYPE parsl_task_duration_seconds histogram" in lines
    labels = f'{_BASE},parsl_app_name="fit",parsl_outcome="success",parsl_run_id="0f8f"'
    stem = "parsl_task_duration_seconds"
    assert f'{stem}_bucket{{{labels},le="1"}} 0' in lines
    assert f'{stem}_bucket{{{labels},le="3"}} 1' in lines
    assert f'{stem}_bucket{{{labels},le="+Inf"}} 1' in lines
    assert f"{stem}_sum{{{labels}}} 2" in lines
    assert f"{stem}_count{{{labels}}} 1" in lines


def test_prometheus_own_parser_reads_the_pages() -> None:
    """What is shown of runs, and of the collector itself, is in the format, label for label."""
    page = _page(_request(_run_metrics()), _request(process_metrics(READING, began_ns=1_000)))
    stats = Stats()
    odd = 'quoted "name"\\ and\na line'
    stats.add("otelcol_exporter_sent_spans", 3, exporter=odd)

    families = {family.name: family for family in text_string_to_metric_families(page)}
    told = {family.name: family for family in text_string_to_metric_families(stats.page())}

    assert {name: family.type for name, family in families.items()} == {
        "parsl_run_tasks": "gauge",
        "parsl_run_workers": "gauge",
        "parsl_task_duration_seconds": "histogram",
        "process_context_switches": "counter",
        "process_cpu_time_seconds": "counter",
        "process_memory_usage_bytes": "gauge",
        "process_thread_count": "gauge",
    }
    states = {
        sample.labels["parsl_task_state"]: sample.value
        for sample in families["parsl_run_tasks"].samples
    }
    assert states == {"pending": 0.0, "launched": 0.0, "running": 1.0, "exec_done": 1.0}
    (sent,) = told["otelcol_exporter_sent_spans"].samples
    assert (sent.labels, sent.value) == ({"exporter": odd}, 3.0)


def test_single_tries_are_not_shown() -> None:
    """What one try has used makes no series, and counts as taken."""
    nothing: Any = [None] * len(Sample._fields)
    sample = Sample(*nothing)._replace(time_ns=1, pid=1, cpu_user_s=1.0)
    page = PrometheusPage(300)
    request = _request(sample_metrics(sample, task_id=1, try_id=0, interval_s=1))
    points = BY_NAME["metrics"].count(request)

    assert points > 0
    assert page.take(request.resource_metrics) == (points, 0)
    assert page.text() == ""


def test_older_point_changes_nothing() -> None:
    """A request that is sent again, after a newer one, leaves the newer values."""
    newer = _request(process_metrics(READING, began_ns=1_000))
    older = _request(
        process_metrics(READING._replace(time_ns=4_000, cpu_user_s=1.0), began_ns=1_000)
    )
    assert _page(newer, older) == _page(newer)


def test_series_without_news_leaves() -> None:
    """What has no new point for the expiration time is shown no more."""
    assert _page(_request(_run_metrics()), expiration_s=0.0) == ""


def test_what_prometheus_cannot_show_is_counted() -> None:
    """A delta is no counter of Prometheus': it is refused, and the rest is shown."""
    delta = Metric(name="mine", unit="1")
    delta.sum.aggregation_temporality = 1  # type: ignore[assignment]
    delta.sum.data_points.add(as_int=1)
    good = Metric(name="9 lives", unit="1", description='a "quoted"\nline')
    good.gauge.data_points.add(as_double=0.5).attributes.add(key="a.b").value.string_value = 'x"y\n'
    page = PrometheusPage(300)

    group = ResourceMetrics()
    group.scope_metrics.add(metrics=[delta, good])
    assert page.take([group]) == (1, 1)
    assert page.text().splitlines() == [
        '# HELP _9_lives_ratio a "quoted"\\nline',
        "# TYPE _9_lives_ratio gauge",
        '_9_lives_ratio{a_b="x\\"y\\n"} 0.5',
    ]


def test_collector_serves_what_it_is_sent(tmp_path: Path) -> None:
    """Metrics sent to a collector are on its page."""
    (port,) = free_ports(1)
    exporters = {"prometheus": {"endpoint": f"127.0.0.1:{port}"}}
    signal = BY_NAME["metrics"]

    def shown() -> str | None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return text if "parsl_run_tasks" in text else None

    with (
        running(collector_config(tmp_path, exporters=exporters)) as collector,
        grpc.insecure_channel(collector.grpc) as channel,
    ):
        export = channel.unary_unary(f"/{signal.service}/Export")
        export(_request(_run_metrics()).SerializeToString(), timeout=30)
        text = wait_for(shown, what="metrics on the page", timeout_s=60)
    assert "# TYPE parsl_run_tasks gauge" in text


def test_page_that_others_could_reach_is_refused(tmp_path: Path) -> None:
    """An address of every interface needs --insecure, since the page has no token."""
    config = collector_config(tmp_path, exporters={"prometheus": {"endpoint": "0.0.0.0:0"}})
    with pytest.raises(ConfigError, match=r"exporters\.prometheus\.endpoint"), running(config):
        pass
