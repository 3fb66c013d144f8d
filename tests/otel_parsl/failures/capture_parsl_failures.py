"""
Make Parsl fail in every way that is cheap to arrange, and write down what it said.

Run by hand when Parsl moves: ``python tests/otel_parsl/failures/capture_parsl_failures.py``.
It rewrites ``parsl_failures.json`` beside it, the recording that the tests of fates and
fingerprints read; the group that each failure belongs to is the first part of its name.
Nothing here is imported by a test.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import parsl
from parsl.config import Config
from parsl.data_provider.files import File
from parsl.executors import HighThroughputExecutor, ThreadPoolExecutor
from parsl.providers import LocalProvider

OUT = Path(__file__).with_name("parsl_failures.json")
Recording = dict[str, str]
Start = tuple[str, Callable[[], Any]]


def _qualified_name(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _record(name: str, error: BaseException, fail_history: str) -> Recording:
    return {
        "name": name,
        "exception_type": _qualified_name(error),
        "message": str(error),
        "fail_history": fail_history,
        "stacktrace": "".join(traceback.format_exception(error)),
    }


def _collect(cases: list[Start]) -> list[Recording]:
    """Start every case, then wait for each and record its failure."""
    started = []
    for name, start in cases:
        try:
            started.append((name, start()))
        except Exception as refusal:
            print(f"{name}: refused at the call: {refusal!r}")
    recordings = []
    for name, future in started:
        error = future.exception(timeout=120)
        if error is None:
            print(f"{name}: did not fail")
            continue
        task_record = getattr(future, "task_record", {})
        history = ",".join(task_record.get("fail_history", [])) or repr(error)
        recordings.append(_record(name, error, history))
        print(f"{name}: {error!r}"[:160])
    return recordings


class StarNotFound(Exception):
    """An exception of the user's own."""


@parsl.python_app
def value_error(sample):
    def mean(rows):
        if len(rows) < 3:
            raise ValueError(f"sample {sample}: {len(rows)} rows are too few for a mean of {rows}")
        return sum(rows) / len(rows)

    return mean([0.5 * sample, 1e-9 * sample])


@parsl.python_app
def key_error(key):
    return {}[key]


@parsl.python_app
def missing_file(path):
    with open(path) as file:
        return file.read()


@parsl.python_app
def no_message():
    assert 1 + 1 == 3


@parsl.python_app
def out_of_memory():
    return len(bytearray(1 << 62))


@parsl.python_app
def array_too_large(side):
    import numpy

    return numpy.ones((side, side, side)).sum()


@parsl.python_app
def child_fails(command):
    import subprocess

    return subprocess.run(["/bin/sh", "-c", command], check=True).returncode


@parsl.python_app
def refused_connection(port):
    import socket

    with socket.socket() as sock:
        sock.connect(("127.0.0.1", port))


@parsl.python_app
def own_exception(kind, message):
    raise kind(message)


@parsl.python_app
def parse_json(text):
    import json

    return json.loads(text)


@parsl.python_app
def decode(data):
    return data.decode("utf-8")


@parsl.python_app
def import_it(name):
    import importlib

    return importlib.import_module(name)


@parsl.python_app
def sleep_python(seconds, walltime=1):
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)


@parsl.bash_app
def sleep_bash(seconds, walltime=1):
    return f"sleep {seconds}"


@parsl.bash_app
def shell(command, stdout=None, outputs=()):
    return command


@parsl.bash_app
def formats_badly(values):
    return "{} {}".format(*values)


@parsl.bash_app
def returns_nothing():
    pass


@parsl.python_app
def after(*values):
    return values


@parsl.join_app
def joins(*futures):
    return futures[0] if len(futures) == 1 else list(futures)


@parsl.join_app
def joins_failing(number):
    return value_error(number)


@parsl.join_app
def joins_many_failing(numbers):
    return [value_error(number) for number in numbers]


@parsl.join_app
def joins_a_number(number):
    return number


