"""
A connector: the hub's events and the managers' reports in, finished spans and metrics out.

Flow: spool (``submit``, ``agent``) -> **lifecycle** -> spool (stream ``derived``) -> exporters
What ``otel_parsl.spans`` does for one span, this does for a stream: it keeps the events of what has
not ended yet, on disk, since a run may have a million tasks waiting.
The spans are spooled before the places are committed, so a killed agent makes some again: the same
bytes with the same ids.
Managers report by a stream of their own, so their spans wait for the event that ends it.
"""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_parsl import __version__, semconv, wire
from otel_parsl.semconv import FINAL_STATES
from otel_parsl.spans import OUTCOMES, Event, RunSpans, names_execution
from otel_parsl.spool import Frame, Place, frame
from otel_parsl.wire import LOGS, METRICS, TRACES
from otel_parsl_collector.connectors.clocks import Clocks
from otel_parsl_collector.connectors.managers import Managers
from otel_parsl_collector.connectors.own_events import OwnEvents
from otel_parsl_collector.connectors.run_metrics import RunMetrics
from otel_parsl_collector.connectors.untold import Execution, LostTry, Untold, began

_TABLES = """
CREATE TABLE IF NOT EXISTS event (
    kind TEXT, key TEXT, sequence INTEGER, record BLOB, PRIMARY KEY (kind, key, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS place (stream TEXT PRIMARY KEY, segment INTEGER, position INTEGER);
CREATE TABLE IF NOT EXISTS run (tasks INTEGER);
CREATE TABLE IF NOT EXISTS over (sequence INTEGER, time_ns INTEGER);
CREATE TABLE IF NOT EXISTS said (name TEXT PRIMARY KEY, value BLOB);
CREATE TABLE IF NOT EXISTS task_states (chunk INTEGER PRIMARY KEY, states BLOB);
"""
_KEYS_AT_ONCE = 500
_SPANS_AT_ONCE = 500
METRICS_EVERY_S = 10.0
_MANAGERS_ENDED, _MANAGERS_DONE = "managers_ended", "managers_done"
_LEFT_OPEN = "left_open"
"""What becomes of blocks and managers that the end of the run leaves open; None if it was good."""
_ENDED_BLOCK = frozenset(
    {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "MISSING", "SCALED_IN", "HELD"}
)

_OF_EXECUTION = frozenset({semconv.TASK_ID, semconv.TRY_ID, semconv.HOST_NAME})

Key = tuple[str, str]


