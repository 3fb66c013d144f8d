"""Ids are computed from what they identify, alike in every process and for ever."""

from __future__ import annotations

import subprocess
import sys
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_parsl import OTelMonitoringHub
from otel_parsl.errors import ConfigError
from otel_parsl.identity import is_trace_scope, run_key, span_id, task_trace_id
from tests.support.otlp_text import TEXT

RUN_ID = "8f1d2a4e-3b6c-4d5e-9f70-123456789abc"
RUN = run_key(RUN_ID)
KEYS = st.lists(TEXT | st.integers(), max_size=4)


@given(st.uuids(version=4))
def test_trace_of_a_run_is_its_uuid(uuid: UUID) -> None:
    """A run's trace is found by its run id, however that is spelt."""
    assert run_key(str(uuid)) == uuid.bytes
    assert run_key(str(uuid).upper()) == uuid.bytes


@given(TEXT | st.uuids(version=1).map(str) | st.uuids(version=4).map(lambda uuid: uuid.hex))
def test_run_id_that_is_no_uuid_is_hashed(run_id: str) -> None:
    """Whatever a run is called it has a trace id: 16 bytes, never zero, the same each time."""
    key = run_key(run_id)
    assert len(key) == 16
    assert any(key)
    assert run_key(run_id) == key


def test_uuids_that_are_no_version_4_are_hashed() -> None:
    """A run id that only looks like a UUID is not taken as it is: its bits are not random."""
    nil = UUID(int=0)
    assert run_key(str(nil)) != nil.bytes
    assert run_key(f"{{{RUN_ID}}}") != UUID(RUN_ID).bytes


def test_ids_are_those_of_the_first_release() -> None:
    """One id means one span for ever: these values may never change."""
    assert {
        "run": span_id(RUN, "run").hex(),
        "task": span_id(RUN, "task", 7).hex(),
        "try": span_id(RUN, "try", 7, 1).hex(),
        "execution": span_id(
            RUN, "execution", 7, 1, "node1", 4711, 1_700_000_000_000_000_000
        ).hex(),
        "block": span_id(RUN, "block", "htex", "0").hex(),
        "manager": span_id(RUN, "manager", "0a1b").hex(),
        "trace of task 1000": task_trace_id(RUN, 1000).hex(),
        "run without a UUID": run_key("my run").hex(),
    } == {
        "run": "3de6abb30962dd97",
        "task": "bffd9634ac94104b",
        "try": "360c4c3fe442094e",
        "execution": "60bc9c216ad87e36",
        "block": "215a062acca61d18",
        "manager": "c1dbe658466f728e",
        "trace of task 1000": "68fcff54bc3215bb60209cc5382e9e70",
        "run without a UUID": "0a578dc28bd38114d4a089378f8edd79",
    }


def test_another_process_computes_the_same_ids() -> None:
    """Ids do not depend on the process, its hash seed or its locale."""
    program = (
        "from otel_parsl.identity import *;"
        f"run = run_key({RUN_ID!r});"
        "print(run.hex(), span_id(run, 'task', 7).hex(), task_trace_id(run, 5000).hex())"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": "1", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [RUN.hex(), span_id(RUN, "task", 7).hex(), task_trace_id(RUN, 5000).hex()]
    assert result.stdout.split() == expected


@given(st.sampled_from(["run", "task", "try"]), KEYS, st.sampled_from(["run", "task", "try"]), KEYS)
def test_span_ids_differ_where_what_they_name_differs(
    kind: str, key: list[object], other_kind: str, other_key: list[object]
) -> None:
    """Two spans have one id exactly if kind and key are the same, text by text."""
    texts = [kind, *map(str, key)], [other_kind, *map(str, other_key)]
    if any("\0" in text for of_one in texts for text in of_one):
        return  # no name in Parsl has a NUL
    same_id = span_id(RUN, kind, *key) == span_id(RUN, other_kind, *other_key)
    encoded = [[text.encode("utf-8", "backslashreplace") for text in of_one] for of_one in texts]
    assert same_id == (encoded[0] == encoded[1])
    assert len(span_id(RUN, kind, *key)) == 8


def test_span_ids_of_two_runs_differ() -> None:
    """Task 7 of one run is not task 7 of another."""
    assert span_id(RUN, "task", 7) != span_id(run_key("another"), "task", 7)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_trace_of_a_task_follows_the_scope(task_id: int, tasks: int) -> None:
    """Under auto the first tasks share the run's trace; run and task force one or the other."""
    own = task_trace_id(RUN, task_id, scope="task")
    assert own != RUN
    assert len(own) == 16
    assert task_trace_id(RUN, task_id, scope="run") == RUN
    assert task_trace_id(RUN, task_id) == (RUN if task_id < 1000 else own)
    assert task_trace_id(RUN, task_id, scope=f"auto:{tasks}") == (RUN if task_id < tasks else own)


@pytest.mark.parametrize(
    ("scope", "is_one"),
    [
        ("auto", True),
        ("auto:0", True),
        ("auto:5000", True),
        ("run", True),
        ("task", True),
        ("auto:", False),
        ("auto:-1", False),
        ("auto: 5", False),
        ("5000", False),
        (5000, False),
        ("auto\n", False),
    ],
)
def test_what_is_no_scope_is_refused(scope: object, is_one: bool) -> None:
    """The hub takes the words that are documented, and says which they are for any other."""
    assert is_trace_scope(scope) == is_one
    if is_one:
        assert OTelMonitoringHub(trace_scope=scope).trace_scope == scope
    else:
        with pytest.raises(ConfigError, match=r"trace_scope: .*; expected auto, run, task"):
            OTelMonitoringHub(trace_scope=scope)


@pytest.mark.parametrize("digest", [bytes(8), bytes(16)])
def test_no_id_is_zero(digest: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A digest of zeros, which OpenTelemetry takes as no id at all, becomes another."""

    class _Zeros:
        def __init__(self, _data: bytes, *, digest_size: int) -> None:
            self._size = digest_size

        def digest(self) -> bytes:
            return bytes(self._size)

    monkeypatch.setattr("otel_parsl.identity.blake2b", _Zeros)
    assert span_id(RUN, "task", 1) == bytes(7) + b"\x01"
    assert run_key("my run") == bytes(15) + b"\x01"
    assert task_trace_id(RUN, 1, scope="task") == bytes(15) + b"\x01"
