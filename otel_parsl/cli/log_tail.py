"""The end of a log file that a task or a block has left."""

from __future__ import annotations

import os

TAIL_LINES = 10
_TAIL_BYTES = 4096


def tail(path: str | None) -> list[str] | None:
    """
    Return the last lines of a file.

    Returns:
        None where there is no path, or no such file that can be read here.
    """
    if not path:
        return None
    try:
        # A pipe or a device would be waited for.
        if not os.path.isfile(path):
            return None
        with open(path, "rb") as file:
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
