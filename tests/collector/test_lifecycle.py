"""The hub's events become finished spans: each once, and the same bytes whatever happens."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otel_parsl_collector.connectors.lifecycle import Lifecycle

from otel_parsl import semconv
from otel_parsl.exceptions import exception_attributes
from otel_parsl.identity import run_key, span_id, task_trace_id
from otel_parsl.messages import to_ns
from otel_parsl.spans import MAX_LINKS, Event, RunSpans
from otel_parsl.spool import Frame, Place, SpoolReader, SpoolWriter, frame
from otel_parsl.wire import LOGS, TRACES, Key
from tests.support.delivery import deliver, in_order
from tests.support.derived_spans import logs_by_run, requests_of
from tests.support.parsl_messages import at
from tests.support.recorded_cases import CASES
from tests.support.recorded_stream import RecordedRun, RecordedTask, Recording

LATE = "late_messages"
"""The case in which an event comes after the run's end."""

Run = tuple[str, tuple[Frame, ...]]


@cache
def _runs(case: str) -> tuple[Run, ...]:
    """Return the events of each run of a case, as frames."""
    return _runs_of(CASES[case]())


def _runs_of(recording: Recording) -> tuple[Run, ...]:
    return tuple((run, tuple(frames)) for run, frames in logs_by_run(recording).items())


RUNS = {
    f"{case} {number}": run
    for case in sorted(CASES)
    for number, run in enumerate(_runs(case))
    if case != LATE
}


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the program's catches it."""


class Agent:
    """Run the connector as the agent does, which may die and be started again."""

    def __init__(self, directory: str, run_id: str) -> None:
        self._path = Path(directory) / "lifecycle.db"
        self._run_id = run_id
        self._frames: list[bytes] = []
        self._dies_in = 0
        self._lifecycle = self._start()

    def restart(self) -> None:
        """Stop between two batches, and start again."""
        self._lifecycle.close()
        self._lifecycle = self._start()

    def consume(self, frames: Sequence[Frame]) -> None:
        """Take a batch in."""
        self._lifecycle.consume(frames, {"submit": frames[-1].end})
        assert self._lifecycle.places == {"submit": frames[-1].end}

    def die_in(self, frames: Sequence[Frame], emission: int = 1) -> None:
        """Be killed when some of a batch's spans are spooled, its place is not, and start again."""
        before = self._lifecycle.places
        self._dies_in = emission
        try:
            self._lifecycle.consume(frames, {"submit": frames[-1].end})
        except Killed:
            self.restart()
            assert self._lifecycle.places == before
            self._lifecycle.consume(frames, {"submit": frames[-1].end})
        self._dies_in = 0

    def spans(self) -> list[bytes]:
        """Return every span that was spooled, in order, as bytes."""
        return [span.SerializeToString(deterministic=True) for span in read_spans(self._frames)]

    def close(self) -> None:
        """Let go of the files."""
        self._lifecycle.close()

    def _start(self) -> Lifecycle:
        return Lifecycle(self._path, self._run_id, scope="auto", emit=self._emit)

    def _emit(self, frames: Iterable[bytes]) -> None:
        self._frames.extend(frames)
        self._dies_in -= 1
        if self._dies_in == 0:
            raise Killed


