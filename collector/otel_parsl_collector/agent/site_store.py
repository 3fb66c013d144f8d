"""
A site's collector in the database's place: what a run without a database of its own sends it.

Flow: spool (all streams) -> **site_store** -> OTLP -> the site's collector -> its database
It derives nothing: the run's agent does, and its spans are sent like the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from otel_parsl.destination import Destination
from otel_parsl.spool import Frame, Place
from otel_parsl_collector.exporters.otlp import OtlpExporter
from otel_parsl_collector.exporters.otlp_transport import Unavailable
from otel_parsl_collector.place_file import PlaceFile

_MAX_DELAY_S = 10.0
"""Who closes a run waits for the database: a collector that is back is not to be missed."""


class SiteStore:
    """
    Send a run to the collector that keeps its database.

    Args:
        destination: The collector.
        directory: Of the spool, for the place and for what the collector refuses.
    """

    def __init__(self, destination: Destination, directory: Path) -> None:
        self._exporter = OtlpExporter(
            destination, refused_path=directory / "refused-collector.otlp", is_store=True
        )
        self._kept = PlaceFile(directory / "collector.json")

    @property
    def error(self) -> str | None:
        """Why the collector did not take what it was sent last."""
        error = self._exporter.last_error
        return None if error is None else f"{self._exporter.destination.endpoint}: {error}"

    @property
    def refused(self) -> int:
        """How many requests the collector will never take."""
        return self._exporter.refused

    def places(self) -> Mapping[str, Place]:
        """Return how far each stream has been sent."""
        return self._kept.places

    def consume(self, frames: list[Frame], places: Mapping[str, Place]) -> None:
        """
        Send frames and keep the places behind them.

        Raises:
            Unavailable: Some may have been sent; sending them again does no harm.
            OSError: What was refused cannot be set aside for now.
        """
        self._exporter.consume(frames, places)
        self._kept.save(places)

    def delay_s(self, error: Exception) -> float:
        """Return how long to wait before the next try."""
        assert isinstance(error, Unavailable | OSError)
        return min(self._exporter.delay_s(error), _MAX_DELAY_S)

    def close(self) -> None:
        """Let go of nothing: there is no database here."""
