"""The exporter that materialises OTLP into Parsl's tables."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from google.protobuf.message import DecodeError

from otel_parsl.spool import Frame, Place
from otel_parsl_collector.materialise.facts import Facts
from otel_parsl_collector.materialise.otlp import materialise
from otel_parsl_collector.store.engine import open_store
from otel_parsl_collector.store.writer import StoreWriter

logger = logging.getLogger(__name__)


class ParslSqlExporter:
    """
    Write spooled requests to a database.

    Args:
        url: The database, as an SQLAlchemy URL.
        spool: The name of the spool whose places the database keeps.

    Raises:
        StoreError: The database cannot be used.
        sqlalchemy.exc.OperationalError: It cannot be used for now.
    """

    def __init__(self, url: str, *, spool: str) -> None:
        self._writer = StoreWriter(open_store(url), spool)
        self.undecodable = 0
        self.incomplete = 0

    def places(self) -> dict[str, Place]:
        """Return how far each stream has been stored."""
        return self._writer.places()

    def consume(self, frames: Iterable[Frame], places: Mapping[str, Place]) -> None:
        """
        Store frames, and that their streams are stored up to these places.

        Raises:
            sqlalchemy.exc.OperationalError: Nothing was written; it may succeed later.
        """
        facts = Facts()
        undecodable = 0
        for item in frames:
            try:
                materialise(item.signal, item.payload, facts)
            except (DecodeError, KeyError):
                undecodable += 1
        self._writer.write(facts, places)
        if undecodable:
            self.undecodable += undecodable
            logger.error("%d requests could not be decoded and are not stored", undecodable)
        self.incomplete += facts.incomplete

    def close(self) -> None:
        """Let go of the database."""
        self._writer.close()
