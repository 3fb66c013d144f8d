"""The end of a log file that a task or a block has left."""

from __future__ import annotations

import os
from pathlib import Path

TAIL_LINES = 10
_TAIL_BYTES = 4096


def place_of(path: str, rundir: str) -> Path:
    """
    Return where a file is that one of a run's rows names.

    Args:
        path: As the row has it. Where it is relative, nothing says to what: it is looked for where
            Parsl makes its run directories, the working directory by default.
        rundir: The run's directory.
    """
    return Path(rundir).parent.parent / path


def tail(path: str | None, *, rundir: str) -> list[str] | None:
    """
    Return the last lines of a file, which is looked for as ``place_of`` says.

    Returns:
        None where there is no path, or no such file that can be read here.
    """
    if not path:
        return None
    try:
        # A pipe or a device would be waited for.
        place = place_of(path, rundir)
        if not place.is_file():
            return None
        with place.open("rb") as file:
            file.seek(0, os.SEEK_END)
            start = max(file.tell() - _TAIL_BYTES, 0)
            file.seek(start)
            content = file.read(_TAIL_BYTES)
    except (OSError, ValueError):
        return None
    lines = content.decode(errors="replace").splitlines()
    if start and len(lines) > 1:
        lines = lines[1:]  # the first is torn
    return lines[-TAIL_LINES:]
