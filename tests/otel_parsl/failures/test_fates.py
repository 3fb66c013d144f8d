"""What Parsl says when something fails, and the fate it is filed under."""

from __future__ import annotations

import json
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import parsl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parsl.app.errors import (
    AppBadFormatting,
    AppException,
    AppTimeout,
    BadStdStreamFile,
    BashAppNoReturn,
    BashExitFailure,
    MissingOutputs,
)
from parsl.config import Config
from parsl.data_provider.files import File
from parsl.dataflow.errors import DependencyError, JoinError
from parsl.executors import ThreadPoolExecutor
from parsl.executors.errors import (
    BadMessage,
    BadStateException,
    ExecutorError,
    InvalidResourceSpecification,
    ScalingFailed,
)
from parsl.executors.high_throughput.errors import ManagerLost, VersionMismatch, WorkerLost
from parsl.executors.taskvine.errors import TaskVineTaskFailure
from parsl.executors.workqueue.errors import WorkQueueFailure, WorkQueueTaskFailure
from parsl.jobs.errors import TooManyJobFailuresError
from parsl.providers.errors import ScaleOutFailed, SubmitException
from parsl.serialize.errors import (
    DeserializationError,
    DeserializerPluginError,
    SerializationError,
)

from otel_parsl.failures.causes import cause_of_dependency
from otel_parsl.failures.fail_history import ToldFailure, failure_from_history
from otel_parsl.failures.fates import Fate, classify

RECORDED: list[dict[str, str]] = json.loads(
    Path(__file__).with_name("parsl_failures.json").read_text()
)

FATES = {
    "value_error": Fate.APP_EXCEPTION,
    "key_error": Fate.APP_EXCEPTION,
    "missing_file": Fate.APP_EXCEPTION,
    "child_exit": Fate.APP_EXCEPTION,
    "child_killed": Fate.KILLED,
    "walltime_python": Fate.WALLTIME,
    "walltime_bash": Fate.WALLTIME,
    "bash_exit_1": Fate.BASH_EXIT_CODE,
    "bash_not_found": Fate.BASH_EXIT_CODE,
    "bash_killed": Fate.KILLED,
    "bash_segfault": Fate.KILLED,
    "missing_output": Fate.MISSING_OUTPUT,
    "bad_stdout": Fate.APP_EXCEPTION,
    "formatting": Fate.APP_EXCEPTION,
    "returns_nothing": Fate.APP_EXCEPTION,
    "join": Fate.JOIN,
    "not_joinable": Fate.APP_EXCEPTION,
    "own_exception": Fate.APP_EXCEPTION,
    "refused_connection": Fate.APP_EXCEPTION,
    "dependency": Fate.DEPENDENCY,
    "no_message": Fate.APP_EXCEPTION,
    "out_of_memory": Fate.OUT_OF_MEMORY,
    "array_too_large": Fate.OUT_OF_MEMORY,
    "json": Fate.APP_EXCEPTION,
    "decode": Fate.APP_EXCEPTION,
    "no_module": Fate.APP_EXCEPTION,
    "resource_specification": Fate.APP_EXCEPTION,
    "resource_specification_htex": Fate.APP_EXCEPTION,
    "worker_lost": Fate.WORKER_LOST,
    "result_unpicklable": Fate.SERIALISATION,
    "argument_unpicklable": Fate.SERIALISATION,
    "function_not_importable": Fate.SERIALISATION,
    "block_killed": Fate.BLOCK_FAILED,
    "block_failed": Fate.BLOCK_FAILED,
    "manager_lost": Fate.MANAGER_LOST,
}


class _Executor:
    """As much of an executor as an error's ``str()`` and ``repr()`` read."""

    label = "cluster"

    def __repr__(self) -> str:
        return "HighThroughputExecutor(\n    label='cluster', \n    provider=LocalProvider(a=1)\n)"


_EXECUTOR: Any = _Executor()

