"""Requests become rows: Parsl's own, to the letter, and ours beside them."""

from __future__ import annotations

import platform
import random
from collections import defaultdict
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from otel_parsl_collector.materialise.facts import Facts, RunState
from otel_parsl_collector.materialise.otlp import materialise

from otel_parsl import semconv, wire
from otel_parsl.messages import run_attributes
from otel_parsl.sampling.sample_metrics import sample_metrics
from otel_parsl.sampling.sampler import Sample
from otel_parsl.schema import metadata
from otel_parsl.wire import LOGS, METRICS, TRACES, Key
from tests.support.delivery import deliver, in_order
from tests.support.otlp_text import SCALARS
from tests.support.parsl_database import write_with_parsl
from tests.support.parsl_messages import at, run_started
from tests.support.recorded_cases import CASES, PARSLS, UNICODE
from tests.support.recorded_stream import Recording
from tests.support.store_rows import PARSL, Rows, only_parsls, read_rows


@cache
def _case(name: str) -> Recording:
    return PARSLS[name]()


@pytest.fixture(scope="module")
def parsls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    """Give the rows that Parsl's own database manager writes for each case."""
    of_case: list[tuple[str, Any]] = [
        (name, messages) for name in PARSLS for messages in _case(name).messages.values()
    ]
    directory = tmp_path_factory.mktemp("parsl")
    paths = write_with_parsl(directory, [messages for _, messages in of_case])
    found: dict[str, Rows] = defaultdict(lambda: defaultdict(list))
    for (name, _), path in zip(of_case, paths, strict=True):
        for table, rows in read_rows(str(path)).items():
            found[name][table] = sorted([*found[name][table], *rows], key=repr)
    return found


def _stored(directory: Path, name: str) -> Rows:
    requests = _case(name).requests
    return deliver(directory / "ours.db", requests, in_order(len(requests)))


@pytest.mark.parametrize("name", sorted(PARSLS))
def test_rows_are_those_that_parsl_writes(
    name: str, parsls: dict[str, Rows], tmp_path: Path
) -> None:
    """For every case Parsl's seven tables are, value by value and type by type, Parsl's."""
    assert only_parsls(_stored(tmp_path, name)) == only_parsls(parsls[name])


def test_every_table_of_parsls_is_filled_by_some_case(parsls: dict[str, Rows]) -> None:
    """The comparison leaves no table of Parsl's out."""
    filled = {table for rows in parsls.values() for table, of_table in rows.items() if of_table}
    assert filled >= set(PARSL)


def _ns(seconds: float) -> int:
    return round(at(seconds).timestamp() * 1_000_000) * 1000


def _ours(rows: Rows) -> Rows:
    """Return the rows of our tables that have any, without run id and version."""
    return {
        name: [row[1:] for row in of_table]
        for name, of_table in rows.items()
        if name.startswith("otel_") and name != "otel_schema" and of_table
    }


