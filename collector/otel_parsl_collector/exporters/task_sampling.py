"""
Which spans a destination is sent: those of a share of the tasks, and of all that failed.

Flow: spool -> **task_sampling** -> exporters.otlp
A task is kept or left out whole: its span, its tries, executions and the spans its app made; those
of the run, its blocks and managers are always sent, unless none at all are.
Where failures are kept whatever the share says, the spans of a task that is not in it wait on disk
until one says that something failed, or the task's own says that nothing did.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from otel_parsl import semconv
from otel_parsl.identity import run_key
from otel_parsl.spool import Frame
from otel_parsl.trace_sampling import is_sampled
from otel_parsl.wire import TRACES

_TABLES = """
CREATE TABLE IF NOT EXISTS held (
    run TEXT, task INTEGER, span BLOB, request BLOB, PRIMARY KEY (run, task, span)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failed (run TEXT, task INTEGER, PRIMARY KEY (run, task)) WITHOUT ROWID;
"""

_Task = tuple[str, int]


class Rule(NamedTuple):
    """What a destination wants."""

    share: float = 1.0
    """Of the tasks, from 0.0 to 1.0."""
    keeps_failures: bool = False
    """Whether every task in which something failed is sent, whatever the share says."""


class _Seen(NamedTuple):
    """A span, as far as the decision needs it."""

    run: str
    task: int | None
    is_error: bool
    ends_task: bool
    ends_run: bool


class TaskSampling:
    """
    Pick what a destination is sent.

    Args:
        rule: What it wants.
        path: The database in which spans wait, where failures are kept.
    """

    def __init__(self, rule: Rule, path: Path) -> None:
        self.sampled_out = 0
        """Spans that were left out."""
        self._rule = rule
        self._database: sqlite3.Connection | None = None
        if rule.keeps_failures and rule.share < 1.0:
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA cache_size=-2000;"
                + _TABLES
            )

    def pick(self, frames: Iterable[Frame]) -> list[Frame]:
        """
        Return the frames to send; what waits is kept once ``commit`` is called.

        Raises:
            sqlite3.OperationalError: The database takes nothing for now; nothing was picked.
        """
        if self._rule.share >= 1.0:
            return list(frames)
        before = self.sampled_out
        try:
            if self._database is not None and not self._database.in_transaction:
                self._database.execute("BEGIN")
            return self._pick_all(frames)
        except sqlite3.OperationalError:
            self.sampled_out = before
            if self._database is not None and self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def _pick_all(self, frames: Iterable[Frame]) -> list[Frame]:
        picked: list[Frame] = []
        for item in frames:
            if item.signal == TRACES:
                picked += self._pick(item)
            else:
                picked.append(item)
        return picked

    def commit(self) -> None:
        """Keep what waits: what was picked is sent."""
        if self._database is not None and self._database.in_transaction:
            self._database.execute("COMMIT")

    def close(self) -> None:
        """Let go of the database; what was not committed is picked again."""
        if self._database is not None:
            self._database.close()

    def _pick(self, item: Frame) -> Iterable[Frame]:
        request = ExportTraceServiceRequest.FromString(item.payload)
        freed: list[Frame] = []
        has_changed = False
        for group in request.resource_spans:
            run = _run_id(group)
            for scope in group.scope_spans:
                kept = []
                for span in scope.spans:
                    seen = _read(run, scope, span)
                    if self._is_kept(seen, freed, item):
                        kept.append(span)
                    else:
                        self._hold(seen, group, scope, span)
                        if seen.ends_task and seen.task is not None:
                            self._drop_held(seen.run, seen.task)
                    if seen.ends_run:
                        self._drop_held(seen.run, None)
                if len(kept) < len(scope.spans):
                    has_changed = True
                    kept = [Span.FromString(span.SerializeToString()) for span in kept]
                    del scope.spans[:]
                    scope.spans.extend(kept)
        if not has_changed:
            yield item
        elif any(scope.spans for group in request.resource_spans for scope in group.scope_spans):
            yield item._replace(payload=_without_empty(request).SerializeToString())
        yield from freed

    def _is_kept(self, seen: _Seen, freed: list[Frame], item: Frame) -> bool:
        if seen.task is None:
            return self._rule.share > 0 or self._rule.keeps_failures
        if is_sampled(run_key(seen.run), seen.task, self._rule.share):
            return True
        if self._database is None:
            return False
        task = (seen.run, seen.task)
        if seen.is_error:
            self._free(task, freed, item)
            return True
        query = "SELECT 1 FROM failed WHERE run = ? AND task = ?"
        return self._database.execute(query, task).fetchone() is not None

    def _free(self, task: _Task, freed: list[Frame], item: Frame) -> None:
        """Send what waits of a task in which something failed, and what is still to come."""
        assert self._database is not None
        self._database.execute("INSERT OR IGNORE INTO failed VALUES (?, ?)", task)
        query = "SELECT request FROM held WHERE run = ? AND task = ? ORDER BY span"
        rows = self._database.execute(query, task).fetchall()
        freed += (item._replace(payload=request) for (request,) in rows)
        self._database.execute("DELETE FROM held WHERE run = ? AND task = ?", task)

    def _hold(self, seen: _Seen, group: ResourceSpans, scope: ScopeSpans, span: Span) -> None:
        if self._database is None:
            self.sampled_out += 1
            return
        request = ExportTraceServiceRequest()
        of_group = request.resource_spans.add(resource=group.resource, schema_url=group.schema_url)
        of_scope = of_group.scope_spans.add(scope=scope.scope, schema_url=scope.schema_url)
        of_scope.spans.add().CopyFrom(span)
        self._database.execute(
            "INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?)",
            (seen.run, seen.task, span.span_id, request.SerializeToString()),
        )

    def _drop_held(self, run: str, task: int | None) -> None:
        """Leave out what waits of a task in which nothing failed, or of a run that has ended."""
        if self._database is None:
            return
        condition, values = "run = ?", [run]
        if task is not None:
            condition, values = "run = ? AND task = ?", [run, task]  # type: ignore[list-item]
        dropped = self._database.execute(f"DELETE FROM held WHERE {condition}", values)  # noqa: S608
        self.sampled_out += dropped.rowcount
        if task is None:
            self._database.execute("DELETE FROM failed WHERE run = ?", values)


def _read(run: str, scope: ScopeSpans, span: Span) -> _Seen:
    is_ours = scope.scope.name == semconv.SCOPE
    task: int | None = None
    is_try = ends_run = False
    for pair in span.attributes:
        if pair.key == semconv.TASK_ID:
            task = pair.value.int_value
        elif pair.key == semconv.TRY_ID:
            is_try = True
        elif pair.key == semconv.TRACE_SCOPE:
            ends_run = is_ours
    is_error = is_ours and span.status.code == Status.STATUS_CODE_ERROR
    ends_task = is_ours and task is not None and not is_try
    return _Seen(run, task if run else None, is_error, ends_task, ends_run)


def _run_id(group: ResourceSpans) -> str:
    for pair in group.resource.attributes:
        if pair.key == semconv.RUN_ID:
            return str(pair.value.string_value)
    return ""


def _without_empty(request: ExportTraceServiceRequest) -> Any:
    made = ExportTraceServiceRequest()
    for group in request.resource_spans:
        scopes = [scope for scope in group.scope_spans if scope.spans]
        if scopes:
            of_group = made.resource_spans.add(resource=group.resource, schema_url=group.schema_url)
            of_group.scope_spans.extend(scopes)
    return made
