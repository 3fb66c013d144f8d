"""
How fast telemetry becomes rows: the same run of N tasks through Parsl's hub and through ours.

    python benchmarks/ingest.py [--tasks N] [--rounds N]

- Parsl: its database manager, a process of its own, fed through its own queue.
- ours: `otel-parsl collector`, a process of its own, fed over gRPC by a process that sends as an
  agent sends, until the rows are in the database.
- ours, forwarding: the same with one OTLP destination more, a process that counts what it gets;
  the spans that the agent derives are sent, stored and forwarded too.
- raw: sqlite3 inserting the very rows that ours wrote, by executemany: the physical bound.
- deriving: the connector that makes those spans, which runs in the agent, not in the collector.

CPU and memory are those of the process that writes; its start is not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from destination import counting_destination
from recorded_run import ROWS, derive, parsl_messages, spooled_frames

_SPAWN = multiprocessing.get_context("spawn")
_LOOK_S = 0.02
_PATIENCE_S = 300.0
_ANSWERS_ARE_LATE_S = 30.0


class Figures(NamedTuple):
    """What one writer took."""

    seconds: float
    cpu_s: float
    peak_mb: float


def through_parsl(tasks: int, directory: Path) -> Figures:
    """Let Parsl's database manager write the run."""
    from parsl.monitoring.db_manager import dbm_starter
    from parsl.multiprocessing import SpawnEvent, SpawnProcess, SpawnQueue

    messages = list(parsl_messages(tasks))
    queue: Any = SpawnQueue()
    exit_event: Any = SpawnEvent()
    database = directory / "parsl.db"
    manager = SpawnProcess(
        target=dbm_starter,
        args=(queue,),
        kwargs={
            "run_dir": str(directory / "parsl"),
            "logging_level": 20,
            "db_url": f"sqlite:///{database}",
            "exit_event": exit_event,
            "log_config": None,
        },
    )
    manager.start()
    log = directory / "parsl" / "database_manager.log"
    _wait(lambda: log.exists() and "Starting dbm" in log.read_text(), "Parsl's database manager")
    meter = _Meter(manager.pid)
    for message in messages:
        queue.put(message)
    queue.close()
    queue.join_thread()  # told to end while more is to come, it may wait for the rest for ever
    exit_event.set()
    while manager.is_alive():
        meter.read()
        time.sleep(_LOOK_S)
    manager.join()
    seconds = database.stat().st_mtime - meter.began_at
    _check(database, tasks)
    return meter.figures(seconds)


def through_ours(tasks: int, directory: Path, *, is_forwarding: bool) -> Figures:
    """Let our collector write the run, and forward it if that is asked for."""
    name = "forwarding" if is_forwarding else "ours"
    stream = _spooled(tasks, directory / f"{name}-sent", is_derived=is_forwarding)
    database = directory / f"{name}.db"
    with contextlib.ExitStack() as stack:
        exporters: dict[str, Any] = {"parsl_sql": {"url": f"sqlite:///{database}"}}
        if is_forwarding:
            destination = stack.enter_context(counting_destination())
            exporters["otlp_grpc"] = {"endpoint": destination.endpoint, "compression": "none"}
        process, port = stack.enter_context(_collector(directory / name, exporters))
        go = _SPAWN.Event()
        ready = _SPAWN.Event()
        sender = _SPAWN.Process(target=_send, args=(stream, port, ready, go))
        sender.start()
        ready.wait(_PATIENCE_S)
        meter = _Meter(process.pid)
        go.set()

        def is_complete() -> bool:
            meter.read()
            is_forwarded = not is_forwarding or destination.received.value >= expected
            return _has_rows(database, tasks) and is_forwarded

        expected = _bytes_in(stream)
        _wait(is_complete, "all rows")
        figures = meter.figures(time.time() - meter.began_at)
        sender.join()
    _check(database, tasks)
    return figures


def raw(directory: Path) -> Figures:
    """Let sqlite3 insert the rows that ours wrote."""
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
    return Figures(time.perf_counter() - began, time.process_time() - cpu, 0.0)


def deriving(tasks: int, directory: Path) -> Figures:
    """Derive the spans of the run, as an agent does that has a destination."""
    from otel_parsl import spool

    frames = list(spooled_frames(tasks))
    (directory / "deriving").mkdir()
    writer = spool.SpoolWriter(directory / "deriving", "derived")
    began, cpu = time.perf_counter(), time.process_time()
    derive(frames, directory / "deriving", writer.append)
    return Figures(time.perf_counter() - began, time.process_time() - cpu, 0.0)


class _Meter:
    """Measure a process and its children from now on."""

    def __init__(self, pid: int | None) -> None:
        self._process = psutil.Process(pid)
        self._peak = self._cpu = 0.0
        self.read()
        self._before = self._cpu
        self.began_at = time.time()

    def read(self) -> None:
        cpu = peak = 0.0
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            for each in (self._process, *self._process.children(recursive=True)):
                times = each.cpu_times()
                cpu += times.user + times.system
                _, _, high = Path(f"/proc/{each.pid}/status").read_text().partition("VmHWM:")
                peak += int(high.split()[0]) / 1024 if high else 0  # none once it has ended
            self._cpu, self._peak = max(cpu, self._cpu), max(peak, self._peak)

    def figures(self, seconds: float) -> Figures:
        self.read()
        return Figures(seconds, self._cpu - self._before, self._peak)


def _spooled(tasks: int, directory: Path, *, is_derived: bool) -> Path:
    """Spool the run as hub, workers and agent do; where it is forwarded, with derived spans."""
    from otel_parsl import spool

    directory.mkdir()
    writer = spool.SpoolWriter(directory, "submit")
    for frame in spooled_frames(tasks):
        writer.append([frame])
    if is_derived:
        (directory / "derive").mkdir()
        of_spans = spool.SpoolWriter(directory, "derived")
        derive(spooled_frames(tasks), directory / "derive", of_spans.append)
    return directory


