"""
From Parsl's queue to the spool: a thread of the submit process.

Flow: message queue, carriers, interchange channels -> messages -> **drain** -> spool
Putting a message costs the workflow an append to a deque; the rest happens here, in batches.
Nothing is raised into Parsl: what cannot be read or written is counted and said.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from parsl.monitoring.message_type import MessageType

from otel_parsl import __version__, interchange_messages, messages, semconv, spool, wire
from otel_parsl.failures.submit_failure import told_failure
from otel_parsl.identity import run_key
from otel_parsl.interchange_messages import Heard
from otel_parsl.rendezvous import INTERCHANGES, SUBMIT
from otel_parsl.sampling.sample_metrics import sample_from_message, sample_metrics
from otel_parsl.seldom import Seldom
from otel_parsl.semconv import TRY_FAILED_STATES
from otel_parsl.spool import Place, segment_bytes, sound_bytes
from otel_parsl.spool_room import MAX_MIB, StoreBacklog
from otel_parsl.stream_writer import PatientWriter, StreamWriter
from otel_parsl.submit.executor_watch import ExecutorWatch
from otel_parsl.wire import LOGS, METRICS, Key

logger = logging.getLogger(__name__)

FLUSH_S = 0.05
WATCH_S = 1.0
SYNC_S = 1.0
"""How much of a run a power loss may take; a killed process loses only what was not yet flushed."""
_FRAME_BYTES = 1 << 20
"""Of events in a frame: whoever reads it has all of it in memory."""
_RETRY_S = 0.1
_HEARD_BYTES = 8 << 20
"""What is kept in memory of interchanges while the disk takes nothing."""

_EXECUTOR_TASK_ID = Key(semconv.EXECUTOR_TASK_ID)
_CALLER = Key(semconv.CALLER)
_SPECIFICATION = Key(semconv.RESOURCE_SPECIFICATION)


class Drain:
    """
    Spool what one run says.

    Args:
        directory: Of the spool.
        scope: Which trace a task lives in.
        watch: Looks after the executors.
        max_bytes: How much may wait in the spool for the store.
    """

    def __init__(
        self,
        directory: Path,
        *,
        scope: str,
        watch: ExecutorWatch,
        max_bytes: int = MAX_MIB << 20,
    ) -> None:
        self._messages: deque[tuple[int, Any, str | None]] = deque()
        self._blobs: deque[bytes] = deque()
        self._untraced: deque[tuple[int, str, str]] = deque()
        self._submitted: dict[tuple[int, int], list[bytes]] = {}
        self._failed: dict[tuple[int, int], tuple[Any, bool]] = {}
        self._scope = scope
        self._watch = watch
        self._watched_at = time.monotonic()
        self._heard: deque[Heard] = deque()
        backlog = StoreBacklog(directory, max_bytes=max_bytes)
        self._file, self._heard_file = (
            StreamWriter(
                directory,
                stream,
                has_room=partial(backlog.has_room, stream),
                segment_bytes=segment_bytes(max_bytes),
            )
            for stream in (SUBMIT, INTERCHANGES)
        )
        self._writer = PatientWriter(self._file)
        self._heard_writer = PatientWriter(self._heard_file, waiting_bytes=_HEARD_BYTES)
        self._events: messages.RunEvents | None = None
        self._resource = b""
        self._scope_bytes = wire.scope(semconv.SCOPE, __version__)
        self._unread = Seldom(logger, logging.ERROR)
        self._unsynced = Seldom(logger, logging.WARNING)
        self._synced_at = time.monotonic()
        self._is_dirty = False
        self._lock = threading.Lock()
        self.unreadable = 0
        """Messages, and the telemetry of tries, that could not be read."""

    @property
    def place(self) -> Place:
        """The place behind all that was spooled of the run's own."""
        return self._file.place

    @property
    def dropped(self) -> int:
        """Batches that neither disk nor memory had room for."""
        return self._writer.dropped + self._heard_writer.dropped

    @property
    def waiting(self) -> int:
        """Batches that are in memory alone."""
        return self._writer.waiting + self._heard_writer.waiting

    def begin(
        self,
        run_id: str,
        resource: tuple[bytes, ...],
        announce: Callable[[], None] | None = None,
    ) -> None:
        """
        Say whose messages they are; must come before the first flush that is to take any.

        Args:
            run_id: The run.
            resource: The attributes of the submit process.
            announce: Writes down whose run it is, before anything is spooled; may raise OSError.
        """
        self._file.before_first = announce
        self._resource = wire.resource(resource)
        self._events = messages.RunEvents(run_key(run_id), scope=self._scope)

    def put(self, message: Any, caller: str | None = None) -> None:
        """
        Take one of Parsl's messages; called by its threads.

        Args:
            message: Parsl's tag and dict.
            caller: The span that was current where it began, as a W3C traceparent.
        """
        self._messages.append((time.time_ns(), message, caller))

    def put_frames(self, frames: bytes) -> None:
        """Take the telemetry of a try; called by its executor's thread."""
        self._blobs.append(frames)

    def submitted(
        self, task_id: int, try_id: int, executor_task_id: object, specification: Any
    ) -> None:
        """Take what only the submission of a try knows."""
        attributes = []
        if executor_task_id is not None:
            attributes.append(_EXECUTOR_TASK_ID.text(str(executor_task_id)))
        if specification:
            attributes.append(_SPECIFICATION.text(json.dumps(specification, default=str)))
        if attributes:
            self._submitted[task_id, try_id] = attributes

    def failed(self, task_id: int, try_id: int, error: Any, *, is_told: bool) -> None:
        """Take with what a try failed, before Parsl says that it did."""
        self._failed[task_id, try_id] = error, is_told

    def put_heard(self, heard: Heard) -> None:
        """Take what an interchange has sent; called by its channel's thread."""
        self._heard.append(heard)

    def untraced(self, label: str, why: str) -> None:
        """Take why an executor's workers cannot trace; called by its thread."""
        self._untraced.append((time.time_ns(), label, why))

    def flush(self) -> None:
        """Spool all that was put so far; safe to call from any thread."""
        with self._lock:
            frames = self._frames()
            if (frames or self._writer.waiting) and self._writer.append(frames):
                self._is_dirty = True
                logger.debug("%d batches are spooled, up to %s", len(frames), self.place)
            heard = self._heard_frames()
            if (heard or self._heard_writer.waiting) and self._heard_writer.append(heard):
                self._is_dirty = True
            if self._is_dirty and time.monotonic() - self._synced_at > SYNC_S:
                self.sync()

    def sync(self) -> None:
        """Bring what was spooled to the disk's platter."""
        try:
            self._file.sync()
            self._heard_file.sync()
        except OSError as error:
            self._unsynced.say("the spool cannot be synced: %s", error)
        self._synced_at = time.monotonic()
        self._is_dirty = False

    def close(self, *, timeout_s: float = 0.0) -> None:
        """
        Flush and close the file.

        Args:
            timeout_s: How long to wait for a disk that is full.
        """
        deadline = time.monotonic() + timeout_s
        self.flush()
        while self.waiting and time.monotonic() < deadline:
            time.sleep(_RETRY_S)
            self.flush()
        with self._lock:
            self.sync()
            self._file.close()
            self._heard_file.close()
        if self.waiting:
            logger.error("%d batches of telemetry could not be written and are lost", self.waiting)

    def _frames(self) -> list[bytes]:
        if self._events is None:
            return []
        records: list[bytes] = []
        metrics: list[bytes] = []
        while self._untraced:
            time_ns, label, why = self._untraced.popleft()
            records.append(self._events.untraced(label, why, time_ns // 1000 * 1000))
        while self._messages:
            observed_ns, message, caller = self._messages.popleft()
            called = () if caller is None else (_CALLER.text(caller),)
            try:
                self._encode(message, observed_ns, called, records, metrics)
            except Exception as error:  # noqa: BLE001 - a border: a message must not end this thread
                self.unreadable += 1
                self._unread.say("a monitoring message could not be read: %r", error)
        if time.monotonic() - self._watched_at > WATCH_S:
            self._look(records)
        most_bytes = min(_FRAME_BYTES, self._file.segment_bytes)  # a longer one may find no room
        frames = [self._frame(LOGS, some) for some in spool.parts(records, most_bytes)]
        if metrics:
            frames.append(self._frame(METRICS, metrics))
        while self._blobs:
            frames.append(self._sound(self._blobs.popleft()))
        return frames

    def _heard_frames(self) -> list[bytes]:
        heard = [self._heard.popleft() for _ in range(len(self._heard))]
        return [interchange_messages.frame(part) for each in heard for part in each.parts()]

    def _sound(self, blob: bytes) -> bytes:
        """Return the frames of a blob that are whole: one that is torn could hide what follows."""
        sound = sound_bytes(blob)
        if sound < len(blob):
            self.unreadable += 1
            self._unread.say(
                "of the %d bytes that came with a result %d are no telemetry and are dropped",
                len(blob),
                len(blob) - sound,
            )
        return blob[:sound]

    def _frame(self, signal: int, items: list[bytes]) -> bytes:
        request = wire.request(
            self._resource, self._scope_bytes, items, schema_url=semconv.SCHEMA_URL
        )
        return spool.frame(signal, request)

    def _encode(
        self,
        tagged: Any,
        observed_ns: int,
        extra: Iterable[bytes],
        records: list[bytes],
        metrics: list[bytes],
    ) -> None:
        assert self._events is not None
        kind, message = tagged
        if kind is MessageType.TASK_INFO:
            extra = (*extra, *self._known_of_try(message))
            records.append(self._events.task(message, observed_ns, extra))
        elif kind is MessageType.WORKFLOW_INFO:
            if "python_version" in message:
                records.append(self._events.started(message, observed_ns, extra))
            else:
                self._look(records)
                records.append(self._events.ended(message, observed_ns))
        elif kind is MessageType.BLOCK_INFO:
            records += self._blocks(message, observed_ns)
        elif kind is MessageType.WORKER_TASK_INFO:
            records.append(self._events.worker(message, observed_ns))
        elif kind is MessageType.RESOURCE_INFO:
            sample = sample_from_message(message, messages.to_ns(message["timestamp"]))
            metrics += sample_metrics(
                sample,
                task_id=message["task_id"],
                try_id=message["try_id"],
                interval_s=message["resource_monitoring_interval"],
            )
        else:
            raise ValueError(f"unknown kind of message {kind!r}")

    def _known_of_try(self, message: Mapping[str, Any]) -> Iterable[bytes]:
        """Return what the submit side knows of a try that Parsl's message leaves out."""
        state, which = message["task_status_name"], (message["task_id"], message["try_id"])
        if state == "launched":
            return self._submitted.pop(which, ())
        if state in TRY_FAILED_STATES and which in self._failed:
            error, is_told = self._failed.pop(which)
            return told_failure(error, is_told=is_told)
        return ()

    def _blocks(self, message: Any, observed_ns: int) -> Iterator[bytes]:
        assert self._events is not None
        for change in message:
            label, block_id = change["executor_label"], change["block_id"]
            words = self._watch.words(label, block_id, change["status"])
            yield self._events.block(change, observed_ns, words)

    def _look(self, records: list[bytes]) -> None:
        """Add what became of executors and blocks without a message of Parsl's."""
        assert self._events is not None
        self._watched_at = time.monotonic()
        try:
            records += self._watch.news(self._events)
        except Exception as error:  # noqa: BLE001 - a border: providers are anybody's code
            self.unreadable += 1
            self._unread.say("what the executors say of themselves could not be read: %r", error)
