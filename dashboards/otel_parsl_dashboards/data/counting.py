"""
How many tasks of each run that Parsl's own hub wrote are in which state, counted aside.

Parsl keeps no such counts while a run goes on, and counting a million tasks takes seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from otel_parsl.query.counts import AppStates, select_recorded_counts
from otel_parsl.query.engine import of_one_moment
from otel_parsl.query.errors import QueryError
from otel_parsl.query.runs import Run
from otel_parsl_dashboards.data.loading import is_long_over
from otel_parsl_dashboards.data.source import Signature, Source

_log = logging.getLogger(__name__)

_PATIENCE_S = 0.1
"""How long a list waits for counts; those that take longer it shows when they are there."""
_SHARE = 4
"""Counting takes a fifth of the time at most."""


class Counting:
    """
    The counts of a database's runs, by a thread that counts when it is asked.

    Args:
        source: The database.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._changed = threading.Condition()
        self._wanted = threading.Event()
        self._ended = threading.Event()
        self._asked: tuple[Sequence[Run], Signature] = ((), ())
        self._signature: Signature = ()
        self._counts: dict[str, AppStates] = {}
        self._took_s = 0.0
        self.version = 0
        """Is another one where counts are."""
        threading.Thread(target=self._follow, name="counting", daemon=True).start()

    def counts(self, runs: Sequence[Run], signature: Signature) -> tuple[int, dict[str, AppStates]]:
        """
        Return the version of the counts and those that are known, by run; others are counted.

        Args:
            runs: All runs.
            signature: That of the database before they were found.
        """
        recorded = [run for run in runs if not run.is_ours]
        with self._changed:
            if recorded and self._signature != signature:
                self._asked = (recorded, signature)
                self._wanted.set()
                if self._took_s < _PATIENCE_S:
                    self._changed.wait_for(lambda: self._signature == signature, _PATIENCE_S)
            return self.version, dict(self._counts)

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._wanted.set()

    def _follow(self) -> None:
        while self._wanted.wait() and not self._ended.is_set():
            self._wanted.clear()
            began_s = time.monotonic()
            try:
                of_one_moment(self._count)
            except QueryError as error:
                _log.warning("%s", error)
            except Exception:  # noqa: BLE001 - a border: the list is shown without, and asks again
                _log.exception("the tasks of runs cannot be counted")
            self._took_s = time.monotonic() - began_s
            self._ended.wait(self._took_s * _SHARE)

    def _count(self) -> None:
        runs, signature = self._asked
        run_ids = [
            run.run_id for run in runs if run.run_id not in self._counts or not is_long_over(run)
        ]
        found = self._counts
        if run_ids:
            with self._source.read() as connection:
                found = {**found, **select_recorded_counts(connection, run_ids)}
        with self._changed:
            self.version += found != self._counts
            self._counts, self._signature = found, signature
            self._changed.notify_all()