class Lifecycle:
    """
    Derive the spans and the metrics of one run.

    Args:
        path: The database that open events are kept in.
        run_id: The run.
        scope: Which trace a task lives in.
        emit: Takes framed requests and returns when they are spooled.
    """

    def __init__(
        self, path: Path, run_id: str, *, scope: str, emit: Callable[[Iterable[bytes]], None]
    ) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-4000;" + _TABLES
        )
        self._lock = threading.Lock()
        self._events = OwnEvents()
        self._spans = RunSpans(run_id, scope=scope)
        self._emit = emit
        self._scope_bytes = wire.scope(semconv.SCOPE, __version__)
        self._measured_at = time.monotonic()
        self._load()

    def _load(self) -> None:
        """Take up what the database holds: after a start, or a batch that was not taken in."""
        said: dict[str, Any] = dict(self._database.execute("SELECT name, value FROM said"))
        self._said = said
        self._resource: bytes = said.get("resource", b"")
        self._name: str = said.get("workflow", "workflow")
        self._began_ns: int = said.get("began_ns", 0)
        self._managers_ended: bool = _MANAGERS_ENDED in said
        self._managers = Managers(said.get("managers"))
        chunks = dict(self._database.execute("SELECT chunk, states FROM task_states"))
        self._metrics = RunMetrics(said.get("metrics"), chunks)
        self._clocks = Clocks(said.get("clocks"))
        self._untold = Untold(self._database)
        self._executed: list[Execution] = []
        """What the spans say was executed that came with the frames at hand."""

    @property
    def skipped(self) -> int:
        """How many log records have the name of an event of ours and are none."""
        return self._events.skipped

    @property
    def places(self) -> dict[str, Place]:
        """How far each stream has been taken in."""
        rows = self._database.execute("SELECT stream, segment, position FROM place")
        return {stream: Place(segment, position) for stream, segment, position in rows}

    def consume(self, frames: Iterable[Frame], places: Mapping[str, Place]) -> None:
        """
        Take in frames, spool what is finished by them, and commit the places.

        Raises:
            OSError: The spool takes nothing for now; nothing was taken in.
            sqlite3.OperationalError: The database takes nothing for now; likewise.
        """
        with self._lock:
            self._consume(frames, places)

    def measure(self) -> None:
        """Spool the metrics of now, if they are due and the run goes on: nothing may happen."""
        with self._lock:
            if self._is_measuring_due() and not self._over():
                self._emit_metrics()

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _consume(self, frames: Iterable[Frame], places: Mapping[str, Place]) -> None:
        events: dict[Key, list[tuple[Event, bytes]]] = defaultdict(list)
        self._executed = []
        for item in frames:
            if item.signal == LOGS:
                self._read(item.payload, events)
            elif item.signal == TRACES:
                self._read_executions(item.payload)
            elif not self._managers_ended:
                self._managers.read(item.payload)
        try:
            self._database.execute("BEGIN")
            was_over = self._over()
            self._emit_spans(self._tell_late(events) if was_over else self._finish(events))
            over = self._over()
            are_managers_due = over and self._managers_ended and _MANAGERS_DONE not in self._said
            if are_managers_due:
                self._emit_spans(self._manager_spans(over))
            is_last_word = over and (not was_over or are_managers_due)
            if is_last_word or (not over and self._is_measuring_due()):
                self._emit_metrics()
            self._save(places)
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:  # a full disk may have ended it
                self._database.execute("ROLLBACK")
            self._load()
            raise

    def _over(self) -> int:
        """Return when the run ended; 0 while it goes on."""
        row = self._database.execute("SELECT time_ns FROM over").fetchone()
        return row[0] if row else 0

    def _is_measuring_due(self) -> bool:
        return bool(self._resource) and time.monotonic() - self._measured_at >= METRICS_EVERY_S

    def _emit_spans(self, spans: Iterable[bytes]) -> None:
        """Spool spans as they are made: a run that ends may have a million open tasks."""
        made = iter(spans)
        while some := list(islice(made, _SPANS_AT_ONCE)):
            self._emit([self._frame(TRACES, some)])

    def _emit_metrics(self) -> None:
        self._measured_at = time.monotonic()
        now_ns = time.time_ns()
        workers = self._managers.workers()
        if self._managers_ended:
            workers = dict.fromkeys(workers, 0)
        metrics = self._metrics.metrics(min(self._began_ns, now_ns), now_ns, workers)
        metrics += self._clocks.metrics(now_ns)
        if metrics:
            self._emit([self._frame(METRICS, metrics)])

    def _frame(self, signal: int, items: list[bytes]) -> bytes:
        request = wire.request(
            self._resource, self._scope_bytes, items, schema_url=semconv.SCHEMA_URL
        )
        return frame(signal, request)

    def _save(self, places: Mapping[str, Place]) -> None:
        self._said["metrics"] = self._metrics.state()
        self._said["clocks"] = self._clocks.state()
        self._said["managers"] = self._managers.state()
        execute = self._database.executemany
        execute("INSERT OR REPLACE INTO said VALUES (?, ?)", self._said.items())
        execute("INSERT OR REPLACE INTO task_states VALUES (?, ?)", self._metrics.changed_chunks())
        execute(
            "INSERT OR REPLACE INTO place VALUES (?, ?, ?)",
            [(stream, *place) for stream, place in places.items()],
        )

    def _read(self, payload: bytes, events: dict[Key, list[tuple[Event, bytes]]]) -> None:
        for group in ExportLogsServiceRequest.FromString(payload).resource_logs:
            for scope in group.scope_logs:
                for record in scope.log_records:
                    event = self._events.read(record, scope.scope.name)
                    if event is None:
                        continue
                    if event.name == semconv.EVENT_MANAGERS_ENDED:
                        self._managers_ended = True
                        self._said[_MANAGERS_ENDED] = 1
                        continue
                    key = _key(event)
                    if key[0] != "running":  # that has its worker's Resource
                        self._read_resource(group.resource)
                    events[key].append((event, record.SerializeToString()))

    def _read_resource(self, resource: Any) -> None:
        """Keep what the run's first event says: one id means one span, its Resource included."""
        if self._resource:
            return
        self._measured_at = -math.inf  # that there is a run is said at once, also without logs
        self._said["resource"] = self._resource = wire.sized(resource.SerializeToString())
        for pair in resource.attributes:
            if pair.key == semconv.WORKFLOW_NAME:
                self._said["workflow"] = self._name = pair.value.string_value
            elif pair.key == semconv.WORKFLOW_TIME_BEGAN:
                self._said["began_ns"] = self._began_ns = pair.value.int_value

    def _read_executions(self, payload: bytes) -> None:
        for group in ExportTraceServiceRequest.FromString(payload).resource_spans:
            for scope in group.scope_spans:
                for span in scope.spans:
                    if span.kind == Span.SPAN_KIND_CONSUMER:
                        self._read_execution(span)

    def _read_execution(self, span: Any) -> None:
        found = {pair.key: pair.value for pair in span.attributes if pair.key in _OF_EXECUTION}
        if semconv.TASK_ID in found and semconv.TRY_ID in found:  # else it is a span of the user's
            which = found[semconv.TASK_ID].int_value, found[semconv.TRY_ID].int_value
            ran_ns = span.end_time_unix_nano - span.start_time_unix_nano
            self._metrics.try_executed(*which, ran_ns)
            if host := found.get(semconv.HOST_NAME):
                times_ns = span.start_time_unix_nano, span.end_time_unix_nano
                self._clocks.executed(*which, host.string_value, *times_ns)
            self._executed.append((*which, span.start_time_unix_nano))

    def _finish(self, events: dict[Key, list[tuple[Event, bytes]]]) -> Iterator[bytes]:
        """
        Yield the spans that have ended; what goes on is kept.

        What the hub says after the end of its run changes no span: all of them are out by then.
        """
        end = next((e for e, _ in events.get(("run", ""), ()) if _is_run_end(e)), None)
        late: dict[Key, list[tuple[Event, bytes]]] = {}
        if end is not None:
            late = _where(events, lambda event: event.sequence > end.sequence)
            events = _where(events, lambda event: event.sequence <= end.sequence)
        running = {key: new for key, new in events.items() if key[0] == "running"}
        events = {key: new for key, new in events.items() if key not in running}
        yield from self._hear_running(running)
        tasks = sum(_is_new_task(new) for new in events.values())
        if tasks:
            self._count_tasks(tasks)
        closing = [key for key, new in events.items() if any(_ends(event) for event, _ in new)]
        before = self._kept(closing)
        for key, new in events.items():
            latest = max((event for event, _ in new), key=_rank)
            if key[0] == "run":
                self._keep(key, new)
            elif key[0] == "task":
                found = latest.attributes
                if semconv.TASK_STATE in found:
                    self._metrics.task_is(found[semconv.TASK_ID], found[semconv.TASK_STATE])
                yield from self._task(key, before.get(key, []), new)
            else:
                found = latest.attributes
                label, block_id = found[semconv.EXECUTOR_LABEL], found[semconv.BLOCK_ID]
                self._metrics.block_is(label, block_id, found[semconv.BLOCK_STATUS])
                self._keep(key, new)  # a block may leave any status again: its run's end is its own
        if end is not None:
            yield from self._close_run(end)
        yield from self._tell_late(late)

    def _hear_running(self, running: Mapping[Key, list[tuple[Event, bytes]]]) -> list[bytes]:
        """
        Keep news of tries that no execution's span has told of: one may come yet.

        News that comes with one is told of if both say when it began: an executor may run a try
        again. News that comes later was held up, by an agent that was killed; or its worker was
        lost, and that was known sooner: the spans of such are returned.
        """
        spans: list[bytes] = []
        for (_, task), new in running.items():
            untold = [(event, record) for event, record in new if not self._is_told(event)]
            lost = {record: self._lost_execution(event) for event, record in untold}
            spans += (span for span in lost.values() if span is not None)
            self._untold.keep(int(task), [record for record, span in lost.items() if span is None])
        self._untold.forget(self._executed)
        for task_id, try_id, _ in self._executed:
            self._metrics.keep_execution(task_id, try_id)
        return spans

    def _tell_late(self, events: Mapping[Key, list[tuple[Event, bytes]]]) -> list[bytes]:
        """Return the spans of what came after the end of the run."""
        late = (event for new in events.values() for event, _ in new)
        return [
            self._lost_execution(event) or self._spans.of_event(event)
            for event in late
            if not self._is_told(event)
        ]

    def _is_told(self, event: Event) -> bool:
        """Tell whether an event says late what an execution's span has said: that a try began."""
        which = began(event)
        return which is not None and self._metrics.has_execution(*which[:2])

    def _manager_spans(self, run_ended_ns: int) -> list[bytes]:
        """Return the spans of managers: the run has ended, and none of them reports any more."""
        self._said[_MANAGERS_DONE] = 1
        blocks = {
            key for (key,) in self._database.execute("SELECT key FROM event WHERE kind = 'block'")
        }
        return [
            self._spans.of_manager(
                manager,
                run_ended_ns=run_ended_ns,
                has_block=_block_key(manager.executor, manager.block_id) in blocks,
                outcome=self._said.get(_LEFT_OPEN),
            )
            for manager in self._managers.all()
        ]

    def _task(self, key: Key, before: list[Event], new: list[tuple[Event, bytes]]) -> list[bytes]:
        known = _merge(before, new)
        spans = []
        ending = sorted((e for e, _ in new if _ends(e)), key=lambda event: event.sequence)
        for last in ending:
            try_id = last.attributes[semconv.TRY_ID]
            of_try = [event for event in known if event.attributes[semconv.TRY_ID] == try_id]
            spans.append(self._spans.of_try(of_try))
            if semconv.EXCEPTION_TYPE in last.attributes:  # no worker could tell of it
                end_ns = last.attributes.get(semconv.TRY_TIME_RETURNED) or last.time_ns
                spans += self._lose(LostTry(last, end_ns, "lost"))
            self._measure_try(last)
        if ending and ending[-1].attributes[semconv.TASK_STATE] in FINAL_STATES:
            spans.append(self._spans.of_task(known))
            self._measure_task(known[0], ending[-1])
            spans += map(self._spans.of_event, self._untold.take(int(key[1])))
            if before:
                self._forget(key)
        else:
            self._keep(key, new)
        return spans

    def _lose(self, lost: LostTry) -> list[bytes]:
        """Return the spans of what workers had begun of a try of which they will say no more."""
        which = lost.last.attributes[semconv.TASK_ID], lost.last.attributes[semconv.TRY_ID]
        self._untold.lose(*which, lost)
        return [
            self._lost_execution(news) or self._spans.of_event(news)
            for news in self._untold.take(*which)
        ]

    def _lost_execution(self, news: Event) -> bytes | None:
        """Return the span of the execution that news are of, if its try was lost."""
        if not names_execution(news):
            return None
        which = news.attributes[semconv.TASK_ID], news.attributes[semconv.TRY_ID]
        lost = self._untold.lost(*which)
        return lost and self._spans.of_lost_execution(news, **lost._asdict())

    def _measure_try(self, last: Event) -> None:
        found = last.attributes
        launched, returned = (
            found.get(name) for name in (semconv.TRY_TIME_LAUNCHED, semconv.TRY_TIME_RETURNED)
        )
        if launched and returned and found[semconv.TASK_STATE] != "memo_done":
            which = found[semconv.TASK_ID], found[semconv.TRY_ID]
            executor = found[semconv.EXECUTOR_LABEL]
            self._metrics.try_returned(*which, executor, returned - launched)
            self._clocks.submitted(*which, launched, returned)

    def _measure_task(self, first: Event, last: Event) -> None:
        found = last.attributes
        began = first.attributes.get(semconv.TASK_TIME_INVOKED, first.time_ns)
        ended = found.get(semconv.TASK_TIME_RETURNED) or last.time_ns
        outcome = OUTCOMES[found[semconv.TASK_STATE]]
        self._metrics.task_ended(found[semconv.APP_NAME], outcome, ended - began)

    def _close_run(self, end: Event) -> Iterator[bytes]:
        """Yield the spans of all that is still open when the run ends, the run's own last."""
        how_run_ended = end.attributes.get(semconv.OUTCOME)
        outcome = "lost" if how_run_ended == "lost" else "unfinished"
        if how_run_ended == outcome:
            self._said[_LEFT_OPEN] = outcome
        left_open = self._said.get(_LEFT_OPEN)
        rows = self._database.execute(
            "SELECT kind, key, record FROM event WHERE kind != 'run' ORDER BY kind, key, sequence"
        )
        for (kind, _), records in groupby(rows, key=itemgetter(0, 1)):
            kept = [Event(LogRecord.FromString(record)) for _, _, record in records]
            last = kept[-1]
            if kind == "block":
                end_ns, how = (last.time_ns, None) if _ends(last) else (end.time_ns, left_open)
                yield self._spans.of_block(kept, end_ns=end_ns, outcome=how)
                continue
            try_id = last.attributes[semconv.TRY_ID]
            of_try = [event for event in kept if event.attributes[semconv.TRY_ID] == try_id]
            is_lost = last.name == semconv.EVENT_TRY_LOST
            cut: dict[str, Any] = {
                "cut_ns": last.time_ns if is_lost else end.time_ns,
                "outcome": outcome,
            }
            if not _ends(last):  # else the span of that try is out already
                yield self._spans.of_try(of_try, **cut)
                how = "lost" if is_lost else outcome
                yield from self._lose(LostTry(last, cut["cut_ns"], how))
            yield self._spans.of_task(kept, **cut)
        yield from map(self._spans.of_event, self._untold.take_all())
        of_run = self._kept([("run", "")])[("run", "")]
        (tasks,) = self._database.execute("SELECT coalesce(sum(tasks), 0) FROM run").fetchone()
        yield self._spans.of_run(of_run, name=self._name, tasks=tasks)
        self._database.execute("DELETE FROM event WHERE kind != 'block'")  # managers ask for them
        self._database.execute("INSERT INTO over VALUES (?, ?)", (end.sequence, end.time_ns))

    def _kept(self, keys: list[Key]) -> dict[Key, list[Event]]:
        found: dict[Key, list[Event]] = defaultdict(list)
        for kind in {kind for kind, _ in keys}:
            names = [name for of_kind, name in keys if of_kind == kind]
            for start in range(0, len(names), _KEYS_AT_ONCE):
                chunk = names[start : start + _KEYS_AT_ONCE]
                marks = ",".join("?" * len(chunk))
                query = (
                    "SELECT key, record FROM event WHERE kind = ?"  # noqa: S608 - only marks
                    f" AND key IN ({marks}) ORDER BY key, sequence"
                )
                for key, record in self._database.execute(query, [kind, *chunk]):
                    found[kind, key].append(Event(LogRecord.FromString(record)))
        return found

    def _keep(self, key: Key, new: list[tuple[Event, bytes]]) -> None:
        self._database.executemany(
            "INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?)",
            [(*key, event.sequence, record) for event, record in new],
        )

    def _forget(self, key: Key) -> None:
        self._database.execute("DELETE FROM event WHERE kind = ? AND key = ?", key)

    def _count_tasks(self, tasks: int) -> None:
        self._database.execute("INSERT INTO run VALUES (?)", (tasks,))


