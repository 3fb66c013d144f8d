"""A result and the telemetry that rides on it, and the border that nothing may be raised across."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import dill  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parsl.app.errors import RemoteExceptionWrapper
from parsl.serialize import deserialize, serialize

from otel_parsl import carrier
from otel_parsl.carrier import VERSION, carried, deliver, delivered, pack, pack_failure, unpack
from otel_parsl.worker import RunContext, TracedFunction, TryContext

RUN_ID = "8f1d2a4e-3b6c-4d5e-9f70-123456789abc"
BLOB = RUN_ID.encode() + b"\0frames of a try"

PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary()
)
RESULTS = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))

# Opcodes that make any unpickler reserve gigabytes are left out: they are no matter of ours.
GARBAGE = st.binary(max_size=60).filter(lambda data: not set(data) & set(b"rp\x8a\x8b\x8d\x8e\x96"))
ANYTHING = st.one_of(GARBAGE, st.none(), st.integers(), st.text(), st.lists(st.integers()))


class FailsToUnpickle:
    """A result that the worker can pickle and the submit side cannot read."""

    def __reduce__(self) -> Any:
        return _refuse, (ValueError("only here"),)


class EndsWhenUnpickled:
    """A result that asks the process that reads it to end."""

    def __reduce__(self) -> Any:
        return _refuse, (SystemExit(3),)


def _refuse(error: BaseException) -> None:
    raise error


@pytest.fixture
def taken() -> Iterator[list[bytes]]:
    """Register the run's hub and give what it takes."""
    frames: list[bytes] = []
    carrier.register(RUN_ID, frames.append)
    yield frames
    carrier.unregister(RUN_ID)


def _counted(call: Any) -> int:
    before = carrier.undelivered
    call()
    return carrier.undelivered - before


@given(RESULTS)
def test_pack_is_undone_by_unpack(result: Any) -> None:
    """A result of any kind comes back equal, and of its own type."""
    found = unpack(pack(result))
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize("library", [pickle, dill])
@given(result=RESULTS)
def test_what_was_carried_is_the_bare_result(library: Any, result: Any) -> None:
    """Whatever library an executor pickles with, Parsl gets the user's result, nothing of ours."""
    frames: list[bytes] = []
    carrier.register(RUN_ID, frames.append)
    try:
        found = delivered(library.loads(library.dumps(carried(BLOB, pack(result)))))
    finally:
        carrier.unregister(RUN_ID)
    assert found == result
    assert type(found) is type(result)
    assert frames == [b"frames of a try"]


def test_what_is_carried_goes_through_parsls_serializer(taken: list[bytes]) -> None:
    """What HTEX does with a result leaves the bare result, and its telemetry once."""
    through = deserialize(serialize(carried(BLOB, pack({"answer": 42})), buffer_threshold=1 << 20))
    assert taken == []
    assert delivered(through) == {"answer": 42}
    assert taken == [b"frames of a try"]


@given(RESULTS)
def test_result_that_carries_nothing_is_left_alone(result: Any) -> None:
    """A result of an executor that called no function of ours is given back as it is."""
    assert delivered(result) is result


@pytest.mark.usefixtures("taken")
@given(st.integers(0), st.binary(max_size=40))
def test_what_is_torn_never_raises(cut: int, more: bytes) -> None:
    """Carried bytes that are cut short or made up give a result or a wrapped failure."""
    whole = carried(BLOB, pack("result"))
    delivered(whole[: cut % len(whole)])
    delivered(whole[:17] + more)


def test_frames_go_to_the_hub_of_their_run_alone(taken: list[bytes]) -> None:
    """Two hubs in one process each get the telemetry of their own run."""
    others: list[bytes] = []
    carrier.register("another", others.append)
    try:
        assert deliver(VERSION, b"another\0its frames", pack(1)) == 1
        assert deliver(VERSION, BLOB, pack(2)) == 2
    finally:
        carrier.unregister("another")
    assert (taken, others) == ([b"frames of a try"], [b"its frames"])


@pytest.mark.usefixtures("taken")
@given(ANYTHING, ANYTHING, ANYTHING)
def test_deliver_never_raises(version: Any, blob: Any, payload: Any) -> None:
    """Whatever comes from a worker, the result thread gets a result or a wrapped failure."""
    found = deliver(version, blob, payload)
    if not isinstance(payload, bytes):
        assert isinstance(found, RemoteExceptionWrapper)


@pytest.mark.usefixtures("taken")
@given(RESULTS, st.data())
def test_damaged_payload_is_a_failure_of_the_task(result: Any, data: st.DataObject) -> None:
    """A result cut short anywhere never raises, and never costs the telemetry."""
    payload = pack(result)
    cut = data.draw(st.integers(0, len(payload) - 1))
    assert _counted(lambda: deliver(VERSION, BLOB, payload[:cut])) == 0


