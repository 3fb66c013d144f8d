"""One run kept in memory, read in a thread of its own and followed as it grows."""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from otel_parsl.query.errors import DatabaseChanged, NoSuchRun, QueryError
from otel_parsl.query.health import Received, select_received
from otel_parsl.query.liveness import with_outcome
from otel_parsl.query.runs import Run, select_runs
from otel_parsl.query.task_states import left_open_as
from otel_parsl_dashboards.data.drawing_share import DrawingShare
from otel_parsl_dashboards.data.freed import give_back
from otel_parsl_dashboards.data.loading import Frames, Marks, read_changes, read_stages
from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.data.source import Signature, Source
from otel_parsl_dashboards.data.standing import read_standing
from otel_parsl_dashboards.data.states import mark_left_open

_log = logging.getLogger(__name__)

Told = Callable[["Resident"], Callable[[], None] | None]
"""Is told of a change, and may return what takes longer: it is done once all have been told."""
_STAGES = (
    ("tasks and tries", "tasks"),
    ("states", "statuses"),
    ("dependencies and nodes", "edges"),
    ("resource samples", "samples"),
)
"""What is read in turn, and which frame is there then."""
_SHARE = 4
"""Reading takes a fifth of the time at most."""
_MOST_PAUSE_S = 60.0
_CURRENT_S = 1.2
"""Numbers are no older than this and what it takes to notice, read and show a change."""
JUDGED_S = 5.0
"""A run that goes on is judged so often though nothing changes: its silence may tell."""


