"""
A pump: carry frames from spooled streams to one exporter, at the exporter's own pace.

Each exporter has a pump, and so a place, a thread and retries of its own: a dead backend holds up
no other.
"""

from __future__ import annotations

import logging
import operator
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from otel_parsl.execution_record import EXECUTION, expand
from otel_parsl.seldom import Seldom
from otel_parsl.spool import CorruptFrame, Frame, Place, SpoolReader
from otel_parsl_collector.directory_watch import DirectoryWatch

logger = logging.getLogger(__name__)

BATCH_BYTES = 2 << 20
IDLE_S = 0.1
"""How often an idle pump looks for more."""
PAUSE_S = 0.5
"""How long to let more come after a small batch: a batch has a cost of its own, whatever is in it,
and that is taken from the workflow's cores."""

EXPANDED = 8
"""How much more a record takes as OTLP."""
RECORDS_AT_ONCE = 500
"""In one request, for what a backend takes (4 MiB); a failure's record is up to 50 KB of OTLP."""

Consume = Callable[[list[Frame], Mapping[str, Place]], None]


class Pump:
    """
    Carry frames until stopped.

    What workers wrote short (``otel_parsl.execution_record``) is made OTLP here, for all pumps
    alike: whoever takes from a pump sees the three signals alone.

    Args:
        name: Of the thread, and in the log.
        directory: Of the spool.
        places: How far each stream has been carried, by stream, in the order to read them.
        consume: Takes frames and the places behind them; returns when both are safe.
        retryable: What ``consume`` raises when the same frames may be taken later.
        delay_s: How long to wait after such an error.
        process: Returns what of a stream's frames is to be carried.
        run: Returns the run's Resource attributes, which records lack, or None while they are not
            known; without it records are passed over.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        places: Mapping[str, Place],
        consume: Consume,
        *,
        retryable: tuple[type[Exception], ...],
        delay_s: Callable[[Exception], float],
        process: Callable[[str, list[Frame]], list[Frame]] | None = None,
        run: Callable[[], tuple[bytes, ...] | None] | None = None,
    ) -> None:
        self.unreadable = 0
        """Records that were none."""
        self.places = dict(places)
        self.corrupt_bytes = 0
        self.failure: BaseException | None = None
        self._directory = directory
        self._readers = {
            stream: SpoolReader(directory, stream, place) for stream, place in places.items()
        }
        self._consume = consume
        self._retryable = retryable
        self._delay_s = delay_s
        self._process = process
        self._run_attributes = run
        self._unreadable_voice = Seldom(logger, logging.ERROR)
        self._trouble = Seldom(logger, logging.WARNING)
        self._watch = DirectoryWatch(directory)
        self._is_at_end = False
        self._all_carried_at_s = time.monotonic()
        """All that was spooled until then has been carried."""
        self._is_stopping = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to carry."""
        self._thread.start()

    def hurry(self) -> None:
        """Pause no more: nothing much will come, and somebody waits for the end."""
        self._hurry.set()

    def stop(self) -> None:
        """Stop after the frames in hand; returns when that is done."""
        self._is_stopping.set()
        self._hurry.set()
        self._thread.join()

    def is_empty(self) -> bool:
        """Tell whether all that was spooled has been carried."""
        return all(
            SpoolReader(self._directory, stream, place).at_end()
            for stream, place in self.places.items()
        )

    def lag_s(self) -> float:
        """Return how long what was spooled last may have waited, at most: all before is carried."""
        return time.monotonic() - self._all_carried_at_s

    def _run(self) -> None:
        try:
            while not self._is_stopping.is_set():
                carried = self._carry()
                if not carried:
                    self._is_stopping.wait(IDLE_S)
                elif carried < BATCH_BYTES // 2:
                    self._hurry.wait(PAUSE_S)
        except BaseException as error:
            self.failure = error
            logger.exception("%s has stopped", self._thread.name)
            raise

    def _carry(self) -> int:
        """Carry one batch and return its size; 0 when there was none."""
        looked_at_s = time.monotonic()
        if self._is_at_end and not self._is_more():
            self._all_carried_at_s = looked_at_s
            return 0
        ends = [reader.end() for reader in self._readers.values()]
        frames, size = self._batch()
        places = {stream: reader.place for stream, reader in self._readers.items()}
        self._is_at_end = places == self.places
        if self._is_at_end:
            self._all_carried_at_s = looked_at_s
            return 0
        while not self._is_stopping.is_set():
            try:
                self._consume(frames, places)
            except self._retryable as error:
                delay_s = self._delay_s(error)
                # The cause alone: SQLAlchemy's text has the statement and the user's values.
                cause = getattr(error, "orig", error)
                self._trouble.say("%s: %s; again in %.1f s", self._thread.name, cause, delay_s)
                self._is_stopping.wait(delay_s)
            else:
                self.places = places
                if all(map(operator.ge, places.values(), ends)):  # else there was no room for all
                    self._all_carried_at_s = looked_at_s
                logger.debug("%s: %d requests of %d bytes", self._thread.name, len(frames), size)
                return max(1, size)
        return 0

    def _is_more(self) -> bool:
        """Tell whether there may be more than at the last look: idle, this is all that is done."""
        has_changed = self._watch.has_changed()
        return has_changed or any(reader.has_grown() for reader in self._readers.values())

    def _batch(self) -> tuple[list[Frame], int]:
        """Return the next frames and their size."""
        frames: list[Frame] = []
        room = BATCH_BYTES
        for stream, reader in self._readers.items():
            if room <= 0:
                break
            of_stream: list[Frame] = []
            records: list[Frame] = []
            for item in reader.read(room):
                if isinstance(item, CorruptFrame):
                    self._report(item)
                    continue
                is_record = item.signal == EXECUTION
                (records if is_record else of_stream).append(item)
                room -= len(item.payload) * (EXPANDED if is_record else 1)
                if room <= 0:
                    break
            if records:
                of_stream += self._expanded(records)
            frames += of_stream if self._process is None else self._process(stream, of_stream)
        return frames, BATCH_BYTES - room

    def _expanded(self, records: list[Frame]) -> Iterator[Frame]:
        """Yield the frames that records stand for, all with the place behind the last of them."""
        if self._run_attributes is None:
            return
        run, end = self._run_attributes(), records[-1].end
        if run is None:  # the hub writes it before it submits any task
            for item in records:
                self._cannot_read(item.payload, LookupError("its run is not known"))
            return
        payloads = [item.payload for item in records]
        for start in range(0, len(payloads), RECORDS_AT_ONCE):
            some = payloads[start : start + RECORDS_AT_ONCE]
            for signal, payload in expand(some, run, self._cannot_read):
                yield Frame(signal, payload, end)

    def _cannot_read(self, record: bytes, error: Exception) -> None:
        self.unreadable += 1
        self._unreadable_voice.say(
            "%s: the record of a try cannot be read (%r) and is dropped: %r",
            self._thread.name,
            error,
            record[:200],
        )

    def _report(self, damage: CorruptFrame) -> None:
        self.corrupt_bytes += damage.bytes_lost
        logger.error(
            "%s: %d bytes from %d on are no telemetry (a torn write or a damaged disk) and are"
            " skipped; they stay in the file",
            damage.path,
            damage.bytes_lost,
            damage.start.offset,
        )