def _key(event: Event) -> Key:
    """Return what an event is about."""
    found = event.attributes
    if event.name in (semconv.EVENT_TASK_STATE, semconv.EVENT_TRY_LOST):
        return "task", str(found[semconv.TASK_ID])
    if event.name in (semconv.EVENT_BLOCK_STATUS, semconv.EVENT_BLOCK_DESCRIBED):
        return "block", _block_key(found[semconv.EXECUTOR_LABEL], found[semconv.BLOCK_ID])
    if event.name == semconv.EVENT_TRY_RUNNING:
        return "running", str(found[semconv.TASK_ID])
    return "run", ""


def _where(
    events: Mapping[Key, list[tuple[Event, bytes]]], is_wanted: Callable[[Event], bool]
) -> dict[Key, list[tuple[Event, bytes]]]:
    found = {key: [item for item in new if is_wanted(item[0])] for key, new in events.items()}
    return {key: kept for key, kept in found.items() if kept}


def _block_key(executor: str, block_id: str) -> str:
    return f"{executor}\0{block_id}"


def _is_run_end(event: Event) -> bool:
    return event.name == semconv.EVENT_RUN_ENDED


def _ends(event: Event) -> bool:
    """Tell whether an event ends a try or a block."""
    state = event.attributes.get(semconv.TASK_STATE)
    if state is not None:
        return state in FINAL_STATES or state == "fail_retryable"
    return event.attributes.get(semconv.BLOCK_STATUS) in _ENDED_BLOCK


def _rank(event: Event) -> tuple[bool, int]:
    """Order events by what they say last of their subject: a lost try leaves its task's state."""
    return event.name != semconv.EVENT_TRY_LOST, event.sequence


def _is_new_task(new: list[tuple[Event, bytes]]) -> bool:
    return any(semconv.TASK_TIME_INVOKED in event.attributes for event, _ in new)


def _merge(before: list[Event], new: list[tuple[Event, bytes]]) -> list[Event]:
    by_sequence = {event.sequence: event for event in before}
    by_sequence |= {event.sequence: event for event, _ in new}
    return [by_sequence[sequence] for sequence in sorted(by_sequence)]