def test_result_that_fails_on_unpickling_is_a_failure_of_the_task(taken: list[bytes]) -> None:
    """The task fails with what was raised, and the telemetry of its try arrives all the same."""
    found = deliver(VERSION, BLOB, pack(FailsToUnpickle()))
    assert isinstance(found, RemoteExceptionWrapper)
    with pytest.raises(ValueError, match="only here"):
        found.reraise()
    assert taken == [b"frames of a try"]


@pytest.mark.usefixtures("taken")
def test_result_that_ends_the_process_is_a_failure_of_the_task() -> None:
    """A SystemExit out of a result's own code does not end the result thread."""
    assert isinstance(deliver(VERSION, BLOB, pack(EndsWhenUnpickled())), RemoteExceptionWrapper)


def test_result_that_cannot_be_pickled_raises_where_it_is_packed() -> None:
    """The worker learns of it, and packs the failure instead: that can always be read."""
    generator = (n for n in range(3))
    with pytest.raises(TypeError) as raised:
        pack(generator)
    found = unpack(pack_failure(raised.value))
    with pytest.raises(TypeError, match="generator"):
        found.reraise()


def test_exception_that_cannot_be_pickled_is_told_by_its_repr() -> None:
    """An exception that holds what cannot be pickled is replaced, and says what it was."""
    error = RuntimeError("holds", (n for n in range(3)))
    found = unpack(pack_failure(error))
    with pytest.raises(RuntimeError, match=r"RuntimeError that cannot be pickled: .*'holds'"):
        found.reraise()


def test_unknown_version_is_counted_and_its_result_read(taken: list[bytes]) -> None:
    """A newer worker's blob is not guessed at: it is counted, and its result is read."""
    assert _counted(lambda: deliver(VERSION + 1, BLOB, pack(1))) == 1
    assert deliver(VERSION + 1, BLOB, pack("result")) == "result"
    assert taken == []


def test_worker_uses_no_newer_version_than_the_submit_side(
    monkeypatch: pytest.MonkeyPatch, taken: list[bytes]
) -> None:
    """A worker that has newer forms of a blob sends the newest that the submit side understands,
    and an older worker its own; both are taken."""
    context = RunContext(RUN_ID, (), "auto", 0.0, "flow", carrier_version=VERSION)
    which = TryContext(0, 0, "app", "htex", monitor_resources=False)
    sent = {}
    for worker, submit in ((VERSION + 1, VERSION), (VERSION, VERSION + 1)):
        monkeypatch.setattr(carrier, "VERSION", worker)
        function = TracedFunction(len, context._replace(carrier_version=submit), which)
        sent[worker, submit] = function("abc")
    monkeypatch.undo()

    versions = {each: data[len(b"otel-parsl\0\xd1\x9c\x4e")] for each, data in sent.items()}
    assert versions == dict.fromkeys(sent, VERSION)
    assert _counted(lambda: [delivered(data) for data in sent.values()]) == 0
    assert len(taken) == 2


def test_unknown_run_is_counted_and_its_result_read(taken: list[bytes]) -> None:
    """Telemetry of a run whose hub is gone is counted, and the result is read."""
    assert _counted(lambda: deliver(VERSION, b"some other run\0frames", pack(1))) == 1
    carrier.unregister(RUN_ID)
    assert _counted(lambda: deliver(VERSION, BLOB, pack(1))) == 1
    assert deliver(VERSION, BLOB, pack("late")) == "late"
    assert taken == []


def test_hub_that_fails_is_counted_and_the_result_read() -> None:
    """Whatever a hub's sink raises, the task has its result."""
    carrier.register(RUN_ID, lambda _frames: _refuse(OSError("full")))
    try:
        assert _counted(lambda: deliver(VERSION, BLOB, pack(1))) == 1
        assert deliver(VERSION, BLOB, pack("result")) == "result"
    finally:
        carrier.unregister(RUN_ID)


def test_unregister_may_come_twice() -> None:
    """A hub that is closed twice does no harm."""
    carrier.unregister("never registered")
    carrier.unregister("never registered")


def test_the_contract_is_what_workers_send() -> None:
    """What carried bytes begin with is the same in every version of ours."""
    sent = b"otel-parsl\0\xd1\x9c\x4e" + bytes([VERSION]) + b"\4\0\0\0" + b"blobpayload"
    assert carried(b"blob", b"payload") == sent


def test_delivery_of_a_plain_result_loads_no_parsl() -> None:
    """Importing and packing a plain value costs a worker neither Parsl nor a protobuf library."""
    program = (
        "import sys; from otel_parsl import carrier; carrier.unpack(carrier.pack(1));"
        "print([m for m in ('parsl', 'google.protobuf', 'sqlalchemy', 'dill') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