def read_spans(frames: Iterable[bytes]) -> list[Span]:
    """Return the spans in frames."""
    return [
        span
        for signal, payload in requests_of(frames)
        if signal == TRACES
        for group in ExportTraceServiceRequest.FromString(payload).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _derive(run: Run, batches: Iterable[Sequence[Frame]] | None = None) -> list[bytes]:
    run_id, frames = run
    with tempfile.TemporaryDirectory() as directory:
        agent = Agent(directory, run_id)
        for batch in [frames] if batches is None else batches:
            agent.consume(batch)
        agent.close()
        return agent.spans()


@cache
def _expected(name: str) -> list[bytes]:
    """Return a run's spans, all its events taken in at once, sorted."""
    return sorted(_derive(RUNS[name]))


def _ids(spans: Iterable[bytes]) -> Counter[tuple[bytes, bytes]]:
    read = (Span.FromString(data) for data in spans)
    return Counter((span.trace_id, span.span_id) for span in read)


def _cut(frames: Sequence[Frame], places: Iterable[int]) -> list[Sequence[Frame]]:
    bounds = [0, *sorted(places), len(frames)]
    return [frames[start:end] for start, end in pairwise(bounds) if end > start]


@st.composite
def _batches(draw: st.DrawFn) -> tuple[str, list[Sequence[Frame]]]:
    """Draw a run and a way to cut its events into batches."""
    name = draw(st.sampled_from(sorted(RUNS)))
    frames = RUNS[name][1]
    cuts = draw(st.sets(st.integers(1, max(1, len(frames) - 1))))
    return name, _cut(frames, cuts)


@given(_batches())
def test_any_batches_give_the_same_spans(drawn: tuple[str, list[Sequence[Frame]]]) -> None:
    """However a run's events are cut into batches, its spans are the same to the byte."""
    name, batches = drawn
    spans = _derive(RUNS[name], batches)
    assert sorted(spans) == _expected(name)
    assert set(_ids(spans).values()) <= {1}


@given(_batches(), st.randoms(use_true_random=False))
def test_order_within_a_batch_does_not_matter(
    drawn: tuple[str, list[Sequence[Frame]]], choose: random.Random
) -> None:
    """Events of one batch in any order give the same spans; one that stands twice, once more."""
    name, batches = drawn
    shuffled = []
    for batch in batches:
        again = list(batch) + choose.sample(list(batch), choose.randint(0, len(batch)))
        choose.shuffle(again)
        shuffled.append([*again[:-1], again[-1]._replace(end=batch[-1].end)])
    assert sorted(set(_derive(RUNS[name], shuffled))) == _expected(name)


@pytest.mark.parametrize("name", sorted(RUNS))
def test_whole_run_backwards_in_one_batch(name: str) -> None:
    """A run whose events all come in one batch, the last first, has the same spans."""
    assert sorted(_derive(RUNS[name], [RUNS[name][1][::-1]])) == _expected(name)


@given(_batches(), st.data())
def test_restarts_give_the_same_spans(
    drawn: tuple[str, list[Sequence[Frame]]], data: st.DataObject
) -> None:
    """An agent that is stopped between any two batches goes on where it was."""
    name, batches = drawn
    with tempfile.TemporaryDirectory() as directory:
        agent = Agent(directory, RUNS[name][0])
        for batch in batches:
            agent.consume(batch)
            if data.draw(st.booleans()):
                agent.restart()
        agent.close()
        assert sorted(agent.spans()) == _expected(name)


@given(_batches(), st.data())
def test_kill_before_the_commit_gives_the_same_bytes_again(
    drawn: tuple[str, list[Sequence[Frame]]], data: st.DataObject
) -> None:
    """Spans that were spooled by an agent killed before it said so come again, not changed."""
    name, batches = drawn
    with tempfile.TemporaryDirectory() as directory:
        agent = Agent(directory, RUNS[name][0])
        for batch in batches:
            (agent.die_in if data.draw(st.booleans()) else agent.consume)(batch)
        agent.close()
        spans = agent.spans()
    assert sorted(set(spans)) == _expected(name)
    assert set(_ids(set(spans)).values()) <= {1}


@pytest.mark.parametrize("dies_at", [2, 3, 5])
def test_killed_process_gives_the_same_bytes_again(tmp_path: Path, dies_at: int) -> None:
    """The same of a real process and a real SIGKILL, with the spans in a real spool."""
    name = "retry_then_success 0"
    run_id, frames = RUNS[name]
    writer = SpoolWriter(tmp_path, "submit")
    writer.append(frame(item.signal, item.payload) for item in frames)
    writer.close()
    codes = []
    for at_emission in (dies_at, 2, -1):
        command = [sys.executable, "-m", "tests.support.lifecycle_process"]
        result = subprocess.run([*command, str(tmp_path), run_id, str(at_emission)], timeout=60)
        codes.append(result.returncode)
    spooled = [
        frame(item.signal, item.payload)
        for item in SpoolReader(tmp_path, "derived").read()
        if isinstance(item, Frame)
    ]
    spans = [span.SerializeToString(deterministic=True) for span in read_spans(spooled)]
    assert codes[-1] == 0
    assert -signal.SIGKILL in codes[:2]
    assert len(spans) > len(set(spans))
    assert sorted(set(spans)) == _expected(name)


def test_event_after_the_runs_end_gives_no_id_twice() -> None:
    """A DataFlowKernel whose thread says something after its end gives no id two contents."""
    ((run_id, frames),) = _runs(LATE)
    spans = _derive((run_id, frames), _cut(frames, range(1, len(frames))))
    assert set(_ids(set(spans)).values()) == {1}


def _block_run(*statuses: str) -> Run:
    run = RecordedRun("blocks of one kind.py")
    run.start()
    for number, status in enumerate(statuses):
        run.block(1 + number, status)
    run.end()
    (found,) = _runs_of(run.recording())
    return found


@pytest.mark.parametrize(
    "statuses",
    [
        ("PENDING", "RUNNING", "SCALED_IN"),
        ("PENDING", "RUNNING"),
        ("FAILED",),
        ("PENDING", "HELD", "RUNNING", "SCALED_IN"),
        ("PENDING", "MISSING", "RUNNING", "COMPLETED"),
        ("RUNNING", "COMPLETED", "SCALED_IN"),
    ],
)
def test_block_has_one_span(statuses: tuple[str, ...]) -> None:
    """A block has one span with all its statuses, from the first to the last or its run's end."""
    run = _block_run(*statuses)
    spans = [Span.FromString(data) for data in _derive(run, _cut(run[1], range(1, len(run[1]))))]
    of_block = [span for span in spans if span.name == "block htex"]
    assert [[event.name for event in span.events] for span in of_block] == [
        ["parsl.block.status_changed"] * len(statuses)
    ]
    (span,) = of_block
    assert span.span_id == span_id(run_key(run[0]), "block", "htex", "0")
    assert span.start_time_unix_nano == _ns(1)
    has_ended = statuses[-1] in ("SCALED_IN", "COMPLETED", "FAILED")
    at_once = statuses == ("FAILED",)  # a nanosecond, or Jaeger warns of its clock
    assert span.end_time_unix_nano == (_ns(len(statuses)) + at_once if has_ended else _ns(60))


def _ns(seconds: float) -> int:
    return round(at(seconds).timestamp() * 1_000_000) * 1000


def _attributes(span: Span) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "")
        for pair in span.attributes
    }


