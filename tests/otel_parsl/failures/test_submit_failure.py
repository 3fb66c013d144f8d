"""What the submit side says of a failure that no worker could tell."""

from __future__ import annotations

import pytest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from parsl.app.errors import RemoteExceptionWrapper
from parsl.dataflow.errors import DependencyError, JoinError
from parsl.executors.high_throughput.errors import WorkerLost

from otel_parsl.exceptions import LIMIT
from otel_parsl.failures.submit_failure import told_failure
from otel_parsl.spans import _OF_PARSL


def _read(attributes: list[bytes]) -> dict[str, str]:
    found = {}
    for data in attributes:
        # Each is sized: its length, of one to three bytes, stands in front.
        start = 1 + sum(1 for byte in data[:2] if byte & 128)
        pair = KeyValue.FromString(data[start:])
        found[pair.key] = pair.value.string_value
    return found


def _raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


class Unspeakable(Exception):
    """An exception whose own code fails."""

    def __str__(self) -> str:
        raise ValueError("no words")


def test_failure_that_no_worker_could_tell_is_told_whole() -> None:
    """A lost worker's failure has its class, fate, message and stack trace."""
    found = _read(told_failure(_raised(WorkerLost(3, "node17")), is_told=False))
    stacktrace = found.pop("exception.stacktrace")
    assert found == {
        "error.type": "parsl.executors.high_throughput.errors.WorkerLost",
        "parsl.fate": "worker_lost",
        "exception.type": "parsl.executors.high_throughput.errors.WorkerLost",
        "exception.message": "Task failure due to loss of worker 3 on host node17",
    }
    assert "in _raised" in stacktrace


def test_failure_that_a_worker_told_is_named_alone() -> None:
    """Of what stands on the worker's span already only the class and the fate are said."""
    error = _raised(MemoryError("no room"))
    wrapper = RemoteExceptionWrapper(type(error), error, error.__traceback__)
    assert _read(told_failure(wrapper, is_told=True)) == {
        "error.type": "MemoryError",
        "parsl.fate": "out_of_memory",
    }


def test_long_words_are_cut() -> None:
    """A message of any length, and the end of its stack trace, take 16 KiB each at most."""
    found = _read(told_failure(_raised(ValueError("x" * 100_000)), is_told=False))
    assert found["exception.message"] == "x" * LIMIT
    assert found["exception.stacktrace"] == "x" * (LIMIT - 1) + "\n"


def test_exception_that_cannot_be_shown_is_told_all_the_same() -> None:
    """An exception whose __str__ raises is named, and said to be such."""
    found = _read(told_failure(Unspeakable(), is_told=False))
    assert found["exception.type"].endswith(".Unspeakable")
    assert found["exception.message"] == "(its __str__ raised ValueError)"


@pytest.mark.parametrize("error", [DependencyError, JoinError])
def test_what_the_kernel_raises_is_known_by_its_whole_name(error: type[Exception]) -> None:
    """The exceptions that only Parsl's words tell of are named with their modules."""
    assert _OF_PARSL[error.__name__] == f"{error.__module__}.{error.__name__}"
