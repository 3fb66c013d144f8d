"""
One run of N tasks written down twice: as what Parsl's hub gets, and as what ours spools.

The requests come from the product itself: ``messages.RunEvents`` on the submit side,
``execution_record`` where tries run, ``connectors.lifecycle`` for the spans that the agent derives.
A task here is what a task of HTEX with a sampling interval is: three states, two messages of its
worker, one sample, and a report of its manager at its dispatch and at its result.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from otel_parsl_collector.connectors.lifecycle import Lifecycle
from otel_parsl_collector.pump import RECORDS_AT_ONCE
from parsl.monitoring.message_type import MessageType

from otel_parsl import semconv, spool, wire
from otel_parsl.execution_record import Ended, Origin, expand, record
from otel_parsl.identity import run_key
from otel_parsl.messages import RunEvents, manager_attributes, manager_metrics, run_attributes
from otel_parsl.sampling import sample_metrics as samples

ROWS = {"workflow": 0, "task": 1, "try": 1, "status": 5, "resource": 1, "node": 2}
"""Rows a task in Parsl's tables; the workflow has one in all."""
RUN_ID = "5e1e8f4c-3a55-4f0e-9a40-6f2f0f2d9a11"
_NOW = datetime.datetime(2026, 6, 1, 12)
_SECOND = datetime.timedelta(seconds=1)
_STATES = ("pending", "launched", "exec_done")
_AT_ONCE = 50
"""Tasks whose news the hub's thread finds together: what 50 ms bring at 1,000 tasks a second."""
_WORKERS = 8
_PID = 4200
"""Of the first worker."""
_PACKAGES = {f"package-{number}": "1.2.3" for number in range(43)}


def parsl_messages(tasks: int) -> Iterator[tuple[MessageType, Any]]:
    """Yield what Parsl's hub would get of a run."""
    yield MessageType.WORKFLOW_INFO, _workflow()
    for task_id in range(tasks):
        for state in _STATES[:2]:
            yield MessageType.TASK_INFO, _task(task_id, state)
        yield MessageType.NODE_INFO, _node(2 * task_id)
        yield MessageType.WORKER_TASK_INFO, _worker(task_id, is_last=False)
        yield MessageType.RESOURCE_INFO, _usage(task_id)
        yield MessageType.WORKER_TASK_INFO, _worker(task_id, is_last=True)
        yield MessageType.NODE_INFO, _node(2 * task_id + 1)
        yield MessageType.TASK_INFO, _task(task_id, _STATES[2])
    yield MessageType.WORKFLOW_INFO, _workflow_end(tasks)


def spooled_frames(tasks: int) -> Iterator[bytes]:
    """Yield what our hub and workers spool of the same run, as the agent makes OTLP of it."""
    start = _workflow()
    attributes = tuple(run_attributes(start, zone="UTC"))
    resource, scope = wire.resource(attributes), wire.scope(semconv.SCOPE, "0")
    events = RunEvents(run_key(RUN_ID))
    origins = [_origin(rank) for rank in range(_WORKERS)]
    manager = wire.resource((*attributes, *manager_attributes(_node(0))))
    executor_task_id = wire.Key(semconv.EXECUTOR_TASK_ID)

    def request(items: Iterable[bytes], of: bytes = resource) -> bytes:
        return wire.request(of, scope, items, schema_url=semconv.SCHEMA_URL)

    def event(task_id: int, state: str) -> bytes:
        extra = (executor_task_id.text(str(task_id + 1)),) if state == "launched" else ()
        message = _task(task_id, state)
        return events.task(message, _ns(message["timestamp"]) + 1000, extra)

    records: list[bytes] = []
    yield spool.frame(wire.LOGS, request([events.started(start, 0)]))
    for first in range(0, tasks, _AT_ONCE):
        ids = range(first, min(first + _AT_ONCE, tasks))
        yield spool.frame(wire.LOGS, request(event(i, state) for i in ids for state in _STATES))
        records += (_record(origins[i % _WORKERS], i) for i in ids)
        if len(records) >= RECORDS_AT_ONCE or ids.stop == tasks:
            for signal, payload in expand(records, attributes, _cannot_read):
                yield spool.frame(signal, payload)
            records.clear()
        reports = manager_metrics(_node(n) for i in ids for n in (2 * i, 2 * i + 1))
        yield spool.frame(wire.METRICS, request(reports, manager))
    yield spool.frame(wire.LOGS, request([events.ended(_workflow_end(tasks), 0)]))


def derive(frames: Iterable[bytes], directory: Path, emit: Callable[[Iterable[bytes]], Any]) -> int:
    """
    Emit the spans that an agent derives of spooled frames, and return how many frames it read.

    Args:
        frames: What ``spooled_frames`` gave.
        directory: For the events of what has not ended.
        emit: Takes framed requests.
    """
    writer = spool.SpoolWriter(directory, "events")
    writer.append(frames)
    writer.close()
    lifecycle = Lifecycle(directory / "lifecycle.db", RUN_ID, scope="auto", emit=emit)
    reader = spool.SpoolReader(directory, "events")
    count = 0
    while not reader.at_end():
        batch = [item for item in reader.read(2 << 20) if isinstance(item, spool.Frame)]
        lifecycle.consume(batch, {"events": reader.place})
        count += len(batch)
    lifecycle.close()
    return count


