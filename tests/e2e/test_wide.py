"""What is far wider than usual comes through whole: in the tables, and at a destination."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from otel_parsl_collector.signals import SIGNALS

from otel_parsl import semconv
from tests.support.otlp_sink import Sink, grpc_sink
from tests.support.programs import Program, query, run, until

TASKS = 5000
REPORTS = 20_000
LINKS = 128
"""The most that a span has to other tasks; there is one more to its run, which has a trace of its
own."""


def test_task_with_5000_dependencies_comes_through_whole(tmp_path: Path) -> None:
    """A task that waited for 5,000 others has them all, in the tables and on its span."""
    with grpc_sink() as sink:
        program = run(
            tmp_path,
            f"""
            @python_app
            def total(inputs=()):
                return sum(inputs)

            with parsl.load(Config(executors=[ThreadPoolExecutor(max_threads=2)], strategy="none",
                                   monitoring=OTelMonitoringHub(endpoint="{sink.url}"))):
                assert total(inputs=[sleep(0) for _ in range({TASKS})]).result() == 0
            """,
        )
        _wait_for_the_agent(program)
    depends = ",".join(map(str, range(TASKS)))
    ((inputs,),) = query(program.database, f"SELECT task_inputs FROM task WHERE task_id = {TASKS}")
    (span,) = [
        item
        for group in _groups(sink, "traces")
        for scope in group.scope_spans
        for item in scope.spans
        if item.name == "total" and _attributes(item).keys() >= {semconv.TASK_DEPENDS}
    ]

    assert [(TASKS, depends)] == query(
        program.database, "SELECT task_id, task_depends FROM task WHERE task_depends != ''"
    )
    assert [(TASKS, "depends", TASKS, 0, TASKS - 1)] == query(
        program.database,
        "SELECT task_id, kind, count(on_task_id), min(on_task_id), max(on_task_id)"
        " FROM otel_edge GROUP BY 1, 2",
    )
    assert repr([0] * TASKS) == inputs
    # The run's own span is linked too, from a task with a trace of its own.
    assert (depends, LINKS, TASKS - (LINKS - 1)) == (
        _attributes(span)[semconv.TASK_DEPENDS],
        len(span.links),
        span.dropped_links_count,
    )


def test_manager_with_20000_reports_comes_through_whole(tmp_path: Path) -> None:
    """Each of 20,000 reports of one manager has its row, and its points at a destination."""
    with grpc_sink() as sink:
        program = run(
            tmp_path,
            f"""
            import datetime
            from parsl.monitoring.message_type import MessageType
            import zmq

            executor = htex(provider=LocalProvider(init_blocks=0))
            with parsl.load(Config(executors=[executor], strategy="none",
                                   monitoring=OTelMonitoringHub(endpoint="{sink.url}"))):
                interchange = zmq.Context().socket(zmq.DEALER)
                interchange.set_hwm(0)
                interchange.connect(f"tcp://127.0.0.1:{{executor.hub_zmq_port}}")
                began = datetime.datetime.now()
                for number in range({REPORTS}):
                    now = began + datetime.timedelta(milliseconds=number)
                    interchange.send_pyobj((MessageType.NODE_INFO, {{
                        "block_id": "0", "start_time": began.timestamp(), "tasks": [number],
                        "worker_count": 4, "max_capacity": 4, "active": number < {REPORTS} - 1,
                        "draining": False, "last_heartbeat": now, "idle_since": None,
                        "parsl_version": "x", "python_version": "3.11", "python_v": "3.11",
                        "packages": {{}}, "uid": "wide", "hostname": "node1", "cpu_count": 8,
                        "total_memory": 1 << 34, "timestamp": now,
                        "run_id": parsl.dfk().run_id,
                    }}))
            """,
        )
        _wait_for_the_agent(program)
    points = [
        (metric.name, point.time_unix_nano)
        for group in _groups(sink, "metrics")
        for scope in group.scope_metrics
        for metric in scope.metrics
        if metric.name == semconv.MANAGER_WORKERS
        for point in metric.gauge.data_points
    ]

    assert [(REPORTS, REPORTS, REPORTS - 1)] == query(
        program.database,
        "SELECT count(*), count(DISTINCT timestamp), sum(active) FROM node WHERE uid = 'wide'",
    )
    assert [("wide", "node1", 4, 0)] == query(
        program.database, "SELECT uid, hostname, worker_count, active FROM otel_manager"
    )
    assert (REPORTS, REPORTS) == (len(points), len(set(points)))


def _wait_for_the_agent(program: Program) -> None:
    """Wait until a run's agent has ended, which it does when everything is delivered."""
    pid = json.loads((program.spool / "status.json").read_text())["pid"]
    until(lambda: not psutil.pid_exists(pid))


def _groups(sink: Sink, signal: str) -> Iterator[Any]:
    """Yield what a destination was sent of a signal, one Resource after the other."""
    (kind,) = (each.request for each in SIGNALS.values() if each.name == signal)
    for name, body in sink.received:
        if name == signal:
            (field,) = kind.DESCRIPTOR.fields
            yield from getattr(kind.FromString(body), field.name)


def _attributes(span: Any) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes
    }
