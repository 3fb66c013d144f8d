"""
Write facts into a store, with the place in the spool they came from, in one transaction.

Flow: materialise -> **store.writer** -> the database
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from sqlalchemy import Engine, select

from otel_parsl.schema import otel_place
from otel_parsl.spool import Place
from otel_parsl_collector.materialise.facts import Facts
from otel_parsl_collector.store.executors import write_executors
from otel_parsl_collector.store.failures import write_failures
from otel_parsl_collector.store.managers import write_managers
from otel_parsl_collector.store.received import write_received
from otel_parsl_collector.store.resources import write_blocks, write_samples
from otel_parsl_collector.store.runs import write_runs
from otel_parsl_collector.store.session import Session
from otel_parsl_collector.store.tasks import write_tasks
from otel_parsl_collector.store.tries import write_tries


class StoreWriter:
    """
    The writer of one store; used by one thread.

    Args:
        engine: What ``engine.open_store`` gave.
        spool: The name that the places are kept under: the directory of the spool.
    """

    def __init__(self, engine: Engine, spool: str) -> None:
        self._engine = engine
        self._spool = spool

    def places(self) -> dict[str, Place]:
        """Return how far each stream has been stored."""
        query = select(otel_place.c.stream, otel_place.c.segment, otel_place.c.position).where(
            otel_place.c.spool == self._spool
        )
        with self._engine.connect() as connection:
            return {row[0]: Place(row[1], row[2]) for row in connection.execute(query)}

    def write(self, facts: Facts, places: Mapping[str, Place]) -> None:
        """
        Commit facts, and that their streams are stored up to these places.

        The same facts may be written any number of times and in any order; ``otel_received`` alone
        counts each time.

        Raises:
            sqlalchemy.exc.OperationalError: The database is locked, full or away; nothing of it
                was written, and writing it again may succeed.
        """
        with self._engine.begin() as connection:
            session = Session(connection, facts.runs)
            write_runs(facts, session)
            write_tasks(facts, session)
            write_failures(facts, session)
            write_tries(facts, session)
            write_samples(facts, session)
            write_managers(facts, session)
            write_blocks(facts, session)
            write_executors(facts, session)
            write_received(facts, session, now_ns=time.time_ns())
            session.upsert(
                otel_place,
                "spool stream segment position",
                [(self._spool, stream, *place) for stream, place in places.items()],
                update="segment position",
            )

    def close(self) -> None:
        """
        Let go of the database: its file can be copied or deleted alone then.

        With a reader still connected SQLite keeps its write-ahead log beside the file; emptied, it
        says nothing to whoever opens another database of that name.
        """
        if self._engine.dialect.name == "sqlite":
            connection = self._engine.raw_connection()
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
        self._engine.dispose()
