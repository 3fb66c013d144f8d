"""
What monitoring costs a workflow: no-op tasks on HTEX with two workers, under each hub in turn.

    python benchmarks/overhead.py [--tasks N] [--rounds N] [--only NAME ...]

Every setting runs in a process of its own; the settings take turns, and the medians are compared
as ratios to the unmonitored run of the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

SETTINGS = ("none", "parsl-0", "parsl-30", "otel", "otel-forward")
SLOW = {"parsl-30": 15, "parsl-0": 2}
"""Parsl's own hub forks for each task at an interval: fewer tasks say enough."""


def run(setting: str, tasks: int) -> dict[str, float]:
    """Run one setting in this process and return what was measured."""
    import parsl
    import psutil
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.monitoring import MonitoringHub
    from parsl.providers import LocalProvider

    from otel_parsl import OTelMonitoringHub

    hubs = {
        "none": lambda: None,
        "parsl-0": lambda: MonitoringHub(resource_monitoring_interval=0),
        "parsl-30": lambda: MonitoringHub(resource_monitoring_interval=30),
        "otel": lambda: OTelMonitoringHub(resource_monitoring_interval=30),
        "otel-forward": lambda: OTelMonitoringHub(
            resource_monitoring_interval=30, endpoint=os.environ["BENCHMARK_ENDPOINT"]
        ),
    }
    config = Config(
        executors=[
            HighThroughputExecutor(
                label="htex",
                max_workers_per_node=2,
                encrypted=False,
                provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
            )
        ],
        monitoring=hubs[setting](),
        strategy="none",
    )

    @parsl.python_app
    def nothing() -> None:
        return None

    with parsl.load(config):
        for future in [nothing() for _ in range(50)]:
            future.result()
        before = _cpu(psutil)
        began = time.perf_counter()
        for future in [nothing() for _ in range(tasks)]:
            future.result()
        elapsed = time.perf_counter() - began
        after = _cpu(psutil)
        memory = _memory(psutil)
        closing = time.perf_counter()
    return {
        "tasks_per_s": tasks / elapsed,
        "cpu_ms_per_task": (after - before) / tasks * 1000,
        "memory_mb": memory,
        "cleanup_s": time.perf_counter() - closing,
    }


def _processes(psutil):
    mine = psutil.Process()
    return [mine, *mine.children(recursive=True)]


def _cpu(psutil) -> float:
    total = 0.0
    for process in _processes(psutil):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def _memory(psutil) -> float:
    """Return MB of the submit process and the agent or database manager, workers left out."""
    total = 0
    for process in _processes(psutil):
        try:
            command = " ".join(process.cmdline())
            if (
                process.pid == os.getpid()
                or "otel_parsl_collector" in command
                or "multiprocessing" in command
                or "monitoring" in process.name()
            ):
                total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


def main() -> None:
    """Run the settings in turn and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[s for s in SETTINGS if s != "otel-forward"])
    parser.add_argument("--run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(run(arguments.run, arguments.tasks)))
        return
    results: dict[str, list[dict[str, float]]] = {name: [] for name in arguments.only}
    for _ in range(arguments.rounds):
        for name in arguments.only:
            tasks = arguments.tasks // SLOW.get(name, 1)
            command = [
                sys.executable,
                os.path.abspath(__file__),
                "--run",
                name,
                "--tasks",
                str(tasks),
            ]
            with tempfile.TemporaryDirectory() as directory:
                done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{name}: {done.stderr[-2000:]}")
            results[name].append(json.loads(done.stdout.splitlines()[-1]))
    base = results.get("none")
    print("setting          tasks/s  ratio  cpu ms/task     MB  cleanup s")
    for name, rows in results.items():
        rate = statistics.median(row["tasks_per_s"] for row in rows)
        pairs = zip(rows, base or rows, strict=True)
        ratios = [row["tasks_per_s"] / unmonitored["tasks_per_s"] for row, unmonitored in pairs]
        print(
            f"{name:14} {rate:9.0f} {statistics.median(ratios):6.2f}"
            f" {statistics.median(row['cpu_ms_per_task'] for row in rows):12.2f}"
            f" {statistics.median(row['memory_mb'] for row in rows):6.0f}"
            f" {statistics.median(row['cleanup_s'] for row in rows):10.2f}"
        )


if __name__ == "__main__":
    main()
