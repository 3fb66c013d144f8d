"""
Where a run is kept: a database, or a site's collector that keeps one.

Flow: spool -> pump -> exporters.parsl_sql, or agent.site_store
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError

from otel_parsl import rendezvous
from otel_parsl.destination import Destination
from otel_parsl.spool import Frame, Place
from otel_parsl_collector.agent.run import Run
from otel_parsl_collector.agent.run_spool import STORED, STREAMS, Carrier
from otel_parsl_collector.agent.site_store import SiteStore
from otel_parsl_collector.errors import StoreError
from otel_parsl_collector.exporters.otlp_transport import Unavailable
from otel_parsl_collector.exporters.parsl_sql import KeepingStore, ParslSqlExporter
from otel_parsl_collector.exporters.refused_file import RefusedFile
from otel_parsl_collector.pump import Pump

logger = logging.getLogger(__name__)

DELAY_S = 0.5
"""How long to wait before a database that cannot be opened is tried again."""


class RunStore:
    """
    Keep a run.

    Args:
        directory: Of the spool.
        settings: The run's.
        run: Whose telemetry it is.
        on_taken: Called after it has taken something.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, Any],
        run: Run,
        on_taken: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._database = settings["database"]
        self._collector = settings.get("collector")
        self._run = run
        self._on_taken = on_taken
        self._store: KeepingStore | SiteStore | None = None
        self._trouble: str | None = None
        self.pump: Pump | None = None
        """What brings telemetry to it, while it is open."""
        streams = STORED if self._collector is None else STREAMS
        self.carrier = Carrier("store", streams, is_store=True)

    @property
    def is_site(self) -> bool:
        """Whether a site's collector keeps the run, spans that are derived here included."""
        return self._collector is not None

    @property
    def error(self) -> str | None:
        """Why it cannot be written, if it cannot."""
        return self._store.error if isinstance(self._store, SiteStore) else self._trouble

    @property
    def refused(self) -> int:
        """How many items it will never take."""
        return 0 if self._store is None else self._store.refused

    def open(self) -> None:
        """Open it, if that can be done now."""
        if self._collector is None:
            self._open_database()
        else:
            self._open_site(SiteStore(Destination.from_settings(self._collector), self._directory))
        if self.pump is not None:
            self.carrier.reader = self.pump
            self.pump.start()

    def close(self) -> None:
        """Let go of it: it holds everything."""
        assert self._store is not None
        self._store.close()
        self.pump = None

    def _open_site(self, store: SiteStore) -> None:
        def consume(frames: list[Frame], places: Mapping[str, Place]) -> None:
            store.consume(frames, places)
            self._on_taken()

        self._store = store
        self.pump = Pump(
            "store",
            self._directory,
            {stream: Place() for stream in STREAMS} | dict(store.places()),
            consume,
            retryable=(Unavailable, OSError),
            delay_s=store.delay_s,
            run=self._run.attributes,
        )

    def _open_database(self) -> None:
        try:
            store = KeepingStore(
                ParslSqlExporter(self._database, spool=str(self._directory)),
                RefusedFile(self._directory / rendezvous.UNFIT),
            )
            places = {stream: Place() for stream in STORED} | store.places()
        except (StoreError, OperationalError) as error:
            if str(error) != self._trouble:
                logger.warning("the store cannot be opened: %s; trying again", error)
            self._trouble = str(error)
            time.sleep(DELAY_S)
            return
        self._store, self._trouble = store, None

        def consume(frames: list[Frame], behind: Mapping[str, Place]) -> None:
            store.store(frames, behind)
            self._on_taken()

        self.pump = Pump(
            "store",
            self._directory,
            places,
            consume,
            retryable=store.retryable,
            delay_s=store.delay_s,
            run=self._run.attributes,
        )
