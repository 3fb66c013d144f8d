"""
A run written into a store by hand, through the collector's own writer.

For what a real run does not show at will: tasks that run, retry or join just now, a run that is
lost, a block that the scheduler refused, two runs of one name.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from otel_parsl_collector.materialise.facts import (
    BlockStatus,
    Execution,
    ExecutorState,
    Facts,
    Heartbeat,
    LostTry,
    ManagerNumbers,
    ManagerReport,
    Run,
    Running,
    RunState,
    Sample,
    TaskBorn,
    TaskState,
)
from otel_parsl_collector.materialise.metrics import SAMPLE_METRICS
from otel_parsl_collector.store.engine import open_store
from otel_parsl_collector.store.writer import StoreWriter
from typing_extensions import Self

RUN_ID = "8f1d2a4e-3b6c-4d5e-9f70-123456789abc"
BEGAN = datetime.datetime(2026, 1, 15, 12, 0, 0, 123456, tzinfo=datetime.timezone.utc)
HOST = "submit.example.org"
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


class StoredRun:
    """
    One run; what is said of it within the `with` block is written at its end.

    Args:
        url: The store's URL; it is made if it is not there.
        run_id: The run's id.
        name: The workflow's name.
        rundir: Its run directory.
        began: When it began; times of facts are seconds since then.
        host: The submit host.
        zone: The submit host's zone.
    """

    def __init__(
        self,
        url: str,
        *,
        run_id: str = RUN_ID,
        name: str = "corridor.py",
        rundir: str | Path = "/home/me/runinfo/000",
        began: datetime.datetime = BEGAN,
        host: str = HOST,
        zone: str = "Etc/UTC",
    ) -> None:
        self.run_id = run_id
        self._url = url
        self._began_ns = (began - _EPOCH) // datetime.timedelta(microseconds=1) * 1000
        self._sequence = 0
        self._facts = Facts()
        self._facts.runs[run_id] = Run(
            run_id=run_id,
            name=name,
            version="1",
            began_ns=self._began_ns,
            host=host,
            user="me",
            rundir=str(rundir),
            zone=zone,
            parsl_version="2026.10.26",
            monitors_resources=True,
        )
        self._state(0.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.write()

    def write(self) -> None:
        """Commit what was said so far."""
        engine = open_store(self._url)
        writer = StoreWriter(engine, f"spool of {self.run_id}")
        writer.write(self._facts, {})
        writer.close()

    def task(
        self,
        task_id: int,
        *states: str,
        app: str = "double",
        try_id: int = 0,
        at_s: float = 1.0,
        **facts: Any,
    ) -> None:
        """Say that a task took some states, a millisecond apart; ``depends`` may name others."""
        if try_id == 0:
            self._facts.born[self.run_id, task_id] = TaskBorn(
                invoked_ns=self.ns(at_s),
                depends=facts.pop("depends", ""),
                outputs=facts.pop("outputs", "None"),
                stdin=facts.pop("stdin", None),
                stdout=facts.pop("stdout", ""),
                stderr=facts.pop("stderr", ""),
            )
        for number, state in enumerate(states):
            now_s = at_s + number / 1000
            is_last = number == len(states) - 1
            self._facts.states.append(
                TaskState(
                    sequence=self._next(),
                    time_ns=self.ns(now_s),
                    run_id=self.run_id,
                    task_id=task_id,
                    try_id=try_id,
                    state=state,
                    app=app,
                    **{
                        "executor": "htex",
                        "memoize": False,
                        "hashsum": None,
                        "inputs": "[]",
                        "fail_count": try_id,
                        "fail_cost": float(try_id),
                        "returned_ns": None,
                        "launched_ns": self.ns(now_s) if state != "pending" else None,
                        "try_returned_ns": self.ns(now_s) if is_last else None,
                        "fail_history": "",
                        "joins": None,
                        "executor_task_id": None,
                        "resource_specification": None,
                        **facts,
                    },
                )
            )
        self._state(at_s)

    def running(
        self,
        task_id: int,
        *,
        at_s: float,
        try_id: int = 0,
        host: str = "node1",
        block: str = "0",
    ) -> None:
        """Say that a worker began a try."""
        self._facts.running.append(
            Running(self.run_id, task_id, try_id, "htex", host, block, self.ns(at_s), None)
        )

    def execution(
        self,
        task_id: int,
        *,
        at_s: float,
        run_s: float,
        app: str = "double",
        try_id: int = 0,
        host: str = "node1",
        block: str = "0",
        **facts: Any,
    ) -> None:
        """Say that a worker began and ended a try."""
        start_ns, end_ns = self.ns(at_s), self.ns(at_s + run_s)
        self._facts.running.append(
            Running(self.run_id, task_id, try_id, "htex", host, block, start_ns, end_ns)
        )
        self._facts.executions.append(
            Execution(
                run_id=self.run_id,
                task_id=task_id,
                try_id=try_id,
                app=app,
                running_ns=start_ns,
                ended_ns=end_ns,
                **{
                    "worker_rank": "3",
                    "manager_uid": "0a1b2c3d4e5f",
                    "pid": 4711,
                    "cpu_user_s": 0.5,
                    "cpu_system_s": 0.25,
                    "memory_peak_bytes": 64 << 20,
                    "read_bytes": 2048,
                    "write_bytes": None,
                    "exit_code": None,
                    "exception_type": None,
                    "message": None,
                    "stacktrace": None,
                    **facts,
                },
            )
        )

    def sample(self, task_id: int, *, at_s: float, try_id: int = 0) -> None:
        """Say that a sample of a try was taken, of which only user time could be measured."""
        values = (10.0, 0.25, *(None,) * (len(SAMPLE_METRICS) - 2))
        self._facts.samples.append(
            Sample(self.run_id, task_id, try_id, self.ns(at_s), 4711, "running", "1", values)
        )

    def manager(
        self,
        uid: str,
        *,
        workers: int,
        tasks: int | None,
        active: bool = True,
        at_s: float = 2.0,
        host: str | None = None,
        block: str = "0",
    ) -> None:
        """Say what the interchange reported of a manager; without tasks, a part of it."""
        self._facts.managers.append(
            ManagerReport(
                run_id=self.run_id,
                uid=uid,
                hostname=f"node-{uid}" if host is None else host,
                block_id=block,
                python="3.11.9",
                executor=None,
                time_ns=self.ns(at_s),
                numbers=ManagerNumbers(
                    workers=workers,
                    cpus=8,
                    memory_bytes=16 << 30,
                    active=int(active),
                    last_heartbeat_ns=self.ns(at_s),
                    tasks=tasks,
                    lost=None if active else 0,
                ),
            )
        )

    def block(
        self,
        block_id: str,
        status: str,
        *,
        at_s: float = 1.0,
        executor: str = "htex",
        **facts: Any,
    ) -> None:
        """Say that a block took a status, perhaps with the provider's words."""
        self._facts.blocks.append(
            BlockStatus(
                sequence=self._next(),
                time_ns=self.ns(at_s),
                run_id=self.run_id,
                executor=executor,
                block_id=block_id,
                status=status,
                **{
                    "job_id": None,
                    "message": None,
                    "exit_code": None,
                    "stdout_path": None,
                    "stderr_path": None,
                    "submit_error": None,
                    **facts,
                },
            )
        )

    def executor(self, label: str, state: str, message: str, *, at_s: float) -> None:
        """Say that an executor is lost, or was given up."""
        self._facts.executors.append(
            ExecutorState(self._next(), self.ns(at_s), self.run_id, label, state, message)
        )

    def lost(self, task_id: int, fail_history: str, *, app: str, at_s: float) -> None:
        """Say that the first try of a task cannot come back."""
        self._facts.lost.append(LostTry(self.ns(at_s), self.run_id, task_id, 0, app, fail_history))

    def heartbeat(self, *, at_s: float, lag_s: float = 0.4) -> None:
        """Say that the run's agent is there."""
        self._facts.heartbeats[self.run_id] = Heartbeat(self.ns(at_s), int(lag_s * 1e9))

    def ended(self, outcome: str | None = None, *, at_s: float = 60.0) -> None:
        """Say that the run ended: cleaned up, or with another outcome."""
        self._state(at_s, completed_ns=self.ns(at_s), outcome=outcome)

    def ns(self, at_s: float) -> int:
        """Return the time so many seconds after the run began, in UTC nanoseconds."""
        return self._began_ns + round(at_s * 1_000_000) * 1000

    def _state(
        self, at_s: float, *, completed_ns: int | None = None, outcome: str | None = None
    ) -> None:
        self._facts.run_state(
            RunState(self._next(), self.run_id, 0, 0, self.ns(at_s), completed_ns, outcome)
        )

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence
