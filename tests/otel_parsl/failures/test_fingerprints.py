"""Failures that have one cause fall into one group."""

from __future__ import annotations

import json
import random
import string
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_parsl.failures.failure import Failure, describe_failure
from otel_parsl.failures.fates import Fate
from otel_parsl.failures.fingerprints import fingerprint
from otel_parsl.failures.message_template import TEMPLATE_LIMIT, template
from otel_parsl.failures.stack_frames import (
    UserFrame,
    find_app_frame,
    find_user_frame,
    last_user_frame,
)

RECORDED: list[dict[str, str]] = json.loads(
    Path(__file__).with_name("parsl_failures.json").read_text()
)
_FILE = "capture_parsl_failures.py"
_JSON = "Expecting value: line <number> column <number> (char <number>)"
_SPECIFICATION = "Invalid Resource Specification Supplied: {<quoted>}."
_PROPAGATED = "failure for task <number>. The representative cause is via <cause>"

GROUPS: dict[str, tuple[str, str | None]] = {
    "value_error": (
        "sample <number>: <number> rows are too few for a mean of [<number>]",
        f"{_FILE}:mean",
    ),
    "key_error": ("<quoted>", f"{_FILE}:key_error"),
    "missing_file": ("[Errno 2] No such file or directory: <path>", f"{_FILE}:missing_file"),
    "child_exit": (
        "Command <quoted> returned non-zero exit status 3.",
        f"{_FILE}:child_fails",
    ),
    "child_killed": (
        "Command <quoted> died with <Signals.SIGKILL: 9>.",
        f"{_FILE}:child_fails",
    ),
    "walltime_python": ("", f"{_FILE}:sleep_python"),
    "walltime_bash": ("App sleep_bash exceeded walltime: <number> seconds", None),
    "bash_exit_1": ("bash_app shell failed with unix exit code 1", None),
    "bash_not_found": ("bash_app shell failed with unix exit code 127", None),
    "bash_killed": ("bash_app shell failed with unix exit code -9", None),
    "bash_segfault": ("bash_app shell failed with unix exit code 139", None),
    "missing_output": (
        "Missing Outputs: [<path>], Reason: Missing outputs from app shell",
        None,
    ),
    "bad_stdout": ("Bad Stream File: <path>", None),
    "formatting": (
        "App formatting failed for app <quoted> with IndexError: Replacement index <number>"
        " out of range for positional args tuple",
        f"{_FILE}:formats_badly",
    ),
    "returns_nothing": ("Expected a str for bash_app commandline, got <class <quoted>>", None),
    "join": (f"Join {_PROPAGATED}", None),
    "dependency": (f"Dependency {_PROPAGATED}", None),
    "not_joinable": (
        "join_app body must return a Future or list of Futures, got <number> of type"
        " <class <quoted>>",
        None,
    ),
    "own_exception": (
        "star <uuid> not in catalogue <url> at <hex>",
        f"{_FILE}:own_exception",
    ),
    "refused_connection": ("[Errno 111] Connection refused", f"{_FILE}:refused_connection"),
    "no_message": ("", f"{_FILE}:no_message"),
    "out_of_memory": ("", f"{_FILE}:out_of_memory"),
    "array_too_large": (
        "Unable to allocate <size> for an array with shape (<number>) and data type float64",
        f"{_FILE}:array_too_large",
    ),
    "json": (_JSON, f"{_FILE}:parse_json"),
    "decode": (
        "<quoted> codec can't decode byte <hex> in position <number>: invalid start byte",
        f"{_FILE}:decode",
    ),
    "no_module": ("No module named <quoted>", f"{_FILE}:import_it"),
    "resource_specification": (
        f"{_SPECIFICATION} Parsl resource specification is not supported in ThreadPool Executor.",
        None,
    ),
    "resource_specification_htex": (
        f"{_SPECIFICATION} Task resource specification only accepts these types of resources:"
        " priority",
        None,
    ),
    "worker_lost": ("Task failure due to loss of worker <number> on host <host>", None),
    "manager_lost": ("Task failure due to loss of manager <hex> on host <host>", None),
    "result_unpicklable": ("cannot pickle <quoted> object", None),
    "argument_unpicklable": (
        "Failed to serialize objects for an invocation of function after. Refer <url>",
        None,
    ),
    "function_not_importable": ("No module named <quoted>", None),
    "block_failed": (
        "Executor cluster failed due to: Error <number>: Job is marked as MISSING since the"
        " workers failed to register to the executor. Check the stdout/stderr logs in the"
        " submit_scripts directory for more debug information EXIT CODE: 3 STDERR: account refused",
        None,
    ),
    "block_killed": (
        "Executor htex failed due to: Error <number>: EXIT CODE: 137 STDOUT: Found cores :"
        " <number> Launching worker: <number> STDERR: <path>: line <number>: <number> Killed"
        " process_worker_pool.py --max_workers_per_node=<number> -a <host> -p <number>"
        " -c <number> -m None --poll <number> --port=<number> …",
        None,
    ),
}


def _seen(entry: dict[str, str]) -> Failure:
    return describe_failure(
        exception_type=entry["exception_type"],
        message=entry["message"],
        stacktrace=entry["stacktrace"],
    )


def _group(entry: dict[str, str]) -> str:
    return entry["name"].partition("/")[0]


@pytest.mark.parametrize("entry", RECORDED, ids=[entry["name"] for entry in RECORDED])
def test_describe_recorded_failure(entry: dict[str, str]) -> None:
    """What Parsl really raised gets the template and the frame of its group."""
    failure = _seen(entry)
    assert (failure.template, failure.frame) == GROUPS[_group(entry)]


def test_recorded_failures_fall_into_their_groups() -> None:
    """Real failures of one cause share a fingerprint, and no two causes do."""
    fingerprints = {(_group(entry), _seen(entry).fingerprint) for entry in RECORDED}
    assert Counter(group for group, _ in fingerprints) == Counter(list(GROUPS))
    assert len({name for _, name in fingerprints}) == len(GROUPS)


_NO_STACK_NEEDED = [group for group, (_, frame) in GROUPS.items() if frame is None]


@pytest.mark.parametrize(
    "entry",
    [entry for entry in RECORDED if _group(entry) in _NO_STACK_NEEDED],
    ids=lambda entry: entry["name"],
)
def test_history_alone_gives_the_same_group(entry: dict[str, str]) -> None:
    """A failure outside the user's code has one group, told by a worker or by Parsl's history."""
    seen, told = _seen(entry), describe_failure(fail_history=entry["fail_history"])
    if _group(entry) == "function_not_importable":
        assert (seen.fate, told.fate) == (Fate.SERIALISATION, Fate.APP_EXCEPTION)
    else:
        assert (told.fingerprint, told.caused_by) == (seen.fingerprint, seen.caused_by)


def test_describe_failure_tells_all() -> None:
    """A failure is told with everything that the store keeps of it."""
    history = "DependencyError([(DependencyError([(KeyError(1), 'task 4')], 5), 'task 5')], 6)"
    message = "Dependency failure for task 6. The representative cause is via task 5 <- task 4"
    assert describe_failure(fail_history=history) == Failure(
        fate=Fate.DEPENDENCY,
        fingerprint=fingerprint(
            fate="dependency", exception_type="DependencyError", frame=None, message=message
        ),
        exception_type="DependencyError",
        message=message,
        template=f"Dependency {_PROPAGATED}",
        frame=None,
        line=None,
        caused_by=(5, 4),
    )


def test_describe_failure_of_nothing_known() -> None:
    """A failure of which nothing is known has a group too."""
    failure = describe_failure()
    assert failure._replace(fingerprint="") == Failure(
        Fate.UNKNOWN, "", None, None, "", None, None, ()
    )
    assert len(failure.fingerprint) == 16


def test_walltime_has_one_group_wherever_it_struck() -> None:
    """Where an app was when its time was up does not split its group."""
    top = 'Traceback (most recent call last):\n  File "/w/flow.py", line 9, in simulate\n    step()'
    stacks = [top, f'{top}\n  File "/w/flow.py", line 3, in step\n    time.sleep(1)']
    timeout = "parsl.app.errors.AppTimeout"
    found = {describe_failure(exception_type=timeout, stacktrace=stack)[:6] for stack in stacks}
    assert {failure[5] for failure in found} == {"flow.py:simulate"}
    assert len(found) == 1


_STACK = """Traceback (most recent call last):
  File "/opt/env/lib/python3.11/site-packages/parsl/app/errors.py", line 138, in wrapper
    return func(*args, **kwargs)
  File "/home/u/flow.py", line {line}, in {function}
    {code}
{error}
"""


def _host(rng: random.Random) -> str:
    return rng.choice(["nid{:06d}", "c{}-101", "gpu{}.cluster.example.org", "login", "10.0.3.{}"])


def _hex(rng: random.Random, digits: int) -> str:
    return "".join(rng.choices("0123456789abcdef", k=digits))


def _word(rng: random.Random) -> str:
    return "".join(rng.choices(string.ascii_lowercase + "_", k=rng.randint(1, 12)))


def _too_few_rows(rng: random.Random) -> Failure:
    rows = [rng.choice([rng.uniform(-9, 9), rng.randint(-9, 9)]) for _ in range(rng.randint(1, 9))]
    message = f"sample {rng.randint(0, 10**7)}: {len(rows)} rows are too few: {rows}"
    stack = _STACK.format(
        line=rng.randint(1, 900), function="mean", code="x", error=f"ValueError: {message}"
    )
    return describe_failure(exception_type="ValueError", message=message, stacktrace=stack)


def _no_such_file(rng: random.Random) -> Failure:
    path = "/".join(["", "data", *(_word(rng) for _ in range(rng.randint(0, 4))), "a b.fits"])
    message = f"[Errno 2] No such file or directory: {path!r}"
    stack = _STACK.format(line=7, function="load", code="open(path)", error=message)
    return describe_failure(exception_type="FileNotFoundError", message=message, stacktrace=stack)


def _bash_failed(rng: random.Random) -> Failure:
    if rng.random() < 0.5:
        return describe_failure(fail_history="BashExitFailure('align', 1)")
    return describe_failure(
        exception_type="parsl.app.errors.BashExitFailure",
        message="bash_app align failed with unix exit code 1",
        stacktrace=_stack("/e/parsl/app/bash.py"),
    )


def _manager_lost(rng: random.Random) -> Failure:
    host = _host(rng).format(rng.randint(1, 9999))
    return describe_failure(fail_history=f"ManagerLost({_hex(rng, 12).encode()!r}, {host!r})")


def _array_too_large(rng: random.Random) -> Failure:
    shape = tuple(rng.randint(1, 10**6) for _ in range(rng.randint(2, 4)))
    size = f"{rng.choice(['58.2', '196.', '7.4'])} {rng.choice(['GiB', 'TiB', 'MiB'])}"
    message = f"Unable to allocate {size} for an array with shape {shape} and data type float64"
    return describe_failure(
        exception_type="numpy._core._exceptions._ArrayMemoryError",
        message=message,
        stacktrace=_STACK.format(line=3, function="grid", code="ones(shape)", error=message),
    )


def _service_refused(rng: random.Random) -> Failure:
    message = (
        f"request {uuid.UUID(int=rng.getrandbits(128), version=4)} by <Client object at"
        f" 0x{rng.getrandbits(48):x}> to https://{_word(rng)}.example.org/v1/{_word(rng)} from"
        f' "{_word(rng)}" (digest {_hex(rng, 40)}) refused at 2026-03-0{rng.randint(1, 9)}'
        f"T10:11:12.{rng.randint(0, 999999):06d}+00:00"
    )
    return describe_failure(
        exception_type="client.errors.Refused",
        message=message,
        stacktrace=_STACK.format(line=3, function="ask", code="get(url)", error=message),
    )


_CAUSES: list[Callable[[random.Random], Failure]] = [
    _too_few_rows,
    _no_such_file,
    _bash_failed,
    _manager_lost,
    _array_too_large,
    _service_refused,
]


def test_fifty_thousand_failures_of_six_causes_are_six_groups() -> None:
    """However their numbers, ids, paths and hosts differ, failures of six causes are six groups."""
    rng = random.Random(20260)
    groups: dict[str, Counter[str]] = {cause.__name__: Counter() for cause in _CAUSES}
    for number in range(50_000):
        cause = _CAUSES[number % len(_CAUSES)]
        groups[cause.__name__][cause(rng).fingerprint] += 1
    assert {name: len(found) for name, found in groups.items()} == dict.fromkeys(groups, 1)
    assert len({name for found in groups.values() for name in found}) == len(_CAUSES)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "it doesn't matter that users' files weren't 'here'",
            "it doesn't matter that users' files weren't <quoted>",
        ),
        ("loss is nan at step 12 (3.5e-08%)", "loss is nan at step <number> (<number>%)"),
        (
            "-5 is below +3, x-5 and 1,234,567",
            "<number> is below <number>, x-<number> and <number>",
        ),
        ("expected float64, got int32 in utf-8", "expected float64, got int32 in utf-<number>"),
        ("nid001234 and task17_R2 and 5GB", "nid<number> and task<number>_R<number> and <size>"),
        ("id 3f2a9c1e, a1B2c3 and 0xDEADbeef", "id <hex>, <id> and <hex>"),
        ("see ~/a/b.txt, ./x, ../y/z, C:\\a\\b", "see <path>"),
        ("run/3/out.txt or data_7.csv or and/or", "<path> or <path> or and/or"),
        ("read 3/10 of 2024-05-06 07:08:09.5Z", "read <number>/<number> of <time>"),
        ("connect db.example.org:5432", "connect <host>"),
        ("connect 10.1.2.3:80 or localhost:99", "connect <host> or <host>"),
        ("np.linalg.inv failed in scipy.io", "np.linalg.inv failed in scipy.io"),
        ("HTTP Error 404: Not Found", "HTTP Error 404: Not Found"),
        ("status code 503, errno 28", "status code 503, errno 28"),
        ("got ['a', 'b', \"c\"] and [(1, 2), (3, 4)]", "got [<quoted>] and [(<number>)]"),
        ("cannot open \u2018a b\u2019: denied", "cannot open <quoted>: denied"),
        ("two\n\tlines   of text", "two lines of text"),
        ("shapes (3,4) and (5,6,7) differ", "shapes (<number>) and (<number>) differ"),
        ("[0.1 2.  -3.]", "[<number>]"),
    ],
)
def test_template_of_usual_wordings(message: str, expected: str) -> None:
    """What varies goes, and words that only look like it stay."""
    assert template(message) == expected


def test_template_does_not_depend_on_how_long_a_value_is() -> None:
    """A quoted value beyond what is looked at, or a list of any length, is one placeholder."""
    assert template(repr("x y " * 5000)) == "<quoted>"
    assert template(f"bad rows {list(range(5000))}"[:-1]) == "bad rows [<number>,"
    assert {template(f"bad rows {list(range(length))}") for length in (1, 2, 50)} == {
        "bad rows [<number>]"
    }


_PIECES = st.sampled_from(
    [
        *"'\"`/\\.,:;-+~@<>()[]{}01",
        *["\u2018", "\u2019", "é", "…", "17", "0x1f", "a", "x1", "1x", "a1b2", "deadbeef1"],
        *["3.5e-7", "GiB", "2024-01-02", "10:11:12", "1.2.3.4", "exit code", "status", "errno"],
        *["host", "node", "on host", "hostname=", "localhost:", ".org", ".txt", "://", "/a"],
        *["a/b/c", "and", "<number>", "<hex>", "<id>", "<quoted>", "<path>", "<cause>"],
        *["Error 1: ", "Command '[", "<File at 0x", "The representative cause is via "],
    ]
)
_WORDY = st.lists(st.one_of(_PIECES, st.just(" ")), max_size=60).map("".join)
_ANY_TEXT = st.one_of(st.text(), _WORDY, _WORDY.map(lambda text: text * 40))


@given(_ANY_TEXT)
def test_template_is_idempotent_and_bounded(message: str) -> None:
    """Any text has a template of bounded length, whose template is itself."""
    once = template(message)
    assert template(once) == once
    assert len(once) <= TEMPLATE_LIMIT


@given(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.uuids(),
    st.integers(min_value=0),
    st.text(alphabet=string.ascii_letters + string.digits + " _-.:/", max_size=80),
    st.lists(st.integers(), min_size=1),
)
def test_template_forgets_values(
    whole: int, real: float, key: uuid.UUID, address: int, quoted: str, values: list[int]
) -> None:
    """Whatever numbers, ids and quoted values a message holds, its group is the same."""
    message = f"step {whole}: x={real} of {key} at {hex(address)} in 'q{quoted}' has {values}"
    assert template(message) == (
        "step <number>: x=<number> of <uuid> at <hex> in <quoted> has [<number>]"
    )


@given(_ANY_TEXT, _ANY_TEXT, _ANY_TEXT, _ANY_TEXT)
def test_describe_failure_never_raises(
    exception_type: str, message: str, stacktrace: str, fail_history: str
) -> None:
    """Whatever the texts, lone surrogates too, a failure has a fingerprint."""
    failure = describe_failure(
        exception_type=exception_type,
        message=message + "\udc80",
        stacktrace=stacktrace,
        fail_history=fail_history,
    )
    assert len(bytes.fromhex(failure.fingerprint)) == 8


@given(_ANY_TEXT)
def test_fingerprint_of_message_and_template_agree(message: str) -> None:
    """A fingerprint can be had from the message or from its template, kept alone."""
    of_message, of_template = (
        fingerprint(fate="killed", exception_type="a.B", frame="f.py:g", message=text)
        for text in (message, template(message))
    )
    assert of_message == of_template


def test_fingerprint_is_stable() -> None:
    """Fingerprints stand in databases: the same parts give the same name for ever."""
    assert (
        fingerprint(
            fate=Fate.APP_EXCEPTION,
            exception_type="builtins.ValueError",
            frame="flow.py:mean",
            message="sample 7 is bad",
        )
        == "d7c72514450cac8c"
    )


def test_fingerprint_tells_parts_apart() -> None:
    """Another fate, type, place or wording is another group; another module is not."""
    parts = {"fate": "killed", "exception_type": "a.B", "frame": "f.py:g", "message": "m"}
    others = [
        parts,
        {**parts, "fate": "walltime"},
        {**parts, "exception_type": "C"},
        {**parts, "frame": None},
        {**parts, "message": "n"},
    ]
    assert len({fingerprint(**other) for other in others}) == len(others)  # type: ignore[arg-type]
    assert fingerprint(**{**parts, "exception_type": "B"}) == fingerprint(**parts)  # type: ignore[arg-type]


def _stack(*paths: str) -> str:
    frames = [f'  File "{path}", line {n}, in f{n}\n    x\n' for n, path in enumerate(paths, 1)]
    return "Traceback (most recent call last):\n" + "".join(frames) + "ValueError: 3\n"


_SITE = "/opt/env/lib/python3.11/site-packages"
_PARSL = f"{_SITE}/parsl/app/errors.py"


@pytest.mark.parametrize(
    ("stacktrace", "expected"),
    [
        (_stack(_PARSL, "/h/flow.py", f"{_SITE}/numpy/core.py"), UserFrame("flow.py", "f2", 2)),
        (_stack("/h/a.py", "/h/b.py", "/usr/lib/python3.12/json/x.py"), UserFrame("b.py", "f2", 2)),
        (_stack(_PARSL, "/h/a.py", "<frozen runpy>", "<string>"), UserFrame("a.py", "f2", 2)),
        (
            _stack("/src/parsl/parsl/dataflow/dflow.py", "/h/a.py", "/x/otel_parsl/worker.py"),
            UserFrame("a.py", "f2", 2),
        ),
        (
            _stack(_PARSL, f"{_SITE}/flow/app.py", f"{_SITE}/flow/io.py", f"{_SITE}/numpy/x.py"),
            UserFrame("io.py", "f3", 3),
        ),
        (_stack(_PARSL, "/tmp/ipykernel_77/4242.py"), UserFrame("<cell>", "f2", 2)),
        (
            _stack("C:\\flows\\a.py", "C:\\env\\Lib\\site-packages\\b.py"),
            UserFrame("a.py", "f1", 1),
        ),
        (_stack(_PARSL, "/opt/env/bin/process_worker_pool.py"), None),
        (
            _stack("/h/cause.py") + "\nDuring handling …\n\n" + _stack("/h/last.py", _PARSL),
            UserFrame("last.py", "f1", 1),
        ),
        (
            _stack("/h/cause.py") + "\nDuring handling …\n\n" + _stack(_PARSL),
            UserFrame("cause.py", "f1", 1),
        ),
        ('  |   File "/h/group.py", line 5, in g\n  |     x\n', UserFrame("group.py", "g", 5)),
        ('Error: File "/h/a.py", line 5, in a message\n', None),
        ("no frames", None),
        ("", None),
        (None, None),
    ],
)
def test_find_user_frame(stacktrace: str | None, expected: UserFrame | None) -> None:
    """The innermost frame of the user's own code is found among everyone else's."""
    assert find_user_frame(stacktrace) == expected


def test_last_user_frame_takes_what_is_left() -> None:
    """The key has no line number, and where no frame is the user's it names the innermost."""
    assert last_user_frame(_stack(_PARSL, "/h/flow.py")) == "flow.py:f2"
    assert last_user_frame(_stack(_PARSL, f"{_SITE}/parsl/app/bash.py")) == "bash.py:f2"
    assert last_user_frame("ValueError: 3") is None


def test_find_app_frame_is_the_outermost() -> None:
    """The app's function is the first frame of the user's in the last exception."""
    stacktrace = _stack("/h/before.py") + "\n" + _stack(_PARSL, "/h/a.py", "/h/b.py")
    assert find_app_frame(stacktrace) == UserFrame("a.py", "f2", 2)
