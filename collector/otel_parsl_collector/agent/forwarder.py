"""
One destination of a run: what is sent there, and how far it has come.

Flow: spool (all streams) -> pump -> exporters.forwarding -> the destination
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otel_parsl import rendezvous
from otel_parsl.spool import Frame, Place
from otel_parsl_collector.agent.run import Run
from otel_parsl_collector.agent.run_spool import STREAMS, Carrier
from otel_parsl_collector.exporters.forwarding import Forwarding
from otel_parsl_collector.exporters.otlp import OtlpExporter
from otel_parsl_collector.exporters.otlp_transport import Destination, Unavailable
from otel_parsl_collector.exporters.task_sampling import Rule
from otel_parsl_collector.pump import Pump


class Forwarder:
    """
    Send a run to a destination.

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
        destination = settings["destinations"][number]
        self._carrier = carrier
        self._forwarding = Forwarding(
            OtlpExporter(
                destination_of(destination), refused_path=directory / f"refused-{number}.otlp"
            ),
            rule=_rule(destination, settings.get("sampled_share", 1.0)),
            exception_signals=settings.get("exception_signals", ("traces",)),
            path=directory / f"sampling-{number}.db",
        )
        self._directory = directory
        self._places_name = f"{carrier.name}.json"
        saved = rendezvous.read(directory, self._places_name) or {}
        self.pump = Pump(
            carrier.name,
            directory,
            {stream: Place(*saved.get(stream, Place())) for stream in STREAMS},
            self._consume,
            retryable=(Unavailable, OSError),
            delay_s=self._delay_s,
            run=run.attributes,
        )
        carrier.pump = self.pump

    def status(self) -> dict[str, Any]:
        """Return what the hub is told of it."""
        exporter = self._forwarding.exporter
        return {
            "endpoint": exporter.destination.endpoint,
            "sent": exporter.sent,
            "sampled_out": self._forwarding.sampling.sampled_out,
            "refused": exporter.refused,
            "dropped": self._carrier.dropped.total(),
            "error": exporter.last_error,
            "is_empty": self.pump.is_empty(),
        }

    def stop(self) -> None:
        """Stop sending; what is left stays in the spool."""
        self.pump.stop()
        self._forwarding.sampling.close()

    def _consume(self, frames: list[Frame], behind: Mapping[str, Place]) -> None:
        self._forwarding.consume(frames, behind)
        rendezvous.write(self._directory, self._places_name, behind)

    def _delay_s(self, error: Exception) -> float:
        assert isinstance(error, (Unavailable, OSError))
        return self._forwarding.exporter.delay_s(error)


def destination_of(settings: Mapping[str, Any]) -> Destination:
    """Return what the hub has written as JSON."""
    fields = {name: value for name, value in settings.items() if name != "sampling"}
    fields["headers"] = tuple(tuple(pair) for pair in fields["headers"])
    fields["signals"] = tuple(fields["signals"])
    return Destination(**fields)


def _rule(destination: Mapping[str, Any], sampled_share: float) -> Rule:
    """Return what a destination wants: its own rule, or that of the standard variable."""
    share = destination.get("sampling")
    return Rule(sampled_share) if share is None else Rule(share, keeps_failures=True)
