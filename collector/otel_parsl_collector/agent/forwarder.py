"""
One destination of a run: what is sent there, and how far it has come.

Flow: spool (all streams) -> pump -> exporters.forwarding -> the destination
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otel_parsl import rendezvous
from otel_parsl.destination import Destination
from otel_parsl.spool import Frame, Place
from otel_parsl_collector.agent.run import Run
from otel_parsl_collector.agent.run_spool import STREAMS, Carrier
from otel_parsl_collector.exporters.forwarding import Forwarding
from otel_parsl_collector.exporters.otlp import OtlpExporter
from otel_parsl_collector.exporters.otlp_transport import Unavailable
from otel_parsl_collector.exporters.task_sampling import Rule
from otel_parsl_collector.pump import Pump

logger = logging.getLogger(__name__)

_DELAY_S = 0.5
"""How long to wait before what forwards is made again."""


class Forwarder:
    """
    Send a run to a destination; one that fails for a reason of its own is switched off.

    Args:
        carrier: Its place among those that the spool waits for.
        number: The destination's, which names its files.
        directory: Of the spool.
        settings: The run's.
        run: Whose telemetry it is.
    """

    def __init__(
        self, carrier: Carrier, number: int, directory: Path, settings: Mapping[str, Any], run: Run
    ) -> None:
        self._destination = settings["destinations"][number]
        self._carrier = carrier
        self._number = number
        self._settings = settings
        self._directory = directory
        self._forwarding: Forwarding | None = None
        self._failure: str | None = None
        self._places_name = f"{carrier.name}.json"
        saved = rendezvous.read(directory, self._places_name) or {}
        self.pump = Pump(
            carrier.name,
            directory,
            {stream: Place(*saved.get(stream, Place())) for stream in STREAMS},
            self._consume,
            retryable=(Unavailable, OSError, sqlite3.OperationalError),
            delay_s=self._delay_s,
            run=run.attributes,
        )
        carrier.reader = self.pump

    @property
    def is_off(self) -> bool:
        """Whether it has stopped, and only another agent can go on."""
        return self._failure is not None

    def check(self) -> None:
        """Say, once, that it has stopped for a reason of its own: all else goes on."""
        error = self.pump.failure
        if self._failure is None and error is not None:
            self._failure = f"{type(error).__name__}: {error}"
            logger.error(
                "%s is switched off: %s. What it lacks stays in %s; when its settings in %s are"
                " right, the next run here, or otel-parsl flush, sends it",
                self._destination["endpoint"],
                self._failure,
                self._directory,
                rendezvous.SETTINGS,
            )

    def is_complete(self) -> bool:
        """Tell whether the destination has all that was spooled."""
        return not self.is_off and self.pump.is_empty()

    def status(self) -> dict[str, Any]:
        """Return what the hub is told of it."""
        said = {
            "endpoint": self._destination["endpoint"],
            "sent": 0,
            "sampled_out": 0,
            "refused": 0,
            "dropped": self._carrier.dropped.total(),
            "error": self._failure,
            "is_off": self.is_off,
            "is_empty": self.pump.is_empty(),
        }
        if self._forwarding is not None:
            exporter = self._forwarding.exporter
            said |= {
                "sent": exporter.sent,
                "sampled_out": self._forwarding.sampling.sampled_out,
                "refused": exporter.refused,
                "error": self._failure or exporter.last_error,
            }
        return said

    def stop(self) -> None:
        """Stop sending; what is left stays in the spool."""
        self.pump.stop()
        if self._forwarding is not None:
            self._forwarding.sampling.close()

    def _consume(self, frames: list[Frame], behind: Mapping[str, Place]) -> None:
        if self._forwarding is None:
            self._forwarding = self._made()
        self._forwarding.consume(frames, behind)
        rendezvous.write(self._directory, self._places_name, behind)

    def _made(self) -> Forwarding:
        """Make what forwards, in the pump's thread: what is wrong with it is the pump's failure."""
        destination = Destination.from_settings(self._destination)
        number = self._number
        return Forwarding(
            OtlpExporter(
                destination,
                refused_path=self._directory / f"refused-{number}.otlp",
            ),
            rule=_rule(destination, self._settings.get("sampled_share", 1.0)),
            exception_signals=self._settings.get("exception_signals", ("traces",)),
            path=self._directory / f"sampling-{number}.db",
        )

    def _delay_s(self, error: Exception) -> float:
        assert isinstance(error, Unavailable | OSError | sqlite3.OperationalError)
        return _DELAY_S if self._forwarding is None else self._forwarding.exporter.delay_s(error)


def _rule(destination: Destination, sampled_share: float) -> Rule:
    """Return what a destination wants: its own rule, or that of the standard variable."""
    share = destination.sampling
    return Rule(sampled_share) if share is None else Rule(share, keeps_failures=True)
