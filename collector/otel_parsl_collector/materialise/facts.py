"""
The facts that the tables are made of, between OTLP and the store.

Times are UTC nanoseconds. A fact says all it knows of its group of columns, so of two facts about
one row the one with the higher ``sequence`` (or the later time) stands; facts may come in any
order and any number of times.
"""

from __future__ import annotations

from typing import NamedTuple


class Run(NamedTuple):
    """What the Resource of every request says of its run."""

    run_id: str
    name: str | None
    version: str | None
    began_ns: int
    host: str
    user: str
    rundir: str
    zone: str
    parsl_version: str | None
    monitors_resources: bool
    """False: Parsl's tables have nothing that workers say."""


class TaskBorn(NamedTuple):
    """What never changes of a task."""

    invoked_ns: int | None
    depends: str | None
    outputs: str | None
    stdin: str | None
    stdout: str | None
    stderr: str | None


class SeenException(NamedTuple):
    """An exception of which there is a stack trace."""

    type: str | None
    message: str | None
    stacktrace: str


class TaskState(NamedTuple):
    """A task took a state, in one of its tries; all that may change, as it was then."""

    sequence: int
    time_ns: int
    run_id: str
    task_id: int
    try_id: int
    state: str
    app: str
    executor: str
    memoize: bool
    hashsum: str | None
    inputs: str
    fail_count: int
    fail_cost: float
    returned_ns: int | None
    launched_ns: int | None
    try_returned_ns: int | None
    fail_history: str
    joins: str | None
    executor_task_id: str | None
    resource_specification: str | None
    exception: SeenException | None = None
    """With what it failed, where the submit process alone has seen it."""


class Running(NamedTuple):
    """A worker began a try, and perhaps ended it."""

    run_id: str
    task_id: int
    try_id: int
    executor: str | None
    hostname: str | None
    block_id: str | None
    running_ns: int | None
    ended_ns: int | None


class Execution(NamedTuple):
    """What an execution's span says beyond its times."""

    run_id: str
    task_id: int
    try_id: int
    app: str
    running_ns: int
    ended_ns: int
    worker_rank: str | None
    manager_uid: str | None
    pid: int | None
    cpu_user_s: float | None
    cpu_system_s: float | None
    memory_peak_bytes: int | None
    read_bytes: int | None
    write_bytes: int | None
    exit_code: int | None
    exception_type: str | None
    message: str | None
    stacktrace: str | None


class Sample(NamedTuple):
    """One resource sample of a try; the values are in the order of ``SAMPLE_METRICS``."""

    run_id: str
    task_id: int
    try_id: int
    time_ns: int
    pid: int | None
    status: str | None
    cpu_num: str | None
    values: tuple[float | None, ...]


class ManagerNumbers(NamedTuple):
    """What the points of a manager's report say; None is what has not come."""

    workers: int | None
    cpus: int | None
    memory_bytes: int | None
    active: int | None
    last_heartbeat_ns: int | None
    tasks: int | None
    lost: int | None
    """Of one that is not active: 1 if its heartbeats stopped, 0 if it was told to leave."""

    @property
    def are_whole(self) -> bool:
        """Whether all have come: points that travelled together may be parted on the way."""
        return None not in self[:-1] and (bool(self.active) or self.lost is not None)


class ManagerReport(NamedTuple):
    """What HTEX's interchange reported of a manager."""

    run_id: str
    uid: str
    hostname: str
    block_id: str
    python: str
    executor: str | None
    time_ns: int
    numbers: ManagerNumbers


class BlockStatus(NamedTuple):
    """A block took a status."""

    sequence: int
    time_ns: int
    run_id: str
    executor: str
    block_id: str
    status: str
    job_id: str | None
    message: str | None
    exit_code: int | None
    stdout_path: str | None
    stderr_path: str | None
    submit_error: str | None = None
    is_parsls: bool = True
    """Whether Parsl said so itself, and so has a row for it."""


class ExecutorState(NamedTuple):
    """An executor is lost, or was given up."""

    sequence: int
    time_ns: int
    run_id: str
    executor: str
    state: str
    message: str | None


class UntracedExecutor(NamedTuple):
    """An executor's workers cannot trace."""

    sequence: int
    time_ns: int
    run_id: str
    executor: str
    why: str


class LostTry(NamedTuple):
    """A try that cannot come back, though Parsl waits for it."""

    time_ns: int
    run_id: str
    task_id: int
    try_id: int
    app: str
    fail_history: str


class RunState(NamedTuple):
    """How far a run has come."""

    sequence: int
    run_id: str
    tasks_completed: int | None
    tasks_failed: int | None
    time_ns: int
    completed_ns: int | None
    outcome: str | None


class Heartbeat(NamedTuple):
    """A run's agent says that it is there."""

    time_ns: int
    lag_ns: int | None
    """How far its store was behind then."""


class Facts:
    """The facts of a stretch of a stream."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.run_states: dict[str, RunState] = {}
        self.heartbeats: dict[str, Heartbeat] = {}
        """The last one of each run, by run id."""
        self.born: dict[tuple[str, int], TaskBorn] = {}
        self.states: list[TaskState] = []
        self.running: list[Running] = []
        self.executions: list[Execution] = []
        self.samples: list[Sample] = []
        self.managers: list[ManagerReport] = []
        self.blocks: list[BlockStatus] = []
        self.executors: list[ExecutorState] = []
        self.untraced: list[UntracedExecutor] = []
        self.lost: list[LostTry] = []
        self.unknown = 0
        """Items that say nothing the tables have a place for; a user's own spans are such."""
        self.incomplete = 0
        """Items of ours that lack what their row needs."""

    def run_state(self, state: RunState) -> None:
        """Put together what several events say of how far a run has come."""
        known = self.run_states.get(state.run_id)
        if known is not None:
            older, newer = (known, state) if known.sequence < state.sequence else (state, known)
            ended = max(older, newer, key=lambda said: said.completed_ns or 0)
            state = newer._replace(
                tasks_completed=_greater(older.tasks_completed, newer.tasks_completed),
                tasks_failed=_greater(older.tasks_failed, newer.tasks_failed),
                completed_ns=ended.completed_ns,
                outcome=ended.outcome,
            )
        self.run_states[state.run_id] = state


def _greater(one: int | None, other: int | None) -> int | None:
    """Return the greater of two counts, which only grow; a known one beats None."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
