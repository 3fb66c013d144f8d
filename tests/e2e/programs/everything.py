"""
A deterministic Parsl program whose runs have every shape that a monitoring database can show.

``python everything.py --hub parsl|otel --run-dir DIR [--db URL] [--collector URL]`` makes four
runs, one after the other: everything, a second that re-uses the checkpoint of the first, one that
is cleaned up while futures are incomplete, and one without monitoring of resources.
Task ids do not depend on timing: one thread submits, and waits where the order could vary.
A single task is ever underway on a HighThroughputExecutor, so that its dispatches can be counted.
Functions of apps import what they use, because workers get them by value.
"""

from __future__ import annotations

import argparse
import faulthandler
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import parsl
import sqlalchemy
from parsl import File, bash_app, join_app, python_app
from parsl.app.errors import AppTimeout
from parsl.config import Config
from parsl.data_provider.file_noop import NoOpFileStaging
from parsl.data_provider.staging import Staging
from parsl.dataflow.dependency_resolvers import DEEP_DEPENDENCY_RESOLVER
from parsl.dataflow.memoization import BasicMemoizer
from parsl.executors import HighThroughputExecutor, ThreadPoolExecutor
from parsl.executors.high_throughput.errors import WorkerLost
from parsl.jobs.states import JobState
from parsl.launchers import SimpleLauncher
from parsl.monitoring import MonitoringHub
from parsl.providers import LocalProvider

_HANGS_S = 220
"""By then it has ended, or says where it stands, and is failed."""
THREADS, HTEX, BURSTY, INTERNAL = "threads", "htex", "bursty", "_parsl_internal"


@python_app(executors=[HTEX])
def double(x, inputs=()):
    return 2 * x


@python_app(executors=[THREADS])
def total(values, *more, inputs=(), **named):
    numbers = [*values, *more, *inputs, *named.values()]
    return sum(n for item in numbers for n in (item if isinstance(item, list) else [item]))


@python_app(executors=[THREADS], cache=True)
def square(x, comment=None):
    return x * x


@python_app(executors=[THREADS], cache=True)
def fail_and_remember(x):
    raise ValueError(f"remembered {x}")


@python_app(executors=[THREADS])
def fail(message):
    raise ValueError(message)


def fail_at_first(counter, times, message):
    with open(counter, "a+") as file:
        file.seek(0)
        before = len(file.read())
        file.write("x")
    if before < times:
        raise ValueError(message)
    return before


flaky_on_threads = python_app(fail_at_first, executors=[THREADS])
flaky_on_htex = python_app(fail_at_first, executors=[HTEX])


@join_app
def join_one(x):
    return double(x)


@join_app
def join_many(*values):
    return [square(value) for value in values]


@join_app
def join_failing(message):
    return [square(5), fail(message)]


@join_app
def join_nothing():
    return []


@join_app
def join_no_future():
    return 42


@join_app
def join_boxed(box):
    return box.future


@python_app(executors=[THREADS])
def copy_file(inputs=(), outputs=(), stdin=None):
    with open(inputs[0]) as source, open(outputs[0], "w") as target:
        target.write(source.read())


@bash_app(executors=[THREADS])
def shell(command, stdin=None, stdout=None, stderr=None, outputs=(), walltime=None):
    return command if stdin is None else f"{command} < '{stdin}'"


@bash_app(executors=[HTEX])
def shell_on_htex(command, stdout=parsl.AUTO_LOGNAME, stderr=parsl.AUTO_LOGNAME):
    return command


@python_app(executors=[HTEX])
def overrun(walltime=0.5):
    import time

    while True:
        time.sleep(0.05)


@python_app(executors=[HTEX])
def generate():
    yield 1


@python_app(executors=[HTEX])
def take_anything(thing):
    return None


@python_app(executors=[HTEX])
def exit_worker():
    import os
    import time

    time.sleep(1.6)
    os._exit(3)


@python_app(executors=[HTEX])
def work(seconds, megabytes):
    import time

    ballast = bytearray(megabytes << 20)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(10_000))
    return len(ballast)


@python_app(executors=[HTEX])
def prefer(parsl_resource_specification=None):
    return parsl_resource_specification


@python_app(executors=[THREADS])
def prefer_on_threads(parsl_resource_specification=None):
    return parsl_resource_specification


@python_app(executors=["nowhere"])
def run_nowhere():
    return None


@python_app(executors=[BURSTY])
def burst(x):
    return x


def _measure(text, inputs=()):
    if not inputs:
        raise KeyError(f"ключ “{text}”\nnicht gefunden, 'quoted'")
    return text


_measure.__name__ = "größe_测试"
measure_on_threads = python_app(_measure, executors=[THREADS])
measure_on_htex = python_app(_measure, executors=[HTEX])


