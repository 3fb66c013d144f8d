"""What a power cut would leave of a spool."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_parsl.spool import CorruptFrame, SpoolReader


class Platter:
    """What has been brought to the disk, so that a power cut leaves it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._bytes: dict[int, int] = {}
        self._named: set[int] = set()
        for name in ("fdatasync", "fsync"):
            monkeypatch.setattr(os, name, self._seen(getattr(os, name)))

    def _seen(self, sync: Callable[[int], None]) -> Callable[[int], None]:
        def sync_and_note(fd: int) -> None:
            sync(fd)
            status = os.fstat(fd)
            if stat.S_ISDIR(status.st_mode):
                with os.scandir(fd) as entries:
                    self._named |= {entry.inode() for entry in entries}
            else:
                self._bytes[status.st_ino] = status.st_size

        return sync_and_note

    def payloads(self, directory: Path, stream: str) -> list[bytes | CorruptFrame]:
        """Return what a reader finds in a stream after a power cut now."""
        with tempfile.TemporaryDirectory() as name:
            for path in directory.glob("*.spool"):
                inode = path.stat().st_ino
                if inode in self._named:
                    left = path.read_bytes()[: self._bytes.get(inode, 0)]
                    (Path(name) / path.name).write_bytes(left)
            return payloads_of(Path(name), stream)


def payloads_of(directory: Path, stream: str) -> list[bytes | CorruptFrame]:
    """Return what a reader finds in a stream."""
    reader = SpoolReader(directory, stream)
    return [i if isinstance(i, CorruptFrame) else i.payload for i in reader.read()]