CONSTRUCTED: list[tuple[BaseException, Fate]] = [
    (BashExitFailure("align", 1), Fate.BASH_EXIT_CODE),
    (BashExitFailure("align", 128), Fate.BASH_EXIT_CODE),
    (BashExitFailure("align", 255), Fate.BASH_EXIT_CODE),
    (BashExitFailure('it\'s "odd"', 137), Fate.KILLED),
    (BashExitFailure("align", 139), Fate.KILLED),
    (BashExitFailure("align", 143), Fate.KILLED),
    (BashExitFailure("align", -9), Fate.KILLED),
    (AppTimeout(), Fate.WALLTIME),
    (AppTimeout("App align exceeded walltime: 60 seconds"), Fate.WALLTIME),
    (AppException("App align caught exception", OSError(2, "gone")), Fate.APP_EXCEPTION),
    (
        AppException("App align caught exception", OSError(12, "Cannot allocate memory")),
        Fate.OUT_OF_MEMORY,
    ),
    (AppException("Parsl task exited abnormally: returned 137"), Fate.KILLED),
    (AppException("Parsl task exited abnormally: returned 1"), Fate.WORKER_LOST),
    (AppBadFormatting("App formatting failed for app 'a' with IndexError: x"), Fate.APP_EXCEPTION),
    (BashAppNoReturn("Bash app 'a' did not return a value"), Fate.APP_EXCEPTION),
    (BadStdStreamFile("/nowhere/out.txt"), Fate.APP_EXCEPTION),
    (MissingOutputs("Missing outputs from app a", [File("a"), File("b c")]), Fate.MISSING_OUTPUT),
    (WorkerLost(3, "nid001"), Fate.WORKER_LOST),
    (ManagerLost(b"0a1b2c3d4e5f", "nid001"), Fate.MANAGER_LOST),
    (
        BadStateException(_EXECUTOR, TooManyJobFailuresError("Error 1:\n\tgone\n")),
        Fate.BLOCK_FAILED,
    ),
    (BadStateException(_EXECUTOR, VersionMismatch("v1", "v2")), Fate.BLOCK_FAILED),
    (ScalingFailed(_EXECUTOR, "No launch command"), Fate.BLOCK_FAILED),
    (ScaleOutFailed("slurm", "no such partition"), Fate.BLOCK_FAILED),
    (SubmitException("job", "no such account", "", "sbatch: error", 1), Fate.BLOCK_FAILED),
    (SerializationError("align"), Fate.SERIALISATION),
    (DeserializationError("Received exception, but handling also threw"), Fate.SERIALISATION),
    (DeserializerPluginError(b"mine Plugin"), Fate.SERIALISATION),
    (AttributeError("Can't pickle local object 'f.<locals>.g'"), Fate.SERIALISATION),
    (AttributeError("Can't get attribute 'Star' on <module '__main__'>"), Fate.SERIALISATION),
    (InvalidResourceSpecification({"gpu"}, "No such resource."), Fate.APP_EXCEPTION),
    (InvalidResourceSpecification({"gpu"}), Fate.APP_EXCEPTION),
    (MemoryError(), Fate.OUT_OF_MEMORY),
    (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), Fate.OUT_OF_MEMORY),
    (OSError(12, "Cannot allocate memory"), Fate.OUT_OF_MEMORY),
    (ValueError("exit status 137"), Fate.APP_EXCEPTION),
    (TimeoutError("timed out"), Fate.APP_EXCEPTION),
    (KeyError("a key"), Fate.APP_EXCEPTION),
    (ExecutorError(_EXECUTOR, "Workqueue Submit Process is not alive"), Fate.UNKNOWN),
    (BadMessage("Message received with unknown type"), Fate.UNKNOWN),
    (
        WorkQueueTaskFailure("work queue result: task terminated with a signal", None),
        Fate.KILLED,
    ),
    (
        TaskVineTaskFailure("taskvine result: task ran for more than the specified time", 0),
        Fate.WALLTIME,
    ),
    (
        WorkQueueTaskFailure("Task execution raises an exception", BashExitFailure("a", 137)),
        Fate.KILLED,
    ),
    (WorkQueueTaskFailure("work queue result: missing input file", None), Fate.UNKNOWN),
    (WorkQueueFailure("work queue executor failed to execute the task."), Fate.MANAGER_LOST),
]


