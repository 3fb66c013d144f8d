"""
Tell in one word why a try failed.

Flow: exception as recorded -> **fates** -> failures -> store
Pure: no clock, no I/O.
Parsl is not imported: its exceptions are known by name and by what their ``str()`` says.
"""

from __future__ import annotations

import enum
import re
from typing import Final

from otel_parsl.failures.fail_history import failure_from_history
from otel_parsl.failures.stack_frames import has_user_frame

# A message may carry a whole stderr; what tells the fate stands at its beginning.
_TEXT_LIMIT: Final = 4096


class Fate(str, enum.Enum):
    """Why a try failed."""

    APP_EXCEPTION = "app_exception"
    """The app's code, or the call of the app, raised."""
    BASH_EXIT_CODE = "bash_exit_code"
    """The command of a bash app ended with an exit code other than 0."""
    WALLTIME = "walltime"
    """The app ran longer than it was allowed."""
    KILLED = "killed"
    """A signal ended the command; an out-of-memory killer's SIGKILL cannot be told from others."""
    OUT_OF_MEMORY = "out_of_memory"
    """Memory was refused, and the app was told so."""
    WORKER_LOST = "worker_lost"
    """The process that ran the try went away."""
    MANAGER_LOST = "manager_lost"
    """The manager of the worker went away, often with its whole node; or their interchange did."""
    BLOCK_FAILED = "block_failed"
    """The executor gave up because its blocks could not be had, or died."""
    DEPENDENCY = "dependency"
    """A task that this one depends on failed."""
    JOIN = "join"
    """A task that this one joined on failed."""
    SERIALISATION = "serialisation"
    """Function, arguments or result could not be pickled or unpickled."""
    MISSING_OUTPUT = "missing_output"
    """The app ended well and left out a file that it had promised."""
    UNKNOWN = "unknown"
    """No exception is known, or it tells no cause: one of Parsl's own, or a cancelled try's."""

    def __str__(self) -> str:
        return self.value


_OF_PARSL: Final = {
    "AppTimeout": Fate.WALLTIME,
    "WorkerLost": Fate.WORKER_LOST,
    "ManagerLost": Fate.MANAGER_LOST,
    # In Work Queue and TaskVine the manager is the process that keeps the queue.
    "InterchangeLost": Fate.MANAGER_LOST,  # ours: Parsl does not notice (see executor_watch)
    "WorkQueueFailure": Fate.MANAGER_LOST,
    "TaskVineManagerFailure": Fate.MANAGER_LOST,
    "BadStateException": Fate.BLOCK_FAILED,
    "TooManyJobFailuresError": Fate.BLOCK_FAILED,
    "VersionMismatch": Fate.BLOCK_FAILED,
    "ScalingFailed": Fate.BLOCK_FAILED,
    "ScaleOutFailed": Fate.BLOCK_FAILED,
    "SubmitException": Fate.BLOCK_FAILED,
    "SchedulerMissingArgs": Fate.BLOCK_FAILED,
    "ScriptPathError": Fate.BLOCK_FAILED,
    "ExecutionProviderException": Fate.BLOCK_FAILED,
    "BadLauncher": Fate.BLOCK_FAILED,
    "TaskVineFactoryFailure": Fate.BLOCK_FAILED,
    "DependencyError": Fate.DEPENDENCY,
    "JoinError": Fate.JOIN,
    "SerializationError": Fate.SERIALISATION,
    "DeserializationError": Fate.SERIALISATION,
    "DeserializerPluginError": Fate.SERIALISATION,
    "MissingOutputs": Fate.MISSING_OUTPUT,
    "DataFlowException": Fate.UNKNOWN,
    "ParslError": Fate.UNKNOWN,
    "ExecutorError": Fate.UNKNOWN,
    "BadMessage": Fate.UNKNOWN,
    "InternalConsistencyError": Fate.UNKNOWN,
    "CommandClientTimeoutError": Fate.UNKNOWN,
    "CommandClientBadError": Fate.UNKNOWN,
}

# Many libraries have one of these, each in a module of its own.
_ANYWHERE: Final = {
    "MemoryError": Fate.OUT_OF_MEMORY,
    "_ArrayMemoryError": Fate.OUT_OF_MEMORY,
    "OutOfMemoryError": Fate.OUT_OF_MEMORY,
    "ArrowMemoryError": Fate.OUT_OF_MEMORY,
    "BrokenProcessPool": Fate.WORKER_LOST,
    "TerminatedWorkerError": Fate.WORKER_LOST,
}

# What is said where the type alone does not tell; each in lower case.
_BY_TEXT: Final = (
    ("out of memory", Fate.OUT_OF_MEMORY),
    ("cannot allocate memory", Fate.OUT_OF_MEMORY),
    ("std::bad_alloc", Fate.OUT_OF_MEMORY),
    ("oom-kill", Fate.OUT_OF_MEMORY),
    ("oom_kill", Fate.OUT_OF_MEMORY),
    ("died with <signals.", Fate.KILLED),
    ("died with unknown signal", Fate.KILLED),
)

# Work Queue and TaskVine have one exception for every fate, and these reasons in it.
_BY_REASON: Final = (
    ("task terminated with a signal", Fate.KILLED),
    ("task used more resources than requested", Fate.KILLED),
    ("task ran past the specified end time", Fate.WALLTIME),
    ("task ran for more than the specified time", Fate.WALLTIME),
    ("cannot load result from result file", Fate.SERIALISATION),
    ("result file was not transfered", Fate.WORKER_LOST),
)