@parsl.python_app
def dies(how):
    import os
    import signal
    import sys
    import time

    if how == "exit":
        sys.exit(3)
    if how == "_exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


@parsl.python_app
def returns_generator():
    return (number for number in range(3))


@parsl.python_app
def returns_connection():
    import sqlite3

    return sqlite3.connect(":memory:")


@parsl.python_app
def pid_of_manager():
    import os

    return os.getppid()


@parsl.python_app
def sleeps(seconds):
    import time

    time.sleep(seconds)


def _thread_cases(work: Path) -> list[Start]:
    broken: Future[None] = Future()
    broken.set_exception(RuntimeError("not a task of Parsl"))
    cases: list[Start] = []

    def case(name: str, app: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        cases.append((name, partial(app, *args, **kwargs)))

    for number in (7, 1234):
        case(f"value_error/{number}", value_error, number)
        case(f"key_error/{number}", key_error, f"star-{number}")
        case(f"missing_file/{number}", missing_file, f"/data/run{number}/sample_{number}.fits")
        case(f"child_exit/{number}", child_fails, f"echo {number} >/dev/null; exit 3")
        case(f"child_killed/{number}", child_fails, f"echo {number} >/dev/null; kill -9 $$")
        case(f"walltime_python/{number}", sleep_python, number)
        case(f"walltime_bash/{number}", sleep_bash, number)
        case(f"bash_exit_1/{number}", shell, f"echo {number} >/dev/null; exit 1")
        case(f"bash_not_found/{number}", shell, f"no_such_program_{number} 2>/dev/null")
        case(f"bash_killed/{number}", shell, f"echo {number} >/dev/null; kill -9 $$")
        case(f"missing_output/{number}", shell, "true", outputs=[File(str(work / f"o{number}"))])
        case(f"bad_stdout/{number}", shell, "true", stdout=f"/proc/{number}/none/out.txt")
        case(f"formatting/{number}", formats_badly, [number])
        case(f"join/{number}", joins_failing, number)
        case(f"not_joinable/{number}", joins_a_number, number)
        case(
            f"own_exception/{number}",
            own_exception,
            StarNotFound,
            f"star {uuid.uuid5(uuid.NAMESPACE_DNS, str(number))} not in catalogue"
            f" https://catalogue.example.org/v{number}/stars at 0x{number:x}",
        )
        case(f"refused_connection/{number}", refused_connection, 1)
        case(f"dependency/{number}", lambda n=number: after(value_error(n)))
        case(f"dependency/chain-{number}", lambda n=number: after(after(after(value_error(n)))))
        case(f"dependency/two-{number}", lambda n=number: after(value_error(n), key_error(n)))
    case("missing_output/two", shell, "true", outputs=[File("/data/a.txt"), File("/data/b.txt")])
    case(
        "dependency/file",
        lambda: after(shell("exit 4", outputs=[File(str(work / "never.txt"))]).outputs[0]),
    )
    case("dependency/foreign", after, broken)
    case("dependency/join", lambda: after(joins_failing(3)))
    case("join/many", joins_many_failing, [1, 2])
    case("no_message", no_message)
    case("out_of_memory", out_of_memory)
    case("array_too_large/20000", array_too_large, 20_000)
    case("array_too_large/30000", array_too_large, 30_000)
    case("bash_segfault", shell, "(kill -SEGV $BASHPID); exit $?")
    case("returns_nothing", returns_nothing)
    case("json/empty", parse_json, "")
    case("json/later", parse_json, '{"a": 1,\n "b": }')
    case("decode/1", decode, b"\xff\xfe")
    case("decode/2", decode, b"abc\x80")
    case("no_module/1", import_it, "no_such_module")
    case("resource_specification", after, parsl_resource_specification={"cores": 1})
    return cases


def _htex_cases() -> list[Start]:
    cases: list[Start] = []
    for number in (7, 1234):
        cases += [
            (f"value_error/htex-{number}", partial(value_error, number)),
            (f"bash_exit_1/htex-{number}", partial(shell, f"test {number} = 0")),
            (f"walltime_python/htex-{number}", partial(sleep_python, number)),
        ]
    cases += [
        ("worker_lost/exit", lambda: dies("exit")),
        ("worker_lost/_exit", lambda: dies("_exit")),
        ("worker_lost/SIGKILL", lambda: dies("SIGKILL")),
        ("result_unpicklable/generator", returns_generator),
        ("result_unpicklable/connection", returns_connection),
        ("argument_unpicklable/generator", lambda: after(number for number in range(3))),
        ("argument_unpicklable/connection", lambda: after(sqlite3.connect(":memory:"))),
        ("resource_specification_htex", lambda: after(parsl_resource_specification={"gpu": 1})),
    ]
    return cases


def _only_here_cases(work: Path) -> list[Start]:
    """A function of a module that the worker cannot import."""
    (work / "only_on_the_submit_host.py").write_text("def double(number):\n    return 2 * number\n")
    sys.path.insert(0, str(work))
    import only_on_the_submit_host

    app = parsl.python_app(only_on_the_submit_host.double)
    return [("function_not_importable", lambda: app(2))]


def _lose_a_manager(name: str) -> list[Recording]:
    manager = pid_of_manager().result(timeout=120)
    task = sleeps(60)
    while task.task_status() != "launched":
        time.sleep(0.05)
    time.sleep(2)
    os.kill(manager, signal.SIGKILL)
    return _collect([(name, lambda: task)])


def _htex(label: str, *, blocks_may_fail: bool = False, **provider: Any) -> HighThroughputExecutor:
    return HighThroughputExecutor(
        label=label,
        block_error_handler=not blocks_may_fail,
        address="127.0.0.1",
        max_workers_per_node=1,
        heartbeat_period=1,
        heartbeat_threshold=4 if blocks_may_fail else 120,
        encrypted=False,
        provider=LocalProvider(init_blocks=1, max_blocks=1, min_blocks=1, **provider),
    )


def _runs(work: Path) -> Iterator[list[Recording]]:
    run_dir = str(work / "runinfo")
    with parsl.load(Config(executors=[ThreadPoolExecutor(max_threads=4)], run_dir=run_dir)):
        yield _collect(_thread_cases(work))
    parsl.clear()
    with parsl.load(Config(executors=[_htex("htex")], run_dir=run_dir)):
        yield _collect(_htex_cases())
        yield _collect(_only_here_cases(work))
        yield _lose_a_manager("block_killed")
    parsl.clear()
    for number in (1, 2):
        executor = _htex(f"lossy_{number}", blocks_may_fail=True)
        with parsl.load(Config(executors=[executor], run_dir=run_dir)):
            yield _lose_a_manager(f"manager_lost/{number}")
        parsl.clear()
    for number in (1, 2):
        executor = _htex("cluster", worker_init="echo account refused >&2; exit 3")
        config = Config(executors=[executor], run_dir=run_dir, strategy_period=0.5)
        with parsl.load(config):
            yield _collect([(f"block_failed/{number}", lambda: sleeps(60))])
        parsl.clear()


def main() -> None:
    """Run every case and write the recording, without the paths of this machine."""
    recordings: list[Recording] = []
    # Parsl starts its interchange and its managers by name.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        for part in _runs(Path(directory)):
            recordings += part
    text = json.dumps(recordings, indent=1)
    for path, stand_in in (
        (directory, "/home/user/project"),
        (str(Path(__file__).parent), "/home/user/project"),
        (sys.prefix, "/home/user/env"),
        (sys.base_prefix, "/usr"),
    ):
        text = text.replace(json.dumps(path)[1:-1], stand_in)
    OUT.write_text(text + "\n")
    print(f"{len(recordings)} failures -> {OUT}")


if __name__ == "__main__":
    main()
