"""
Messages as Parsl puts them on its monitoring queue, written by hand, each valid as it is.

``tests/otel_parsl/test_messages.py`` holds their keys against those of the installed Parsl.
Times are naive and local, as Parsl's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

Message = dict[str, Any]

RUN_ID = "8f1d2a4e-3b6c-4d5e-9f70-123456789abc"
BEGAN = datetime(2026, 1, 15, 12, 0, 0, 123456)


def at(seconds: float) -> datetime:
    """Return the time so many seconds after a run began."""
    return BEGAN + timedelta(seconds=seconds)


def run_started(**changes: Any) -> Message:
    """Return the WORKFLOW_INFO that a DataFlowKernel sends first."""
    return {
        "python_version": "3.11.9",
        "parsl_version": "2026.10.26",
        "time_began": BEGAN,
        "run_id": RUN_ID,
        "workflow_name": "corridor.py",
        "workflow_version": "2026-01-15 12:00:00",
        "rundir": "/home/me/runinfo/000",
        "tasks_completed_count": 0,
        "tasks_failed_count": 0,
        "user": "me",
        "host": "submit.example.org",
        **changes,
    }


def run_ended(**changes: Any) -> Message:
    """Return the WORKFLOW_INFO that a DataFlowKernel sends last."""
    return {
        "tasks_failed_count": 0,
        "tasks_completed_count": 0,
        "time_completed": at(60),
        "run_id": RUN_ID,
        "rundir": "/home/me/runinfo/000",
        **changes,
    }


def task_info(**changes: Any) -> Message:
    """Return a TASK_INFO, by default the first of a task."""
    return {
        "task_func_name": "double",
        "task_memoize": False,
        "task_hashsum": None,
        "task_fail_count": 0,
        "task_fail_cost": 0,
        "task_status": None,
        "task_id": 0,
        "task_time_invoked": at(1),
        "task_try_time_launched": None,
        "task_time_returned": None,
        "task_try_time_returned": None,
        "task_executor": "htex",
        "run_id": RUN_ID,
        "try_id": 0,
        "timestamp": at(1.000001),
        "task_status_name": "pending",
        "tasks_failed_count": 0,
        "tasks_completed_count": 0,
        "tasks_memo_completed_count": 0,
        "from_memo": None,
        "task_inputs": "None",
        "task_outputs": "None",
        "task_stdin": None,
        "task_stdout": "",
        "task_stderr": "",
        "task_fail_history": "",
        "task_depends": "",
        "task_joins": None,
        **changes,
    }


def block_info(**changes: Any) -> Message:
    """Return one entry of a BLOCK_INFO."""
    return {
        "run_id": RUN_ID,
        "status": "PENDING",
        "timestamp": at(0.5),
        "executor_label": "htex",
        "job_id": "4711",
        "block_id": "0",
        **changes,
    }


def node_info(**changes: Any) -> Message:
    """Return the NODE_INFO of one manager."""
    return {
        "block_id": "0",
        "start_time": BEGAN.timestamp(),
        "tasks": [],
        "worker_count": 4,
        "max_capacity": 4,
        "active": True,
        "draining": False,
        "drain_time": float("inf"),
        "last_heartbeat": at(2),
        "idle_since": None,
        "parsl_version": "2026.10.26",
        "python_version": "3.11.9",
        "python_v": "3.11.9",
        "packages": {"parsl": "2026.10.26"},
        "uid": "0a1b2c3d4e5f",
        "hostname": "node1.example.org",
        "cpu_count": 8,
        "total_memory": 16 << 30,
        "timestamp": at(2.000001),
        "run_id": RUN_ID,
        **changes,
    }


def worker_task_info(**changes: Any) -> Message:
    """Return the WORKER_TASK_INFO that a worker sends when a try begins."""
    return {
        "run_id": RUN_ID,
        "try_id": 0,
        "task_id": 0,
        "hostname": "node1.example.org",
        "block_id": "0",
        "first_msg": True,
        "last_msg": False,
        "timestamp": at(3),
        **changes,
    }


def resource_info(**changes: Any) -> Message:
    """Return the RESOURCE_INFO of one sample."""
    return {
        "psutil_process_pid": 4711,
        "psutil_process_memory_percent": 1.5,
        "psutil_process_num_threads": 3,
        "psutil_process_status": "sleeping",
        "run_id": RUN_ID,
        "task_id": 0,
        "try_id": 0,
        "resource_monitoring_interval": 10.0,
        "hostname": "node1.example.org",
        "timestamp": at(4),
        "psutil_cpu_count": 8,
        "psutil_cpu_num": 5,
        "psutil_process_num_ctx_switches_voluntary": 17,
        "psutil_process_num_ctx_switches_involuntary": 3,
        "psutil_process_memory_virtual": 3 << 30,
        "psutil_process_memory_resident": 100 << 20,
        "psutil_process_time_user": 1.25,
        "psutil_process_time_system": 0.5,
        "psutil_process_children_count": 0,
        "psutil_process_disk_write": 4096,
        "psutil_process_disk_read": 1 << 20,
        **changes,
    }
