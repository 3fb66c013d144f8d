"""
One exporter at work: made as soon as it can be, fed by a pump, and started anew if it fails.

Each has threads of its own, so what holds one up holds up no other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from otel_parsl.spool import Frame, Place
from otel_parsl_collector.component import Exporter, NotYet
from otel_parsl_collector.errors import CollectorError
from otel_parsl_collector.processing import Processing
from otel_parsl_collector.pump import Pump
from otel_parsl_collector.signals import SIGNALS, count_by_signal
from otel_parsl_collector.spool_directory import SpoolDirectory
from otel_parsl_collector.stats import Stats

logger = logging.getLogger(__name__)

_NOT_YET_S = 1.0
_FAILED_S = 5.0
_LOOK_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Line:
    """What an exporter line is made of."""

    name: str
    """The exporter's id."""
    create: Callable[[], Exporter]
    """Makes it; raises NotYet where that may succeed later."""
    newest: Callable[[], Mapping[str, Place]]
    """The streams it carries, and the place behind all that each holds."""
    is_store: bool
    processing: Processing
    """What is done with frames before the exporter has them."""


class ExporterLine:
    """
    An exporter and its pump.

    Args:
        line: Which.
        spool: Where the frames are.
        stats: Counts.
    """

    def __init__(self, line: Line, spool: SpoolDirectory, stats: Stats) -> None:
        self.name = line.name
        self.is_store = line.is_store
        self.error: str | None = "it is being opened"
        """Why it does not run; None while it does."""
        self.fatal: CollectorError | None = None
        """Why it never will."""
        self._line = line
        self._spool = spool
        self._stats = stats
        self._streams = tuple(line.newest())
        self._places: dict[str, Place] = {stream: Place() for stream in self._streams}
        self._pump: Pump | None = None
        self._corrupt_bytes = 0
        self._is_stopping = threading.Event()
        self._was_tried = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"line-{line.name}", daemon=True)
        labels = {"exporter": line.name}
        stats.read("otelcol_exporter_queue_size", self._waiting_bytes, **labels)
        stats.read("otelcol_exporter_queue_capacity", lambda: spool.max_bytes, **labels)
        stats.read("otel_parsl_collector_spool_corrupt_bytes", lambda: self.corrupt_bytes, **labels)

    def start(self, *, wait_s: float) -> None:
        """
        Begin, and wait a little for it to be made, so that what cannot be used is said at once.

        Raises:
            CollectorError: It cannot be used.
        """
        self._thread.start()
        self._was_tried.wait(wait_s)
        if self.fatal is not None:
            raise self.fatal

    def stop(self) -> None:
        """Stop after the frames in hand."""
        self._is_stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def places(self) -> Mapping[str, Place]:
        """Return how far each stream has been carried."""
        pump = self._pump
        return self._places if pump is None else pump.places

    def is_empty(self) -> bool:
        """Tell whether all that was spooled has been carried."""
        pump = self._pump
        return pump is not None and pump.failure is None and pump.is_empty()

    @property
    def corrupt_bytes(self) -> int:
        """How many bytes of the spool were no telemetry."""
        pump = self._pump
        return self._corrupt_bytes + (0 if pump is None else pump.corrupt_bytes)

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            exporter = self._make()
            if self.fatal is not None:
                return
            if exporter is None:
                self._is_stopping.wait(_NOT_YET_S)
                continue
            self._line.processing.open()
            failure = self._carry(exporter)
            self._line.processing.close()
            exporter.close()
            if failure is not None:
                self.error = f"{type(failure).__name__}: {failure}"
                self._is_stopping.wait(_FAILED_S)

    def _make(self) -> Exporter | None:
        try:
            exporter = self._line.create()
        except NotYet as error:
            if str(error) != self.error:
                logger.error(  # noqa: TRY400 - the traceback says nothing more
                    "%s cannot be opened: %s; trying again, what comes is kept in the spool",
                    self.name,
                    error,
                )
            self.error = str(error)
            exporter = None
        except CollectorError as error:
            self.error, self.fatal = str(error), error
            exporter = None
        else:
            self.error = None
        self._was_tried.set()
        return exporter

    def _carry(self, exporter: Exporter) -> BaseException | None:
        """Carry until told to stop, or until it fails; return why it failed."""
        self._places = self._begin(exporter.places())
        pump = Pump(
            self.name,
            self._spool.path,
            self._places,
            lambda frames, places: self._consume(exporter, frames, places),
            retryable=exporter.retryable,
            delay_s=exporter.delay_s,
            process=self._line.processing.process,
        )
        self._pump = pump
        pump.start()
        while pump.failure is None and not self._is_stopping.wait(_LOOK_S):
            pass
        pump.stop()
        self._places = pump.places
        self._corrupt_bytes += pump.corrupt_bytes
        self._pump = None
        return pump.failure

    def _begin(self, saved: Mapping[str, Place]) -> dict[str, Place]:
        """Return where to begin; a place behind the stream's end is one of files that are gone."""
        newest = self._line.newest()
        found = {}
        for stream in self._streams:
            place = saved.get(stream, Place())
            if place > newest[stream]:
                logger.warning("%s: the spool of %s was begun anew", self.name, stream)
                place = Place()
            found[stream] = place
        return found

    def _consume(
        self, exporter: Exporter, frames: list[Frame], places: Mapping[str, Place]
    ) -> None:
        outcome = exporter.consume(frames, places)
        self._count("sent", outcome.sent)
        self._count("send_failed", outcome.refused)

    def count_dropped(self, frames: Iterable[Frame]) -> Mapping[int, int]:
        """Count frames that the spool could keep no longer."""
        counts = count_by_signal((item.signal, item.payload) for item in frames)
        self._count("enqueue_failed", counts)
        return counts

    def _count(self, what: str, counts: Mapping[int, int]) -> None:
        for number, items in counts.items():
            if (signal := SIGNALS.get(number)) is not None:
                name = f"otelcol_exporter_{what}_{signal.items}"
                self._stats.add(name, items, exporter=self.name)

    def _waiting_bytes(self) -> int:
        return self._spool.bytes_behind(self.places())
