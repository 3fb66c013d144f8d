"""Small workflows, each written down by what happened in it: see ``recorded_stream``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parsl.executors.errors import BadStateException

from otel_parsl import semconv
from otel_parsl.failures.submit_failure import told_failure
from otel_parsl.messages import to_ns
from otel_parsl.wire import Key
from tests.support.parsl_messages import at, resource_info, worker_task_info
from tests.support.recorded_stream import (
    RecordedRun,
    RecordedTask,
    Recording,
    joined,
    node_report,
    raised,
)

UNICODE = "zażółć 漢字 \U0001f9ec ‮rtl‬ 'quoted' \"twice\"\n\ttab; DROP TABLE task; -- \\"


def _succeed(run: RecordedRun, task_id: int, seconds: float, **columns: object) -> RecordedTask:
    task = RecordedTask(run, task_id, seconds, **columns)
    task.becomes("pending")
    task.launch()
    task.execute()
    task.becomes("exec_done")
    return task


def _fail(run: RecordedRun, task_id: int, seconds: float, **columns: object) -> RecordedTask:
    task = RecordedTask(run, task_id, seconds, **columns)
    task.becomes("pending")
    task.launch()
    task.execute(raised(ValueError(f"no such file: /tmp/in-{task_id}.txt")))
    history = f"ValueError('no such file: /tmp/in-{task_id}.txt')"
    task.becomes("failed", task_fail_count=1, task_fail_cost=1.0, task_fail_history=history)
    return task


def success() -> Recording:
    """One task that succeeds, with all that a task may say of itself."""
    run = RecordedRun("success.py")
    run.start()
    _succeed(
        run,
        0,
        1,
        task_inputs="[<File at 0x1 url=in.txt>]",
        task_outputs="[<File at 0x2 url=out.txt>]",
        task_stdin="in.txt",
        task_stdout="out.txt",
        task_stderr="err.txt",
        task_memoize=True,
    )
    run.end()
    return run.recording()


def retry_then_success() -> Recording:
    """A task whose first two tries fail, at different costs."""
    run = RecordedRun("retry.py")
    run.start()
    task = RecordedTask(run, 0, 1)
    task.becomes("pending")
    for number in range(2):
        task.launch()
        task.execute(raised(RuntimeError(f"flaky {number}")))
        task.retry(f"RuntimeError('flaky {number}')", cost=0.5 + number)
    task.launch()
    task.execute()
    task.becomes("exec_done")
    run.end()
    return run.recording()


def failure() -> Recording:
    """A task that fails, one that never starts, and one whose worker could not tell."""
    run = RecordedRun("failure.py")
    run.start()
    _fail(run, 0, 1)
    unpicklable = RecordedTask(run, 1, 2, task_func_name="takes_a_lock")
    unpicklable.becomes("pending")
    failed: dict[str, Any] = {"task_fail_count": 1, "task_fail_cost": 1.0}
    seen = told_failure(raised(TypeError("cannot pickle")), is_told=False)
    unpicklable.becomes("failed", seen, task_fail_history="TypeError('cannot pickle')", **failed)
    killed = RecordedTask(run, 2, 3, task_func_name="eats_memory")
    killed.becomes("pending")
    killed.launch()
    killed.becomes("failed", task_fail_history="WorkerLost('worker 3 on node1')", **failed)
    run.end()
    return run.recording()


def dependency_failure() -> Recording:
    """A task that fails, and two that depended on it, one through the other."""
    run = RecordedRun("dependency.py")
    run.start()
    _fail(run, 0, 1)
    for task_id in (1, 2):
        task = RecordedTask(run, task_id, 2, task_depends=str(task_id - 1))
        task.becomes("pending")
        task.becomes(
            "dep_fail",
            task_fail_count=1,
            task_fail_cost=0,
            task_fail_history=f"DependencyError('task {task_id - 1} failed')",
        )
    run.end()
    return run.recording()


def memoised() -> Recording:
    """A task and one that is its memo: its hashsum comes late, and no worker has it."""
    run = RecordedRun("memo.py")
    run.start()
    columns = {"task_memoize": True}
    task = RecordedTask(run, 0, 1, **columns)
    task.becomes("pending")
    task.message["task_hashsum"] = "9a0364b9e99bb480dd25e1f0284c8555"
    task.launch()
    task.execute()
    task.becomes("exec_done")
    memo = RecordedTask(run, 1, 5, **columns)
    memo.becomes("pending")
    memo.becomes("memo_done", task_hashsum="9a0364b9e99bb480dd25e1f0284c8555")
    run.end()
    return run.recording()


def join_app() -> Recording:
    """A join app in a thread of the submit process, joined to two tasks and then to none."""
    run = RecordedRun("join.py")
    run.start()
    for task_id, joins in ((0, "1,2"), (3, "")):
        outer = RecordedTask(
            run, task_id, 1 + task_id, task_executor="_parsl_internal", task_func_name="joins"
        )
        outer.becomes("pending")
        outer.launch()
        outer.execute()
        outer.becomes("joining", task_joins=joins)
        for inner in filter(None, joins.split(",")):
            _succeed(run, int(inner), outer.seconds + 0.01 * int(inner))
        outer.seconds += 5
        outer.becomes("exec_done")
    run.end()
    return run.recording()


def unicode() -> Recording:
    """Text of every script, with quotes, breaks and SQL in it, wherever a user has a say."""
    run = RecordedRun(UNICODE, workflow_version=UNICODE, rundir=f"/home/{UNICODE}/runinfo")
    run.start()
    task = RecordedTask(
        run,
        0,
        1,
        task_func_name="größe_漢字",
        task_inputs=UNICODE,
        task_outputs=UNICODE,
        task_stdin=UNICODE,
        task_stdout=UNICODE,
    )
    task.becomes("pending")
    task.launch()
    task.execute(raised(KeyError(UNICODE)))
    task.retry(UNICODE)
    task.launch()
    task.execute()
    task.becomes("exec_done")
    run.end()
    return run.recording()


def no_tasks() -> Recording:
    """A run in which nothing is called."""
    run = RecordedRun("empty.py")
    run.start()
    run.end()
    return run.recording()


def two_runs() -> Recording:
    """Two runs of one workflow at once, with the same task ids and traces of another scope."""
    first, second = RecordedRun("twice.py"), RecordedRun("twice.py, again", scope="task")
    for run in (first, second):
        run.start()
        _succeed(run, 0, 1)
        _fail(run, 1, 2)
        run.end()
    return joined(first.recording(), second.recording())


def going_on() -> Recording:
    """A run that has not ended, with tasks that have not."""
    run = RecordedRun("going_on.py")
    run.start()
    _succeed(run, 0, 1)
    for task_id, columns in ((1, {}), (2, {"task_depends": "1"})):
        task = RecordedTask(run, task_id, 6, **columns)
        task.becomes("pending")
        if not columns:
            task.launch()
    run.block(2, "RUNNING")
    return run.recording()


def blocks() -> Recording:
    """Blocks of two executors, with the same ids; one is refused by its scheduler."""
    run = RecordedRun("blocks.py")
    run.start()
    run.block(0.5, "PENDING")
    run.block(0.6, "PENDING", executor_label="gpu", job_id=None)
    run.block(2, "RUNNING")
    run.block(
        3,
        "FAILED",
        executor_label="gpu",
        job_id=None,
        **{
            semconv.BLOCK_MESSAGE: "sbatch: error: invalid account",
            semconv.BLOCK_EXIT_CODE: 1,
            semconv.BLOCK_STDOUT: "/home/me/runinfo/000/submit.out",
        },
    )
    run.block(4, "PENDING", block_id="1", job_id="4712")
    run.block(50, "SCALED_IN")
    run.end()
    return run.recording()


def managers() -> Recording:
    """Two managers with many reports, together and one by one, the last ones inactive."""
    run = RecordedRun("managers.py")
    run.start()
    run.manager(*(node_report(2 + n / 8, tasks=list(range(n))) for n in range(5)))
    run.manager(node_report(3, uid="another", block_id="1", hostname="node2"))
    run.manager(node_report(20, active=False, worker_count=3))
    run.manager(
        *(node_report(5 + n, uid="another", block_id="1", hostname="node2") for n in (1, 2))
    )
    run.manager(node_report(30, uid="another", block_id="1", hostname="node2", active=False))
    run.end()
    return run.recording()


def samples() -> Recording:
    """A long try that reports while it runs, with values missing from one of its samples."""
    run = RecordedRun("samples.py")
    run.start()
    task = RecordedTask(run, 0, 1)
    task.becomes("pending")
    task.launch()
    began = at(task.seconds + 0.1)
    run.live_running(task.which, began)
    for number in range(4):
        run.live_sample(
            task.which,
            at(task.seconds + 1 + 10 * number),
            psutil_process_time_user=float(number),
            psutil_process_disk_read=None if number == 2 else number * 1000,
            psutil_process_memory_percent=None if number == 2 else 0.5,
            psutil_process_memory_resident=float((300 if number == 1 else 90) << 20),
        )
    task.seconds += 45
    run.execution(task.which, began, at(task.seconds))
    task.becomes("exec_done")
    run.end()
    return run.recording()


def many_dependencies() -> Recording:
    """A task with more dependencies than a span has links."""
    run = RecordedRun("wide.py")
    run.start()
    depends = ",".join(str(task_id) for task_id in range(1, 301))
    _succeed(run, 1200, 1, task_depends=depends)
    run.end()
    return run.recording()


PARSLS: dict[str, Callable[[], Recording]] = {
    function.__name__: function
    for function in (
        success,
        retry_then_success,
        failure,
        dependency_failure,
        memoised,
        join_app,
        unicode,
        no_tasks,
        two_runs,
        blocks,
        managers,
        samples,
        many_dependencies,
    )
}
"""Cases that Parsl's own database manager knows too."""


