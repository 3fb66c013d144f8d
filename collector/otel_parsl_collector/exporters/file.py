"""
The exporter that writes OTLP JSON lines, as the OpenTelemetry Collector's file exporter does.

Each line is one request of one signal; ``otel-parsl replay`` and DuckDB's ``otlp`` extension read
them.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from otel_parsl.spool import Frame, Place
from otel_parsl_collector.component import Component, ExporterContext, NotYet, Outcome
from otel_parsl_collector.otlp_json import render
from otel_parsl_collector.signals import SIGNALS

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FileSettings:
    """``exporters.file``."""

    path: str
    """The file; what it holds already stays."""


class FileExporter:
    """
    Append requests to a file, each once: what a killed collector wrote beyond its place is cut off.

    Args:
        settings: Which file.
        context: Where it keeps its place.

    Raises:
        NotYet: The file cannot be opened.
    """

    retryable: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, settings: FileSettings, context: ExporterContext) -> None:
        self._path = Path(settings.path)
        self._kept = context.place_file()
        try:
            self._file = self._open()
            self._keep(self._kept.places)
        except OSError as error:
            raise NotYet(f"{self._path}: {error.strerror}") from error

    def places(self) -> Mapping[str, Place]:
        return self._kept.places

    def consume(self, frames: list[Frame], places: Mapping[str, Place]) -> Outcome:
        """
        Write a line a frame.

        Raises:
            OSError: The disk is full; nothing of the frames is left in the file.
        """
        before = self._file.tell()
        written: Counter[int] = Counter()
        try:
            for item in frames:
                signal = SIGNALS[item.signal]
                request = signal.request.FromString(item.payload)
                written[item.signal] += signal.count(request)
                line = json.dumps(render(request), ensure_ascii=False, separators=(",", ":"))
                self._file.write(line.encode() + b"\n")
            self._file.flush()
            os.fdatasync(self._file.fileno())
            self._keep(places)
        except OSError:
            self._cut(before)
            raise
        return Outcome(written)

    def delay_s(self, error: Exception) -> float:
        return 1.0

    def close(self) -> None:
        self._file.close()

    def _open(self) -> BinaryIO:
        file = open(self._path, "ab")  # noqa: SIM115 - open as long as the exporter
        now = os.fstat(file.fileno())
        kept: Any = self._kept.more
        if kept.get("inode") == now.st_ino and kept["size"] < now.st_size:
            file.truncate(kept["size"])
            file.seek(kept["size"])
        return file

    def _keep(self, places: Mapping[str, Place]) -> None:
        now = os.fstat(self._file.fileno())
        self._kept.save(places, inode=now.st_ino, size=now.st_size)

    def _cut(self, size: int) -> None:
        """Take back what was written, also from the buffer, by opening the file anew."""
        try:
            self._file.close()
        except OSError:
            logger.debug("%s: closed with a write that failed", self._path)
        os.truncate(self._path, size)
        self._file = open(self._path, "ab")  # noqa: SIM115 - as above


COMPONENT = Component(FileSettings, FileExporter)
