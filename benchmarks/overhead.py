"""
What monitoring costs a workflow: no-op tasks on HTEX with two workers, under each hub in turn.

    python benchmarks/overhead.py [--quick] [--tasks N] [--rounds N] [--only NAME ...] [--idle-s S]

Every setting runs in a process of its own; the settings take turns, and ratios are of the same
round, since the machine is not the same from one minute to the next.
CPU is that of all processes of a run, until what lags behind has come: it depends far less than
time on what else the machine does.
Memory is the highest of submit process and agent (or Parsl's hub) together, less what the
unmonitored submit process of the same round holds.
Then, once each: the time that tracing adds to a task in a worker, and what an agent uses while
nothing goes on.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from destination import counting_destination

SETTINGS = ("none", "otel", "otel-direct", "otel-forward", "parsl-0", "parsl-30")
"""Ours write the database by relay, directly, and with a destination beside it."""
ENDPOINT = "BENCHMARK_ENDPOINT"
SLOW = {"parsl-30": 15, "parsl-0": 2}
"""Parsl's own hub forks for each task at an interval: fewer tasks say enough."""
WARM_UP_TASKS = 100
SETTLE_S = 4.0
INTERVAL_WHILE_LONG_S = 10


def config(hub: Any) -> Any:
    """Return a Config of one HTEX with two workers."""
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import LocalProvider

    executor = HighThroughputExecutor(
        label="htex",
        max_workers_per_node=2,
        encrypted=False,
        provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
    )
    return Config(executors=[executor], monitoring=hub, strategy="none")


def hub_of(setting: str) -> Any:
    """Return the hub of a setting."""
    from parsl.monitoring import MonitoringHub

    from otel_parsl import OTelMonitoringHub

    if setting == "none":
        return None
    if setting.startswith("parsl"):
        return MonitoringHub(resource_monitoring_interval=int(setting.rpartition("-")[2]))
    endpoint = os.environ[ENDPOINT] if setting == "otel-forward" else None
    transport = "direct" if setting == "otel-direct" else "relay"
    return OTelMonitoringHub(
        resource_monitoring_interval=30, endpoint=endpoint, transport=transport
    )


def throughput(setting: str, tasks: int) -> dict[str, Any]:
    """Run many tasks under one hub, in this process, and return what was measured."""
    import parsl
    from run_processes import MemoryPeak, cpu_seconds

    @parsl.python_app
    def nothing() -> None:
        return None

    directory = os.getcwd()
    with parsl.load(config(hub_of(setting))):
        for future in [nothing() for _ in range(WARM_UP_TASKS)]:
            future.result()
        before = cpu_seconds(directory)
        with MemoryPeak(directory, ("submit", "agent", "hub")) as memory:
            began = time.perf_counter()
            for future in [nothing() for _ in range(tasks)]:
                future.result()
            elapsed = time.perf_counter() - began
            closing = time.perf_counter()
            # What lags behind is a cost too.
            time.sleep(SETTLE_S)
        after = cpu_seconds(directory)
    return {
        "tasks_per_s": tasks / elapsed,
        "cpu_us": {role: (after[role] - before.get(role, 0)) / tasks * 1e6 for role in after},
        "memory_mb": memory.mb,
        "cleanup_s": time.perf_counter() - closing - SETTLE_S,
    }


def worker_time(tries: int) -> dict[str, Any]:
    """Return the microseconds that a no-op takes an HTEX worker, with tracing and without."""
    import parsl
    from parsl.serialize import pack_apply_message

    from otel_parsl.messages import run_attributes
    from otel_parsl.worker import RunContext

    @parsl.python_app
    def compare(buffer: bytes, context: Any, tries: int) -> dict[str, list[float]]:
        from time import perf_counter_ns, thread_time_ns

        from parsl.executors.execute_task import execute_task
        from parsl.serialize import serialize

        from otel_parsl import worker

        def plain(_: int) -> None:
            serialize(execute_task(buffer), buffer_threshold=1000000)

        def traced(number: int) -> None:
            which = (number, 0, "nothing", "htex", True)
            serialize(worker.execute_task(buffer, context, which), buffer_threshold=1000000)

        rounds: dict[str, list[float]] = {name: [] for name in ("plain", "traced")}
        rounds |= {f"{name}_cpu": [] for name in ("plain", "traced")}
        for begin in range(0, tries, 100):
            for name, run in (("plain", plain), ("traced", traced)):
                wall, cpu = perf_counter_ns(), thread_time_ns()
                for number in range(begin, begin + 100):
                    run(number)
                rounds[name].append((perf_counter_ns() - wall) / 1e5)
                rounds[f"{name}_cpu"].append((thread_time_ns() - cpu) / 1e5)
        return rounds

    def nothing() -> None:
        return None

    now = datetime.datetime.now()
    message = {
        "run_id": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "workflow_name": "overhead.py",
        "workflow_version": str(now),
        "host": os.uname().nodename,
        "user": "somebody",
        "rundir": os.getcwd(),
        "parsl_version": parsl.__version__,
        "time_began": now,
    }
    context = RunContext(
        message["run_id"], tuple(run_attributes(message, zone="UTC")), "auto", 30.0, "overhead.py"
    )
    buffer = pack_apply_message(nothing, (), {}, buffer_threshold=1 << 20)
    with parsl.load(config(None)):
        rounds = compare(buffer, tuple(context), tries).result()
    return {name: statistics.median(values) for name, values in rounds.items()}


