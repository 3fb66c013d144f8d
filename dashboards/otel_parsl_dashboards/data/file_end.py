"""
The end of a file that a task or a block has left, for whoever looks at the pages.

Only paths that stand in a run's own rows come here, never one out of an address.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from otel_parsl.cli import words
from otel_parsl.cli.log_tail import place_of

MOST_BYTES = 64 * 1024


class FileEnd(NamedTuple):
    """What was found of a file."""

    path: str
    """As the row has it."""
    text: str | None
    """Its end; None where it cannot be read from here."""
    note: str
    """What there is to know of that, as a sentence; empty where all of the file is shown."""


def file_end(path: str, *, rundir: str) -> FileEnd:
    """
    Return the last 64 KiB of a file.

    Args:
        path: As one of the run's rows has it; it is looked for as ``place_of`` says.
        rundir: The run's directory.
    """
    place = place_of(path, rundir)
    try:
        text, size = _read(place)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return FileEnd(path, None, f"It cannot be read from here: {place}: {why}.")
    if not size:
        return FileEnd(path, "", "The file is empty.")
    if size > MOST_BYTES:
        return FileEnd(path, text, f"The last 64 KiB of {words.size(size)}.")
    return FileEnd(path, text, "")


def _read(place: Path) -> tuple[str, int]:
    # A pipe that nobody writes to would be waited for.
    descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a file")
        start = max(status.st_size - MOST_BYTES, 0)
        file.seek(start)
        content = file.read(MOST_BYTES)
    if start:
        content = content.partition(b"\n")[2] or content  # the first line is torn
    return content.decode(errors="replace"), status.st_size