class Resident:
    """
    A run, and whoever wants to be told of its changes.

    Args:
        source: Its database.
        run_id: The run's id.

    Raises:
        NoSuchRun: The database has no such run.
        DatabaseUnusable: It cannot be read.
    """

    def __init__(self, source: Source, run_id: str) -> None:
        self._source = source
        self._run_id = run_id
        self._marks = Marks()
        self._known: Frames = {}
        self._shown_known: Frames = {}
        self._shown_received: list[Received] | None = None
        self._version = 0
        self._changed = threading.Condition()
        self._wanted = threading.Event()
        self._asked = threading.Event()
        """Somebody waits for it: no pause is made then."""
        self._told: list[Told] = []
        self._once: dict[Any, Any] = {}
        self._signature: Signature = ()
        self._drawing = DrawingShare()
        self._rows = 0
        self._reached: Frames = {}
        self._read_s = 0.0
        self._is_whole = False
        self._is_ended = False
        self.error: QueryError | None = None
        """Why it cannot be read just now."""
        self.snapshot = self._taken(self._find())
        self._thread = threading.Thread(target=self._follow, name=f"run {run_id}", daemon=True)
        self._thread.start()

    def wait(self, kinds: tuple[str, ...], timeout_s: float | None) -> Snapshot:
        """Return the snapshot once it has some frames, or as it is when any time is over."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.error is not None or all(map(self.snapshot.has, kinds)), timeout_s
            )
            return self.snapshot

    def wait_current(self, signature: Signature, timeout_s: float) -> Snapshot:
        """Return the snapshot once it is as of some signature, or when the time is over."""
        self._wanted.set()
        self._asked.set()
        with self._changed:
            self._changed.wait_for(
                lambda: self.error is not None or self._signature == signature, timeout_s
            )
            return self.snapshot

    def subscribe(self, told: Told) -> Callable[[], None]:
        """Have a function called in another thread at each change; the result takes it back."""
        with self._changed:
            self._told.append(told)

        def unsubscribe() -> None:
            with self._changed:
                if told in self._told:
                    self._told.remove(told)

        return unsubscribe

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return what was made for a key at the first asking; it is kept as long as the run."""
        with self._changed:
            if key not in self._once:
                self._once[key] = make()
            return self._once[key]

    @property
    def progress(self) -> str | None:
        """What is being read for the first time, in words; None once everything is there."""
        return None if self._is_whole else self._left(self._reached)

    @property
    def is_watched(self) -> bool:
        """Whether anyone wants to be told."""
        return bool(self._told)

    @property
    def signature(self) -> Signature:
        """That of the database when it was read last."""
        return self._signature

    def refresh(self) -> None:
        """Have it read again."""
        self._wanted.set()

    def close(self) -> None:
        """Let go of it."""
        self._is_ended = True
        self._wanted.set()
        self._asked.set()

    def _follow(self) -> None:
        while not self._is_ended:
            used_before_s = time.thread_time()
            try:
                self._read()
            except DatabaseChanged:
                continue  # with the log that the writer has begun
            except QueryError as error:
                self._set_error(error)
            except Exception as error:  # noqa: BLE001 - a border: pages say it, and it is tried again
                _log.exception("run %s cannot be read", self._run_id)
                self._set_error(QueryError(f"run {self._run_id}: cannot be read: {error!r}"))
            if self._source.path is None:  # a server may be busy with it for longer
                pause_s = min(self._read_s * _SHARE, _MOST_PAUSE_S)
            else:
                pause_s = min((time.thread_time() - used_before_s) * _SHARE, _CURRENT_S)
            self._asked.wait(pause_s)
            self._asked.clear()
            self._wanted.wait(self._patience_s())
            self._wanted.clear()

    def _patience_s(self) -> float | None:
        """Return after how long there is something to do though nothing changes; None for never."""
        if not self.snapshot.is_drawn:
            return self._drawing.due_in_s()
        return JUDGED_S if self.snapshot.standing.is_running or self.error else None

    def _read(self) -> None:
        signature = self._source.signature()
        run = self._find()
        if not self._is_whole:
            self._rows, self._reached = 0, {}
            with self._source.read() as connection:
                self._shown_received = select_received(connection, run)
            for known, marks in read_stages(self._source, run, self._progress):
                self._reached = known
                if known.keys() < self._known.keys():
                    continue  # it was read before, up to where that failed
                self._known, self._marks = known, marks
                self._publish(self._taken(run, self._left(known)))
                give_back()
            self._is_whole = True
        began_s = time.monotonic()
        with self._source.read() as connection:
            self._known, self._marks = read_changes(connection, run, self._known, self._marks)
            self._read_s = time.monotonic() - began_s
            received = select_received(connection, run)
        snapshot = self._taken(run)
        if self._says_the_same(snapshot, received):
            with self._changed:
                self._signature = signature
                self._changed.notify_all()
            return
        self._shown_received = received
        self._publish(snapshot, signature)

    def _says_the_same(self, snapshot: Snapshot, received: list[Received] | None) -> bool:
        """
        Tell whether a run that is over is as it was shown: only other runs were written.

        What stands in tables of ours alone has come with something that is counted as received.
        """
        shown, before = self.snapshot, self._shown_known
        return (
            shown.is_drawn
            and shown.reading is None
            and self.error is None
            and not snapshot.standing.is_running
            and snapshot.standing._replace(now=shown.standing.now) == shown.standing
            and snapshot.gaps == shown.gaps
            and received == self._shown_received
            and self._known.keys() == before.keys()
            and all(
                now is before[kind] or (kind == "blocks" and now.equals(before[kind]))
                for kind, now in self._known.items()
            )
        )

    def _find(self) -> Run:
        database, _ = self._source.open()
        with database.read() as connection:
            for run in select_runs(connection, has_otel=database.has_otel):
                if run.run_id == self._run_id:
                    return run
        raise NoSuchRun(f"no run {self._run_id!r} in {self._source.name}")

    def _taken(self, run: Run, reading: str | None = "reading the run") -> Snapshot:
        _, gaps = self._source.open()
        now = datetime.datetime.now(datetime.timezone.utc)
        with self._source.read() as connection:
            known = dict(self._known)
            left = left_open_as(with_outcome(connection, run, now=now))
            if known and left is not None:
                tasks = known["tasks"]
                known["tasks"] = tasks.assign(state=mark_left_open(tasks["state"].array, left))
            standing = read_standing(connection, run, known or None, now=now)
        self._version += 1
        if self._is_whole or (self._known and "samples" in self._known):
            reading = None
        is_drawn = not self._is_whole or self._drawing.due_in_s() == 0
        return Snapshot(
            standing,
            known,
            gaps,
            version=self._version,
            reading=reading,
            is_drawn=is_drawn,
            held_s=self._drawing.held_s,
        )

    def _publish(self, snapshot: Snapshot, signature: Signature | None = None) -> None:
        if snapshot.is_drawn:
            self._drawing.begin()
        self._shown_known = self._known
        with self._changed:
            if signature is not None:
                self._signature = signature
            self.error = None
            self.snapshot = snapshot
            self._changed.notify_all()
            told = list(self._told)
        self._tell(told)

    def _set_error(self, error: QueryError) -> None:
        if str(error) != str(self.error):  # once, however often it is tried again
            _log.warning("%s", error)
        with self._changed:
            self.error = error
            self._changed.notify_all()
            told = list(self._told)
        self._tell(told)

    def _tell(self, told: list[Told]) -> None:
        for longer in [self._done(partial(tell, self)) for tell in told]:
            if longer is not None:
                self._done(longer)

    def _done(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Exception:  # noqa: BLE001 - whatever it is, it is said
            # One page that cannot be shown must not keep the others from being current.
            _log.exception("a page of run %s cannot be updated", self._run_id)
            return None

    def _progress(self, rows: int) -> None:
        with self._changed:
            self._rows += rows

    def _left(self, known: Frames) -> str | None:
        for what, last in _STAGES:
            if last not in known:
                return f"reading {what}: {self._rows:,} rows so far"
        return None