def idle(seconds: float, *, is_busy: bool) -> dict[str, Any]:
    """Return what share of a core the agent of an open run takes while nothing happens."""
    import parsl
    from run_processes import cpu_seconds, memory_mb

    from otel_parsl import OTelMonitoringHub

    @parsl.python_app
    def wait(seconds: float) -> None:
        import time

        time.sleep(seconds)

    directory = os.getcwd()
    hub = OTelMonitoringHub(resource_monitoring_interval=INTERVAL_WHILE_LONG_S)
    with parsl.load(config(hub)):
        wait(0).result()
        last = wait(SETTLE_S + seconds if is_busy else 0)
        time.sleep(SETTLE_S)
        before, began = cpu_seconds(directory), time.perf_counter()
        time.sleep(seconds)
        after, elapsed = cpu_seconds(directory), time.perf_counter() - began
        memory = memory_mb(directory)
        last.result()
    roles = ("submit", "agent", "sampler")
    percent = {
        role: (after[role] - before.get(role, 0)) / elapsed * 100 for role in roles if role in after
    }
    return {"percent": percent, "memory_mb": memory}


def elsewhere(*arguments: object) -> dict[str, Any]:
    """Run one measurement in a process and a directory of its own."""
    command = [sys.executable, os.path.abspath(__file__), "--run", *map(str, arguments)]
    # HTEX finds its interchange by the PATH.
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            command,
            cwd=directory,
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": path},
            check=False,
        )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, arguments))}: {done.stderr[-2000:]}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def compare_throughput(names: list[str], tasks: int, rounds: int) -> None:
    """Run the settings in turn and print medians, and medians of the ratios within a round."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            results[name].append(elsewhere("throughput", name, tasks // SLOW.get(name, 1)))
    base = results.get("none")
    print("setting       tasks/s  ratio (rounds)             CPU us/task  added MB  cleanup s")
    for name, rows in results.items():
        ratios = [
            row["tasks_per_s"] / unmonitored["tasks_per_s"]
            for row, unmonitored in zip(rows, base or rows, strict=True)
        ]
        cpu = _median_by_role([row["cpu_us"] for row in rows])
        added_mb = statistics.median(
            row["memory_mb"] - unmonitored["memory_mb"]
            for row, unmonitored in zip(rows, base or rows, strict=True)
        )
        shown = " ".join(f"{ratio:.2f}" for ratio in ratios)
        print(
            f"{name:12} {statistics.median(row['tasks_per_s'] for row in rows):8.0f}"
            f" {statistics.median(ratios):6.2f} ({shown:18}) {sum(cpu.values()):12.0f}"
            f" {added_mb:9.0f} {statistics.median(row['cleanup_s'] for row in rows):10.2f}"
        )
        print("             CPU us/task: " + _listed(cpu, "{:.0f}"))


def _median_by_role(rows: list[dict[str, float]]) -> dict[str, float]:
    roles = sorted({role for row in rows for role in row})
    return {role: statistics.median(row.get(role, 0.0) for row in rows) for role in roles}


def _listed(values: dict[str, float], form: str) -> str:
    return ", ".join(f"{name} {form.format(value)}" for name, value in values.items())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,500 tasks, one round, ours alone")
    parser.add_argument("--tasks", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--idle-s", type=float, default=20.0, help="0 leaves these out")
    parser.add_argument("--run", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        kind, *rest = arguments.run
        measure = {
            "throughput": lambda: throughput(rest[0], int(rest[1])),
            "worker": lambda: worker_time(int(rest[0])),
            "idle": lambda: idle(float(rest[0]), is_busy=rest[1] == "busy"),
        }
        print(json.dumps(measure[kind]()))
        return
    if arguments.quick:
        arguments.tasks, arguments.rounds, arguments.only = 1500, 1, ["none", "otel"]
        arguments.idle_s = min(arguments.idle_s, 10.0)
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    print(
        f"{datetime.date.today()}, Python {platform.python_version()},"
        f" Parsl {importlib.metadata.version('parsl')}, {os.cpu_count()} cores;"
        f" load before (1, 5, 15 minutes): {load}"
    )
    if arguments.only:
        with counting_destination() as destination:
            os.environ[ENDPOINT] = destination.endpoint
            compare_throughput(arguments.only, arguments.tasks, arguments.rounds)
            if "otel-forward" in arguments.only:
                print(f"the destination got {destination.received.value / 1e6:.1f} MB")
    worker = elsewhere("worker", 5000)
    print(
        f"a no-op in a worker: {worker['plain']:.0f} us, traced {worker['traced']:.0f} us:"
        f" {worker['traced'] - worker['plain']:.0f} us added"
        f" ({worker['traced_cpu'] - worker['plain_cpu']:.0f} us of CPU)"
    )
    for kind in ("quiet", "busy") if arguments.idle_s else ():
        measured = elsewhere("idle", arguments.idle_s, kind)
        what = "a long task, sampled" if kind == "busy" else "nothing"
        print(
            f"idle, {what}: % of a core: {_listed(measured['percent'], '{:.2f}')};"
            f" MB: {_listed(measured['memory_mb'], '{:.0f}')}"
        )


if __name__ == "__main__":
    main()