def test_what_stands_beside_parsls_tables(tmp_path: Path) -> None:
    """A retried task: its states, totals, failures, counts and roll-ups, in UTC nanoseconds."""
    stored = _stored(tmp_path, "retry_then_success")
    rows = _ours(stored)
    # Each state is 0.251003 s after the one before; a launched try runs from 0.1 s on, for 1.4 s.
    runs, launched = [], 1 + 2 * 0.251003
    for _ in range(3):
        runs.append((launched + 0.1, launched + 1.5))
        launched += 1.5 + 3 * 0.251003
    del rows["otel_try"], rows["otel_failure"]
    zone = rows["otel_run"][0][4]
    assert rows == {
        "otel_run": [
            (_ns(0), _ns(60), "completed", _ns(60), zone, "2026.10.26", 11, None, None),
        ],
        "otel_task": [(0, "double", "exec_done", 10, _ns(runs[2][1] + 0.251003))],
        "otel_count": [("double", "exec_done", 1)],
        "otel_bucket": [("double", _ns(runs[0][1]) // 10**10 * 10**10, 3, 2, 4.2, 2.25)],
        "otel_clock": [(platform.node(), -0.251003, 0.1)],
    }
    columns = (
        "task_id try_id sequence state running_ns ended_ns worker_rank manager_uid cpu_user_s"
        " cpu_system_s memory_peak_bytes read_bytes write_bytes exit_code executor_task_id"
        " resource_specification launched_ns returned_ns"
    )
    assert _columns(stored, "otel_try", columns) == [
        (
            0,
            number,
            sequence,
            state,
            _ns(began),
            _ns(ended),
            "3",
            "0a1b2c3d4e5f",
            0.25,
            0.5,
            200 << 20,
            1 << 20,
            4096,
            None,
            "1",
            '{"cores": 2}',
            _ns(began - 0.1),
            _ns(ended + 0.251003),
        )
        for number, sequence, state, (began, ended) in zip(
            range(3),
            (4, 7, 10),
            ("fail_retryable", "fail_retryable", "exec_done"),
            runs,
            strict=True,
        )
    ]
    columns = "task_id try_id fate exception_type message app time_ns is_final"
    assert _columns(stored, "otel_failure", columns) == [
        (0, n, "app_exception", "RuntimeError", f"flaky {n}", "double", _ns(runs[n][1]), 0)
        for n in range(2)
    ]


def test_who_knows_most_of_a_failure_says_why(tmp_path: Path) -> None:
    """Its worker, and of two the latest; what came back; that it was lost; then Parsl's words."""
    requests = CASES["failures_told_twice"]().requests
    stored = deliver(tmp_path / "ours.db", requests, in_order(len(requests)))

    killed = "InterchangeLost", "killed by SIGKILL"
    on_worker = "ValueError", "on the worker"
    assert _columns(stored, "otel_failure", "task_id exception_type message is_final") == [
        (0, "ValueError", "execution 1", 1),
        (1, *on_worker, 1),
        (2, "ValueError", "execution 1", 1),
        (3, *killed, 1),
        (4, "ValueError", "came back", 1),
        (5, *on_worker, 0),
        (6, *on_worker, 1),
        (7, *killed, 0),
    ]
    assert [
        task_id
        for task_id, stacktrace in _columns(stored, "otel_failure", "task_id stacktrace")
        if stacktrace is None
    ] == [3, 7]


def test_peak_is_the_most_that_was_seen_of_a_try(tmp_path: Path) -> None:
    """A sample may have seen more than the worker itself at the end."""
    stored = _stored(tmp_path, "samples")

    assert _columns(stored, "otel_try", "memory_peak_bytes") == [(300 << 20,)]


def _columns(rows: Rows, table: str, names: str) -> list[tuple[Any, ...]]:
    """Return some columns of a table's rows."""
    columns = list(metadata.tables[table].columns.keys())
    wanted = [columns.index(name) for name in names.split()]
    return [tuple(row[index] for index in wanted) for row in rows[table]]


@pytest.mark.parametrize(
    ("name", "edges"),
    [
        ("dependency_failure", [(1, 0, "depends"), (2, 1, "depends")]),
        ("join_app", [(0, 1, "joins"), (0, 2, "joins")]),
    ],
)
def test_edges(name: str, edges: list[tuple[Any, ...]], tmp_path: Path) -> None:
    """What a task waited for, and what it was joined to, are edges."""
    assert _ours(_stored(tmp_path, name))["otel_edge"] == edges


def test_block_keeps_the_providers_words(tmp_path: Path) -> None:
    """The latest status of each block stands with message, exit code and path."""
    rows = _ours(_stored(tmp_path, "blocks"))["otel_block"]
    assert rows == [
        ("gpu", "0", "FAILED", 5, _ns(3), None, *_WORDS),
        ("htex", "0", "SCALED_IN", 7, _ns(50), "4711", None, None, None, None, None),
        ("htex", "1", "PENDING", 6, _ns(4), "4712", None, None, None, None, None),
    ]


_WORDS = ("sbatch: error: invalid account", 1, "/home/me/runinfo/000/submit.out", None, None)


def test_manager_is_as_it_was_last(tmp_path: Path) -> None:
    """Of each manager the latest report stands, with the time of the first."""
    rows = _ours(_stored(tmp_path, "managers"))["otel_manager"]
    memory = 16 << 30
    assert rows == [
        (
            "0a1b2c3d4e5f",
            "0",
            "node1.example.org",
            8,
            memory,
            3,
            0,
            0,
            _ns(2),
            _ns(20),
            None,
            "ended",
        ),
        ("another", "1", "node2", 8, memory, 4, 0, 0, _ns(3), _ns(30), None, "ended"),
    ]


def test_text_is_stored_as_it_was_given(tmp_path: Path) -> None:
    """Text of every script, with quotes and SQL in it, stands in the tables letter by letter."""
    rows = _stored(tmp_path, "unicode")
    (task,) = rows["task"]
    assert [value for value in task if value == UNICODE] == [UNICODE] * 4
    assert rows["workflow"][0][1] == UNICODE


_RUN = run_attributes(run_started(), zone="UTC")
_IDS = b"t" * 16, b"s" * 8


def _facts(signal: int, attributes: list[bytes], *items: bytes) -> Facts:
    facts = Facts()
    scope = wire.scope("test", "1")
    request = wire.request(wire.resource(attributes), scope, items, schema_url="u")
    materialise(signal, request, facts)
    return facts


def _counts(facts: Facts) -> tuple[int, int]:
    return facts.unknown, facts.incomplete


_STRANGERS = {
    "a user's span": (TRACES, wire.span(*_IDS, None, "mine", 1, 1, 2, [])),
    "a consumer's span": (TRACES, wire.span(*_IDS, None, "mine", wire.CONSUMER, 1, 2, [])),
    "a user's event": (LOGS, wire.log_record(b"\x04mine", 1, 1, *_IDS, [])),
    "a user's metric": (METRICS, wire.Metric("mine", "1").of(())),
}


@pytest.mark.parametrize("kind", sorted(_STRANGERS))
@pytest.mark.parametrize("is_of_a_run", [True, False])
def test_telemetry_of_others_is_counted_and_no_fact(kind: str, is_of_a_run: bool) -> None:
    """What a user's own instruments say, of a run of ours or of none, makes no row."""
    signal, item = _STRANGERS[kind]
    facts = _facts(signal, _RUN if is_of_a_run else [], item)
    assert _counts(facts) == (1, 0)
    assert (facts.states, facts.executions, facts.samples) == ([], [], [])
    assert (len(facts.runs)) == (1 if is_of_a_run else 0)


_TASK_EVENT: dict[str, str | int] = {
    semconv.TASK_ID: 1,
    semconv.TRY_ID: 0,
    semconv.SEQUENCE: 2,
    semconv.TASK_STATE: "pending",
    semconv.APP_NAME: "app",
    semconv.EXECUTOR_LABEL: "htex",
}


@pytest.mark.parametrize("missing", sorted(_TASK_EVENT))
def test_event_of_ours_that_lacks_what_its_row_needs_is_counted(missing: str) -> None:
    """A state change without one of the attributes that each has is incomplete, and no fact."""
    attributes = [Key(name).any(value) for name, value in _TASK_EVENT.items() if name != missing]
    name = wire.sized(semconv.EVENT_TASK_STATE.encode())
    facts = _facts(LOGS, _RUN, wire.log_record(name, 1, 1, *_IDS, attributes))
    assert _counts(facts) == (0, 1)
    assert facts.states == []


@pytest.mark.parametrize("lacks", ["id", "time_began", "host", "user", "rundir", "zone"])
def test_resource_that_lacks_a_column_is_of_no_run(lacks: str) -> None:
    """A Resource that could not make the run's row makes none, and nothing refers to it."""
    attributes = [data for data in _RUN if lacks.encode() not in data.split(b"\x12")[0]]
    assert len(attributes) == len(_RUN) - 1
    facts = _facts(TRACES, attributes, wire.span(*_IDS, None, "x", 1, 1, 2, []))
    assert (facts.runs, facts.unknown) == ({}, 1)


def test_sample_without_its_try_is_counted() -> None:
    """A point that says of no try is incomplete; the other points of the metric are taken."""
    metric = wire.Metric(semconv.TRY_CPU_USER, "s")
    of_try = wire.point_attributes(
        [Key(semconv.TASK_ID).integer(1), Key(semconv.TRY_ID).integer(0)]
    )
    points = (metric.point(b"", 0, 1, 2.0), metric.point(of_try, 0, 1, 3.0))
    facts = _facts(METRICS, _RUN, metric.of(points))
    assert _counts(facts) == (0, 1)
    assert [sample[:4] for sample in facts.samples] == [(run_started()["run_id"], 1, 0, 1)]


_COUNTS = st.none() | st.integers(0, 1 << 62)
_SECONDS = st.none() | st.floats(0, 1e9)
_MEASURED = st.builds(
    Sample,
    **dict.fromkeys(Sample._fields, _COUNTS)
    | {
        "time_ns": st.integers(1, 1 << 62),
        "pid": st.integers(1, 1 << 22),
        "cpu_user_s": _SECONDS,
        "cpu_system_s": _SECONDS,
        "memory_percent": _SECONDS,
        "status": st.none() | st.text(max_size=8),
    },
)


@given(
    st.dictionaries(st.tuples(st.integers(0, 1 << 40), st.integers(0, 300)), _MEASURED, max_size=8),
    st.randoms(use_true_random=False),
)
def test_samples_are_read_alike_in_any_order_of_their_points(
    of_try: dict[tuple[int, int], Sample], choose: random.Random
) -> None:
    """A request with many samples, as we write it, says what its points say in any order."""
    metrics = [
        metric
        for (task_id, try_id), sample in of_try.items()
        for metric in sample_metrics(sample, task_id=task_id, try_id=try_id, interval_s=0.5)
    ]
    shuffled = choose.sample(metrics, len(metrics))
    expected = sorted(_facts(METRICS, _RUN, *shuffled).samples, key=repr)
    assert sorted(_facts(METRICS, _RUN, *metrics).samples, key=repr) == expected
    assert len(expected) == len(of_try)


def test_run_states_are_put_together_by_a_rule_for_each_part() -> None:
    """Of what events say of a run counts grow, the latest end stands, and None says nothing."""
    said = [
        RunState(5, "r", 3, None, 50, None, None),
        RunState(1 << 52, "r", None, None, 90, 90, "lost"),
        RunState(7, "r", 2, 4, 70, 60, None),
    ]
    for states in (said, said[::-1], [*said, *said]):
        facts = Facts()
        for state in states:
            facts.run_state(state)
        assert facts.run_states == {"r": RunState(1 << 52, "r", 3, 4, 90, 90, "lost")}


@given(st.sampled_from([TRACES, METRICS, LOGS]), st.binary(max_size=80))
def test_what_is_no_request_is_a_decode_error(signal: int, payload: bytes) -> None:
    """Bytes that are no request raise DecodeError and nothing else."""
    with suppress(DecodeError):
        materialise(signal, payload, Facts())


@given(st.lists(st.tuples(st.sampled_from(sorted(semconv.TERMS)), SCALARS), max_size=12))
def test_values_of_any_type_raise_nothing(attributes: list[tuple[str, Any]]) -> None:
    """Names of ours with whatever values are taken, counted or passed over; nothing is raised."""
    written = [Key(name).any(value) for name, value in attributes]
    point = wire.Metric(semconv.TRY_SAMPLE, "s")
    state = wire.sized(semconv.EVENT_TASK_STATE.encode())
    event = wire.span_event(state, 1, written)
    for signal, item in (
        (TRACES, wire.span(*_IDS, None, "x", wire.CONSUMER, 1, 2, written)),
        (TRACES, wire.span(*_IDS, None, "x", wire.PRODUCER, 1, 2, written, events=[event])),
        (LOGS, wire.log_record(state, 1, 1, *_IDS, written)),
        (METRICS, point.of([point.point(wire.point_attributes(written), 0, 1, 1.0)])),
    ):
        _facts(signal, [*_RUN, *written], item)
