"""
A connector: the hub's events in, finished spans out.

Flow: spool (stream ``submit``) -> **lifecycle** -> spool (stream ``derived``) -> exporters
What ``otel_parsl.spans`` does for one span, this does for a stream: it keeps the events of what has
not ended yet, on disk, since a run may have a million tasks waiting.
The spans are spooled before the place is committed, so a killed agent makes some again: the same
bytes with the same ids.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_parsl import __version__, semconv, wire
from otel_parsl.semconv import FINAL_STATES
from otel_parsl.spans import Event, RunSpans
from otel_parsl.spool import Frame, Place, frame
from otel_parsl.wire import LOGS, TRACES

_TABLES = """
CREATE TABLE IF NOT EXISTS event (
    kind TEXT, key TEXT, sequence INTEGER, record BLOB, PRIMARY KEY (kind, key, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS place (segment INTEGER, position INTEGER);
CREATE TABLE IF NOT EXISTS run (tasks INTEGER);
CREATE TABLE IF NOT EXISTS over (sequence INTEGER);
"""
_KEYS_AT_ONCE = 500
_SPANS_AT_ONCE = 500
_ENDED_BLOCK = frozenset(
    {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "MISSING", "SCALED_IN", "HELD"}
)

Key = tuple[str, str]


class Lifecycle:
    """
    Derive the spans of one run.

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
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA cache_size=-4000;" + _TABLES
        )
        self._spans = RunSpans(run_id, scope=scope)
        self._emit = emit
        self._scope_bytes = wire.scope(semconv.SCOPE, __version__)
        self._resource = b""
        self._name = "workflow"

    @property
    def place(self) -> Place:
        """How far the stream has been taken in."""
        row = self._database.execute("SELECT segment, position FROM place").fetchone()
        return Place(*row) if row else Place()

    def consume(self, frames: Iterable[Frame], place: Place) -> None:
        """Take in frames, spool the spans that are finished by them, and commit the place."""
        events: dict[Key, list[tuple[Event, bytes]]] = defaultdict(list)
        for item in frames:
            if item.signal == LOGS:
                self._read(item.payload, events)
        self._database.execute("BEGIN")
        try:
            spans = self._finish(events)
            for start in range(0, len(spans), _SPANS_AT_ONCE):
                request = wire.request(
                    self._resource,
                    self._scope_bytes,
                    spans[start : start + _SPANS_AT_ONCE],
                    schema_url=semconv.SCHEMA_URL,
                )
                self._emit([frame(TRACES, request)])
            self._database.execute("DELETE FROM place")
            self._database.execute("INSERT INTO place VALUES (?, ?)", place)
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _read(self, payload: bytes, events: dict[Key, list[tuple[Event, bytes]]]) -> None:
        for group in ExportLogsServiceRequest.FromString(payload).resource_logs:
            self._resource = wire.sized(group.resource.SerializeToString())
            for pair in group.resource.attributes:
                if pair.key == semconv.WORKFLOW_NAME:
                    self._name = pair.value.string_value
            for scope in group.scope_logs:
                for record in scope.log_records:
                    key = _key(record)
                    if key is not None:
                        events[key[0]].append((key[1], record.SerializeToString()))

    def _finish(self, events: dict[Key, list[tuple[Event, bytes]]]) -> list[bytes]:
        """
        Return the spans that have ended; what goes on is kept.

        What the hub says after the end of its run changes no span: all of them are out by then.
        """
        if self._database.execute("SELECT 1 FROM over").fetchone():
            return []
        end = next((e for e, _ in events.get(("run", ""), ()) if _is_run_end(e)), None)
        if end is not None:
            events = {
                key: kept
                for key, new in events.items()
                if (kept := [item for item in new if item[0].sequence <= end.sequence])
            }
        spans: list[bytes] = []
        tasks = sum(_is_new_task(new) for new in events.values())
        if tasks:
            self._count_tasks(tasks)
        closing = [key for key, new in events.items() if any(_ends(event) for event, _ in new)]
        before = self._kept(closing)
        for key, new in events.items():
            if key[0] == "run":
                self._keep(key, new)
            elif key[0] == "task":
                spans += self._task(key, before.get(key, []), new)
            else:
                self._keep(key, new)  # a block may leave any status again: its run's end is its own
        if end is not None:
            spans += self._close_run(end)
        return spans

    def _task(self, key: Key, before: list[Event], new: list[tuple[Event, bytes]]) -> list[bytes]:
        known = _merge(before, new)
        spans = []
        ending = sorted((e for e, _ in new if _ends(e)), key=lambda event: event.sequence)
        for last in ending:
            try_id = last.attributes[semconv.TRY_ID]
            spans.append(
                self._spans.of_try(
                    event for event in known if event.attributes[semconv.TRY_ID] == try_id
                )
            )
        if ending and ending[-1].attributes[semconv.TASK_STATE] in FINAL_STATES:
            spans.append(self._spans.of_task(known))
            if before:
                self._forget(key)
        else:
            self._keep(key, new)
        return spans

    def _close_run(self, end: Event) -> list[bytes]:
        """Return the spans of all that is still open when the run ends, the run's own last."""
        spans = []
        is_lost = end.attributes.get(semconv.OUTCOME) == "lost"
        outcome = "lost" if is_lost else "unfinished"
        for kind, key in self._database.execute(
            "SELECT DISTINCT kind, key FROM event WHERE kind != 'run'"
        ).fetchall():
            kept = self._kept([(kind, key)])[kind, key]
            last = kept[-1]
            if kind == "block":
                end_ns = last.time_ns if _ends(last) else end.time_ns
                spans.append(self._spans.of_block(kept, end_ns=end_ns))
                continue
            try_id = last.attributes[semconv.TRY_ID]
            of_try = [event for event in kept if event.attributes[semconv.TRY_ID] == try_id]
            if not _ends(last):  # else the span of that try is out already
                spans.append(self._spans.of_try(of_try, cut_ns=end.time_ns, outcome=outcome))
            spans.append(self._spans.of_task(kept, cut_ns=end.time_ns, outcome=outcome))
        of_run = self._kept([("run", "")])[("run", "")]
        (tasks,) = self._database.execute("SELECT coalesce(sum(tasks), 0) FROM run").fetchone()
        spans.append(self._spans.of_run(of_run, name=self._name, tasks=tasks))
        self._database.execute("DELETE FROM event")
        self._database.execute("INSERT INTO over VALUES (?)", (end.sequence,))
        return spans

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


def _key(record: Any) -> tuple[Key, Event] | None:
    """Return what an event is about; None for one that no span is made of."""
    if record.event_name == semconv.EVENT_TASK_STATE:
        event = Event(record)
        return ("task", str(event.attributes[semconv.TASK_ID])), event
    if record.event_name == semconv.EVENT_BLOCK_STATUS:
        event = Event(record)
        found = event.attributes
        return ("block", f"{found[semconv.EXECUTOR_LABEL]}\0{found[semconv.BLOCK_ID]}"), event
    if record.event_name in (semconv.EVENT_RUN_STARTED, semconv.EVENT_RUN_ENDED):
        return ("run", ""), Event(record)
    return None


def _is_run_end(event: Event) -> bool:
    return event.name == semconv.EVENT_RUN_ENDED


def _ends(event: Event) -> bool:
    """Tell whether an event ends a try or a block."""
    state = event.attributes.get(semconv.TASK_STATE)
    if state is not None:
        return state in FINAL_STATES or state == "fail_retryable"
    return event.attributes.get(semconv.BLOCK_STATUS) in _ENDED_BLOCK


def _is_new_task(new: list[tuple[Event, bytes]]) -> bool:
    return any(semconv.TASK_TIME_INVOKED in event.attributes for event, _ in new)


def _merge(before: list[Event], new: list[tuple[Event, bytes]]) -> list[Event]:
    by_sequence = {event.sequence: event for event in before}
    by_sequence |= {event.sequence: event for event, _ in new}
    return [by_sequence[sequence] for sequence in sorted(by_sequence)]