def _qualified_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def test_recording_has_forty_failures_of_every_group() -> None:
    """The recording has at least 40 failures, and none whose fate is not written down here."""
    assert {entry["name"].partition("/")[0] for entry in RECORDED} == set(FATES)
    assert len(RECORDED) >= 40


@pytest.mark.parametrize("entry", RECORDED, ids=[entry["name"] for entry in RECORDED])
def test_classify_recorded_failure(entry: dict[str, str]) -> None:
    """What Parsl really raised is filed under its fate when a worker's word is known."""
    fate = classify(
        exception_type=entry["exception_type"],
        message=entry["message"],
        stacktrace=entry["stacktrace"],
    )
    assert fate is FATES[entry["name"].partition("/")[0]]


@pytest.mark.parametrize("entry", RECORDED, ids=[entry["name"] for entry in RECORDED])
def test_classify_recorded_history(entry: dict[str, str]) -> None:
    """Parsl's fail history alone tells the same fate, but for what only the stack can tell."""
    group = entry["name"].partition("/")[0]
    # A module that the app imports and one that its pickle names read alike.
    expected = Fate.APP_EXCEPTION if group == "function_not_importable" else FATES[group]
    fate = classify(exception_type=None, message=None, fail_history=entry["fail_history"])
    assert fate is expected


@pytest.mark.parametrize(("error", "fate"), CONSTRUCTED, ids=[repr(e)[:60] for e, _ in CONSTRUCTED])
def test_classify_constructed_error(error: BaseException, fate: Fate) -> None:
    """Each of Parsl's exceptions has its fate, by qualified name, bare name and ``repr()``."""
    qualified, bare = _qualified_name(error), type(error).__name__
    assert [
        classify(exception_type=qualified, message=str(error)),
        classify(exception_type=bare, message=str(error)),
        classify(exception_type=None, message=None, fail_history=repr(error)),
    ] == [fate, fate, fate]


_REBUILT = [
    error
    for error, _ in CONSTRUCTED
    if not isinstance(error, (AppException, ScalingFailed, ScaleOutFailed, SubmitException))
    and not isinstance(error, (ExecutorError, BadMessage, DeserializerPluginError))
] + [
    BashExitFailure("align", 1),
    BadStateException(_EXECUTOR, TooManyJobFailuresError("Error 1:\n\tgone\n")),
    InvalidResourceSpecification({"gpu"}, "No such resource."),
]


@pytest.mark.parametrize("error", _REBUILT, ids=[repr(error)[:60] for error in _REBUILT])
def test_failure_from_history_rebuilds_str(error: BaseException) -> None:
    """From the ``repr()`` in Parsl's history the exception's ``str()`` is rebuilt."""
    assert failure_from_history(repr(error)) == ToldFailure(type(error).__name__, str(error))


@pytest.mark.parametrize(
    ("message", "fate"),
    [
        ("bash_app align failed with unix exit code 2", Fate.BASH_EXIT_CODE),
        ("bash_app align failed with unix exit code 137", Fate.KILLED),
        ("App align exceeded walltime: 3 seconds", Fate.WALLTIME),
        ("Task failure due to loss of worker 0 on host nid1", Fate.WORKER_LOST),
        ("Task failure due to loss of manager ab12 on host nid1", Fate.MANAGER_LOST),
        ("Executor htex failed due to: Error 1:", Fate.BLOCK_FAILED),
        ("Dependency failure for task 3 with failed dependencies from tasks [1]", Fate.DEPENDENCY),
        ("Join failure for task 1. The representative cause is via task 2", Fate.JOIN),
        ("cannot pickle '_thread.lock' object", Fate.SERIALISATION),
        ("something else", Fate.UNKNOWN),
        ("", Fate.UNKNOWN),
        (None, Fate.UNKNOWN),
    ],
)
def test_classify_message_alone(message: str | None, fate: Fate) -> None:
    """A message whose type was not recorded is known by Parsl's wording, or not at all."""
    assert classify(exception_type=None, message=message) is fate


