"""Interchanges, managers, workers and blocks that die, and what is told of them."""

from __future__ import annotations

import json
import os
import platform
import signal
import stat
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otel_parsl_collector.signals import SIGNALS

from tests.support.command_line import otel_parsl
from tests.support.otlp_sink import Sink, grpc_sink
from tests.support.programs import Program, query, run, until

REFUSAL = (
    "sbatch: error: Batch job submission failed:"
    " Invalid account or account/partition combination specified"
)


def _fates(database: Path) -> list[tuple[Any, ...]]:
    return query(database, "select task_id, try_id, fate, is_final from otel_failure order by 1, 2")


def _json(command: str, program: Program) -> Any:
    return otel_parsl(command, "--db", program.database, "--json").json


def _spans(sink: Sink) -> dict[str, Any]:
    """Return the spans that were sent, by their ids."""
    request = {signal.name: signal.request for signal in SIGNALS.values()}["traces"]
    return {
        span.span_id.hex(): span
        for signal, body in sink.received
        if signal == "traces"
        for group in request.FromString(body).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    }


def _attributes(of: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in of.attributes}


def _kill_all(program: Program) -> None:
    """Kill a program and what it left: Parsl's cleanup waits for a dead interchange for ever."""
    left = psutil.Process(program.process.pid).children(recursive=True)
    agent = json.loads((program.spool / "status.json").read_text())["pid"]
    for process in (psutil.Process(program.process.pid), *left):
        if process.pid != agent:
            process.kill()
    program.process.wait()


def test_killed_interchange_loses_its_executor_and_not_the_run(tmp_path: Path) -> None:
    """Its tries end as lost while Parsl waits for them for ever; the run and its other executor go
    on, and a killed run closes their spans with the same words."""
    with grpc_sink() as sink:
        program = Program(
            tmp_path,
            f"""
            def quick(): return None
            threads = python_app(quick, executors=["threads"])
            remote = htex()
            parsl.load(Config(executors=[remote, ThreadPoolExecutor(label="threads")], retries=1,
                              monitoring=OTelMonitoringHub(endpoint="{sink.url}")))
            slow = python_app(sleep.func, executors=["htex"])
            slow(0).result()
            futures = [slow(1000) for _ in range(3)]
            print("interchange", remote.interchange_proc.pid, "", flush=True)
            sys.stdin.read()
            threads().result()
            print("went on", flush=True)
            time.sleep(1000)
            """,
        )
        try:
            program.until_printed("interchange")
            until(program.database.exists)
            until(
                lambda: query(program.database, "select 1 from sqlite_master where name = 'status'")
            )
            until(
                lambda: query(
                    program.database,
                    "select 1 from status where task_status_name = 'running' and task_id > 0"
                    " group by 1 having count(*) = 2",
                )
            )
            pid = int(program.output.partition("interchange ")[2].split()[0])
            os.kill(pid, signal.SIGKILL)
            until(lambda: query(program.database, "select 1 from otel_executor"))
            until(lambda: len(_fates(program.database)) == 3)
            while_running = _json("status", program)
            told = otel_parsl("failures", "--db", program.database)
            program.go_on()
            program.until_printed("went on")
            until(
                lambda: query(
                    program.database,
                    "select 1 from otel_task where task_id = 4 and state = 'exec_done'",
                )
            )
        finally:
            _kill_all(program)
        until(lambda: query(program.database, "select 1 from otel_run where outcome = 'lost'"))
        until(lambda: "program.py" in sink.span_names())

    words = f"the interchange of executor htex (process {pid}) was killed by SIGKILL"
    assert query(program.database, "select executor_label, state, message from otel_executor") == [
        ("htex", "lost", words)
    ]
    assert _fates(program.database) == [(task_id, 0, "manager_lost", 1) for task_id in (1, 2, 3)]
    assert while_running["state"] == "running"
    tasks = {state: number for state, number in while_running["tasks"].items() if number}
    assert tasks == {"total": 4, "executed": 1, "lost": 3}
    assert while_running["workers"]["connected"] == 0
    assert (told.code, told.error) == (1, "")
    assert f"  {words}" in told.lines
    lost = sorted(
        (span.kind, found["parsl.task.id"], found["error.type"], found["parsl.fate"])
        for span in _spans(sink).values()
        if (found := _attributes(span)).get("parsl.outcome") == "lost" and "parsl.try.id" in found
    )
    tries, executions = Span.SPAN_KIND_PRODUCER, Span.SPAN_KIND_CONSUMER
    began = [(tries, 1), (tries, 2), (tries, 3), (executions, 1), (executions, 2)]
    assert lost == [(*which, "InterchangeLost", "manager_lost") for which in began]


