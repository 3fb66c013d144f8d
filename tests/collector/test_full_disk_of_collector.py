"""A collector whose spool's disk is full: senders are told so in time, and lose nothing."""

from __future__ import annotations

import contextlib
import time
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from otel_parsl_collector.signals import SIGNALS

from otel_parsl.wire import TRACES
from tests.support.collector import CollectorProcess
from tests.support.filesystems import fill, small_disk
from tests.support.http_wire import post
from tests.support.otlp_requests import trace_request
from tests.support.server_process import wait_for

PROTOBUF = {"Content-Type": "application/x-protobuf"}


def _send(collector: CollectorProcess, name: str) -> Any:
    """Send a span by gRPC and return the error; None where it was acknowledged."""
    body = trace_request(name).SerializeToString()
    with grpc.insecure_channel(collector.grpc) as channel:
        try:
            channel.unary_unary(f"/{SIGNALS[TRACES].service}/Export")(body, timeout=10)
        except grpc.RpcError as error:
            return error
    return None


def _counter(collector: CollectorProcess, beginning: str) -> float:
    with urllib.request.urlopen(collector.metrics_url) as page:
        lines = page.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(beginning))


@pytest.mark.parametrize("kind", ["file", "parsl_sql"])
def test_full_disk_refuses_in_time_and_what_was_acknowledged_arrives(
    tmp_path: Path, kind: str
) -> None:
    """UNAVAILABLE and 503 with a delay within 2 s, counted; all acknowledged is there in the end,
    with the exporter's own file on the full disk too."""
    with small_disk(tmp_path / "disk", kib=8 << 10) as disk, contextlib.ExitStack() as stack:
        settings = {
            "file": {"path": str(disk / "out.jsonl")},
            "parsl_sql": {"url": f"sqlite:///{disk}/monitoring.db"},
        }
        collector = stack.enter_context(
            CollectorProcess(
                disk,
                exporters={kind: settings[kind]},
                service={"spool": {"max_size_mib": 64}},
            )
        )
        acknowledged = ["before"]
        assert _send(collector, "before") is None
        ballast = fill(disk)
        error = None
        for number in range(200):  # a page of the disk may have room for a few
            error = _send(collector, f"span-{number}")
            if error is not None:
                break
            acknowledged.append(f"span-{number}")
            fill(disk)
        assert error is not None
        status = status_pb2.Status.FromString(
            dict(error.trailing_metadata())["grpc-status-details-bin"]
        )
        assert (error.code(), error.details()) == (
            grpc.StatusCode.UNAVAILABLE,
            "the spool cannot be written: No space left on device",
        )
        assert status.details[0].Is(error_details_pb2.RetryInfo.DESCRIPTOR)
        port = int(collector.http.rpartition(":")[2])
        body = trace_request("by http").SerializeToString()
        took_s = []
        for _ in range(3):  # the best of them, on a machine that has other work
            began = time.monotonic()
            assert _send(collector, "by gRPC").code() == grpc.StatusCode.UNAVAILABLE
            answer = post(port, "/v1/traces", body, PROTOBUF)
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            took_s.append(time.monotonic() - began)
        assert min(took_s) < 2
        assert _counter(collector, "otelcol_receiver_refused_spans{") == 7

        ballast.unlink()
        wait_for(lambda: _send(collector, "after") is None or None, what="room on the disk")
        acknowledged.append("after")
        sent = f'otelcol_exporter_sent_spans{{exporter="{kind}"}}'
        wait_for(lambda: _counter(collector, sent) >= len(acknowledged) or None, what="all")
        if kind == "file":
            assert set(acknowledged) <= set(collector.wait_for_spans({*acknowledged}))