# str() of Parsl's exceptions, for a message that came without its type.
_BY_BEGINNING: Final = (
    ("Task failure due to loss of worker ", Fate.WORKER_LOST),
    ("Task failure due to loss of manager ", Fate.MANAGER_LOST),
    ("Dependency failure for task ", Fate.DEPENDENCY),
    ("Join failure for task ", Fate.JOIN),
    ("Missing Outputs: ", Fate.MISSING_OUTPUT),
    ("Failed to serialize objects for an invocation", Fate.SERIALISATION),
    ("Failed to deserialize objects", Fate.SERIALISATION),
    ("Failed to load deserializer plugin", Fate.SERIALISATION),
)

_WRAPPING: Final = "'Task execution raises an exception', "

_PICKLE_TYPES: Final = frozenset({"PicklingError", "UnpicklingError", "PickleError"})
_PICKLE_TEXTS: Final = ("cannot pickle ", "can't pickle ", "can't get attribute ")
_EXIT_CODE: Final = re.compile(
    r"(?:unix exit code|exit status|exited abnormally: returned) (-?\d{1,10})\b"
)
_BASH_APP_WALLTIME: Final = re.compile(r"App .{1,200} exceeded walltime: ")
_EXECUTOR_FAILED: Final = re.compile(r"Executor \S{1,200} failed due to: ")


def classify(
    *,
    exception_type: str | None,
    message: str | None,
    fail_history: str | None = None,
    stacktrace: str | None = None,
) -> Fate:
    """
    Say why a try failed.

    Args:
        exception_type: Class name as recorded by the process that saw it, qualified or bare.
            A bare name of Parsl's is taken for Parsl's; ``mine.WorkerLost`` is not.
        message: Its ``str()``.
        fail_history: Parsl's ``task_fail_history`` (the ``repr()``), read where no type is known.
        stacktrace: Where it was raised, if known: tells what failed on the way to the app's code
            from what the app's code did itself.
    """
    if not exception_type and fail_history:
        told = failure_from_history(fail_history)
        exception_type = told.exception_type
        message = told.message if message is None else message
        if exception_type is None:
            # A repr() that hides the class, and yet an exception.
            return _fate_of_text((message or "")[:_TEXT_LIMIT], otherwise=Fate.APP_EXCEPTION)
    text = (message or "")[:_TEXT_LIMIT]
    if not exception_type:
        return _fate_of_text(text, otherwise=Fate.UNKNOWN)
    return _fate_of_type(exception_type, text, stacktrace)


def _fate_of_type(exception_type: str, text: str, stacktrace: str | None) -> Fate:
    module, _, name = exception_type.rpartition(".")
    if not module or module == "parsl" or module.startswith("parsl."):
        if name == "BashExitFailure":
            return _fate_of_exit_code(text, Fate.BASH_EXIT_CODE)
        if name in _OF_PARSL:
            return _OF_PARSL[name]
        if name in ("WorkQueueTaskFailure", "TaskVineTaskFailure"):
            return _fate_of_queue(text)
    if name in _ANYWHERE:
        return _ANYWHERE[name]
    lowered = text.lower()
    if _tells_of_pickling(name, lowered, stacktrace):
        return Fate.SERIALISATION
    if name == "CancelledError" and not (stacktrace and has_user_frame(stacktrace)):
        return Fate.UNKNOWN  # the executor gave the try up; code of the app may await others
    if name == "CalledProcessError":
        return _fate_by(_BY_TEXT, lowered) or _fate_of_exit_code(text, Fate.APP_EXCEPTION)
    if name == "AppException" and "exited abnormally: returned " in text:
        return _fate_of_exit_code(text, Fate.WORKER_LOST)
    return _fate_by(_BY_TEXT, lowered) or Fate.APP_EXCEPTION


def _fate_of_queue(text: str) -> Fate:
    _, wrapping, inner = text.partition(_WRAPPING)
    if wrapping:
        return classify(exception_type=None, message=None, fail_history=inner.removesuffix(")"))
    return _fate_by(_BY_REASON, text.lower()) or Fate.UNKNOWN


def _fate_of_text(text: str, *, otherwise: Fate) -> Fate:
    for beginning, fate in _BY_BEGINNING:
        if text.startswith(beginning):
            return fate
    if text.startswith("bash_app "):
        return _fate_of_exit_code(text, Fate.BASH_EXIT_CODE)
    if _BASH_APP_WALLTIME.match(text):
        return Fate.WALLTIME
    if _EXECUTOR_FAILED.match(text):
        return Fate.BLOCK_FAILED
    lowered = text.lower()
    if lowered.startswith(_PICKLE_TEXTS):
        return Fate.SERIALISATION
    return _fate_by(_BY_TEXT, lowered) or otherwise


def _fate_by(words: tuple[tuple[str, Fate], ...], lowered: str) -> Fate | None:
    for word, fate in words:
        if word in lowered:
            return fate
    return None


def _fate_of_exit_code(text: str, otherwise: Fate) -> Fate:
    found = _EXIT_CODE.search(text)
    if found is None:
        return otherwise
    code = int(found[1])
    # A shell reports a command that a signal ended as 128 + signal (1 to 31), Python as -signal.
    return Fate.KILLED if -64 <= code < 0 or 129 <= code <= 159 else otherwise


def _tells_of_pickling(name: str, lowered: str, stacktrace: str | None) -> bool:
    if stacktrace:
        last_block = stacktrace[stacktrace.rfind("Traceback (most recent call last):") :]
        if "/parsl/serialize/" in last_block:
            return True
    if name not in _PICKLE_TYPES and not lowered.startswith(_PICKLE_TEXTS):
        return False
    # An app may pickle files of its own: then it is the app's failure.
    return not stacktrace or not has_user_frame(stacktrace)
