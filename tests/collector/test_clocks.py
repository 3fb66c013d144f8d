"""How far the clocks of worker hosts are from the submit host's, as the agent bounds it."""

from __future__ import annotations

import random
from itertools import permutations
from operator import itemgetter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otel_parsl_collector.connectors.clocks import UNMATCHED, Clocks
from otel_parsl_collector.materialise.facts import Facts
from otel_parsl_collector.materialise.otlp import materialise
from otel_parsl_collector.store.engine import open_store
from otel_parsl_collector.store.writer import StoreWriter

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

    found = clocks._bounds
    assert found == expected
    assert all(low <= ahead_ns[host] <= high for host, (low, high) in found.items())


def test_tries_whose_other_half_never_comes_are_not_kept_for_ever() -> None:
    """Of a run in which all workers die no more is kept than of the last thousand tries."""
    clocks = Clocks()
    for number in range(3 * UNMATCHED):
        clocks.submitted(number, 0, 1, 2)
        clocks.executed(number + 10 * UNMATCHED, 0, "node1", 1, 2)
    assert [len(half) for half in (clocks._submitted, clocks._executed)] == [UNMATCHED] * 2


@pytest.mark.parametrize("seed", range(4))
def test_difference_of_a_host_is_in_the_database(tmp_path: Path, seed: int) -> None:
    """The row of a host holds what its tries allow, whatever is told first, again, or by whom."""
    requests, which, host = _skewed_run()
    if seed:
        requests += requests[::2]
        random.Random(seed).shuffle(requests)
    path = tmp_path / "store.db"
    for signal, payload in requests:
        # Each time another writer: what is known of a try does not live in a process.
        writer = StoreWriter(open_store(f"sqlite:///{path}"), "spool")
        facts = Facts()
        materialise(signal, payload, facts)
        writer.write(facts, {})
        writer.close()

    assert query(path, "select * from otel_clock") == [(which, host, -0.251003, 0.1)]
    assert query(path, "select * from otel_returning") == []


def test_every_execution_of_a_try_bounds_its_hosts_clock(tmp_path: Path) -> None:
    """A try that an executor ran again, elsewhere, tells of both hosts, in any order."""
    requests, which, host = _skewed_run()
    found = set()
    for number, order in enumerate(permutations(_split(requests))):
        path = tmp_path / f"{number}.db"
        writer = StoreWriter(open_store(f"sqlite:///{path}"), "spool")
        for part in order:
            writer.write(part, {})
        writer.close()
        found.add(tuple(query(path, "select * from otel_clock order by hostname")))
    # The other host began one second and ended two seconds later than this one.
    other = (which, "other", 1.748997, 1.1)
    assert found == {tuple(sorted([(which, host, -0.251003, 0.1), other], key=itemgetter(1)))}


@pytest.mark.parametrize("known", [(-0.1, None), (None, 0.05), (None, None)])
def test_side_that_an_earlier_version_did_not_know_is_added(
    tmp_path: Path, known: tuple[float | None, float | None]
) -> None:
    """A database of version 3 may bound a clock from one side; later tries bound the other."""
    requests, which, host = _skewed_run()
    path = tmp_path / "store.db"
    engine = open_store(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO otel_clock VALUES (?, ?, ?, ?)", (which, host, *known)
        )
    facts = Facts()
    for signal, payload in requests:
        materialise(signal, payload, facts)
    writer = StoreWriter(engine, "spool")
    writer.write(facts, {})
    writer.close()

    least_s, most_s = known
    expected = (
        which,
        host,
        -0.251003 if least_s is None else -0.1,
        0.1 if most_s is None else 0.05,
    )
    assert query(path, "select * from otel_clock") == [expected]


def _skewed_run() -> tuple[list[tuple[int, bytes]], str, str]:
    """Return the requests of a run of three tasks, its id and its worker's host."""
    run = RecordedRun("skewed.py")
    run.start()
    for task_id, waited_s in enumerate((0.0, 2.0, 1.0)):
        task = RecordedTask(run, task_id, 8.0 * task_id)
        task.becomes("pending")
        task.launch()
        task.seconds += waited_s
        task.execute()
        task.becomes("exec_done")
    run.end()
    return list(run.requests), run.run_id, run.worker.host


def _split(requests: list[tuple[int, bytes]]) -> list[Facts]:
    """Return what is said by the submit side, by the worker, and by another worker, of a run."""
    submit, worker, other = Facts(), Facts(), Facts()
    for signal, payload in requests:
        materialise(signal, payload, submit)
    worker.runs = other.runs = submit.runs
    worker.running, submit.running = submit.running, []
    worker.executions, submit.executions = submit.executions, []
    other.running = [
        each._replace(
            hostname="other",
            running_ns=each.running_ns and each.running_ns + _S,
            ended_ns=each.ended_ns and each.ended_ns + 2 * _S,
        )
        for each in worker.running
    ]
    return [submit, worker, other]
