"""
What a component of the stand-alone collector is.

A component is one module in ``receivers``, ``processors``, ``exporters`` or ``extensions``, named
as its type is in the configuration, with a ``COMPONENT`` that says what its settings are and how
it is made.
Sinks are started first and sources stopped first; ``stop`` may be called without ``start``, and
twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from otel_parsl.spool import Frame, Place
from otel_parsl_collector.place_file import PlaceFile
from otel_parsl_collector.receivers.committer import Committer
from otel_parsl_collector.stats import Stats


class Component(NamedTuple):
    """One type of component."""

    settings: type[Any]
    """A frozen dataclass, every setting with its default, which checks itself."""
    create: Callable[[Any, Any], Any]
    """Makes it of its settings and what the program adds, without starting it."""
    is_store: bool = False
    """Whether it keeps everything, so that nothing may be dropped from its queue."""
    leaves_out: bool = False
    """Whether it lets less go on than comes, which a store must not miss."""
    guard: Callable[[Any], Callable[[], str | None]] | None = None
    """Makes of its settings what says why a request cannot be taken at present, if so."""


class Starts(Protocol):
    """A receiver or an extension."""

    def start(self) -> None:
        """
        Begin.

        Raises:
            CollectorError: An address cannot be had.
        """

    def stop(self) -> None:
        """End; a receiver takes nothing more, and has answered all it has taken."""


class Authenticator(Protocol):
    """An extension that tells who may come in, and says who goes out."""

    def is_known(self, authorization: str) -> bool:
        """Tell whether the value of a request's header lets it in."""

    def header(self) -> tuple[str, str]:
        """Return the header that a request to others carries."""


class NotYet(Exception):
    """An exporter cannot be made at present; it is tried again."""


class Outcome(NamedTuple):
    """
    What became of the items of frames, by signal.

    What is in neither is of a signal that the destination lacks.
    """

    sent: Mapping[int, int]
    refused: Mapping[int, int] = {}
    """The destination will never take them."""


class Exporter(Protocol):
    """
    Delivers frames; used by one thread.

    It keeps its own place in the spool, and moves it when what is before it is delivered.
    """

    retryable: tuple[type[Exception], ...]
    """What ``consume`` raises when the same frames may be delivered later."""

    def places(self) -> Mapping[str, Place]:
        """Return how far each stream has been delivered."""

    def consume(self, frames: list[Frame], places: Mapping[str, Place]) -> Outcome:
        """Deliver frames and keep the places behind them; returns when both are safe."""

    def delay_s(self, error: Exception) -> float:
        """Return how long to wait after a retryable error."""

    def close(self) -> None:
        """Let go of everything."""


class Processor(Protocol):
    """Decides what of a pipeline's frames goes on to one exporter; used by one thread."""

    def pick(self, frames: Iterable[Frame]) -> list[Frame]:
        """Return what goes on; what waits instead is kept once ``commit`` is called."""

    def commit(self) -> None:
        """Keep what waits: what was picked is delivered, and its place is about to be kept."""

    def close(self) -> None:
        """Let go of everything; what was not committed comes again."""


class ProcessorContext(NamedTuple):
    """What the program adds to a processor's settings."""

    name: str
    path: Path
    """Begins the names of files of its own."""


class ExporterContext(NamedTuple):
    """What the program adds to an exporter's settings."""

    name: str
    """Its id in the configuration."""
    spool: str
    """A name of the spool, which no other spool ever has."""
    directory: Path
    """Where it may keep files of its own."""
    authenticators: Mapping[str, Authenticator]
    is_insecure: bool = False
    """Whether it may let in whoever can reach it."""
    before_keeping: Callable[[], None] = lambda: None
    """To be called when frames are delivered, before the place behind them is kept."""

    def place_file(self) -> PlaceFile:
        """Return the file in which it may keep its place."""
        return PlaceFile(self.directory / "places.json", before_saving=self.before_keeping)


class ReceiverContext(NamedTuple):
    """What the program adds to a receiver's settings."""

    name: str
    streams: Mapping[int, tuple[str, ...]]
    """The streams that each signal goes to."""
    committer: Committer
    stats: Stats
    authenticators: Mapping[str, Authenticator]
    is_insecure: bool


class ExtensionContext(NamedTuple):
    """What the program adds to an extension's settings."""

    name: str
    troubles: Callable[[], list[str]]
    """Says what does not run, a sentence each."""
    is_insecure: bool
