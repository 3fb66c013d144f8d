"""The run that an agent serves, as its hub has told of it, and what the agent says of it itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from otel_parsl import __version__, rendezvous, semconv, wire
from otel_parsl.clock import now_ns
from otel_parsl.identity import run_key, span_id
from otel_parsl.spool import frame

LOST_SEQUENCE = 1 << 52
"""Of the event that ends a run whose own process can say no more: after all of that one's."""
_LAG = wire.Key(semconv.STORE_LAG)
_DEBUG, _ERROR = 5, 17
"""OpenTelemetry's numbers of severity."""


class Run:
    """
    The run of a spool; not known before the hub has said whose it is.

    Args:
        directory: Of the spool.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: tuple[str, tuple[bytes, ...]] | None = None

    @property
    def run_id(self) -> str | None:
        """The run, once it is known."""
        known = self._read()
        return None if known is None else known[0]

    def attributes(self) -> tuple[bytes, ...] | None:
        """Return the attributes of the submit process's Resource, once they are known."""
        known = self._read()
        return None if known is None else known[1]

    def alive(self, lag_s: float | None) -> bytes | None:
        """
        Return the frame that says that the run has an agent; None while it is not known.

        Args:
            lag_s: How far its store is behind; None where it has none yet.
        """
        lag = [] if lag_s is None else [_LAG.integer(int(lag_s * 1e9))]
        return self._event(semconv.EVENT_RUN_ALIVE, now_ns(), lag)

    def managers_ended(self) -> bytes | None:
        """Return the frame that says that no manager reports any more; None as above."""
        return self._event(semconv.EVENT_MANAGERS_ENDED, now_ns())

    def lost(self, at_ns: int) -> bytes | None:
        """
        Return the frame that ends a run whose own process is gone; None as above.

        Args:
            at_ns: When it was last heard of, in UTC nanoseconds.
        """
        attributes = [
            wire.Key(semconv.SEQUENCE).integer(LOST_SEQUENCE),
            wire.Key(semconv.TIME_COMPLETED).integer(at_ns),
            wire.Key(semconv.OUTCOME).text("lost"),
        ]
        return self._event(semconv.EVENT_RUN_ENDED, at_ns, attributes, severity=_ERROR)

    def _read(self) -> tuple[str, tuple[bytes, ...]] | None:
        if self._known is None:
            told = rendezvous.read(self._directory, rendezvous.RUN)
            if told is not None:
                resource = tuple(bytes.fromhex(attribute) for attribute in told["resource"])
                self._known = told["run_id"], resource
        return self._known

    def _event(
        self, name: str, at_ns: int, attributes: Iterable[bytes] = (), *, severity: int = _DEBUG
    ) -> bytes | None:
        known = self._read()
        if known is None:
            return None
        run_id, resource = known
        run = run_key(run_id)
        record = wire.log_record(
            wire.sized(name.encode()),
            at_ns,
            at_ns,
            run,
            span_id(run, "run"),
            list(attributes),
            severity=severity,
        )
        request = wire.request(
            wire.resource(resource),
            wire.scope(semconv.SCOPE, __version__),
            [record],
            schema_url=semconv.SCHEMA_URL,
        )
        return frame(wire.LOGS, request)
