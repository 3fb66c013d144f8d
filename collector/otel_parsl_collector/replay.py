"""
Put OTLP JSON lines into a store: what the OpenTelemetry Collector's file exporter wrote, or ours.

Every row has its key, so what is replayed again, or was stored already, changes nothing.
"""

from __future__ import annotations

import gzip
import logging
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from sqlalchemy.exc import ArgumentError, OperationalError

from otel_parsl.spool import Frame, Place
from otel_parsl_collector.errors import CollectorError, StoreError
from otel_parsl_collector.exporters.fitting import Unfit, store_fitting
from otel_parsl_collector.exporters.parsl_sql import ParslSqlExporter
from otel_parsl_collector.otlp_json import JsonError, fill, load
from otel_parsl_collector.signals import SIGNALS, Signal

logger = logging.getLogger(__name__)

BATCH_BYTES = 4 << 20
BUSY_S = 60.0
"""How long a database that is locked or away is waited for."""
_RETRY_S = 0.5
_GZIP = b"\x1f\x8b"
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
_BY_GROUPS = {signal.groups: signal for signal in SIGNALS.values()}


class Unreadable(NamedTuple):
    """A line that is no OTLP, or none that rows can hold."""

    path: Path
    line: int
    reason: str


class Progress(NamedTuple):
    """How far a replay has come."""

    read_bytes: int
    """Of the files as they are on disk, compressed or not."""
    total_bytes: int
    requests: int
    items: int


class Replay:
    """
    A replay of files into one store.

    Args:
        paths: The files, plain or compressed by gzip.
        url: The store, as an SQLAlchemy URL.

    Raises:
        CollectorError: A file is not there, or the store cannot be used.
    """

    def __init__(self, paths: Sequence[Path], url: str) -> None:
        for path in paths:
            if not path.is_file():
                raise CollectorError(f"{path}: there is no such file")
        self._paths = paths
        self._total_bytes = sum(path.stat().st_size for path in paths)
        self._read_bytes = 0
        self._requests = 0
        self._items = 0
        self.unreadable: list[Unreadable] = []
        try:
            self._store = ParslSqlExporter(url, spool="replay")
        except ArgumentError as error:
            raise StoreError(f"store: {error}; expected a URL such as sqlite:///x.db") from error
        except OperationalError as error:
            raise StoreError(f"store: it cannot be opened: {error.orig}") from error

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        return Progress(self._read_bytes, self._total_bytes, self._requests, self._items)

    def run(self, report: Callable[[Progress], None]) -> None:
        """
        Store all lines.

        Args:
            report: Is told of the progress now and then.

        Raises:
            CollectorError: The store cannot be written, or a file cannot be read.
        """
        batch: list[Frame] = []
        size = 0
        for file in range(len(self._paths)):
            for item in self._requests_of(file):
                batch.append(item)
                size += len(item.payload)
                if size >= BATCH_BYTES:
                    self._write(batch)
                    batch, size = [], 0
                    report(self.progress)
        self._write(batch)
        report(self.progress)

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    def _requests_of(self, file: int) -> Iterator[Frame]:
        """Yield the requests of a file, each with the file's number and its line as its place."""
        path, before = self._paths[file], self._read_bytes
        number = 0
        try:
            with open(path, "rb") as stream:
                for number, line in enumerate(_lines(stream), start=1):
                    self._read_bytes = before + stream.tell()
                    if line.strip():
                        yield from self._requests_in(line, Place(file, number))
        except _DAMAGED as error:  # what came before is as good as in a plain file
            self._read_bytes = before + path.stat().st_size
            reason = f"gzip is cut or broken here, and what follows is left out: {error}"
            self.unreadable.append(Unreadable(path, number + 1, reason))
        except OSError as error:
            raise CollectorError(f"{path}: it cannot be read: {error}") from error

    def _requests_in(self, line: bytes, place: Place) -> Iterator[Frame]:
        try:
            signal, request = _parse(line)
        except JsonError as error:
            self.unreadable.append(Unreadable(self._paths[place[0]], place[1], str(error)))
            return
        self._requests += 1
        self._items += signal.count(request)
        yield Frame(signal.number, request.SerializeToString(), place)

    def _write(self, batch: list[Frame]) -> None:
        deadline = time.monotonic() + BUSY_S
        unfit: list[Unfit] = []
        while True:
            try:
                unfit.clear()
                store_fitting(self._store, batch, {}, unfit.append)
            except OperationalError as error:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"store: it could not be written for {BUSY_S:.0f} s: {error.orig}."
                        " Replay the files again: what is stored already stays as it is"
                    ) from error
                logger.info("the store cannot be written: %s; trying again", error.orig)
                time.sleep(_RETRY_S)
            else:
                break
        for item in unfit:
            file, line = item.end
            self.unreadable.append(Unreadable(self._paths[file], line, item.reason))


def _lines(file: BinaryIO) -> Iterator[bytes]:
    is_gzip = file.read(2) == _GZIP
    file.seek(0)
    return iter(gzip.GzipFile(fileobj=file)) if is_gzip else iter(file.readline, b"")


def _parse(line: bytes) -> tuple[Signal, Any]:
    value = load(line)
    groups = [key for key in value if key in _BY_GROUPS] if isinstance(value, dict) else []
    if len(groups) != 1:
        raise JsonError(f"no OTLP request; expected an object with one of {', '.join(_BY_GROUPS)}")
    signal = _BY_GROUPS[groups[0]]
    request = signal.request()
    fill(request, value)
    return signal, request
