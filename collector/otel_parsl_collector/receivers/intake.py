"""
What every transport does with a request it has read: spool it, and count it.

Flow: codec -> **receivers.intake** -> committer -> spool
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from otel_parsl.spool import frame
from otel_parsl_collector.receivers.codec import Request
from otel_parsl_collector.receivers.committer import Committer
from otel_parsl_collector.receivers.refusal import Busy, Refusal
from otel_parsl_collector.signals import SIGNALS
from otel_parsl_collector.stats import Stats

logger = logging.getLogger(__name__)

ANSWER_S = 2.0
"""Within this a request is answered: SDK exporters give up after 10 s in all."""


class Intake:
    """
    The way into the spool, for one receiver.

    Args:
        receiver: The receiver's id.
        streams: The streams that each signal goes to; a signal that is not there is not taken.
        committer: Of the spool.
        stats: Counts.
    """

    def __init__(
        self,
        receiver: str,
        streams: Mapping[int, tuple[str, ...]],
        committer: Committer,
        stats: Stats,
    ) -> None:
        self._receiver = receiver
        self._streams = streams
        self._committer = committer
        self._stats = stats
        self.signals = tuple(SIGNALS[number] for number in streams)

    def answer(self, read: Callable[[], Request], *, transport: str, arrived: float) -> Request:
        """
        Return a request when it has been read and is on disk.

        Args:
            read: Reads it.
            transport: For the counters: ``grpc`` or ``http``.
            arrived: When it came, by ``time.monotonic``.

        Raises:
            Refusal: It is not taken. A fault of ours is said to be one that passes: what clients
                take as permanent would lose their data.
        """
        outcome = "success"
        try:
            request = read()
            self._take(request, transport, arrived)
        except Refusal as refusal:
            outcome = type(refusal).__name__.strip("_").lower()
            raise
        except ConnectionError:
            outcome = "gone"
            raise
        except Exception as error:
            outcome = "fault"
            logger.exception("a request over %s could not be taken", transport)
            raise Busy(f"a fault of the collector's: {type(error).__name__}") from error
        finally:
            labels = {"receiver": self._receiver, "transport": transport, "outcome": outcome}
            self._stats.add("otelcol_receiver_requests", 1, **labels)
        return request

    def _take(self, request: Request, transport: str, arrived: float) -> None:
        items = SIGNALS[request.signal].items
        labels = {"receiver": self._receiver, "transport": transport}
        try:
            if request.items:
                self._committer.commit(
                    self._streams[request.signal],
                    frame(request.signal, request.payload),
                    deadline=arrived + ANSWER_S,
                )
        except Busy:
            self._stats.add(f"otelcol_receiver_refused_{items}", request.items, **labels)
            raise
        self._stats.add(f"otelcol_receiver_accepted_{items}", request.items, **labels)
        # None too: a rate is reckoned from the first count on.
        self._stats.add(f"otelcol_receiver_refused_{items}", request.rejected, **labels)
