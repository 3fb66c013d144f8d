"""The exporter that materialises OTLP into Parsl's tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from otel_parsl.spool import Frame, Place
from otel_parsl_collector.component import Component, ExporterContext, NotYet, Outcome
from otel_parsl_collector.errors import ConfigError
from otel_parsl_collector.exporters.fitting import Unfit, store_fitting
from otel_parsl_collector.exporters.refused_file import RefusedFile
from otel_parsl_collector.materialise.facts import Facts
from otel_parsl_collector.materialise.otlp import materialise
from otel_parsl_collector.signals import count_by_signal
from otel_parsl_collector.store.engine import open_store
from otel_parsl_collector.store.writer import StoreWriter


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
        self.incomplete = 0

    def places(self) -> dict[str, Place]:
        """Return how far each stream has been stored."""
        return self._writer.places()

    def consume(self, frames: Iterable[Frame], places: Mapping[str, Place]) -> None:
        """
        Store frames, and that their streams are stored up to these places.

        Raises:
            sqlalchemy.exc.OperationalError: Nothing was written; it may succeed later.
            Exception: What ``is_unfit`` knows: some of it no row can hold, so nothing was written.
        """
        facts = Facts()
        for item in frames:
            materialise(item.signal, item.payload, facts)
        self._writer.write(facts, places)
        self.incomplete += facts.incomplete

    def close(self) -> None:
        """Let go of the database."""
        self._writer.close()


class KeepingStore:
    """
    The store of telemetry that may be anybody's: what no row can hold is kept in a file.

    Args:
        store: The database.
        refused: The file.
    """

    retryable: tuple[type[Exception], ...] = (NotYet, OSError)

    def __init__(self, store: ParslSqlExporter, refused: RefusedFile) -> None:
        self._store = store
        self._file = refused
        self.refused = 0
        """How many items are in the file."""

    def places(self) -> dict[str, Place]:
        """Return how far each stream has been stored."""
        return self._store.places()

    def store(self, frames: list[Frame], places: Mapping[str, Place]) -> Counter[int]:
        """
        Store frames but the items that no row can hold; return how many of each signal these are.

        They are set aside, and again if the agent is killed before the store knows of it.

        Raises:
            NotYet: Nothing was written, or not all; it may succeed later.
            OSError: What is to be set aside cannot be for now.
        """
        refused: Counter[int] = Counter()

        def set_aside(item: Unfit) -> None:
            refused[item.signal] += self._file.add(item.signal, item.payload, item.reason)

        try:
            store_fitting(self._store, frames, places, set_aside)
        except DBAPIError as error:
            # The error itself would show the statement, with what users put into their tasks.
            raise NotYet(f"the database cannot be written: {error.orig}") from error
        self.refused += refused.total()
        return refused

    def consume(self, frames: list[Frame], places: Mapping[str, Place]) -> Outcome:
        """Store frames as ``store`` does, and count them all."""
        refused = self.store(frames, places)
        offered = count_by_signal((item.signal, item.payload) for item in frames)
        return Outcome(offered - refused, refused)

    def delay_s(self, error: Exception) -> float:
        """Return how long to wait after a retryable error."""
        return _RETRY_S

    def close(self) -> None:
        """Let go of the database."""
        self._store.close()


_RETRY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class ParslSqlSettings:
    """``exporters.parsl_sql``."""

    url: str = field(repr=False)
    """The database, as an SQLAlchemy URL."""


def _create(settings: ParslSqlSettings, context: ExporterContext) -> KeepingStore:
    """
    Return the store of a stand-alone collector.

    Raises:
        ConfigError: The URL is none.
        StoreError: The database cannot be used.
        NotYet: It cannot be used for now.
    """
    try:
        store = ParslSqlExporter(settings.url, spool=context.spool)
    except ArgumentError as error:
        raise ConfigError(
            f"collector config: exporters.{context.name}.url: {error};"
            " expected one such as sqlite:////absolute/path/monitoring.db"
        ) from error
    except OperationalError as error:
        raise NotYet(f"the database cannot be opened: {error.orig}") from error
    return KeepingStore(store, RefusedFile(context.directory / "refused.otlp"))


COMPONENT = Component(ParslSqlSettings, _create, is_store=True)
