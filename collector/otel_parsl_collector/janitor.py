"""
Keep the spool small: remove what every exporter has, and what some can be kept no longer for.

A store is never skipped.
Where no store lags, what is too old is dropped, and when the spool is full also what only some
exporters lack; it is counted and said. Else senders are refused and keep what they have.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from otel_parsl.spool import Frame, Place, SpoolReader
from otel_parsl_collector.exporter_line import ExporterLine
from otel_parsl_collector.spool_directory import Segment, SpoolDirectory, expired

logger = logging.getLogger(__name__)


class Janitor:
    """
    Keeps one spool.

    Args:
        spool: Which.
        streams: Of the spool.
        lines: The exporters.
        max_age_s: How long a segment is kept for exporters that lag.
    """

    def __init__(
        self,
        spool: SpoolDirectory,
        streams: Sequence[str],
        lines: Sequence[ExporterLine],
        *,
        max_age_s: float,
    ) -> None:
        self._spool = spool
        self._streams = streams
        self._lines = lines
        self._max_age_s = max_age_s

    def tidy(self) -> None:
        """Remove what can go."""
        kept = []
        for segment in self._spool.finished(self._streams):
            if self._laggards(segment):
                kept.append(segment)
            else:
                self._spool.remove(segment)
        self._measure()
        for segment in kept:
            if expired(segment, max_age_s=self._max_age_s):
                self._drop(segment, "is too old")
            elif self._spool.is_tight() and len(self._laggards(segment)) < len(self._lines):
                self._drop(segment, "is needed for others")

    def _measure(self) -> None:
        slowest: dict[str, Place] = {}
        for line in self._lines:
            for stream, place in line.places().items():
                slowest[stream] = min(place, slowest.get(stream, place))
        self._spool.waiting_bytes = self._spool.bytes_behind(slowest)

    def _laggards(self, segment: Segment) -> list[ExporterLine]:
        return [
            line
            for line in self._lines
            if segment.stream in (places := line.places())
            and places[segment.stream] < Place(segment.number, segment.size)
        ]

    def _drop(self, segment: Segment, reason: str) -> None:
        laggards = self._laggards(segment)
        if any(line.is_store for line in laggards):
            return
        for line in laggards:
            place = max(line.places()[segment.stream], Place(segment.number))
            lost = self._frames(segment, place)
            line.count_dropped(lost)
            logger.error(
                "%s: %d requests of %s are dropped: their part of the spool %s",
                line.name,
                len(lost),
                segment.stream,
                reason,
            )
        self._spool.remove(segment)
        self._measure()

    def _frames(self, segment: Segment, place: Place) -> list[Frame]:
        reader = SpoolReader(self._spool.path, segment.stream, place)
        found: list[Frame] = []
        while reader.place < Place(segment.number, segment.size):
            before = reader.place
            found += [item for item in reader.read() if isinstance(item, Frame)]
            if reader.place == before:
                break
        return [item for item in found if item.end.segment == segment.number]