def _by_id(run: Run) -> dict[bytes, Span]:
    return {span.span_id: span for span in map(Span.FromString, _derive(run))}


def test_every_task_and_try_has_a_span_whose_parent_exists() -> None:
    """A run's spans are one tree: the run, its tasks, their tries; ids are those of identity."""
    run_id, frames = RUNS["retry_then_success 0"]
    run, spans = run_key(run_id), _by_id((run_id, frames))
    of_run, of_task = span_id(run, "run"), span_id(run, "task", 0)
    tries = [span_id(run, "try", 0, number) for number in range(3)]
    assert {span.span_id: span.parent_span_id for span in spans.values()} == {
        of_run: b"",
        of_task: of_run,
        **dict.fromkeys(tries, of_task),
    }
    assert {span.trace_id for span in spans.values()} == {run}
    said = {key: _attributes(span)["parsl.outcome"] for key, span in spans.items()}
    assert said == {
        of_run: "success",
        of_task: "success",
        **dict.fromkeys(tries[:2], "retried"),
        tries[2]: "success",
    }
    assert [spans[key].status.code for key in (of_run, of_task, *tries)] == [0, 0, 2, 2, 0]


@pytest.mark.parametrize(
    ("name", "outcomes"),
    [
        ("failure 0", {0: "failure", 1: "failure", 2: "failure"}),
        ("dependency_failure 0", {0: "failure", 1: "failure", 2: "failure"}),
        ("memoised 0", {0: "success", 1: "success"}),
        ("no_end_message 0", {0: "success", 1: "lost", 2: "lost", 3: "lost"}),
    ],
)
def test_task_says_how_it_ended(name: str, outcomes: dict[int, str]) -> None:
    """Each task's span and last try say success, failure or lost, with an error where it is one."""
    run_id, frames = RUNS[name]
    run, spans = run_key(run_id), _by_id((run_id, frames))
    for task_id, outcome in outcomes.items():
        for key in (span_id(run, "task", task_id), span_id(run, "try", task_id, 0)):
            assert _attributes(spans[key])["parsl.outcome"] == outcome
            assert spans[key].status.code == (0 if outcome == "success" else 2)