EVERY_FATE = """
import os, signal
from parsl import File
from parsl.executors.errors import ExecutorError

class Local(LocalProvider):
    status_polling_interval = 1  # Parsl's is 5 s

class Wordless(ThreadPoolExecutor):
    def submit(self, func, resource_specification, *args, **kwargs):
        raise ExecutorError(self, "it did not go")

@python_app(executors=["htex"])
def app_exception():
    raise ValueError("out of range")

@bash_app(executors=["htex"])
def bash_exit_code():
    return "echo cannot read input >&2; exit 7"

@python_app(executors=["htex"])
def walltime(walltime=0.5):
    import time
    while True:
        time.sleep(0.05)

@bash_app(executors=["htex"])
def killed():
    return "kill -9 $$"

@python_app(executors=["htex"])
def out_of_memory():
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, hard))
    try:
        return bytearray(16 << 30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

@python_app(executors=["htex"])
def worker_lost():
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)

@python_app(executors=["htex"])
def dependency(value):
    return value

@join_app
def join():
    return app_exception()

@python_app(executors=["htex"])
def serialisation():
    return (number for number in range(3))

@bash_app(executors=["htex"])
def missing_output(outputs=()):
    return "true"

@python_app(executors=["wordless"])
def unknown():
    return None

def manager():
    import os
    return os.getppid()

def wait():
    import time
    time.sleep(1000)

def is_running(future):
    import sqlite3
    from contextlib import closing
    with closing(sqlite3.connect("runinfo/monitoring.db", timeout=30)) as database:
        sql = "SELECT 1 FROM status WHERE task_status_name = 'running' AND task_id = ?"
        return database.execute(sql, (future.tid,)).fetchone() is not None

one = dict(init_blocks=1, min_blocks=0, max_blocks=1)
watched = htex(heartbeat_period=1, heartbeat_threshold=4, block_error_handler=False)
dies = htex("dies", provider=Local(**one))
with parsl.load(Config(executors=[watched, dies, Wordless(label="wordless")], strategy="none",
                       strategy_period=1,
                       monitoring=OTelMonitoringHub(endpoint=os.environ["ENDPOINT"]))):
    managers = [python_app(manager, executors=[e.label])() for e in (watched, dies)]
    failed = app_exception()
    futures = [failed, bash_exit_code(), walltime(), killed(), out_of_memory(), dependency(failed),
               join(), serialisation(), missing_output(outputs=[File("absent.txt")]), unknown()]
    for future in futures:
        assert future.exception() is not None
    assert type(worker_lost().exception()).__name__ == "WorkerLost"
    lost = python_app(wait, executors=["htex"])()
    stopped = python_app(wait, executors=["dies"])()
    for future, pid in zip((lost, stopped), managers):
        while not is_running(future):
            time.sleep(0.1)
        os.kill(pid.result(), signal.SIGKILL)
    print(type(lost.exception()).__name__, type(stopped.exception()).__name__)
"""


def test_execution_of_a_killed_worker_has_a_span(tmp_path: Path) -> None:
    """It says where it ran, and that it was lost; no row says that its worker ended it."""
    with grpc_sink() as sink:
        program = run(
            tmp_path,
            f"""
            @python_app
            def dies():
                import os, signal, time
                time.sleep(1.5)
                os.kill(os.getpid(), signal.SIGKILL)

            soon = htex(heartbeat_period=1, heartbeat_threshold=60)  # to miss a worker
            with parsl.load(Config(executors=[soon],
                                   monitoring=OTelMonitoringHub(endpoint="{sink.url}",
                                                                resource_monitoring_interval=1))):
                print("died of", type(dies().exception()).__name__)
            """,
        )
        spans = _spans(sink)

    assert "died of WorkerLost" in program.output
    (execution,) = (span for span in spans.values() if span.kind == span.SPAN_KIND_CONSUMER)
    of_try = spans[execution.parent_span_id.hex()]
    said = _attributes(execution)
    assert (said["parsl.outcome"], said["parsl.fate"]) == ("lost", "worker_lost")
    assert (said["parsl.block.id"], said["host.name"]) == ("0", platform.node())
    assert execution.end_time_unix_nano <= of_try.end_time_unix_nano
    assert execution.end_time_unix_nano - execution.start_time_unix_nano > 1.5e9
    states = query(program.database, "select task_status_name from status order by timestamp")
    assert [("pending",), ("launched",), ("running",), ("failed",)] == states
    # It could not say what it used; what was seen of it is known.
    ((peak, seen),) = query(
        program.database,
        "select memory_peak_bytes, max(psutil_process_memory_resident)"
        " from otel_try natural join resource",
    )
    assert peak == seen > 1e6


