"""What earlier runs left undelivered: who delivers it, in which order, and how long it is kept."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
from otel_parsl_collector.store.engine import open_store

from otel_parsl.leftovers import find_leftovers
from otel_parsl.schema import SCHEMA_VERSION
from tests.support.command_line import otel_parsl
from tests.support.otlp_sink import grpc_sink
from tests.support.programs import Program, agents_of, query, run, until

LEAVES = """
with parsl.load(Config(executors=[ThreadPoolExecutor()],
                       monitoring=OTelMonitoringHub(endpoint="http://127.0.0.1:{port}"))):
    [future.result() for future in [nothing() for _ in range(5)]]
"""


def _leave(directory: Path, port: int) -> Path:
    """Run a program whose destination is away, kill its agent at the end and return the spool."""
    program = run(directory, LEAVES.format(port=port))
    os.kill(json.loads((program.spool / "status.json").read_text())["pid"], signal.SIGKILL)
    until(lambda: find_leftovers(directory / "runinfo") == [program.spool])
    return program.spool


def _free_port() -> int:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port: int = closed.getsockname()[1]
        return port


def test_next_hub_delivers_what_earlier_runs_left_one_after_another(tmp_path: Path) -> None:
    """The next program in a directory delivers what two earlier ones left, with one process that
    takes them in turn, outlives the run and leaves no zombie in the program."""
    port = _free_port()
    left = [_leave(tmp_path, port)]
    other = _leave(tmp_path / "other", port).parent
    left.append(other.rename(tmp_path / "runinfo" / "001") / "otel-parsl")

    with grpc_sink(port=port) as sink:
        program = Program(
            tmp_path,
            """
            parsl.load(Config(executors=[ThreadPoolExecutor()], monitoring=OTelMonitoringHub()))
            print("ready", flush=True)
            sys.stdin.read()
            parsl.dfk().cleanup()
            print("cleaned", flush=True)
            time.sleep(1000)
            """,
        )
        try:
            program.until_printed("ready")
            process = psutil.Process(program.process.pid)
            served: set[int] = set()

            def agents() -> list[tuple[int, str]]:
                """Return who serves which of the two, and take note of it."""
                now = [
                    (child.pid, directory.parent.name)
                    for child in process.children()
                    for directory in left
                    if child.cmdline()[3:4] == [str(directory)]
                ]
                assert len(now) <= 1
                served.update(pid for pid, _ in now)
                return now

            def are_delivered() -> bool:
                with contextlib.suppress(psutil.NoSuchProcess):
                    agents()
                return not find_leftovers(tmp_path / "runinfo") and sink.span_names().count(
                    "program.py"
                ) == len(left)

            until(are_delivered)
            program.go_on()
            program.until_printed("cleaned")
            until(lambda: process.children() == [])
        finally:
            program.process.kill()

    assert Counter(sink.span_names()) == {"program.py": 2, "nothing": 30}
    assert len(served) == 1


def test_what_a_destination_lacks_is_dropped_when_it_is_too_old(tmp_path: Path) -> None:
    """After thirty days what a destination never took is dropped, counted and said."""
    port = _free_port()
    directory = _leave(tmp_path, port)
    for path in directory.glob("*.spool"):
        os.utime(path, (time.time() - 31 * 86400,) * 2)

    flush = otel_parsl("flush", tmp_path / "runinfo")

    assert flush.code == 0
    assert f"items are dropped for http://127.0.0.1:{port}: they were too old" in flush.output
    assert "is too old" in (directory.parent / "database_manager.log").read_text()
    assert find_leftovers(tmp_path / "runinfo") == []


def test_agent_ends_by_itself_though_a_destination_is_dead(tmp_path: Path) -> None:
    """A minute after the store is complete it gives the destination up, and keeps what is left."""
    program = run(tmp_path, LEAVES.format(port=_free_port()))
    pid = json.loads((program.spool / "status.json").read_text())["pid"]
    agent = psutil.Process(pid)
    assert str(program.spool) in agent.cmdline()

    agent.wait(120)

    assert find_leftovers(tmp_path / "runinfo") == [program.spool]
    assert query(program.database, "select outcome from otel_run") == [("completed",)]


def test_agent_ends_by_itself_though_the_database_takes_nothing(tmp_path: Path) -> None:
    """It waits for a day, not for ever; what it could not store is stored by ``flush``."""
    database = tmp_path / "runinfo" / "monitoring.db"
    database.parent.mkdir()
    open_store(f"sqlite:///{database}").dispose()
    _set_version(database, SCHEMA_VERSION + 1)
    program = run(
        tmp_path,
        """
        with parsl.load(Config(executors=[ThreadPoolExecutor()],
                               monitoring=OTelMonitoringHub(shutdown_timeout=1))):
            [future.result() for future in [nothing() for _ in range(5)]]
        """,
    )
    settings = program.spool / "agent.json"
    said = json.loads(settings.read_text())
    (agent,) = agents_of(program.spool)
    os.kill(agent, signal.SIGKILL)
    settings.write_text(json.dumps({**said, "store_linger_s": 1.0}))

    command = [sys.executable, "-m", "otel_parsl_collector.agent", str(program.spool)]
    subprocess.run(command, check=True, timeout=60)
    left = find_leftovers(tmp_path / "runinfo")
    _set_version(database, SCHEMA_VERSION)
    flush = otel_parsl("flush", tmp_path / "runinfo")

    assert left == [program.spool]
    assert (flush.code, flush.lines[-1]) == (0, "000: delivered")
    assert query(database, "select count(*) from task") == [(5,)]


def _set_version(database: Path, version: int) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("update otel_schema set version = ?", (version,))