def _exceptions(span: Span) -> list[dict[str, Any]]:
    return [
        {pair.key: pair.value.string_value for pair in event.attributes}
        for event in span.events
        if event.name == "exception"
    ]


def test_failing_try_says_why_and_its_task_too() -> None:
    """What no worker could tell is on the try, once; try and task have its class and its fate."""
    run_id, frames = RUNS["dependency_failure 0"]
    run, spans = run_key(run_id), _by_id((run_id, frames))
    of_task, of_try = (spans[span_id(run, *key)] for key in (("task", 1), ("try", 1, 0)))
    for span in (of_task, of_try):
        found = _attributes(span)
        assert found["error.type"] == "parsl.dataflow.errors.DependencyError"
        assert found["parsl.fate"] == "dependency"
    assert _exceptions(of_task) == []
    (told,) = _exceptions(of_try)
    assert told["exception.type"] == "parsl.dataflow.errors.DependencyError"
    assert told["exception.message"] == "'task 0 failed'"


def test_lost_run_is_closed_when_it_was_found_dead() -> None:
    """What a dead run leaves open ends when it was found, and the run says that it was lost."""
    run_id, frames = RUNS["no_end_message 0"]
    run, spans = run_key(run_id), _by_id((run_id, frames))
    of_run = spans[span_id(run, "run")]
    assert _attributes(of_run)["parsl.outcome"] == "lost"
    assert of_run.status.message == "lost"
    for task_id in (1, 2, 3):
        assert spans[span_id(run, "task", task_id)].end_time_unix_nano == _ns(40)


def test_run_that_goes_on_has_no_spans_of_what_goes_on() -> None:
    """A span is made once its end is known: the task that has ended has one, the run has none."""
    run_id, frames = RUNS["going_on 0"]
    run = run_key(run_id)
    assert _by_id((run_id, frames)).keys() == {span_id(run, "task", 0), span_id(run, "try", 0, 0)}


def test_task_links_to_what_it_waited_for() -> None:
    """A task's span links to the tasks it depends on, 128 at most, and says how many there were."""
    run_id, frames = RUNS["many_dependencies 0"]
    run = run_key(run_id)
    span = _by_id((run_id, frames))[span_id(run, "task", 1200)]
    assert span.trace_id == task_trace_id(run, 1200) != run
    assert span.parent_span_id == b""
    # The first link is to the run's span, which is in another trace.
    assert [(link.trace_id, link.span_id) for link in span.links] == [
        (run, span_id(run, "run")),
        *((run, span_id(run, "task", task_id)) for task_id in range(1, MAX_LINKS)),
    ]
    assert span.dropped_links_count == 300 - MAX_LINKS + 1
    assert _attributes(span)["parsl.task.dependency_count"] == 300


def test_join_task_links_to_what_it_joined() -> None:
    """A join task's span links to the tasks it was joined to."""
    run_id, frames = RUNS["join_app 0"]
    run = run_key(run_id)
    span = _by_id((run_id, frames))[span_id(run, "task", 0)]
    assert [link.span_id for link in span.links] == [span_id(run, "task", n) for n in (1, 2)]
    assert _attributes(span)[semconv.DEPENDENCY_COUNT] == 2