def _origin(rank: int) -> bytes:
    """Return what the records of one worker begin with."""
    place = [
        [semconv.BLOCK_ID, "0"],
        [semconv.WORKER_RANK, str(rank)],
        [semconv.MANAGER_UID, _node(0)["uid"]],
    ]
    pid, began = _PID + rank, _NOW.isoformat(timespec="milliseconds") + "Z"
    return Origin(RUN_ID, "auto", 30.0, "node-1", pid, "3.11.7", place, began).encoded()


def _record(origin: bytes, task_id: int) -> bytes:
    """Return what a worker writes of a try that has ended."""
    message = _usage(task_id)
    sample = samples.sample_from_message(message, _ns(message["timestamp"]))
    sample = sample._replace(memory_peak_bytes=1 << 26)
    began_ns, ended_ns = sample.time_ns - 50_000_000, sample.time_ns + 50_000_000
    ended = Ended(task_id, 0, "simulate", "htex", began_ns, ended_ns, sample, True, None)
    return record(origin, ended)


def _cannot_read(record: bytes, error: Exception) -> None:
    raise ValueError(f"{record!r} is no record of a try") from error


def _ns(time: datetime.datetime) -> int:
    return round(time.timestamp() * 1e6) * 1000


def _workflow() -> dict[str, Any]:
    return {
        "python_version": "3.11.7",
        "parsl_version": "2026.10.26",
        "time_began": _NOW,
        "run_id": RUN_ID,
        "workflow_name": "benchmark.py",
        "workflow_version": "1",
        "rundir": "/home/user/runinfo/000",
        "tasks_completed_count": 0,
        "tasks_failed_count": 0,
        "user": "user",
        "host": "submit.example.org",
    }


def _workflow_end(tasks: int) -> dict[str, Any]:
    return {
        "run_id": RUN_ID,
        "tasks_failed_count": 0,
        "tasks_completed_count": tasks,
        "time_completed": _NOW + _SECOND * (tasks / 1000 + 1),
    }


def _task(task_id: int, state: str) -> dict[str, Any]:
    """Return Parsl's message of a task's new state."""
    at = _NOW + _SECOND * (task_id / 1000 + _STATES.index(state) / 2)
    return {
        "task_func_name": "simulate",
        "task_memoize": False,
        "task_hashsum": None,
        "task_fail_count": 0,
        "task_fail_cost": 0,
        "task_status": state,
        "task_id": task_id,
        "task_time_invoked": _NOW + _SECOND * (task_id / 1000),
        "task_try_time_launched": None if state == "pending" else at,
        "task_time_returned": at if state == "exec_done" else None,
        "task_try_time_returned": at if state == "exec_done" else None,
        "task_executor": "htex",
        "run_id": RUN_ID,
        "try_id": 0,
        "timestamp": at,
        "task_status_name": state,
        "tasks_failed_count": 0,
        "tasks_completed_count": task_id + (state == "exec_done"),
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


def _worker(task_id: int, *, is_last: bool) -> dict[str, Any]:
    """Return what Parsl's wrapper sends when a try begins or ends."""
    return {
        "run_id": RUN_ID,
        "try_id": 0,
        "task_id": task_id,
        "hostname": "node-1",
        "block_id": "0",
        "first_msg": not is_last,
        "last_msg": is_last,
        "timestamp": _NOW + _SECOND * (task_id / 1000 + (0.8 if is_last else 0.7)),
    }


def _usage(task_id: int) -> dict[str, Any]:
    """Return what Parsl's monitor sends of a try."""
    return {
        "run_id": RUN_ID,
        "task_id": task_id,
        "try_id": 0,
        "resource_monitoring_interval": 30.0,
        "timestamp": _NOW + _SECOND * (task_id / 1000 + 0.75),
        "psutil_process_pid": _PID + task_id % _WORKERS,
        "psutil_process_memory_percent": 1.5 + task_id / 1e6,
        "psutil_process_children_count": 0,
        "psutil_process_time_user": 0.1 + task_id / 1e6,
        "psutil_process_time_system": 0.01,
        "psutil_process_memory_virtual": (1 << 28) + task_id * 4096,
        "psutil_process_memory_resident": (1 << 26) + task_id * 4096,
        "psutil_process_disk_read": 1000,
        "psutil_process_disk_write": 10,
        "psutil_process_status": "running",
        "psutil_cpu_num": str(task_id % 64),
        "psutil_process_num_ctx_switches_voluntary": task_id % 97,
        "psutil_process_num_ctx_switches_involuntary": 1,
    }


def _node(number: int) -> dict[str, Any]:
    """Return what HTEX's interchange reports of a manager."""
    at = _NOW + _SECOND * (number / 2000)
    return {
        "run_id": RUN_ID,
        "hostname": "node-1",
        "uid": "abcdef012345",
        "block_id": "0",
        "cpu_count": 64,
        "total_memory": 1 << 38,
        "active": True,
        "draining": False,
        "max_capacity": 64,
        "worker_count": 64,
        "python_v": "3.11.7",
        "parsl_version": "2026.10.26",
        "packages": _PACKAGES,
        "timestamp": at,
        "last_heartbeat": at,
        "tasks": [number // 2, number // 2 + 1],
    }