def sleep_for(seconds, inputs=()):
    import time

    time.sleep(seconds)


sleep_on_htex = python_app(sleep_for, executors=[HTEX])
sleep_on_threads = python_app(sleep_for, executors=[THREADS])


def cost_of(exception: Exception, task_record: Any) -> float:
    """Say what a failure costs of the budget of one retry."""
    if "quarter" in str(exception):
        return 0.25
    if "final" in str(exception) or isinstance(exception, (AppTimeout, WorkerLost)):
        return 10.5
    if "broken handler" in str(exception):
        raise RuntimeError("the retry handler broke")
    return 1.0


def _copy_in(source, outputs=(), parent=None, _parsl_staging_inhibit=True):
    shutil.copy(source, outputs[0].local_path)


def _copy_out(target, inputs=(), parent=None, _parsl_staging_inhibit=True):
    shutil.copy(inputs[0].local_path, target)


class Depot(Staging):
    """Stage ``depot:///name`` from and to a folder, in a task of its own each time."""

    def __init__(self, folder: Path) -> None:
        self.stored = folder / "depot"
        self.staged = folder / "staged"

    def can_stage_in(self, file: File) -> bool:
        """Take URLs of our own scheme alone."""
        return file.scheme == "depot"

    can_stage_out = can_stage_in

    def stage_in(self, dm: Any, executor: str, file: File, parent_fut: Future[Any] | None) -> Any:
        """Submit a task that copies the file from the depot, and give what it will have made."""
        file.local_path = str(self.staged / file.filename)
        fetch = python_app(_copy_in, executors=[INTERNAL], data_flow_kernel=dm.dfk)
        source = str(self.stored / file.filename)
        task = fetch(source, outputs=[file], parent=parent_fut, _parsl_staging_inhibit=True)
        return task.outputs[0]

    def stage_out(self, dm: Any, executor: str, file: File, app_fu: Future[Any]) -> Any:
        """Submit a task that copies the file to the depot once the app is done."""
        file.local_path = str(self.staged / file.filename)
        put = python_app(_copy_out, executors=[INTERNAL], data_flow_kernel=dm.dfk)
        target = str(self.stored / file.filename)
        return put(target, inputs=[file], parent=app_fu, _parsl_staging_inhibit=True)


class QuickProvider(LocalProvider):
    """LocalProvider, asked for the status of its blocks often: the test need not wait for it."""

    @property
    def status_polling_interval(self) -> int:
        """Give the least time between two polls, in seconds; Parsl's is 5."""
        return 1


def htex(
    label: str, *, blocks: int, encrypted: bool = False, staging: list[Staging] | None = None
) -> HighThroughputExecutor:
    """Make an executor of one worker, with ``blocks`` blocks for ever or one on demand."""
    return HighThroughputExecutor(
        label=label,
        address="127.0.0.1",
        max_workers_per_node=1,
        heartbeat_period=1,
        encrypted=encrypted,
        storage_access=staging,
        provider=QuickProvider(
            init_blocks=blocks, min_blocks=blocks, max_blocks=1, launcher=SimpleLauncher()
        ),
    )


def hub_class(name: str) -> type[MonitoringHub]:
    """Give Parsl's hub or ours, importing ours only where it is used."""
    if name == "parsl":
        return MonitoringHub
    from otel_parsl import OTelMonitoringHub

    ours: type[MonitoringHub] = OTelMonitoringHub
    return ours


