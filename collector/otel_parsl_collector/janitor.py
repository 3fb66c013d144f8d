"""
Keep the spool small: remove what every exporter has, and what some can be kept no longer for.

A store is never skipped.
Where no store lags, what is too old is dropped, and when the spool is full also what only some
exporters lack; it is counted and said. Else senders are refused and keep what they have.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from otel_parsl.spool import Frame, Place, SpoolReader
from otel_parsl_collector.signals import SIGNALS
from otel_parsl_collector.spool_space import Segment, SpoolSpace, expired

logger = logging.getLogger(__name__)


class Carries(Protocol):
    """Whoever takes frames out of a spool."""

    @property
    def name(self) -> str:
        """What the log calls it."""

    @property
    def is_store(self) -> bool:
        """Whether nothing may be dropped for it."""

    def places(self) -> Mapping[str, Place]:
        """Return how far it has carried each stream."""

    def count_dropped(self, frames: Iterable[Frame]) -> Mapping[int, int]:
        """Count frames that it will not get; return how many items they have, by signal."""


class Janitor:
    """
    Keeps one spool.

    Args:
        spool: Which.
        streams: Of the spool.
        lines: Who carries from it.
        max_age_s: How long a segment is kept for exporters that lag.
    """

    def __init__(
        self,
        spool: SpoolSpace,
        streams: Sequence[str],
        lines: Sequence[Carries],
        *,
        max_age_s: float,
    ) -> None:
        self._spool = spool
        self._streams = streams
        self._lines = lines
        self._max_age_s = max_age_s

    def tidy(self, *, is_over: bool = False) -> None:
        """
        Remove what can go.

        Args:
            is_over: Whether nothing is appended any more, so that the newest segments age too.
        """
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
        for segment in self._spool.newest(self._streams) if is_over else ():
            if expired(segment, max_age_s=self._max_age_s):
                self._drop(segment, "is too old")

    def _measure(self) -> None:
        slowest: dict[str, Place] = {}
        for line in self._lines:
            for stream, place in line.places().items():
                slowest[stream] = min(place, slowest.get(stream, place))
        self._spool.waiting_bytes = self._spool.bytes_behind(slowest)

    def _laggards(self, segment: Segment) -> list[Carries]:
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
            lost = line.count_dropped(self._frames(segment, place))
            logger.error(
                "%s: %s are dropped: their part of the spool, %s, %s",
                line.name,
                " and ".join(f"{n} {_items(signal)}" for signal, n in lost.items()) or "0 items",
                segment.path.name,
                reason,
            )
        self._spool.remove(segment)
        self._measure()

    def _frames(self, segment: Segment, place: Place) -> Iterator[Frame]:
        reader = SpoolReader(self._spool.path, segment.stream, place)
        while reader.place < Place(segment.number, segment.size):
            before = reader.place
            for item in reader.read():
                if isinstance(item, Frame) and item.end.segment == segment.number:
                    yield item
            if reader.place == before:
                return


def _items(signal: int) -> str:
    return SIGNALS[signal].items if signal in SIGNALS else f"requests of signal {signal}"
