"""
How fast telemetry becomes rows: the same run of N tasks through three writers.

    python benchmarks/ingest.py [--tasks N]

- Parsl's database manager: the messages that its hub would get, by its own queue.
- Ours: the requests that our hub and workers would spool, through the agent's store pump.
- raw: sqlite3 inserting the very rows that ours wrote, by executemany: the physical bound.

Each is given as tasks a second of wall time, and of CPU time, beside Parsl's.
"""

from __future__ import annotations

import argparse
import datetime
import multiprocessing
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from parsl.monitoring.message_type import MessageType

from otel_parsl import samples, semconv, spool, wire
from otel_parsl.identity import run_key
from otel_parsl.messages import RunEvents, manager_attributes, manager_metrics, run_attributes
from otel_parsl.sampling import Sample
from otel_parsl.worker import RunContext, TryContext, Writer

NOW = datetime.datetime(2026, 6, 1, 12)
SECOND = datetime.timedelta(seconds=1)
STATES = ("pending", "launched", "exec_done")


def workflow(run_id: str) -> dict[str, Any]:
    """Return Parsl's first message of a run."""
    return {
        "python_version": "3.11.7",
        "parsl_version": "2026.10.26",
        "time_began": NOW,
        "run_id": run_id,
        "workflow_name": "benchmark.py",
        "workflow_version": "1",
        "rundir": "/home/user/runinfo/000",
        "tasks_completed_count": 0,
        "tasks_failed_count": 0,
        "user": "user",
        "host": "submit.example.org",
    }


def task(run_id: str, task_id: int, state: str) -> dict[str, Any]:
    """Return Parsl's message of a task's new state."""
    at = NOW + SECOND * (task_id / 1000 + STATES.index(state) / 10)
    return {
        "task_func_name": "simulate",
        "task_memoize": False,
        "task_hashsum": None,
        "task_fail_count": 0,
        "task_fail_cost": 0,
        "task_status": state,
        "task_id": task_id,
        "task_time_invoked": at,
        "task_try_time_launched": None if state == "pending" else at,
        "task_time_returned": at if state == "exec_done" else None,
        "task_try_time_returned": at if state == "exec_done" else None,
        "task_executor": "htex",
        "run_id": run_id,
        "try_id": 0,
        "timestamp": at,
        "task_status_name": state,
        "tasks_failed_count": 0,
        "tasks_completed_count": task_id,
        "tasks_memo_completed_count": 0,
        "from_memo": False,
        "task_inputs": "None",
        "task_outputs": "None",
        "task_stdin": None,
        "task_stdout": "",
        "task_stderr": "",
        "task_fail_history": "",
        "task_depends": f"{task_id - 1}" if task_id else "",
        "task_joins": None,
    }


def worker(run_id: str, task_id: int, *, is_last: bool) -> dict[str, Any]:
    """Return what Parsl's wrapper sends when a try begins or ends."""
    return {
        "run_id": run_id,
        "try_id": 0,
        "task_id": task_id,
        "hostname": "node-1",
        "block_id": "0",
        "first_msg": not is_last,
        "last_msg": is_last,
        "timestamp": NOW + SECOND * (task_id / 1000 + (0.3 if is_last else 0.2)),
    }


def usage(run_id: str, task_id: int) -> dict[str, Any]:
    """Return what Parsl's monitor sends of a try."""
    return {
        "run_id": run_id,
        "task_id": task_id,
        "try_id": 0,
        "resource_monitoring_interval": 30.0,
        "timestamp": NOW + SECOND * (task_id / 1000 + 0.25),
        "psutil_process_pid": 4242,
        "psutil_process_memory_percent": 1.5,
        "psutil_process_children_count": 0,
        "psutil_process_time_user": 0.1,
        "psutil_process_time_system": 0.01,
        "psutil_process_memory_virtual": 1 << 28,
        "psutil_process_memory_resident": 1 << 26,
        "psutil_process_disk_read": 1000,
        "psutil_process_disk_write": 10,
        "psutil_process_status": "running",
        "psutil_cpu_num": "1",
        "psutil_process_num_ctx_switches_voluntary": 3,
        "psutil_process_num_ctx_switches_involuntary": 1,
    }


def node(run_id: str, number: int) -> dict[str, Any]:
    """Return what HTEX's interchange reports of a manager."""
    return {
        "run_id": run_id,
        "hostname": "node-1",
        "uid": "abcdef012345",
        "block_id": "0",
        "cpu_count": 64,
        "total_memory": 1 << 38,
        "active": True,
        "worker_count": 64,
        "python_v": "3.11.7",
        "timestamp": NOW + SECOND * (number / 2000),
        "last_heartbeat": NOW,
        "tasks": [1, 2],
    }


def parsl_messages(run_id: str, tasks: int) -> Iterator[tuple[MessageType, Any]]:
    """Yield what Parsl's hub would get of a run."""
    yield MessageType.WORKFLOW_INFO, workflow(run_id)
    for task_id in range(tasks):
        for state in STATES[:2]:
            yield MessageType.TASK_INFO, task(run_id, task_id, state)
        yield MessageType.NODE_INFO, node(run_id, 2 * task_id)
        yield MessageType.WORKER_TASK_INFO, worker(run_id, task_id, is_last=False)
        yield MessageType.RESOURCE_INFO, usage(run_id, task_id)
        yield MessageType.WORKER_TASK_INFO, worker(run_id, task_id, is_last=True)
        yield MessageType.NODE_INFO, node(run_id, 2 * task_id + 1)
        yield MessageType.TASK_INFO, task(run_id, task_id, STATES[2])


