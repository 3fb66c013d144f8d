"""
All runs of one database: those that are looked at are resident, and one thread watches for changes.
"""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections.abc import Callable

from otel_parsl.query.errors import QueryError
from otel_parsl.query.runs import select_runs
from otel_parsl_dashboards.data.counting import Counting
from otel_parsl_dashboards.data.resident import JUDGED_S, Resident, Told
from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.data.source import Signature, Source
from otel_parsl_dashboards.data.standing import Standing, read_standing
from otel_parsl_dashboards.data.trace_url import TraceUrl

_log = logging.getLogger(__name__)

POLL_S = 0.5
"""How often the database is looked at while any page is open."""
_PATIENCE_S = 0.4
"""How long a page waits for its numbers before it says that they are being read."""
_KEPT = 4
"""Runs that nobody looks at and that stay in memory."""


class Library:
    """
    The runs of a database.

    Args:
        source: The database.
        trace_url: Where traces are seen, if anywhere.
    """

    def __init__(self, source: Source, trace_url: TraceUrl | None = None) -> None:
        self.source = source
        self.trace_url = trace_url
        self._residents: dict[str, Resident] = {}
        self._lock = threading.Lock()
        self._told: list[Callable[[], None]] = []
        self._counting = Counting(source)
        self._runs: tuple[Signature, list[Standing]] | None = None
        self._trouble = ""
        self._is_watched = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="database", daemon=True)
        self._thread.start()

    def runs(self) -> list[Standing]:
        """
        Return all runs and how they stand, the latest first.

        Raises:
            DatabaseUnusable: The database cannot be read.
        """
        signature = self.source.signature()
        known = self._runs
        as_of = (*signature, self._counting.version)
        if known is not None and known[0] == as_of and not _goes_on(known[1]):
            return known[1]
        database, _ = self.source.open()
        with database.read() as connection:
            runs = select_runs(connection, has_otel=database.has_otel)
        version, recorded = self._counting.counts(runs, signature)
        now = datetime.datetime.now(datetime.timezone.utc)
        with database.read() as connection:
            found = [
                read_standing(connection, run, None, recorded=recorded.get(run.run_id), now=now)
                for run in runs
            ]
        self._runs = ((*signature, version), found)
        return found

    def resident(self, run_id: str) -> Resident:
        """
        Return a run, kept in memory from now on.

        Raises:
            NoSuchRun: There is no such run.
            DatabaseUnusable: The database cannot be read.
        """
        with self._lock:
            found = self._residents.pop(run_id, None)
            if found is None:
                found = Resident(self.source, run_id)
            self._residents[run_id] = found  # the latest asked for is the last
            self._let_go()
            return found

    def snapshot(self, run_id: str, kinds: tuple[str, ...] = ("statuses",)) -> Snapshot:
        """
        Return a run as it is now, or as far as it could be read in a moment.

        Raises:
            NoSuchRun: There is no such run.
            DatabaseUnusable: The database cannot be read.
        """
        resident = self.resident(run_id)
        snapshot = resident.wait(kinds, _PATIENCE_S)
        if all(map(snapshot.has, kinds)):
            signature = self.source.signature()
            if resident.signature != signature:
                snapshot = resident.wait_current(signature, _PATIENCE_S)
        if resident.error is not None:
            raise resident.error
        return snapshot

    def subscribe(self, told: Callable[[], None]) -> Callable[[], None]:
        """Have a function called in another thread at each change; the result takes it back."""
        with self._lock:
            self._told.append(told)
        self._is_watched.set()

        def unsubscribe() -> None:
            with self._lock:
                if told in self._told:
                    self._told.remove(told)

        return unsubscribe

    def follow(self, run_id: str, told: Told) -> Callable[[], None]:
        """Have a function called in another thread at each change of a run; as ``subscribe``."""
        unsubscribe = self.resident(run_id).subscribe(told)
        with self._lock:  # or the thread, which has just seen nobody, would clear it
            self._is_watched.set()
        return unsubscribe

    def close(self) -> None:
        """End the threads."""
        self._ended.set()
        self._is_watched.set()
        self._counting.close()
        with self._lock:
            for resident in self._residents.values():
                resident.close()

    def _watch(self) -> None:
        before: Signature | None = ()
        counted_before = 0
        judged_at = time.monotonic()
        while not self._ended.is_set():
            self._is_watched.wait()
            with self._lock:
                watched = [each for each in self._residents.values() if each.is_watched]
                told = list(self._told)
                if not watched and not told:
                    self._is_watched.clear()
                    continue
            now = self._look()
            for resident in watched:
                # What was read as it is now is not read again: all its plots would be drawn anew.
                if now != (before if now is None else resident.signature):
                    resident.refresh()
            # A run that dies says nothing, and one that goes on takes longer.
            is_due = time.monotonic() - judged_at >= JUDGED_S and _goes_on(self._known_runs())
            counted = self._counting.version
            if now != before or counted != counted_before or is_due:
                judged_at = time.monotonic()
                for tell in told:
                    try:
                        tell()
                    except Exception:  # noqa: BLE001 - whatever it is, it is said
                        # One page that cannot be shown must not keep the others from it.
                        _log.exception("the list of runs cannot be updated")
            before, counted_before = now, counted
            self._ended.wait(POLL_S)

    def _known_runs(self) -> list[Standing]:
        return [] if self._runs is None else self._runs[1]

    def _look(self) -> Signature | None:
        try:
            signature = self.source.signature()
        except QueryError as error:
            if str(error) != self._trouble:  # once, however often it is tried again
                _log.warning("%s", error)
                self._trouble = str(error)
            return None
        self._trouble = ""
        return signature

    def _let_go(self) -> None:
        idle = [name for name, resident in self._residents.items() if not resident.is_watched]
        for run_id in idle[:-_KEPT]:
            self._residents.pop(run_id).close()


def _goes_on(standings: list[Standing]) -> bool:
    return any(standing.is_running for standing in standings)