def _bytes_in(stream: Path) -> int:
    from otel_parsl import spool

    size = 0
    for reader in (spool.SpoolReader(stream, name) for name in ("submit", "derived")):
        while not reader.at_end():
            size += sum(
                len(item.payload) for item in reader.read() if isinstance(item, spool.Frame)
            )
    return size


def _send(stream: Path, port: int, ready: Any, go: Any) -> None:
    """Send spooled frames as an agent does; runs in a process of its own."""
    from otel_parsl_collector.exporters.otlp import OtlpExporter, Unavailable
    from otel_parsl_collector.pump import BATCH_BYTES

    from otel_parsl import spool
    from otel_parsl.destination import Destination

    destination = Destination(f"http://127.0.0.1:{port}", timeout=_ANSWERS_ARE_LATE_S)
    exporter = OtlpExporter(destination, refused_path=stream / "refused.otlp")
    readers = [spool.SpoolReader(stream, name) for name in ("submit", "derived")]
    ready.set()
    go.wait()
    while not all(reader.at_end() for reader in readers):
        for reader in readers:  # taking turns, as both grow while a run goes on
            batch = [f for f in reader.read(BATCH_BYTES // 2) if isinstance(f, spool.Frame)]
            while batch:
                try:
                    exporter.consume(batch, {})
                    batch = []
                except Unavailable as error:
                    time.sleep(exporter.delay_s(error))


@contextlib.contextmanager
def _collector(directory: Path, exporters: dict[str, Any]) -> Iterator[tuple[Any, int]]:
    """Run `otel-parsl collector`, and give its process and its port for gRPC."""
    directory.mkdir()
    pipeline = {"receivers": ["otlp"], "exporters": list(exporters)}
    config = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}}}},
        "exporters": exporters,
        "service": {
            "pipelines": dict.fromkeys(("traces", "metrics", "logs"), pipeline),
            "telemetry": {"metrics": {"address": "127.0.0.1:0"}},
            "spool": {"directory": str(directory / "spool")},
        },
    }
    file, log = directory / "collector.yaml", directory / "collector.log"
    file.write_text(json.dumps(config))
    command = [sys.executable, "-m", "otel_parsl.cli.main", "collector", "--config", str(file)]
    with log.open("w") as output, subprocess.Popen(command, stderr=output) as process:
        try:
            _wait(lambda: "ready: otlp on (" in log.read_text(), f"the collector, see {log}")
            port = log.read_text().partition("ready: otlp on (")[2].partition(",")[0]
            yield process, int(port)
        finally:
            process.terminate()
            process.wait()
            if os.environ.get("SHOW_LOG"):
                print(log.read_text())


def _has_rows(database: Path, tasks: int) -> bool:
    """Tell whether a database holds the whole run, without counting its rows one by one."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as reader:
        (ended,) = reader.execute("select count(time_completed) from workflow").fetchone()
        return bool(ended) and all(
            reader.execute(f'select max(rowid) from "{table}"').fetchone()[0]  # noqa: S608
            == rows * tasks
            for table, rows in ROWS.items()
            if rows
        )


def _check(database: Path, tasks: int) -> None:
    """Raise where a database lacks rows of the run."""
    expected = {table: rows * tasks or 1 for table, rows in ROWS.items()}
    with contextlib.closing(sqlite3.connect(database)) as reader:
        found = {
            table: reader.execute(f'select count(*) from "{table}"').fetchone()[0]  # noqa: S608
            for table in ROWS
        }
    if found != expected:
        raise SystemExit(f"{database}: {found} rows; expected {expected}")


def _wait(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {_PATIENCE_S:.0f} s for {what}")
        time.sleep(_LOOK_S)


def run_round(tasks: int, only: list[str]) -> dict[str, Figures]:
    """Measure every writer once."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        writers: dict[str, Callable[[], Figures]] = {
            "Parsl": lambda: through_parsl(tasks, directory),
            "ours": lambda: through_ours(tasks, directory, is_forwarding=False),
            "ours, forwarding": lambda: through_ours(tasks, directory, is_forwarding=True),
            "raw sqlite3": lambda: raw(directory),
            "deriving": lambda: deriving(tasks, directory),
        }
        return {label: measure() for label, measure in writers.items() if label in only or not only}


def main() -> None:
    """Measure all and print medians of the rates, and of the ratios within a round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", action="append", default=[], help="a writer's label")
    arguments = parser.parse_args()
    tasks = arguments.tasks
    rounds = [run_round(tasks, arguments.only) for _ in range(arguments.rounds)]
    print(f"{'writer':18} tasks/s  times Parsl's  CPU us/task  of Parsl's  peak MB")
    for label in rounds[0]:
        each = [found[label] for found in rounds]
        parsls = [found.get("Parsl", found[label]) for found in rounds]
        faster = statistics.median(
            p.seconds / own.seconds for p, own in zip(parsls, each, strict=True)
        )
        dearer = statistics.median(own.cpu_s / p.cpu_s for p, own in zip(parsls, each, strict=True))
        rate = statistics.median(tasks / own.seconds for own in each)
        cpu_us = statistics.median(own.cpu_s / tasks * 1e6 for own in each)
        peak = max(own.peak_mb for own in each)
        print(f"{label:18} {rate:7.0f} {faster:14.1f} {cpu_us:12.0f} {dearer:11.2f} {peak:8.0f}")


if __name__ == "__main__":
    main()
