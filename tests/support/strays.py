"""
End what a test's programs leave behind.

An interchange whose submit process was killed goes on, and tries to reach it and the agent for
ever: when a later program listens on one of those ports, it is sent that program's tasks.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil


def end_strays(folder: Path) -> None:
    """Kill every process that works in a folder, or was started with a path in it, but our own."""
    here = str(folder)
    own = {psutil.Process().pid, *(parent.pid for parent in psutil.Process().parents())}
    found = [
        process
        for process in psutil.process_iter()
        if process.pid not in own and here in _where(process)
    ]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(found, timeout=10)


def _where(process: psutil.Process) -> str:
    try:
        return " ".join([process.cwd(), *process.cmdline()])
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""
