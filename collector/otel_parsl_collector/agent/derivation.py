"""
The spans and metrics that an agent derives, where a destination wants them.

Flow: spool -> pump -> connectors.lifecycle -> spool (stream ``derived``)
A database here has the events, so it needs none of this.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_parsl.seldom import Seldom
from otel_parsl.spool import Place
from otel_parsl_collector.agent.run import Run
from otel_parsl_collector.agent.run_spool import STORED, Carrier, RunSpool
from otel_parsl_collector.agent.run_store import DELAY_S
from otel_parsl_collector.pump import Pump

if TYPE_CHECKING:
    from otel_parsl_collector.connectors.lifecycle import Lifecycle

logger = logging.getLogger(__name__)


class Derivation:
    """
    Derive the spans of a run.

    Args:
        directory: Of the spool.
        settings: The run's.
        run: Whose telemetry it is.
        is_wanted: Whether anybody is sent them.
    """

    def __init__(
        self, directory: Path, settings: Mapping[str, Any], run: Run, *, is_wanted: bool
    ) -> None:
        self._directory = directory
        self._scope = settings["trace_scope"]
        self._run = run
        self._lifecycle: Lifecycle | None = None
        self._unsaid = Seldom(logger, logging.WARNING)
        self.carrier = Carrier("lifecycle", STORED)
        self.carrier.is_done = not is_wanted
        self.pump: Pump | None = None
        self.failure: str | None = None
        """Why it is switched off, if it is."""

    @property
    def skipped(self) -> int:
        """How many log records have the name of an event of ours and are none."""
        return 0 if self._lifecycle is None else self._lifecycle.skipped

    def start(self, spool: RunSpool) -> None:
        """Begin, as soon as it is known whose spans they are; what is derived is spooled."""
        run_id = self._run.run_id
        if run_id is None or self.pump is not None or self.failure or self.carrier.is_done:
            return
        from otel_parsl_collector.connectors.lifecycle import Lifecycle

        try:
            self._lifecycle = lifecycle = Lifecycle(
                self._directory / "lifecycle.db", run_id, scope=self._scope, emit=spool.derive
            )
        except sqlite3.OperationalError as error:
            self._unsaid.say("spans cannot be derived for now: %s", error)
            return
        except sqlite3.DatabaseError as error:
            self._switch_off(error)
            return
        self.carrier.reader = self.pump = Pump(
            "lifecycle",
            self._directory,
            dict.fromkeys(STORED, Place()) | lifecycle.places,
            lifecycle.consume,
            retryable=(OSError, sqlite3.OperationalError),
            delay_s=lambda _: DELAY_S,
            run=self._run.attributes,
        )
        self.pump.start()

    def check(self) -> None:
        """Say, once, that it has stopped for a reason of its own: all else goes on."""
        if self.failure is None and self.pump is not None and self.pump.failure is not None:
            self._switch_off(self.pump.failure)

    def is_complete(self) -> bool:
        """Tell whether nothing that was spooled waits to be derived from."""
        if self.failure is not None:
            return False
        return self.pump is None or self.pump.is_empty()

    def measure(self) -> None:
        """
        Spool the metrics of now, if they are due.

        Raises:
            OSError: The spool cannot be written.
        """
        if self._lifecycle is not None and self.failure is None:
            self._lifecycle.measure()

    def stop(self) -> None:
        """Stop after the frames in hand."""
        if self.pump is not None:
            self.pump.stop()

    def _switch_off(self, error: BaseException) -> None:
        self.failure = f"{type(error).__name__}: {error}"
        logger.error(
            "the spans of tasks and tries are switched off: %s. What they are made of stays in %s;"
            " the next run here, or otel-parsl flush, tries again",
            self.failure,
            self._directory,
        )