def test_classify_takes_a_users_class_for_the_users() -> None:
    """A class of the user's that is named like one of Parsl's is the app's own exception."""
    names = ["flow.WorkerLost", "__main__.BashExitFailure", "flow.f.<locals>.DependencyError"]
    assert [classify(exception_type=name, message="") for name in names] == [
        Fate.APP_EXCEPTION,
        Fate.APP_EXCEPTION,
        Fate.APP_EXCEPTION,
    ]


def test_classify_pickling_within_the_app() -> None:
    """An app that fails to pickle something of its own has an app exception."""
    stack = 'Traceback (most recent call last):\n  File "/home/u/flow.py", line 3, in save\n'
    error = {"exception_type": "_pickle.PicklingError", "message": "Can't pickle <f>: not found"}
    assert [classify(**error), classify(**error, stacktrace=stack)] == [
        Fate.SERIALISATION,
        Fate.APP_EXCEPTION,
    ]


@pytest.mark.parametrize("module", ["concurrent.futures._base", "asyncio.exceptions"])
def test_classify_cancelled_try(module: str) -> None:
    """A try that its executor gave up has no known cause; one whose app was cancelled has."""
    error = {"exception_type": f"{module}.CancelledError", "message": ""}
    inside = (
        "Traceback (most recent call last):\n"
        '  File "/home/me/corridor.py", line 7, in await_others\n'
        "    future.result()\n"
    )

    assert classify(**error) is Fate.UNKNOWN
    assert classify(**error, stacktrace=inside) is Fate.APP_EXCEPTION


def test_classify_hidden_class() -> None:
    """A ``repr()`` that does not show the class is still an exception."""
    assert classify(exception_type=None, message=None, fail_history="<it broke>") is (
        Fate.APP_EXCEPTION
    )


def test_fate_is_its_word() -> None:
    """A fate reads, compares and formats as its word, whichever the Python version."""
    assert (Fate.APP_EXCEPTION, str(Fate.KILLED), f"{Fate.JOIN}") == (
        "app_exception",
        "killed",
        "join",
    )


def test_fates_of_a_live_run(tmp_path: Path) -> None:
    """Fail history that the installed Parsl writes is read right: the wording has not moved."""

    @parsl.python_app
    def broken(number: int) -> None:
        raise ValueError(f"{number} is bad, as is task 99")

    @parsl.python_app
    def after(*values: Any) -> None: ...

    @parsl.python_app
    def slow(walltime: float = 0.1) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            time.sleep(0.01)

    @parsl.bash_app
    def shell(command: str, outputs: Any = ()) -> str:
        return command

    @parsl.join_app
    def joined() -> Any:
        return broken(7)

    config = Config(
        executors=[ThreadPoolExecutor(max_threads=2)],
        run_dir=str(tmp_path),
        initialize_logging=False,
    )
    with parsl.load(config):
        root = broken(1)
        middle = after(2, root)
        tasks = {
            "middle": middle,
            "last": after(middle),
            "bash": shell("exit 3"),
            "killed": shell("kill -9 $$"),
            "walltime": slow(),
            "missing": shell("true", outputs=[File(str(tmp_path / "never"))]),
            "joined": joined(),
        }
        told = {name: _told(future) for name, future in tasks.items()}
        ids = {"root": root.tid, "middle": middle.tid}
    parsl.clear()
    fates = {
        name: classify(exception_type=None, message=None, fail_history=text)
        for name, text in told.items()
    }
    assert fates == {
        "middle": Fate.DEPENDENCY,
        "last": Fate.DEPENDENCY,
        "bash": Fate.BASH_EXIT_CODE,
        "killed": Fate.KILLED,
        "walltime": Fate.WALLTIME,
        "missing": Fate.MISSING_OUTPUT,
        "joined": Fate.JOIN,
    }
    assert cause_of_dependency(told["middle"]) == (ids["root"],)
    assert cause_of_dependency(told["last"]) == (ids["middle"], ids["root"])


