"""Parsl programs for the end-to-end tests: each a script in a process of its own."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

HEADER = """
import os, sys, time
import parsl
from parsl import bash_app, join_app, python_app
from parsl.config import Config
from parsl.executors import HighThroughputExecutor, ThreadPoolExecutor
from parsl.monitoring import MonitoringHub
from parsl.providers import LocalProvider
from otel_parsl import OTelMonitoringHub

def htex(label="htex", **settings):
    settings.setdefault("encrypted", False)
    settings.setdefault("provider", LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1))
    return HighThroughputExecutor(label=label, max_workers_per_node=2, **settings)

@python_app
def nothing():
    return None

@python_app
def sleep(seconds):
    import time
    time.sleep(seconds)
    return seconds
"""


class Program:
    """A running script; what it prints is kept."""

    def __init__(self, directory: Path, code: str, **environment: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        script = directory / "program.py"
        script.write_text(HEADER + textwrap.dedent(code))
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
        self._log = (directory / "output.txt").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, str(script)],
            cwd=directory,
            env={**os.environ, "PATH": path, **environment},
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
        )

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return (self.directory / "output.txt").read_text()

    @property
    def database(self) -> Path:
        """Where its run is recorded by default."""
        return self.directory / "runinfo" / "monitoring.db"

    @property
    def spool(self) -> Path:
        """The spool of its first run."""
        return self.directory / "runinfo" / "000" / "otel-parsl"

    def wait(self, timeout_s: float = 120) -> str:
        """Wait for its end, which must be a good one, and return what it printed."""
        code = self.process.wait(timeout_s)
        assert code == 0, self.output
        return self.output

    def until_printed(self, text: str, timeout_s: float = 60) -> None:
        """Wait until it has printed something."""
        until(lambda: text in self.output or self.process.poll() is not None, timeout_s)
        assert text in self.output, self.output

    def kill_all(self) -> None:
        """Kill it and all that it has started, the agent too, as at the walltime of a job."""
        left = psutil.Process(self.process.pid).children(recursive=True)
        for process in (self.process, *left):
            process.kill()

    def go_on(self) -> None:
        """Close its standard input, which it may be waiting for."""
        assert self.process.stdin is not None
        self.process.stdin.close()


def run(directory: Path, code: str, timeout_s: float = 120, **environment: str) -> Program:
    """Run a program to its good end."""
    program = Program(directory, code, **environment)
    program.wait(timeout_s)
    return program


def agents_of(spool: Path) -> list[int]:
    """Return the ids of the processes that serve a spool."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if str(spool) in (process.info["cmdline"] or [])
    ]


def until(condition: Callable[[], Any], timeout_s: float = 60) -> Any:
    """Wait for a condition and return what it gave."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s: {condition}")


PROCESS_EXECUTOR = """
import concurrent.futures, pickle, subprocess
from parsl.executors.base import ParslExecutor
from parsl.serialize import deserialize, pack_apply_message, serialize

RUN = ("import sys; from parsl.serialize import serialize, unpack_apply_message;"
       "function, args, kwargs = unpack_apply_message(sys.stdin.buffer.read());"
       "sys.stdout.buffer.write(serialize(function(*args, **kwargs)))")

class ProcessExecutor(ParslExecutor):
    label = "processes"
    def __init__(self, *before):
        super().__init__()
        self.before = before
        self.pool = concurrent.futures.ThreadPoolExecutor(2)
    def submit(self, func, resource_specification, *args, **kwargs):
        data = pack_apply_message(func, args, kwargs)
        def call():
            command = [*self.before, sys.executable, "-c", RUN]
            done = subprocess.run(command, input=data, capture_output=True, check=True)
            return deserialize(done.stdout)
        return self.pool.submit(call)
    def shutdown(self):
        self.pool.shutdown()
"""
"""Code of an executor that runs each task in a process of its own, behind a command if given."""

ALL_FIVE = ("pending", "launched", "running", "running_ended", "exec_done")
"""The states of a task that ran and ended well."""


def states_in(database: Path) -> dict[str, int]:
    """Return how many rows of table status there are of each state."""
    return dict(query(database, "select task_status_name, count(*) from status group by 1"))


def query(database: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Read from a database that may be written at the same time."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()
