"""The process that a run belongs to, as anybody can know it later: by host, id and start time."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_parsl import rendezvous
from otel_parsl.start_ticks import start_ticks

if TYPE_CHECKING:
    import psutil

HEARTBEAT_LATE_S = 120.0
"""A run elsewhere whose heartbeat stopped so long ago is dead: one comes four times a minute."""

_PROC = Path("/proc/self")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_process() -> dict[str, Any]:
    """Return what tells this process from all others, for the run's settings."""
    import psutil

    process = psutil.Process()
    return {
        "hub_pid": process.pid,
        "hub_started": _started(process),
        "hub_host": socket.gethostname(),
        "hub_boot": _boot_id(),
    }


def is_alive(settings: Mapping[str, Any]) -> bool | None:
    """
    Tell whether a run's submit process lives; None where that cannot be seen from this host.

    Args:
        settings: The run's, with what ``this_process`` returned there.
    """
    if settings.get("hub_host", socket.gethostname()) != socket.gethostname():
        return None
    if settings.get("hub_boot") != _boot_id() and settings.get("hub_boot") is not None:
        return False  # the host was started again since
    import psutil

    try:
        process = psutil.Process(settings["hub_pid"])
        is_it = _started(process) == settings["hub_started"]
        return is_it and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):
        return False


def may_be_alive(settings: Mapping[str, Any], spool: Path) -> bool:
    """
    Tell whether a run goes on, as far as that can be known.

    A run of another host is dead once nothing is written any more: its agent spools a heartbeat,
    and says how far it is.

    Args:
        settings: The run's.
        spool: Its directory.
    """
    found = is_alive(settings)
    if found is not None:
        return found
    return time.time() - last_written_s(spool) <= HEARTBEAT_LATE_S


def last_written_s(spool: Path) -> float:
    """Return when anything was last written of a run, in seconds since 1970; 0 if nothing was."""
    written = [*spool.glob("*.spool"), *spool.glob(rendezvous.STATUS)]
    return max(map(_written_at, written), default=0.0)


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # its agent has just removed it
        return time.time()


def _started(process: psutil.Process) -> float:
    """
    Return when a process began, which never changes while it lives.

    That is ticks since the start of the host: on Linux psutil reckons a time of day from them anew
    each time, by a clock that is set now and then.

    Raises:
        ProcessLookupError: It has ended, as FileNotFoundError says too.
    """
    return start_ticks(process.pid) if _PROC.exists() else process.create_time()


def _boot_id() -> str | None:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return None
