"""When a process began, by a clock that nobody sets."""

from __future__ import annotations

from pathlib import Path

_START = 19
"""Its place in /proc/PID/stat, counted from the word after the name; see proc(5)."""


def start_ticks(pid: int) -> int:
    """
    Return when a process began, in ticks since the start of the host.

    Raises:
        OSError: It has ended, or there is no /proc.
    """
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    return int(stat.rpartition(b")")[2].split()[_START])
