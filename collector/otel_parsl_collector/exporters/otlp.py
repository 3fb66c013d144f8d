"""
The exporter that forwards spooled requests to an OTLP endpoint.

It sends the spooled bytes themselves: what is sent again is the same to the byte, which is how
Jaeger knows a span it has. The SDK's exporters are not used, since they drop a batch after 10 s.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from otel_parsl.destination import Destination
from otel_parsl.seldom import Seldom
from otel_parsl.spool import Frame, Place
from otel_parsl_collector.component import Outcome
from otel_parsl_collector.exporters.otlp_transport import (
    Answer,
    Refused,
    Unavailable,
    Unsupported,
    transport,
)
from otel_parsl_collector.exporters.refused_file import RefusedFile
from otel_parsl_collector.exporters.splitting import halves, split
from otel_parsl_collector.signals import BY_NAME, SIGNALS, count_items

logger = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 4 << 20
FIRST_DELAY_S, MAX_DELAY_S = 0.5, 30.0
_MOST_TRIES = 64
"""How many requests a refused one may become in the search for what is wrong with it."""


class _Piece(NamedTuple):
    """What is sent as one request: the payloads of frames, joined, or a part of one."""

    signal: int
    parts: Sequence[bytes]
    is_too_large: bool = False

    @property
    def payload(self) -> bytes:
        return b"".join(self.parts)


@dataclass
class _Result:
    """What became of a piece."""

    tries: int = _MOST_TRIES
    sent: int = 0
    refused: int = 0
    rejected: list[tuple[_Piece, str]] = field(default_factory=list)
    """What is to be set aside, and why."""


class OtlpExporter:
    """
    Forward frames to one destination.

    Args:
        destination: Where to.
        refused_path: A file that takes what the destination refuses for good, as spool frames.
        is_store: Whether it must have everything: until it serves us all is kept back for it, and
            no signal is given up.
        first_delay_s: How long to wait after a first failure.
        max_delay_s: How long to wait at most, where the destination has no wish.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        refused_path: Path,
        is_store: bool = False,
        first_delay_s: float = FIRST_DELAY_S,
        max_delay_s: float = MAX_DELAY_S,
    ) -> None:
        self.destination = destination
        self._first_delay_s, self._max_delay_s = first_delay_s, max_delay_s
        self.sent = 0
        """Items that the destination has taken."""
        self.refused = 0
        """Items that it will never take."""
        self.last_error: str | None = None
        self._file = RefusedFile(refused_path)
        self._is_store = is_store
        self._send = transport(destination)
        self._off = {
            signal.number for name, signal in BY_NAME.items() if name not in destination.signals
        }
        self._delay_s = 0.0
        self._partly = Seldom(logger, logging.ERROR)
        self._warned = Seldom(logger, logging.WARNING)
        self._frames: Iterable[Frame] | None = None
        self._done = 0
        self._sent: Counter[int] = Counter()
        self._refused: Counter[int] = Counter()

    def consume(self, frames: Iterable[Frame], places: Mapping[str, Place]) -> Outcome:
        """
        Send frames; returns when all are taken, or refused for good and set aside.

        Given the same frames again after an error, it goes on with the request that failed.

        Raises:
            Unavailable: Some may have been sent; sending them again does no harm.
            OSError: What was refused cannot be set aside for now.
        """
        if frames is not self._frames:
            self._frames, self._done = frames, 0
            self._sent, self._refused = Counter(), Counter()
        for number, piece in enumerate(_pieces(frames)):
            if number >= self._done:
                if piece.signal not in self._off:
                    self._carry(piece)
                self._done = number + 1
        return Outcome(self._sent, self._refused)

    def delay_s(self, error: Exception) -> float:
        """Return how long to wait before the next try: exponential, with jitter, or as told."""
        self._delay_s = min(max(self._delay_s * 2, self._first_delay_s), self._max_delay_s)
        if isinstance(error, Unavailable) and error.retry_after_s:
            return error.retry_after_s
        return self._delay_s * random.uniform(0.5, 1.5)

    def _carry(self, piece: _Piece) -> None:
        """Send one piece, and take note of what became of it when all of it is known."""
        result = _Result()
        try:
            self._search(piece, result)
        except Unsupported as error:
            self._off.add(piece.signal)
            logger.warning(
                "%s takes no %s (%s): they are not sent there",
                self.destination.endpoint,
                SIGNALS[piece.signal].name,
                error,
            )
            return
        except Unavailable as error:
            self.last_error = str(error)
            raise
        for rejected, reason in result.rejected:
            why = f"{self.destination.endpoint} refused them: {reason}"
            for part in rejected.parts:
                result.refused += self._file.add(piece.signal, part, why)
        self.last_error = result.rejected[-1][1] if result.rejected else None
        self._delay_s = 0.0
        self._sent[piece.signal] += result.sent
        self._refused[piece.signal] += result.refused
        self.sent += result.sent
        self.refused += result.refused

    def _search(self, piece: _Piece, result: _Result) -> None:
        """Send a piece; of one that is refused for what is in it, send the halves."""
        if piece.is_too_large:
            reason = f"an item is larger than the {MAX_REQUEST_BYTES} bytes that receivers take"
            result.rejected.append((piece, reason))
            return
        payload = piece.payload
        result.tries -= 1
        try:
            answer = self._try(piece.signal, payload)
        except Refused as error:
            parts = _halves(piece) if error.is_about_content and result.tries > 0 else None
            if parts is None:
                result.rejected.append((piece, str(error)))
                return
            for part in parts:
                self._search(part, result)
        else:
            self._count(piece.signal, payload, answer, result)

    def _try(self, signal: int, payload: bytes) -> Answer:
        try:
            return self._send(signal, payload)
        except Unsupported as error:
            if self._is_store:
                raise Unavailable(str(error)) from error
            raise
        except Refused as error:
            # The token is wrong, or the address: it serves us when that is put right.
            if self._is_store and not error.is_about_content:
                raise Unavailable(str(error)) from error
            raise

    def _count(self, signal: int, payload: bytes, answer: Answer, result: _Result) -> None:
        """Count what was taken, all or a part of it."""
        items = count_items(signal, payload)
        lost = min(answer.rejected, items)
        result.sent += items - lost
        result.refused += lost
        if lost:
            self._partly.say(
                "%s took %d of %d %s and refused the others for good: %s. It does not say which, so"
                " they cannot be kept",
                self.destination.endpoint,
                items - lost,
                items,
                SIGNALS[signal].items,
                answer.message or "it does not say why",
            )
        elif answer.message:
            self._warned.say("%s: %s", self.destination.endpoint, answer.message)


