"""
What the processors of pipelines make of a stream on its way to one exporter.

Flow: spool -> pump -> **processing** -> exporter
Each exporter has processors of its own, so that what waits in one follows that exporter's pace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from otel_parsl.spool import Frame
from otel_parsl_collector.component import Processor
from otel_parsl_collector.signals import SIGNALS, count_by_signal
from otel_parsl_collector.stats import Stats


class Step(NamedTuple):
    """One processor of a pipeline."""

    name: str
    """Its id in the configuration."""
    create: Callable[[], Processor | None]
    """Makes it; None where it lets everything go on as it is."""


class Processing:
    """
    The processors before one exporter.

    Args:
        steps: Those of each stream, in order.
        stats: Counts what comes and what goes on.
    """

    def __init__(self, steps: Mapping[str, Sequence[Step]], stats: Stats) -> None:
        self._steps = steps
        self._stats = stats
        self._open: dict[str, list[tuple[str, Processor]]] = {}

    def open(self) -> None:
        """Make the processors."""
        self._open = {
            stream: [
                (step.name, processor) for step in steps if (processor := step.create()) is not None
            ]
            for stream, steps in self._steps.items()
        }

    def process(self, stream: str, frames: list[Frame]) -> list[Frame]:
        """Return what of a stream goes on."""
        for name, processor in self._open.get(stream, ()):
            self._count("incoming", name, frames)
            frames = processor.pick(frames)
            self._count("outgoing", name, frames)
        return frames

    def commit(self) -> None:
        """Keep what waits in processors: what went on is delivered."""
        for processors in self._open.values():
            for _, processor in processors:
                processor.commit()

    def close(self) -> None:
        """Let go of the processors; what was not committed comes again."""
        for processors in self._open.values():
            for _, processor in processors:
                processor.close()
        self._open = {}

    def _count(self, what: str, name: str, frames: Sequence[Frame]) -> None:
        counts = count_by_signal((item.signal, item.payload) for item in frames)
        for number, items in counts.items():
            labels = {"processor": name, "otel_signal": SIGNALS[number].name}
            self._stats.add(f"otelcol_processor_{what}_items", items, **labels)