def spooled_frames(run_id: str, tasks: int) -> Iterator[bytes]:
    """Yield what our hub, workers and agent would spool of the same run."""
    start = workflow(run_id)
    attributes = tuple(run_attributes(start, zone="UTC"))
    resource, scope = wire.resource(attributes), wire.scope(semconv.SCOPE, "0")
    events = RunEvents(run_key(run_id))
    context = RunContext(run_id, attributes, "auto", 30.0, "benchmark")
    writer = Writer(context, in_submit_process=True)

    def request(items: list[bytes], of: bytes = resource) -> bytes:
        return wire.request(of, scope, items, schema_url=semconv.SCHEMA_URL)

    manager = wire.resource((*attributes, *manager_attributes(node(run_id, 0))))
    yield spool.frame(wire.LOGS, request([events.started(start, 0)]))
    for first in range(0, tasks, 50):  # what 50 ms bring at 1,000 tasks a second
        ids = range(first, min(first + 50, tasks))
        records = [events.task(task(run_id, i, state), 0) for i in ids for state in STATES]
        yield spool.frame(wire.LOGS, request(records))
        for task_id in ids:
            message = usage(run_id, task_id)
            sample = samples.sample_from_message(
                message, int(message["timestamp"].timestamp() * 1e6) * 1000
            )
            which = TryContext(task_id, 0, "simulate", "htex", True)
            yield _execution(writer, which, sample)
        reports = manager_metrics(node(run_id, n) for i in ids for n in (2 * i, 2 * i + 1))
        yield spool.frame(wire.METRICS, request(reports, manager))


def _execution(writer: Writer, which: TryContext, sample: Sample) -> bytes:
    start_ns = sample.time_ns - 50_000_000
    return writer.execution(which, start_ns, sample.time_ns + 50_000_000, None, sample)


def time_parsl(tasks: int, directory: Path) -> tuple[float, float]:
    """Return seconds and CPU seconds that Parsl's database manager takes."""
    from parsl.monitoring.db_manager import DatabaseManager
    from parsl.multiprocessing import SpawnEvent

    queue: Any = multiprocessing.get_context("spawn").Queue()
    exit_event = SpawnEvent()
    manager = DatabaseManager(
        db_url=f"sqlite:///{directory}/parsl.db", run_dir=str(directory), exit_event=exit_event
    )
    for message in parsl_messages(str(uuid.uuid4()), tasks):
        manager._dispatch_to_internal(message)
    exit_event.set()
    began, cpu = time.perf_counter(), time.process_time()
    manager.start(queue)
    return time.perf_counter() - began, time.process_time() - cpu


def time_ours(tasks: int, directory: Path) -> tuple[float, float]:
    """Return seconds and CPU seconds that the agent's store pump takes."""
    from otel_parsl_collector.exporters.parsl_sql import ParslSqlExporter
    from otel_parsl_collector.pump import BATCH_BYTES

    writer = spool.SpoolWriter(directory, "submit")
    for frame in spooled_frames(str(uuid.uuid4()), tasks):
        writer.append([frame])
    exporter = ParslSqlExporter(f"sqlite:///{directory}/ours.db", spool="benchmark")
    reader = spool.SpoolReader(directory, "submit")
    began, cpu = time.perf_counter(), time.process_time()
    while not reader.at_end():
        frames = [f for f in reader.read(BATCH_BYTES) if isinstance(f, spool.Frame)]
        exporter.consume(frames, {"submit": reader.place})
    exporter.close()
    return time.perf_counter() - began, time.process_time() - cpu


def time_raw(directory: Path) -> tuple[float, float]:
    """Return seconds and CPU seconds that sqlite3 takes for the same rows."""
    source = sqlite3.connect(directory / "ours.db")
    tables = {}
    for (name,) in source.execute("select name from sqlite_master where type = 'table'"):
        if name != "sqlite_sequence":
            tables[name] = source.execute(f'select * from "{name}"').fetchall()  # noqa: S608
    target = sqlite3.connect(directory / "raw.db")
    target.execute("pragma journal_mode=wal")
    for (sql,) in source.execute("select sql from sqlite_master where sql is not null"):
        if "sqlite_sequence" not in sql:
            target.execute(sql)
    began, cpu = time.perf_counter(), time.process_time()
    for name, rows in tables.items():
        if rows:
            marks = ",".join("?" * len(rows[0]))
            target.executemany(f'insert into "{name}" values ({marks})', rows)  # noqa: S608
    target.commit()
    return time.perf_counter() - began, time.process_time() - cpu


def main() -> None:
    """Time all three and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true", help="profile ours alone")
    arguments = parser.parse_args()
    tasks = arguments.tasks
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if arguments.profile:
            import cProfile

            cProfile.runctx("time_ours(tasks, directory)", globals(), locals(), sort="tottime")
            sys.exit()
        ours = time_ours(tasks, directory)
        raw = time_raw(directory)
        parsl = time_parsl(tasks, directory)
    print("writer     tasks/s  CPU us/task   times Parsl's")
    for label, (seconds, cpu) in (("Parsl", parsl), ("ours", ours), ("raw", raw)):
        ratio = parsl[0] / seconds
        print(f"{label:8} {tasks / seconds:9.0f} {cpu / tasks * 1e6:12.0f} {ratio:15.1f}")


if __name__ == "__main__":
    main()