def _pieces(frames: Iterable[Frame]) -> Iterator[_Piece]:
    """Yield what is sent as one request each: the same pieces whenever it is asked."""
    for signal, payloads in _batches(frames):
        if len(payloads) > 1 or len(payloads[0]) <= MAX_REQUEST_BYTES:
            yield _Piece(signal, payloads)
            continue
        fitting, too_large = split(signal, payloads[0], limit_bytes=MAX_REQUEST_BYTES)
        for payload in fitting:
            yield _Piece(signal, [payload])
        for payload in too_large:
            yield _Piece(signal, [payload], is_too_large=True)


def _batches(frames: Iterable[Frame]) -> Iterator[tuple[int, list[bytes]]]:
    """
    Join requests of one signal up to the size that every receiver takes.

    Protobuf messages of one type are merged by joining their bytes.
    """
    waiting: dict[int, list[bytes]] = {}
    sizes: dict[int, int] = {}
    for item in frames:
        if item.signal not in SIGNALS:
            continue
        size = sizes.get(item.signal, 0)
        if size and size + len(item.payload) > MAX_REQUEST_BYTES:
            yield item.signal, waiting.pop(item.signal)
            size = 0
        waiting.setdefault(item.signal, []).append(item.payload)
        sizes[item.signal] = size + len(item.payload)
    yield from waiting.items()


def _halves(piece: _Piece) -> tuple[_Piece, _Piece] | None:
    """Return a piece as two; None where it has but one item, or cannot be read."""
    parts = piece.parts
    if len(parts) > 1:
        middle = len(parts) // 2
        return piece._replace(parts=parts[:middle]), piece._replace(parts=parts[middle:])
    found = halves(piece.signal, parts[0])
    if found is None:
        return None
    return piece._replace(parts=[found[0]]), piece._replace(parts=[found[1]])