def no_end_message() -> Recording:
    """A submit process that was killed; its agent closes the run, and late telemetry comes in."""
    run = RecordedRun("killed.py")
    run.start()
    _succeed(run, 0, 1)
    for task_id, states in ((1, 1), (2, 2), (3, 3)):
        task = RecordedTask(run, task_id, 2)
        task.becomes("pending")
        if states > 1:
            task.launch()
        if states > 2:
            task.execute()
    run.block(2, "RUNNING")
    run.lost(40)
    return run.recording()


def late_messages() -> Recording:
    """A DataFlowKernel whose threads still send while it says that it has ended."""
    run = RecordedRun("late.py")
    run.start()
    task = RecordedTask(run, 0, 1)
    task.becomes("pending")
    task.launch()
    task.execute()
    run.end(30)
    task.seconds = 29.5
    task.becomes("exec_done")
    return run.recording()


def users_radio() -> Recording:
    """Workers that report by a radio of the user's choice, in the middle of a try and twice."""
    run = RecordedRun("udp.py")
    run.start()
    for task_id in (0, 1):
        task = RecordedTask(run, task_id, 1)
        task.becomes("pending")
        task.launch()
        which = {"task_id": task_id, "try_id": 0}
        run.radio_message(worker_task_info(timestamp=at(3 + task_id), **which))
        run.radio_message(resource_info(timestamp=at(4 + task_id), **which))
        run.radio_message(resource_info(timestamp=at(14 + task_id), **which))
        ended = {"first_msg": False, "last_msg": True}
        run.radio_message(worker_task_info(timestamp=at(20 + task_id), **which, **ended))
        task.seconds = 20 + task_id
        task.becomes("exec_done")
    run.end()
    return run.recording()