def _told(future: Any) -> str:
    future.exception(timeout=60)
    return ",".join(future.task_record["fail_history"])


_MESSAGES = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["task 7", "it's", '"', "\\'", "'task 3')], 4)", "([{", ")]", "a <- task 1"]),
)
_LEAVES = st.builds(
    lambda kind, text: kind(text),
    st.sampled_from([ValueError, KeyError, OSError, AppException, SerializationError]),
    _MESSAGES,
)
_TASK_IDS = st.integers(min_value=0, max_value=10**9)


def _propagated(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    descriptions = st.one_of(
        _TASK_IDS.map(lambda number: f"task {number}"),
        _TASK_IDS.map(lambda number: f"DataFuture from task {number}"),
    )
    failed = st.lists(st.tuples(children, descriptions), min_size=1, max_size=3)
    return st.builds(
        lambda kind, causes, task: kind(causes, task),
        st.sampled_from([DependencyError, JoinError]),
        failed,
        _TASK_IDS,
    )


@given(_propagated(st.recursive(_LEAVES, _propagated, max_leaves=8)))
def test_cause_of_dependency_follows_parsl(error: DependencyError) -> None:
    """Whatever users' messages hold, ``str()`` and ``repr()`` name the chain that Parsl follows."""
    chain = []
    inner: Any = error
    while isinstance(inner, (DependencyError, JoinError)):
        inner, description = inner.dependent_exceptions_tids[0]
        chain.append(int(description.rpartition(" ")[2]))
    assert cause_of_dependency(str(error)) == tuple(chain)
    assert cause_of_dependency(repr(error)) == tuple(chain)
    assert failure_from_history(repr(error)) == ToldFailure(type(error).__name__, str(error))


def test_cause_of_dependency_of_older_parsl() -> None:
    """Parsl before 2024 named the direct dependencies, in two spellings."""
    beginning = "Dependency failure for task 9 with failed dependencies from tasks"
    assert cause_of_dependency(f"{beginning} [4, 5]") == (4, 5)
    assert cause_of_dependency(f"{beginning} ['task 4', 'task 5']") == (4, 5)


def test_cause_of_dependency_leaves_out_foreign_futures() -> None:
    """A future that is no task of the run has no id to fold under."""
    future: Future[None] = Future()
    error = DependencyError([(ValueError("x"), repr(future))], 4)
    assert (cause_of_dependency(str(error)), cause_of_dependency(repr(error))) == ((), ())


def test_cause_of_dependency_of_a_long_chain() -> None:
    """A chain of a thousand links is followed to its root, however long its text."""
    text = "ValueError('broken')"
    for link in range(1000):
        text = f"DependencyError([({text}, 'task {link}')], {link + 1})"
    assert cause_of_dependency(text) == tuple(range(999, -1, -1))


@pytest.mark.parametrize("text", ["", None, "ValueError('task 3')", "via task 4"])
def test_cause_of_dependency_of_other_text(text: str | None) -> None:
    """A text that is no propagated failure names no cause."""
    assert cause_of_dependency(text) == ()


_ANY_TEXT = st.one_of(
    st.none(),
    st.text(),
    st.lists(
        st.sampled_from(
            [
                *["DependencyError([(", "BashExitFailure(", "ValueError(", "BadStateException("],
                *["'", '"', "b'", "\\", "\\x", ")", "]", ", ", "'task 1'", "12", "label='x'"],
                "\n), A(",
            ]
        )
    ).map("".join),
)


@given(_ANY_TEXT, _ANY_TEXT, _ANY_TEXT, _ANY_TEXT)
def test_classify_never_raises(
    exception_type: str | None, message: str | None, history: str | None, stack: str | None
) -> None:
    """Whatever the texts, there is a fate, and there are causes, and nothing is raised."""
    fate = classify(
        exception_type=exception_type, message=message, fail_history=history, stacktrace=stack
    )
    told = failure_from_history(history or "")
    assert isinstance(fate, Fate)
    assert isinstance(told.message, str)
    assert isinstance(cause_of_dependency(history), tuple)