def until(claim: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Wait for a claim to become true; go on without it, since the rows will tell."""
    deadline = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > deadline:
            sys.stderr.write(f"not seen within {seconds} s: {what}\n")
            return
        time.sleep(0.1)


class Program:
    """What the runs share: the kind of hub, the store it writes and a folder for files."""

    def __init__(self, hub: str, run_dir: Path, url: str | None, collector: str | None) -> None:
        self.hub, self.run_dir = hub, run_dir
        # With a collector, the URL says where its database is read alone.
        self.destination = {"collector": collector} if collector else {"logging_endpoint": url}
        self.files = run_dir / "files"
        for folder in ("depot", "staged", "counters"):
            (self.files / folder).mkdir(parents=True)
        store_url = url or f"sqlite:///{run_dir}/monitoring.db"
        self.store = sqlalchemy.create_engine(store_url, poolclass=sqlalchemy.NullPool)

    def load(self, executors: list[Any], **changes: Any) -> parsl.DataFlowKernel:
        """Load Parsl with our hub or its own, ``changes`` being those to the hub's arguments."""
        hub = hub_class(self.hub)
        settings = {"resource_monitoring_interval": 1, **self.destination, **changes}
        return parsl.load(
            Config(
                executors=executors,
                monitoring=hub(**settings),
                memoizer=BasicMemoizer(checkpoint_mode="task_exit"),
                dependency_resolver=DEEP_DEPENDENCY_RESOLVER,
                retries=1,
                retry_handler=cost_of,
                run_dir=str(self.run_dir),
                strategy="simple",
                strategy_period=0.25,
                max_idletime=1.0,
                usage_tracking=0,
            )
        )

    def count(self, run_id: str, condition: str, table: str = "status") -> int:
        """Count rows of a run in the store, -1 while it cannot be read."""
        query = f"SELECT count(*) FROM {table} WHERE run_id = :run AND {condition}"
        try:
            with self.store.connect() as connection:
                return int(connection.execute(sqlalchemy.text(query), {"run": run_id}).scalar_one())
        except sqlalchemy.exc.DBAPIError:
            return -1

    def settle(self, dfk: parsl.DataFlowKernel, *, open_tasks: int = 0, unended: int = 0) -> None:
        """
        Wait for the ends that workers report, which Parsl's hub may lose at cleanup.

        Args:
            dfk: The run.
            open_tasks: How many tasks have no result yet.
            unended: How many tries were launched whose end no worker will report.
        """

        def settled() -> bool:
            final = "task_status_name IN ('exec_done', 'memo_done', 'failed', 'dep_fail')"
            launched = self.count(dfk.run_id, "task_status_name = 'launched'")
            ended = self.count(dfk.run_id, "task_status_name = 'running_ended'")
            closed = self.count(dfk.run_id, final)
            return closed + open_tasks == dfk.task_count and launched == ended + unended

        until(settled, f"the end of all but {unended} tries")

    def path(self, name: str) -> str:
        """Give the path of one of the program's files."""
        return str(self.files / name)


def wait(*futures: Future[Any]) -> None:
    """Wait for the futures, whether they fail or not."""
    for future in futures:
        future.exception()


def memoise() -> None:
    """Results and failures that this run has seen before."""
    wait(square(3))
    wait(square(3))
    wait(square(4, comment="not seen before"))
    wait(fail_and_remember(1))
    wait(fail_and_remember(1))


def retry(program: Program) -> None:
    """Success after retries, costs in fractions, a final failure, a handler that raises."""
    wait(flaky_on_htex(program.path("counters/a"), 1, "once"))
    wait(flaky_on_threads(program.path("counters/b"), 3, "a quarter each"))
    wait(fail("a quarter, for ever"))
    wait(fail("final at once"))
    wait(fail("a broken handler"))


def depend() -> None:
    """Dependencies in every place where Parsl looks, and failures that spread."""
    first = double(10)
    wait(first, double(first, inputs=[first]))
    second = square(6)
    wait(second, total([first, [second]], second, inputs=[first, 7], named=second))
    given: Future[int] = Future()
    waiting = total([1], given, inputs=[given])
    given.set_result(5)
    wait(waiting)
    parent = fail("final, and others depend on it")
    child = total([parent], inputs=[parent, 3])
    wait(parent, child, total([child, fail("final beside it")], 1))


def join() -> None:
    """Join apps over one future, several, none, a failing one, and no future at all."""
    wait(join_one(4))
    wait(join_many(7, 3, 8))
    wait(join_failing("final inside a join"))
    wait(join_nothing())
    wait(join_no_future())
    wait(join_many(9, 2)[0])


def stage(program: Program) -> None:
    """Files that stay where they are, and files which tasks of their own bring and take."""
    (program.files / "depot/in.txt").write_text("staged\n")
    (program.files / "local in.txt").write_text("local\n")
    local = copy_file(
        inputs=[File(f"file://{program.path('local in.txt')}")],
        outputs=[File(program.path("local_out.txt"))],
        stdin=program.path("local in.txt"),
    )
    wait(local)
    staged = copy_file(inputs=[File("depot:///in.txt")], outputs=[File("depot:///out.txt")])
    wait(staged, *staged.outputs)
    chained = copy_file(inputs=[staged.outputs[0]], outputs=[File(program.path("chained.txt"))])
    wait(chained)
    printed = shell("echo staged", stdout=File("depot:///printed.txt"))
    wait(printed, printed.stdout)
    wait(copy_file(inputs=[File("depot:///missing.txt")], outputs=[File(program.path("none"))]))


def redirect(program: Program) -> None:
    """Standard streams in all the forms that Parsl takes, and bash apps that fail."""
    out, err = program.path("out.txt"), program.path("err é.txt")
    wait(shell("cat", stdin=program.path("local in.txt"), stdout=out, stderr=err))
    wait(shell("echo $0", stdout=(out, "w"), stderr=Path(err)))
    wait(shell("echo auto; exit 0", stdout=parsl.AUTO_LOGNAME, stderr=parsl.AUTO_LOGNAME))
    wait(shell("echo three", stdout=(out, "w", "x")))
    wait(shell("exit 3"))
    wait(shell("true", outputs=[File(program.path("never written"))]))
    wait(shell("sleep 5", walltime=0.3))
    wait(shell_on_htex("echo on htex; exit 0"))
    wait(shell_on_htex("echo final; exit 12", stdout=(out, "a")))


def fail_oddly() -> None:
    """Walltime, results and arguments that cannot travel, tries that never start, a lost worker."""
    wait(overrun())
    wait(generate())
    wait(take_anything(n for n in range(3)))
    wait(prefer_on_threads(parsl_resource_specification={"cores": 1}))
    wait(prefer(parsl_resource_specification={"cores": 1}))
    wait(run_nowhere())
    wait(exit_worker())


def run_everything(program: Program) -> None:
    """Make the first run."""
    staging = [NoOpFileStaging(), Depot(program.files)]
    bursty = htex(BURSTY, blocks=0, encrypted=True)
    executors = [
        ThreadPoolExecutor(label=THREADS, max_threads=2, storage_access=staging),
        htex(HTEX, blocks=1, staging=staging),
        bursty,
    ]
    dfk = program.load(executors)
    wait(double(1))
    memoise()
    retry(program)
    depend()
    join()
    stage(program)
    redirect(program)
    wait(measure_on_threads("łódź"))
    wait(measure_on_htex("ไทย 🚀", inputs=["naïve", "it's", '"']))
    wait(prefer(parsl_resource_specification={"priority": 2}))
    wait(work(1.5, 48))
    fail_oddly()

    wait(burst(1))
    until(lambda: bursty.status_facade["0"].state == JobState.SCALED_IN, "the first block's end")
    wait(burst(2))
    until(lambda: bursty.status_facade["1"].state == JobState.RUNNING, "the second block's start")
    program.settle(dfk, unended=1)
    dfk.cleanup()


def run_from_checkpoint(program: Program) -> None:
    """Make the second run: named, without samples, finding what the first one left."""
    executors = [ThreadPoolExecutor(label=THREADS), htex(HTEX, blocks=1, encrypted=True)]
    dfk = program.load(
        executors,
        workflow_name="zweiter Lauf ✓",
        workflow_version="1.0",
        resource_monitoring_interval=0,
    )
    wait(square(3))
    wait(square(4, comment="not seen before"))
    wait(fail_and_remember(1))
    wait(square(11))
    wait(work(0.1, 1))
    program.settle(dfk)
    dfk.cleanup()


def run_incompletely(program: Program) -> None:
    """Make the third run: tasks run, queue, wait and join when it is cleaned up."""
    executors = [ThreadPoolExecutor(label=THREADS), htex(HTEX, blocks=1)]
    dfk = program.load(executors)
    wait(square(12))
    sleeping = sleep_on_htex(600)
    mine = f"task_id = {sleeping.tid}"
    until(lambda: program.count(dfk.run_id, mine, "resource") > 0, "a sample of the sleeping task")
    double(1)
    total([1], inputs=[sleeping])
    # Boxed, the future is none that Parsl would wait for before the join app.
    joining = join_boxed(SimpleNamespace(future=sleeping))
    until(lambda: joining.task_status() == "joining", "the join app's own end")
    total([joining], 2)
    program.settle(dfk, open_tasks=5, unended=2)
    last = sleep_on_threads(1.5)
    # A thread of Parsl's hands it over, which may come late: what is handed over is waited for.
    until(lambda: last.task_status() != "pending", "the last task's launch")
    dfk.cleanup()


def run_unwatched(program: Program) -> None:
    """Make the fourth run: workers are not monitored."""
    executors = [ThreadPoolExecutor(label=THREADS), htex(HTEX, blocks=1)]
    dfk = program.load(executors, resource_monitoring_enabled=False)
    wait(square(3), fail("final and unwatched"), join_many(3, 13), work(0.1, 1))
    dfk.cleanup()


def main() -> None:
    """Make the four runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hub", choices=["parsl", "otel"], required=True)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--db", help="URL of the database, by default monitoring.db in the run dir")
    parser.add_argument("--collector", help="URL of the collector whose database --db is")
    arguments = parser.parse_args()
    faulthandler.dump_traceback_later(_HANGS_S, exit=True)
    run_dir = arguments.run_dir.resolve()
    program = Program(arguments.hub, run_dir, arguments.db, arguments.collector)
    for run in (run_everything, run_from_checkpoint, run_incompletely, run_unwatched):
        run(program)


if __name__ == "__main__":
    main()