@pytest.mark.parametrize(("scope", "tasks"), [("auto", 1003), ("auto:4", 7)])
def test_run_counts_the_tasks_that_are_elsewhere(scope: str, tasks: int) -> None:
    """The run's span says which scope its tasks' traces have and how many are not in its own."""
    run = RecordedRun("many.py", scope=scope)
    run.start()
    for task_id in range(tasks):
        RecordedTask(run, task_id, 1).becomes("pending")
    run.end()
    frames = [Frame(*request, Place(1, end)) for end, request in enumerate(run.requests, start=1)]
    made: list[bytes] = []
    with tempfile.TemporaryDirectory() as directory:
        lifecycle = Lifecycle(Path(directory) / "l.db", run.run_id, scope=scope, emit=made.extend)
        lifecycle.consume(frames, {"submit": Place(1, len(frames))})
        lifecycle.close()
    spans = [
        span
        for signal_number, payload in requests_of(made)
        if signal_number == TRACES
        for group in ExportTraceServiceRequest.FromString(payload).resource_spans
        for scope_spans in group.scope_spans
        for span in scope_spans.spans
    ]
    key = run_key(run.run_id)
    (of_run,) = (span for span in spans if span.span_id == span_id(key, "run"))
    assert _attributes(of_run)["parsl.trace.scope"] == scope
    assert _attributes(of_run)["parsl.trace.tasks_elsewhere"] == 3
    assert sum(span.trace_id != key for span in spans) == 2 * 3  # tasks, and their tries


@given(st.sampled_from(sorted(RUNS)), st.randoms(use_true_random=False))
def test_spans_are_a_pure_function_of_their_events(name: str, choose: random.Random) -> None:
    """The same events in any order give a try, task, block or run the same bytes."""
    run_id, frames = RUNS[name]
    spans = RunSpans(run_id)
    kinds: dict[str, list[Event]] = {}
    for item in frames:
        (group,) = ExportLogsServiceRequest.FromString(item.payload).resource_logs
        event = Event(group.scope_logs[0].log_records[0])
        if event.name in (semconv.EVENT_RUN_ALIVE, semconv.EVENT_TRY_RUNNING):
            continue  # no span of the hub's is made of them
        about = event.name.split(".")[1]
        about = {"try": "task", "executor": "run"}.get(about, about)
        kinds.setdefault(f"{about} {event.attributes.get('parsl.task.id')}", []).append(event)
    for kind, events in kinds.items():
        shuffled = list(events)
        choose.shuffle(shuffled)
        if kind.startswith("task"):
            assert spans.of_task(shuffled) == spans.of_task(events)
            assert spans.of_try(shuffled) == spans.of_try(events)
        elif kind.startswith("block"):
            assert spans.of_block(shuffled, end_ns=1) == spans.of_block(events, end_ns=1)
        elif kind.startswith("run"):
            expected = spans.of_run(events, name="w", tasks=1)
            assert spans.of_run(shuffled, name="w", tasks=1) == expected


def test_other_signals_are_passed_over() -> None:
    """Frames that are no logs, and events that no span is made of, move the place and no more."""
    run_id, frames = RUNS["success 0"]
    others = [
        Frame(signal, payload, Place(1, 1000))
        for signal, payload in CASES["samples"]().requests
        if signal != LOGS
    ]
    assert _derive((run_id, frames), [others]) == []


@pytest.mark.parametrize(
    ("name", "count"), [("samples", 0), ("rerun_by_executor", 1), ("users_radio", 4)]
)
def test_news_has_a_span_where_no_execution_says_it(name: str, count: int) -> None:
    """That a try ran is told by its execution; by a span of its own if there is none."""
    requests = CASES[name]().requests
    frames = [Frame(*request, Place(1, end)) for end, request in enumerate(requests, start=1)]
    spans = [Span.FromString(data) for data in _derive((_runs(name)[0][0], tuple(frames)))]
    told = [span for span in spans if span.name == semconv.EVENT_TRY_RUNNING]
    tries = {
        span.span_id
        for span in spans
        if span.parent_span_id and span.kind == Span.SPAN_KIND_PRODUCER
    }
    assert len(told) == count
    assert {span.parent_span_id for span in told} <= tries


