"""
Memory under a backlog: a locked database, a dead destination, and many tasks that wait.

    python benchmarks/backlog.py --tasks 200000

This process does what the hub's thread does: it encodes Parsl's messages and spools them, with the
telemetry of tries. A real agent reads the spool; its database is locked until all is spooled, and
the lock is then let go. Both processes' peaks are those of the kernel (``VmHWM``).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from parsl.monitoring.message_type import MessageType
from recorded_run import RUN_ID, parsl_messages

from otel_parsl import rendezvous
from otel_parsl.destination import Destination
from otel_parsl.messages import run_attributes
from otel_parsl.sampling.sample_metrics import sample_from_message
from otel_parsl.spool import Place, bytes_behind
from otel_parsl.submit.drain import Drain
from otel_parsl.submit.embedded import EmbeddedAgent
from otel_parsl.submit.executor_watch import ExecutorWatch
from otel_parsl.submit.kernel_executors import KernelExecutors
from otel_parsl.submit_process import this_process
from otel_parsl.worker import RunContext, TryContext, Writer

_FLUSH_EVERY = 200
"""Messages: about what 50 ms bring."""
_DEAD = "http://127.0.0.1:9"


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def _of_submit_side(tasks: int) -> Iterator[tuple[MessageType, object] | bytes]:
    """Yield what the hub is given: Parsl's messages, and the telemetry of each try."""
    writer: Writer | None = None
    for kind, message in parsl_messages(tasks):
        if kind is MessageType.WORKFLOW_INFO or kind is MessageType.TASK_INFO:
            yield kind, message
        if writer is None:
            attributes = tuple(run_attributes(message, zone="UTC"))
            writer = Writer(RunContext(RUN_ID, attributes, "auto", 30.0, "backlog"))
        elif kind is MessageType.RESOURCE_INFO:
            sample = sample_from_message(message, round(message["timestamp"].timestamp() * 1e9))
            which = TryContext(message["task_id"], 0, "simulate", "htex", True)
            yield writer.execution(which, sample.time_ns - 10**8, sample.time_ns, None, sample)


def _settings(database: Path) -> bytes:
    settings = {
        "database": f"sqlite:///{database}",
        "collector": None,
        "destinations": [Destination(_DEAD).as_settings()],
        "trace_scope": "auto",
        "debug": False,
        **this_process(),
    }
    return json.dumps(settings).encode()


def _stored(directory: Path) -> Place | None:
    status = rendezvous.read(directory, rendezvous.STATUS)
    return None if status is None or status["stored"] is None else Place(*status["stored"])


def _measure(root: Path, tasks: int, catch_up_s: float) -> None:
    directory, database = root / "000" / "otel-parsl", root / "monitoring.db"
    directory.mkdir(parents=True)
    drain = Drain(directory, scope="auto", watch=ExecutorWatch(KernelExecutors()))
    agent = EmbeddedAgent(directory, {rendezvous.SETTINGS: _settings(database)})
    given = _of_submit_side(tasks)
    start = next(given)
    assert isinstance(start, tuple)
    assert isinstance(start[1], dict)
    attributes = tuple(run_attributes(start[1], zone="UTC"))
    run = {"run_id": RUN_ID, "resource": [attribute.hex() for attribute in attributes]}
    drain.begin(RUN_ID, attributes, lambda: rendezvous.write(directory, rendezvous.RUN, run))
    drain.put(start)
    drain.flush()
    while _stored(directory) is None:
        time.sleep(0.05)
    print(
        f"at the start: hub {_peak_mb(psutil.Process().pid):.0f} MB,"
        f" agent {_peak_mb(agent.pid):.0f} MB",
        flush=True,
    )
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        for number, item in enumerate(given):
            drain.put_frames(item) if isinstance(item, bytes) else drain.put(item)
            if number % _FLUSH_EVERY == 0:
                drain.flush()
        drain.flush()
        waiting = bytes_behind(directory, {rendezvous.SUBMIT: Place()})
        print(
            f"{tasks} tasks wait in {waiting / 1e6:.0f} MB:"
            f" hub {_peak_mb(psutil.Process().pid):.0f} MB,"
            f" agent {_peak_mb(agent.pid):.0f} MB",
            flush=True,
        )
        lock.rollback()
    began = time.monotonic()
    while time.monotonic() - began < catch_up_s and _stored(directory) != drain.place:
        time.sleep(0.5)
    left = bytes_behind(directory, {rendezvous.SUBMIT: _stored(directory) or Place()})
    print(
        f"{time.monotonic() - began:.0f} s later, {left / 1e6:.0f} MB are left:"
        f" hub {_peak_mb(psutil.Process().pid):.0f} MB,"
        f" agent {_peak_mb(agent.pid):.0f} MB"
    )
    psutil.Process(agent.pid).kill()


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tasks", type=int, default=200_000)
    parser.add_argument("--catch-up", type=float, default=100.0, help="seconds, once unlocked")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        _measure(Path(root), arguments.tasks, arguments.catch_up)


if __name__ == "__main__":
    main()