def rerun_by_executor() -> Recording:
    """A try that an executor of its own accord ran again after its worker was lost."""
    run = RecordedRun("rerun.py")
    run.start()
    task = RecordedTask(run, 0, 1)
    task.becomes("pending")
    task.launch()
    run.live_running(task.which, at(task.seconds + 0.05))
    task.seconds += 5
    task.execute()
    task.becomes("exec_done")
    run.end()
    return run.recording()


def interchange_lost() -> Recording:
    """An executor whose interchange died: tries that are lost, one of which Parsl failed later."""
    run = RecordedRun("interchange.py")
    run.start()
    run.block(0.5, "PENDING")
    run.heartbeat(0.6)
    words = [Key(semconv.BLOCK_SUBMIT_ERROR).text("sbatch: error: no such account")]
    run.log(run.events.block_described("htex", "1", "FAILED", to_ns(at(0.7)), words))
    tasks = [RecordedTask(run, task_id, 1) for task_id in range(3)]
    for task in tasks:
        task.becomes("pending")
        task.launch()
    tasks[1].retry("RuntimeError('flaky')")
    tasks[1].launch()
    dead = "the interchange of executor htex (process 7) was killed by SIGKILL"
    run.log(run.events.executor("htex", "lost", dead, to_ns(at(9))))
    for task in tasks:
        which, told = task.which, f"InterchangeLost('{dead}')"
        lost = (which.task_id, which.try_id, which.app, "htex", told, to_ns(at(9)))
        run.log(run.events.try_lost(*lost))
    tasks[2].seconds = 12
    given_up = {"task_fail_count": 1, "task_fail_cost": 1.0}
    tasks[2].becomes("failed", task_fail_history="BadStateException('x')", **given_up)
    run.log(run.events.executor("htex", "failed", "Parsl gave it up", to_ns(at(13))))
    run.heartbeat(15.6)
    run.lost(20)
    return run.recording()


