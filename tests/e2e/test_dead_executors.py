"""Interchanges, managers, workers and blocks that die, and what is told of them."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
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
    lost = [
        found
        for span in _spans(sink).values()
        if (found := _attributes(span)).get("parsl.outcome") == "lost" and "parsl.try.id" in found
    ]
    assert sorted(
        (found["parsl.task.id"], found["error.type"], found["parsl.fate"]) for found in lost
    ) == [(task_id, "InterchangeLost", "manager_lost") for task_id in (1, 2, 3)]


def test_lost_manager_and_lost_worker_are_closed(tmp_path: Path) -> None:
    """A killed worker and a killed manager end their tries, each by its fate, and are marked."""
    program = run(
        tmp_path,
        """
        import signal

        @python_app
        def die():
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)

        @python_app
        def manager():
            import os
            return os.getppid()

        executor = htex(heartbeat_period=1, heartbeat_threshold=4, block_error_handler=False)
        with parsl.load(Config(executors=[executor], strategy="none", exit_mode="wait",
                               monitoring=OTelMonitoringHub(resource_monitoring_interval=1))):
            assert type(die().exception()).__name__ == "WorkerLost"
            pid = manager().result()
            lost = sleep(1000)
            while not any(m["tasks"] for m in executor.connected_managers()):
                time.sleep(0.1)
            time.sleep(2)  # until its worker has said that it runs, which no one here can see
            os.kill(pid, signal.SIGKILL)
            assert type(lost.exception()).__name__ == "ManagerLost"
        """,
    )

    assert _fates(program.database) == [(0, 0, "worker_lost", 1), (2, 0, "manager_lost", 1)]
    assert query(program.database, "select executor_label, state, active from otel_manager") == [
        ("htex", "lost", 0)
    ]
    status = _json("status", program)
    assert (status["state"], status["tasks"]["failed"], status["tasks"]["running"]) == (
        "completed",
        2,
        0,
    )
    assert query(
        program.database,
        "select task_status_name from status where task_id = 2 order by timestamp",
    ) == [("pending",), ("launched",), ("running",), ("failed",)]


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
        sbatch=f"echo '{words}' > $1.stderr; echo Submitted batch job 4711",
        sacct=f'case "$*" in *--job*) echo "4711 {state}";; esac',
        scancel="exit 0",
    )
    program = run(tmp_path, SLURM, PATH=path)

    ((status, job_id, message, stderr),) = query(
        program.database, "select status, job_id, message, stderr_path from otel_block"
    )
    assert (status, job_id) == ("MISSING", "4711")  # as HTEX calls a job without a manager
    assert message.startswith("Job is marked as MISSING")
    assert Path(stderr).read_text() == f"{words}\n"
    assert _fates(program.database) == [(0, 0, "block_failed", 1)]
    told = otel_parsl("failures", "--db", program.database)
    assert "block_missing  block 0 of htex  job 4711" in told.lines
    assert f"    {words}" in told.lines