def test_every_fate_is_told_of_what_really_happened(tmp_path: Path) -> None:
    """Each way to fail has its fate, in the table and in ``otel-parsl failures``, and a killed
    manager is marked as lost, and the executions that it had."""
    with grpc_sink() as sink:
        # Two executors start in it.
        program = run(tmp_path, EVERY_FATE, timeout_s=240, ENDPOINT=sink.url)
        spans = _spans(sink)

    assert "ManagerLost BadStateException" in program.output
    fates = query(
        program.database,
        "select task_func_name, fate from otel_failure join task using (run_id, task_id)"
        " where is_final order by task_id",
    )
    itself = (
        *("app_exception", "bash_exit_code", "walltime", "killed", "out_of_memory", "dependency"),
        *("join", "serialisation", "missing_output", "unknown", "worker_lost"),
    )
    expected = {(app, app) for app in itself} | {("wait", "manager_lost"), ("wait", "block_failed")}
    assert set(fates) == expected
    told = _json("failures", program)
    # A dependent is counted under what it failed of.
    groups = {group["fate"] for group in told["groups"]}
    assert groups == {fate for _, fate in expected} - {"dependency", "join"}
    assert told["dependents"] == 2
    blocks = {block["executor"]: block["exit_code"] for block in told["blocks"]}
    assert blocks["dies"] == 128 + 9
    assert query(
        program.database,
        "select executor_label, state, active from otel_manager where executor_label = 'htex'",
    ) == [("htex", "lost", 0)]
    closed = {
        (span.name, found["parsl.fate"])
        for span in spans.values()
        if span.kind == Span.SPAN_KIND_CONSUMER
        and (found := _attributes(span)).get("parsl.outcome") == "lost"
    }
    assert closed == {
        ("worker_lost", "worker_lost"),
        ("wait", "manager_lost"),
        ("wait", "block_failed"),
    }
    tasks = _json("status", program)["tasks"]
    assert {state: tasks[state] for state in ("failed", "dep_failed", "running", "lost")} == {
        "failed": 13,
        "dep_failed": 1,
        "running": 0,
        "lost": 0,
    }


def _scheduler(directory: Path, **commands: str) -> str:
    """Make commands of a scheduler, and return the PATH on which they are found."""
    directory.mkdir()
    for name, script in commands.items():
        path = directory / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return os.pathsep.join([str(directory), os.path.dirname(sys.executable), os.environ["PATH"]])


SLURM = """
from parsl.providers import SlurmProvider

class Slurm(SlurmProvider):
    status_polling_interval = 1  # Parsl's is a minute

executor = htex(provider=Slurm(account="nobody", init_blocks=1, min_blocks=0, max_blocks=1))
with parsl.load(Config(executors=[executor], strategy="none", strategy_period=1,
                       monitoring=OTelMonitoringHub())):
    assert type(nothing().exception()).__name__ == "BadStateException"
"""


def test_refused_job_has_the_schedulers_sentence(tmp_path: Path) -> None:
    """What sbatch said is what ``otel-parsl failures`` says; Parsl's own table knows no block."""
    path = _scheduler(tmp_path / "bin", sbatch=f"echo '{REFUSAL}' >&2; exit 1", sacct="exit 1")
    program = run(tmp_path, SLURM, PATH=path)

    assert query(
        program.database, "select executor_label, block_id, status, submit_error from otel_block"
    ) == [("htex", "0", "FAILED", REFUSAL)]
    assert query(program.database, "select * from block") == []
    assert _fates(program.database) == [(0, 0, "block_failed", 1)]
    told = otel_parsl("failures", "--db", program.database)
    assert told.code == 1
    assert told.lines[0].endswith(
        ": 1 task failed of 1 cause, 1 block in trouble, executor htex failed"
    )
    block = told.lines.index("block_failed  block 0 of htex")
    assert told.lines[block + 1] == f"  {REFUSAL}"
    assert "  blocks      htex: 1 failed" in otel_parsl("status", "--db", program.database).lines


@pytest.mark.parametrize("state", ["FAILED", "OUT_OF_MEMORY", "TIMEOUT"])
def test_job_that_fails_at_once_is_told_with_its_words(tmp_path: Path, state: str) -> None:
    """A job that the scheduler took and that died has its status, id, paths and last words."""
    words = "slurmstepd: error: the node said so"
    path = _scheduler(
        tmp_path / "bin",
        sbatch=f"echo begun > $1.stdout; echo '{words}' > $1.stderr; echo Submitted batch job 4711",
        sacct=f'case "$*" in *--job*) echo "4711 {state}";; esac',
        scancel="exit 0",
    )
    program = run(tmp_path, SLURM, PATH=path)

    ((status, job_id, message, stdout, stderr),) = query(
        program.database, "select status, job_id, message, stdout_path, stderr_path from otel_block"
    )
    assert (status, job_id) == ("MISSING", "4711")  # as HTEX calls a job without a manager
    assert message.startswith("Job is marked as MISSING")
    assert Path(stdout).read_text() == "begun\n"
    assert Path(stderr).read_text() == f"{words}\n"
    assert _fates(program.database) == [(0, 0, "block_failed", 1)]
    told = otel_parsl("failures", "--db", program.database)
    assert "block_missing  block 0 of htex  job 4711" in told.lines
    assert f"    {words}" in told.lines