def failures_told_twice() -> Recording:
    """Tries whose failure is told by several, who know more or less of it."""
    run = RecordedRun("told_twice.py")
    run.start()
    failed: dict[str, Any] = {"task_fail_count": 1, "task_fail_cost": 1.0}
    tasks = [RecordedTask(run, task_id, 1 + task_id) for task_id in range(8)]
    for task in tasks:
        task.becomes("pending")
        task.launch()
    rerun, seen, rerun_and_lost, given_up, returned, retried, late, went_on = tasks

    def is_lost(task: RecordedTask) -> None:
        which, told = task.which, "InterchangeLost('killed by SIGKILL')"
        lost = (which.task_id, which.try_id, which.app, "htex", told, to_ns(at(30)))
        run.log(run.events.try_lost(*lost))

    for task in (rerun, rerun_and_lost):
        for number in range(2):
            task.execute(raised(ValueError(f"execution {number}")))
    for task in (seen, retried, late):
        task.execute(raised(ValueError("on the worker")))
    for task in (seen, rerun_and_lost, given_up, returned, retried, late, went_on):
        is_lost(task)
    rerun.becomes("failed", task_fail_history="ValueError('execution 1')", **failed)
    bad = told_failure(raised(BadStateException("htex", "gave up")), is_told=False)
    given_up.becomes("failed", bad, task_fail_history="BadStateException('x')", **failed)
    raises = told_failure(raised(ValueError("came back")), is_told=False)
    returned.becomes("failed", raises, task_fail_history="ValueError('came back')", **failed)
    retried.retry("ValueError('on the worker')")
    went_on.retry("BadStateException('x')")
    late.seconds = 40
    late.becomes("failed", task_fail_history="ValueError('on the worker')", **failed)
    run.lost(60)
    return run.recording()


def text_that_utf8_has_no_letter_for() -> Recording:
    """Lone surrogates and NUL, which Parsl's own hub chokes on."""
    run = RecordedRun("surrogates.py")
    run.start()
    _succeed(run, 0, 1, task_inputs="a\ud800b\0c", task_func_name="f\udfff")
    run.end()
    return run.recording()


CASES = {
    **PARSLS,
    **{
        function.__name__: function
        for function in (
            going_on,
            no_end_message,
            late_messages,
            users_radio,
            rerun_by_executor,
            interchange_lost,
            failures_told_twice,
            text_that_utf8_has_no_letter_for,
        )
    },
}
