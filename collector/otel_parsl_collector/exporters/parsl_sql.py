"""The exporter that materialises OTLP into Parsl's tables."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, OperationalError

from otel_parsl.spool import Frame, Place, frame
from otel_parsl_collector.component import Component, ExporterContext, NotYet, Outcome
from otel_parsl_collector.errors import ConfigError
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


_UNFIT = (ValueError, TypeError, LookupError, ArithmeticError, DataError, IntegrityError)
"""What a request raises whose values no row can hold; anything else is the database's trouble."""
_RETRY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class ParslSqlSettings:
    """``exporters.parsl_sql``."""

    url: str = field(repr=False)
    """The database, as an SQLAlchemy URL."""


def store_fitting(
    store: ParslSqlExporter, frames: list[Frame], places: Mapping[str, Place]
) -> list[tuple[Frame, Exception]]:
    """
    Store frames but those that no row can hold; return these, with what is wrong with each.

    Raises:
        sqlalchemy.exc.OperationalError: It may succeed later.
    """
    try:
        store.consume(frames, places)
    except _UNFIT:
        unfit: list[tuple[Frame, Exception]] = []
        for item in frames:
            try:
                store.consume([item], {})
            except _UNFIT as error:
                unfit.append((item, error))
        store.consume([], places)
        return unfit
    return []


class StoreComponent:
    """
    The exporter in a stand-alone collector, where anybody's telemetry may come.

    Args:
        settings: Which database.
        context: The spool's name, and a directory for requests that no row can hold.

    Raises:
        ConfigError: The URL is none.
        StoreError: The database cannot be used.
        NotYet: It cannot be used for now.
    """

    retryable: tuple[type[Exception], ...] = (NotYet,)

    def __init__(self, settings: ParslSqlSettings, context: ExporterContext) -> None:
        self._refused_path = context.directory / "refused.otlp"
        try:
            self._store = ParslSqlExporter(settings.url, spool=context.spool)
        except ArgumentError as error:
            raise ConfigError(
                f"collector config: exporters.{context.name}.url: {error};"
                " expected one such as sqlite:////absolute/path/monitoring.db"
            ) from error
        except OperationalError as error:
            raise NotYet(f"the database cannot be opened: {error.orig}") from error

    def places(self) -> Mapping[str, Place]:
        return self._store.places()

    def consume(self, frames: list[Frame], places: Mapping[str, Place]) -> Outcome:
        """
        Store frames; one that no row can hold is set aside, and the others are stored.

        Raises:
            NotYet: It may succeed later.
        """
        try:
            unfit = store_fitting(self._store, frames, places)
        except OperationalError as error:
            # The error itself would show the statement, with what users put into their tasks.
            raise NotYet(f"the database cannot be written: {error.orig}") from error
        for item, unfitness in unfit:
            self._set_aside(item, unfitness)
        not_stored = {id(item) for item, _ in unfit}
        stored = [item for item in frames if id(item) not in not_stored]
        return Outcome(stored, [item for item, _ in unfit])

    def delay_s(self, error: Exception) -> float:
        return _RETRY_S

    def close(self) -> None:
        self._store.close()

    def _set_aside(self, item: Frame, error: Exception) -> None:
        logger.error(
            "a request that no row can hold is kept in %s: %s: %s",
            self._refused_path,
            type(error).__name__,
            error,
        )
        with open(self._refused_path, "ab") as file:
            file.write(frame(item.signal, item.payload))


COMPONENT = Component(ParslSqlSettings, StoreComponent, is_store=True)
