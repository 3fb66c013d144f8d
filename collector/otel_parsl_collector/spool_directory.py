"""
The directory of a collector's spool: whose it is, how full, and what of it may go.

Each pipeline has a stream in it; a segment of a stream goes when every exporter has carried it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from uuid import uuid4

from otel_parsl.spool import size_of
from otel_parsl_collector.errors import CollectorError
from otel_parsl_collector.spool_space import SpoolSpace

logger = logging.getLogger(__name__)

_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")


def stream_name(pipeline: str) -> str:
    """Return the name of a pipeline's stream: letters only, and the same whatever else there is."""
    if re.fullmatch("[a-z]+", pipeline):
        return pipeline
    digest = blake2b(pipeline.encode(), digest_size=4).hexdigest().translate(_LETTERS)
    return re.sub("[^a-z]", "", pipeline.lower()) + digest


class SpoolDirectory(SpoolSpace):
    """
    A spool directory that this process alone uses.

    Args:
        path: The directory; it is made.
        max_bytes: How much may wait in it.

    Raises:
        CollectorError: It cannot be used, or another collector uses it.
    """

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        super().__init__(path.absolute(), max_bytes=max_bytes)
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            self._take_lock()
            self.name = self._read_name()
        except OSError as error:
            raise CollectorError(
                f"spool {self.path}: {error.strerror}; expected a directory that can be written."
                " Set service.spool.directory"
            ) from error

    def close(self) -> None:
        """Let another collector have it."""
        os.close(self._lock)

    def strangers(self, streams: Iterable[str]) -> dict[str, int]:
        """Return the bytes of streams that are not among these: no pipeline carries them."""
        known = set(streams)
        found: dict[str, int] = {}
        for path in self.path.glob("*-*.spool"):
            stream = path.name.rpartition("-")[0]
            if stream not in known and (size := size_of(path)):
                found[stream] = found.get(stream, 0) + size
        return found

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CollectorError(
                f"spool {self.path}: another collector uses it."
                " Stop that one, or set service.spool.directory to another"
            ) from None
        except OSError as error:
            logger.warning(
                "%s cannot be locked (%s): see that no other collector uses it", self.path, error
            )

    def _read_name(self) -> str:
        """Return what databases keep this spool's places under; a new spool has a new name."""
        path = self.path / "name"
        try:
            name = path.read_text().strip()
        except FileNotFoundError:
            name = ""
        if not name:
            name = f"collector-{uuid4()}"
            path.write_text(f"{name}\n")
        return name
