"""The commands on a run that goes on, and when it has been killed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from otel_parsl.query.task_states import TaskState
from tests.support.command_line import Ran, otel_parsl_by_path
from tests.support.programs import Program, until

PROGRAM = """
@python_app
def fail():
    raise ValueError("no good")

config = Config(
    executors=[htex()],
    retries=1,
    monitoring=OTelMonitoringHub(resource_monitoring_interval=1),
)
with parsl.load(config):
    [nothing().result() for _ in range(5)]
    fail().exception()
    long = [sleep(600) for _ in range(3)]
    last = sleep(long[0])
    time.sleep(600)
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """A workflow with two tries that last, one queued behind them and one that waits."""
    running = Program(tmp_path, PROGRAM)
    try:
        yield running
    finally:
        running.process.kill()
        _kill(_outliving(running))
        running.process.wait()


def _outliving(program: Program) -> list[psutil.Process]:
    """Return what lives on when the DataFlowKernel is killed: interchange, managers, workers."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        found = psutil.Process(program.process.pid).children(recursive=True)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess):
            if str(program.directory) in " ".join(process.cmdline()):
                found += [process, *process.children(recursive=True)]
    agent = "otel_parsl_collector.agent"
    return [process for process in found if agent not in " ".join(_command(process))]


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _ask(program: Program, command: str, *more: str) -> Ran:
    return otel_parsl_by_path(command, *more, "--json", cwd=program.directory)


def _status(program: Program) -> Any:
    """Return the status, None while there is no run yet."""
    ran = _ask(program, "status")
    assert ran.code in (0, 1, 2, 3), ran
    return ran.json if ran.output else None


def test_run_is_seen_while_it_goes_on_and_when_it_is_killed(program: Program) -> None:
    """Counts, workers and tries are live; a run whose process is killed is lost, at once."""

    def is_underway() -> Any:
        status = _status(program)
        assert program.process.poll() is None, program.output
        return status if status and status["tasks"]["running"] == 2 else None

    status = until(is_underway)
    states = {state.value: status["tasks"][state.value] for state in TaskState}
    assert {state: tasks for state, tasks in states.items() if tasks} == {
        "waiting": 1,
        "queued": 1,
        "running": 2,
        "executed": 5,
        "failed": 1,
    }
    assert status["tasks"]["total"] == sum(states.values())
    assert (status["state"], status["workers"]) == (
        "running",
        {"connected": 2, "busy": 2, "managers": 1},
    )
    assert status["because"].startswith("its process on ")
    assert status["time_left_s"] > 0

    listed = _ask(program, "tasks", "--state", "running").json["tasks"]
    assert [(task["app"], task["tries"]) for task in listed] == [("sleep", 1)] * 2
    assert all(task["run_s"] > 0 for task in listed)
    (group,) = _ask(program, "failures").json["groups"]
    assert (group["template"], group["tries"], group["failed_tasks"]) == ("no good", 2, 1)
    needed = _ask(program, "show", f"latest/{listed[0]['task_id']}").json
    assert (needed["state"], needed["dependents_total"]) == ("running", 1)

    outliving = _outliving(program)
    program.process.kill()
    program.process.wait()
    killed = _ask(program, "status")
    assert (killed.code, killed.json["state"]) == (1, "lost")
    try:
        until(lambda: _status(program)["because"] == "its process died", 90)
    finally:
        _kill(outliving)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