def _with_lost_workers() -> tuple[RecordedRun, list[int]]:
    """Write down a run whose workers died, of a try that was retried and of one that was cut."""
    began_ns = []
    run = RecordedRun("dying.py")
    run.start()
    for task_id in range(2):
        task = RecordedTask(run, task_id, 1)
        task.becomes("pending")
        task.launch()
        run.live_running(task.which, at(task.seconds + 0.1))
        began_ns.append(to_ns(at(task.seconds + 0.1)))
        if task_id == 0:
            said = exception_attributes("parsl.WorkerLost", "it is gone", None)
            fate = (Key(semconv.FATE).text("worker_lost"), Key(semconv.ERROR_TYPE).text("Lost"))
            task.becomes("fail_retryable", [*said, *fate], task_fail_history="WorkerLost()")
            task.becomes("pending", try_id=1, task_fail_history="")
            task.launch()
            task.execute()
            task.becomes("exec_done")
    run.end(30, outcome="lost")
    return run, began_ns


@pytest.mark.parametrize("size", [1, 1000])
def test_execution_whose_worker_died_is_closed(size: int) -> None:
    """It has the id that its worker would have given it, and ends when it was found lost."""
    run, began_ns = _with_lost_workers()
    frames = [Frame(*request, Place(1, end)) for end, request in enumerate(run.requests, start=1)]
    batches = [frames[start : start + size] for start in range(0, len(frames), size)]
    spans = [Span.FromString(data) for data in _derive((run.run_id, tuple(frames)), batches)]
    key = run_key(run.run_id)
    told = {span.span_id: span for span in spans if span.kind == Span.SPAN_KIND_CONSUMER}
    place = run.worker.host, run.worker.pid
    retried, cut = (
        told.pop(span_id(key, "execution", task_id, 0, *place, start_ns))
        for task_id, start_ns in enumerate(began_ns)
    )
    assert not told
    assert not [span for span in spans if span.name == semconv.EVENT_TRY_RUNNING]
    of_try = {span.span_id: span for span in spans}[retried.parent_span_id]
    assert (of_try.name, of_try.end_time_unix_nano) == (retried.name, retried.end_time_unix_nano)
    assert cut.end_time_unix_nano == to_ns(at(30))
    assert [span.status.code for span in (retried, cut)] == [2, 2]
    said = [
        {pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes}
        for span in (retried, cut)
    ]
    everywhere = {semconv.OUTCOME: "lost", semconv.HOST_NAME: place[0], semconv.BLOCK_ID: "0"}
    assert all(everywhere.items() <= each.items() for each in said)
    assert (said[0][semconv.FATE], said[0][semconv.SAMPLE_PID]) == ("worker_lost", place[1])


@pytest.mark.parametrize("restarts", [False, True])
def test_news_of_a_lost_worker_may_come_at_any_time(tmp_path: Path, restarts: bool) -> None:
    """They take another way than the word that it was lost: late, and twice, gives the same."""
    run, _ = _with_lost_workers()
    frames = [Frame(*request, Place(1, end)) for end, request in enumerate(run.requests, start=1)]
    news = [item for item in frames if semconv.EVENT_TRY_RUNNING.encode() in item.payload]
    others = [item for item in frames if item not in news]
    assert len(news) == 2
    expected = set(_derive((run.run_id, tuple(frames))))

    for place in range(len(others) + 1):
        directory = tmp_path / str(place)
        directory.mkdir()
        agent = Agent(str(directory), run.run_id)
        for item in (*others[:place], *news, *others[place:], *news):
            agent.consume([item])
            if restarts:
                agent.restart()
        assert set(agent.spans()) == expected
        agent.close()


