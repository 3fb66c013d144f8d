"""What the processors of a pipeline let go on, and what they are refused for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_parsl_collector.component import ExporterContext
from otel_parsl_collector.config import load_config
from otel_parsl_collector.errors import ConfigError
from otel_parsl_collector.exporters.otlp_grpc import COMPONENT as OTLP_GRPC
from otel_parsl_collector.exporters.otlp_transport import Unavailable

from tests.support.collector import collector_config, requests_in, running, span_names
from tests.support.server_process import wait_for
from tests.support.span_traffic import run_of_two_tasks, send_spans


def _config(
    directory: Path,
    processors: Mapping[str, Any],
    *,
    exporters: Mapping[str, Any] | None = None,
    pipeline: str = "traces",
) -> dict[str, Any]:
    """Return a configuration with these processors before ``processed.jsonl``."""
    kept = exporters or {"file": {"path": str(directory / "processed.jsonl")}}
    config = collector_config(directory, exporters=kept)
    config["processors"] = dict(processors)
    pipelines = config["service"]["pipelines"]
    pipelines[pipeline] = {
        "receivers": ["otlp"],
        "processors": list(processors),
        "exporters": list(kept),
    }
    return config


def _refusal(config: Mapping[str, Any]) -> str:
    with pytest.raises(ConfigError) as refused:
        load_config(json.dumps(config))
    return str(refused.value)


def test_sampling_lets_failed_tasks_go_on_across_a_restart(tmp_path: Path) -> None:
    """A database has all spans, a file the failed task's, the early ones too, and the run's."""
    executions, derived = run_of_two_tasks()
    path = tmp_path / "processed.jsonl"
    config = _config(tmp_path, {"parsl_sampling": {"sampling_percentage": 0}})
    pipelines = config["service"]["pipelines"]
    pipelines["traces/sampled"] = pipelines.pop("traces")
    config["exporters"]["file/all"] = {"path": str(tmp_path / "all.jsonl")}
    pipelines["traces"] = {"receivers": ["otlp"], "exporters": ["file/all"]}

    with running(config) as first:
        send_spans(first.grpc, executions[:1])
        wait_for(lambda: span_names(tmp_path / "all.jsonl") or None, what="the first span")
    with running(config) as second:
        send_spans(second.grpc, [*executions[1:], *derived])
        sent = sum(map(_count, [*executions, *derived]))
        wait_for(lambda: len(span_names(tmp_path / "all.jsonl")) == sent or None, what="all spans")
        wait_for(lambda: "processed.py" in span_names(path) or None, what="the run's span")
        page = second.service.stats.page()

    assert sorted(span_names(path)) == ["app1", "app1", "app1", "processed.py"]
    labels = '{otel_signal="traces",processor="parsl_sampling"}'
    assert f"otelcol_processor_outgoing_items{labels} 4" in page


def _count(payload: bytes) -> int:
    return sum(
        len(scope.spans)
        for group in ExportTraceServiceRequest.FromString(payload).resource_spans
        for scope in group.scope_spans
    )


def test_batch_changes_nothing(tmp_path: Path) -> None:
    """With the processor that everybody writes down a pipeline carries what it carries without."""
    executions, _ = run_of_two_tasks()
    config = _config(tmp_path, {"batch": {"timeout": "1s", "send_batch_size": 100}})
    with running(config) as collector:
        send_spans(collector.grpc, executions)
        path = tmp_path / "processed.jsonl"
        wait_for(lambda: len(span_names(path)) == 2 or None, what="two spans")

    assert len(requests_in(path)) == len(executions)


def test_memory_limiter_puts_senders_off(tmp_path: Path) -> None:
    """Above the limit a request is refused as one to send again, with the reason."""
    executions, _ = run_of_two_tasks()
    limiter: dict[str, Any] = {"limit_mib": 1, "check_interval": "100ms"}
    with running(_config(tmp_path, {"memory_limiter": limiter})) as collector:
        with pytest.raises(grpc.RpcError) as refused:
            send_spans(collector.grpc, executions)
        page = collector.service.stats.page()
    limiter["limit_mib"] = 1 << 20
    with running(_config(tmp_path, {"memory_limiter": limiter})) as collector:
        send_spans(collector.grpc, executions)

    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "its memory_limiter puts senders off from 1 MiB on" in refused.value.details()
    assert 'otelcol_receiver_refused_spans{receiver="otlp",transport="grpc"} 1' in page


def test_sampling_before_a_database_is_refused(tmp_path: Path) -> None:
    """Tables are made of everything: the word names the pipeline and what to do."""
    processors = {"parsl_sampling": {"sampling_percentage": 10}}
    store = {"parsl_sql": {"url": "sqlite:///x.db"}}
    config = _config(tmp_path, processors, exporters=store)

    assert _refusal(config) == (
        "collector config: service.pipelines.traces.processors has 'parsl_sampling', which leaves"
        " something out, and 'parsl_sql' makes tables of everything; put 'parsl_sampling' into a"
        " pipeline without 'parsl_sql', with the same receivers and a name such as traces/sampled"
    )


_MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown processor": (
        {"memory_limit": {"limit_mib": 1}},
        "unknown processor 'processors.memory_limit'. Did you mean 'processors.memory_limiter'?",
    ),
    "unknown key": (
        {"batch": {"time_out": "1s"}},
        "unknown setting 'processors.batch.time_out'. Did you mean 'processors.batch.timeout'?",
    ),
    "no limit": ({"memory_limiter": {}}, "processors.memory_limiter.limit_mib is missing"),
    "a spike beyond the limit": (
        {"memory_limiter": {"limit_mib": 10, "spike_limit_mib": 10}},
        "processors.memory_limiter.spike_limit_mib is 10; expected less than limit_mib",
    ),
    "more than all": (
        {"parsl_sampling": {"sampling_percentage": 101}},
        "processors.parsl_sampling.sampling_percentage is 101; expected 0 to 100",
    ),
}


@pytest.mark.parametrize("mistake", _MISTAKES)
def test_a_mistake_in_a_processor_is_said(mistake: str, tmp_path: Path) -> None:
    """What is not known or cannot be used ends the start, with its path and what is expected."""
    processors, message = _MISTAKES[mistake]

    assert _refusal(_config(tmp_path, processors)) == f"collector config: {message}"


def _otlp(tmp_path: Path, **settings: Any) -> dict[str, Any]:
    exporters = {"otlp": {"endpoint": "http://127.0.0.1:4317", **settings}}
    return collector_config(tmp_path, exporters=exporters)


def test_retries_wait_as_long_as_they_are_told(tmp_path: Path) -> None:
    """The first wait and the longest are those of retry_on_failure, give or take a half."""
    retry = {"initial_interval": "2s", "max_interval": "5s", "max_elapsed_time": "0s"}
    queue = {"enabled": True, "queue_size": 5000, "num_consumers": 4, "storage": "file_storage"}
    config = load_config(json.dumps(_otlp(tmp_path, retry_on_failure=retry, sending_queue=queue)))
    context = ExporterContext("otlp", "spool", tmp_path, {})
    exporter = OTLP_GRPC.create(config.exporters["otlp"].settings, context)

    waits_s = [exporter.delay_s(Unavailable("away")) for _ in range(4)]
    at_least_s = (1.0, 2.0, 2.5, 2.5)
    assert all(low <= wait <= 3 * low for low, wait in zip(at_least_s, waits_s, strict=True))
    assert exporter.delay_s(Unavailable("away", 60.0)) == 60.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"retry_on_failure": {"enabled": False}},
            "retry_on_failure.enabled is false; expected true: what is acknowledged is delivered",
        ),
        (
            {"retry_on_failure": {"max_elapsed_time": "300s"}},
            "retry_on_failure.max_elapsed_time is set; expected 0s: it is tried until"
            " service.spool.max_age",
        ),
        (
            {"retry_on_failure": {"initial_interval": "1m"}},
            "retry_on_failure.initial_interval is out of range; expected 0s < it <= max_interval",
        ),
        (
            {"sending_queue": {"enabled": False}},
            "sending_queue.enabled is false; expected true: the spool on disk is the queue",
        ),
    ],
)
def test_what_the_spool_does_cannot_be_switched_off(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """A queue or retries that would lose what is acknowledged are refused."""
    assert _refusal(_otlp(tmp_path, **settings)) == f"collector config: exporters.otlp.{message}"
