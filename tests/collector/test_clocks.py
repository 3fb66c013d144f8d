"""How far the clocks of worker hosts are from the submit host's, as the agent bounds it."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from otel_parsl_collector.connectors.clocks import UNMATCHED, Clocks
from otel_parsl_collector.connectors.lifecycle import Lifecycle
from otel_parsl_collector.materialise.facts import Facts
from otel_parsl_collector.materialise.otlp import materialise
from otel_parsl_collector.store.engine import open_store
from otel_parsl_collector.store.writer import StoreWriter

from otel_parsl.spool import Frame, Place
from otel_parsl.wire import METRICS
from tests.support.derived_spans import requests_of
from tests.support.programs import query
from tests.support.recorded_stream import RecordedRun, RecordedTask

_S = 1_000_000_000
_spans = st.integers(0, 10**12)


@given(
    st.dictionaries(st.text(min_size=1), st.integers(-(10**13), 10**13), min_size=1, max_size=4),
    st.lists(st.tuples(_spans, _spans, _spans, st.integers(0, 3)), min_size=1),
    st.randoms(use_true_random=False),
)
def test_bounds_hold_the_true_difference(
    ahead_ns: dict[str, int], tries: list[tuple[int, int, int, int]], choose: random.Random
) -> None:
    """Whatever queues lie between, in any order and over restarts, the bounds are never wrong."""
    hosts = sorted(ahead_ns)
    halves, expected = [], {}
    for number, (waited, ran, on_way, which) in enumerate(tries):
        host = hosts[which % len(hosts)]
        launched = 10**18 + number
        began = launched + waited + ahead_ns[host]
        returned = launched + waited + ran + on_way
        halves += [("submitted", (number, 0, launched, returned))]
        halves += [("executed", (number, 0, host, began, began + ran))]
        low, high = ahead_ns[host] - on_way, ahead_ns[host] + waited
        known = expected.get(host, (low, high))
        expected[host] = max(low, known[0]), min(high, known[1])
    choose.shuffle(halves)
    clocks = Clocks()
    for name, half in halves:
        getattr(clocks, name)(*half)
        if choose.random() < 0.1:
            clocks = Clocks(clocks.state())

    found = {host: tuple(bounds) for host, bounds in clocks._bounds.items()}
    assert found == expected
    assert all(low <= ahead_ns[host] <= high for host, (low, high) in found.items())


def test_tries_whose_other_half_never_comes_are_not_kept_for_ever() -> None:
    """Of a run in which all workers die no more is kept than of the last thousand tries."""
    clocks = Clocks()
    for number in range(3 * UNMATCHED):
        clocks.submitted(number, 0, 1, 2)
        clocks.executed(number + 10 * UNMATCHED, 0, "node1", 1, 2)
    assert [len(half) for half in (clocks._submitted, clocks._executed)] == [UNMATCHED] * 2


def test_difference_of_a_host_is_in_the_database(tmp_path: Path) -> None:
    """The row of a host holds what its tries allow, whatever is said first, or again."""
    run = RecordedRun("skewed.py")
    run.start()
    for task_id, seconds in ((0, 1.0), (1, 9.0)):
        task = RecordedTask(run, task_id, seconds)
        task.becomes("pending")
        task.launch()
        if task_id:
            task.seconds += 2  # waited longer for its worker
        task.execute()
        task.becomes("exec_done")
    run.end()
    made: list[bytes] = []
    for number in (1, 2):
        lifecycle = Lifecycle(tmp_path / f"{number}.db", run.run_id, scope="auto", emit=made.extend)
        whole = run.requests if number == 2 else run.requests[: len(run.requests) // 2]
        frames = [Frame(*request, Place(1, n)) for n, request in enumerate(whole, 1)]
        lifecycle.consume(frames, {"submit": Place(1, len(frames))})
        lifecycle._emit_metrics()
        lifecycle.close()
    metrics = [request for request in requests_of(made) if request[0] == METRICS]
    writer = StoreWriter(open_store(f"sqlite:///{tmp_path / 'store.db'}"), "spool")
    for signal, payload in [*reversed(metrics), *metrics]:
        facts = Facts()
        materialise(signal, payload, facts)
        writer.write(facts, {})
    writer.close()

    rows = query(tmp_path / "store.db", "select * from otel_clock")
    assert rows == [(run.run_id, run.worker.host, -0.251003, 0.1)]