def test_lost_execution_leaves_the_rows_that_its_news_leave(tmp_path: Path) -> None:
    """No running_ended, whether the store gets the log signal or the derived spans alone."""
    run, _ = _with_lost_workers()
    with_logs = tuple(run.requests)
    frames = [Frame(*request, Place(1, end)) for end, request in enumerate(with_logs, start=1)]
    made: list[bytes] = []
    lifecycle = Lifecycle(tmp_path / "l.db", run.run_id, scope="auto", emit=made.extend)
    lifecycle.consume(frames, {"submit": Place(1, len(frames))})
    lifecycle.close()
    derived = requests_of(made)
    without_logs = [*(request for request in with_logs if request[0] != LOGS), *derived]
    rows = {
        name: deliver(tmp_path / f"{name}.db", requests, in_order(len(requests)))
        for name, requests in (("logs", [*with_logs, *derived]), ("spans", without_logs))
    }
    assert rows["logs"]["status"] == rows["spans"]["status"]
    assert rows["logs"]["try"] == rows["spans"]["try"]
    ended = [row for row in rows["logs"]["status"] if "running_ended" in row]
    began = [row for row in rows["logs"]["status"] if "running" in row]
    assert (len(ended), len(began)) == (1, 3)


@cache
def _with_open_tasks(count: int) -> Run:
    """Return a run that is lost while many of its tasks wait, or run."""
    run = RecordedRun("many open")
    run.start()
    for task_id in range(count):
        task = RecordedTask(run, task_id, 1)
        task.becomes("pending")
        task.launch()
        if task_id % 5 == 0:
            run.live_running(task.which, at(2))
    run.lost(40)
    ((_, frames),) = _runs_of(run.recording())
    return run.run_id, frames


def test_end_of_a_run_takes_no_more_memory_where_more_is_open(tmp_path: Path) -> None:
    """The spans of open tasks are spooled as they are made: a million of them are a gigabyte."""
    run_id, (*before, end) = _with_open_tasks(3000)
    sizes: list[int] = []

    def emit(frames: Iterable[bytes]) -> None:
        sizes.extend(map(len, frames))

    lifecycle = Lifecycle(tmp_path / "l.db", run_id, scope="auto", emit=emit)
    lifecycle.consume(before, {})
    sizes.clear()
    tracemalloc.start()
    lifecycle.consume([end], {"submit": end.end})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    lifecycle.close()
    assert peak < sum(sizes) / 2


@pytest.mark.parametrize("emission", [2, 3, 4])
def test_kill_in_the_middle_of_a_runs_end_costs_no_span(tmp_path: Path, emission: int) -> None:
    """Whichever part of the open tasks' spans was out, the next agent makes all, byte for byte."""
    run = _with_open_tasks(1000)
    run_id, (*before, end) = run
    agent = Agent(str(tmp_path), run_id)
    agent.consume(before)
    agent.die_in([end], emission)
    agent.close()
    assert set(agent.spans()) == set(_derive(run))


@pytest.mark.parametrize("scope", ["the user's", semconv.SCOPE])
def test_records_that_only_look_like_events_are_skipped_and_counted(
    tmp_path: Path, scope: str
) -> None:
    """Log records that are named like events of ours and lack their attributes change no span."""
    name = next(iter(RUNS))
    run_id, frames = RUNS[name]
    request = ExportLogsServiceRequest()
    of_scope = request.resource_logs.add().scope_logs.add()
    of_scope.scope.name = scope
    names = [getattr(semconv, each) for each in dir(semconv) if each.startswith("EVENT_")]
    ours = {event for event in names if event in read_event_names(frames)}
    for event in ours:
        record = of_scope.log_records.add(event_name=event)
        record.attributes.add(key=semconv.TASK_ID).value.string_value = "seven"
    foreign = Frame(LOGS, request.SerializeToString(), frames[-1].end)
    emitted: list[bytes] = []
    lifecycle = Lifecycle(tmp_path / "l.db", run_id, scope="auto", emit=emitted.extend)

    lifecycle.consume([foreign, *frames], {"submit": frames[-1].end})
    lifecycle.close()

    spans = [span.SerializeToString(deterministic=True) for span in read_spans(emitted)]
    assert sorted(spans) == _expected(name)
    assert lifecycle.skipped == len(ours) > 1


def read_event_names(frames: Iterable[Frame]) -> set[str]:
    """Return the names of all events in frames."""
    return {
        record.event_name
        for each in frames
        for group in ExportLogsServiceRequest.FromString(each.payload).resource_logs
        for scope in group.scope_logs
        for record in scope.log_records
    }
