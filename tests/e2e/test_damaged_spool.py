"""A spool that was torn or damaged: the rest of it is delivered, and it is said what is not."""

from __future__ import annotations

import os
import signal
import socket
from collections import Counter
from pathlib import Path
from typing import Any

from otel_parsl import rendezvous
from otel_parsl.leftovers import find_leftovers
from otel_parsl.spool import frame, segment_path, segments
from tests.support.command_line import otel_parsl
from tests.support.otlp_sink import grpc_sink
from tests.support.programs import Program, query, until

TORN = frame(1, bytes(200))[:-7]


def _tear(spool: Path, stream: str) -> None:
    numbers = segments(spool, stream) or [1]
    with segment_path(spool, stream, numbers[-1]).open("ab") as file:
        file.write(TORN)


def test_torn_ends_of_every_stream_keep_nothing_back(tmp_path: Path) -> None:
    """All killed in the middle of a write: flush delivers all that is whole, and has an end."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    program = Program(
        tmp_path,
        f"""
        parsl.load(Config(executors=[ThreadPoolExecutor()],
                          monitoring=OTelMonitoringHub(endpoint="http://127.0.0.1:{port}")))
        [future.result() for future in [nothing() for _ in range(20)]]
        print("ready", flush=True)
        time.sleep(1000)
        """,
    )
    try:
        program.until_printed("ready")
        done = "select count(*) from status where task_status_name = 'exec_done'"
        until(lambda: _agent_says(program.spool, "stored"))
        until(lambda: query(program.database, done) == [(20,)])
        agent = _agent_says(program.spool, "pid")
        at_work = otel_parsl("flush", tmp_path / "runinfo")
    finally:
        program.process.kill()
    os.kill(agent, signal.SIGKILL)
    until(lambda: find_leftovers(tmp_path / "runinfo"))
    for stream in ("submit", "agent", "direct", "derived"):
        _tear(program.spool, stream)
    with grpc_sink(port=port) as sink:
        flush = otel_parsl("flush", tmp_path / "runinfo")

    assert at_work.code == 4
    assert at_work.lines == [f"000: an agent is at work on what is left in {program.spool}"]
    assert (flush.code, flush.lines[-1]) == (0, "000: delivered")
    assert {"program.py": 1, "nothing": 60} == Counter(sink.span_names())
    assert query(program.database, "select outcome from otel_run") == [("lost",)]
    log = (program.spool.parent / "database_manager.log").read_text()
    for stream in ("submit", "agent", "direct", "derived"):
        said = [
            line
            for line in log.splitlines()
            if f"{stream}-" in line and f"{len(TORN)} bytes" in line
        ]
        assert said, f"nothing is said of {stream}"


def _agent_says(spool: Path, what: str) -> Any:
    status = rendezvous.read(spool, rendezvous.STATUS)
    return None if status is None else status[what]
