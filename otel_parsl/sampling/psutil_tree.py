"""
Add up what a process and its descendants use, where there is no /proc (macOS, BSD).

Flow: **psutil_tree** -> sampling
The same promises as ``process_tree`` as far as the system keeps them: there a process is not told
what its children read and wrote, and a stray cannot be told from a process that ended.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Set
from typing import Any

import psutil

from otel_parsl.sampling.process_usage import Reading, Usage, highest

_HAS_CPU_NUM = hasattr(psutil.Process, "cpu_num")
_HAS_IO = hasattr(psutil.Process, "io_counters")


class PsutilTree:
    """
    A process and its descendants; not for two threads at once.

    Args:
        pid: The process at the root.
        ignore_pids: Descendants to leave out.
    """

    def __init__(self, pid: int, *, ignore_pids: Set[int] = frozenset()) -> None:
        self.pid = pid
        self._ignore_pids = ignore_pids
        try:
            self._root = psutil.Process(pid)
        except psutil.NoSuchProcess:
            raise ProcessLookupError(f"process {pid} is gone") from None
        self._is_own = pid == os.getpid()
        self._memory_total_bytes: int = psutil.virtual_memory().total
        self.restart()

    def restart(self, at_s: float | None = None) -> None:
        """Forget what was seen of descendants: a try begins; ``at_s`` makes no difference here."""
        self._floor: Usage | None = None
        self._peak_seen_bytes: int | None = None

    def own_counters(self) -> None:
        """Return nothing: there is no shorter way than a reading."""

    def read_own(self) -> None:
        """Return nothing, as ``own_counters``."""

    def reset_peak(self) -> bool:
        """Return False: only Linux can."""
        return False

    def read(self) -> Reading:
        """
        Read the whole tree.

        Raises:
            ProcessLookupError: When the process at the root has ended.
        """
        if not self._root.is_running():
            raise ProcessLookupError(f"process {self.pid} is gone")
        own = _usage(self._root)
        reaped = self._reaped()
        tree = own + reaped
        members = [one for one in self._descendants() if one.pid not in self._ignore_pids]
        for member in members:
            usage = _usage(member)
            # What has ended in between cannot be read, and is told by the parent once waited for.
            if member.is_running() and _measured(member.status) != psutil.STATUS_ZOMBIE:
                tree += usage
        if self._floor is not None:
            tree.never_below(self._floor)
        if members:
            self._floor = tree
        self._peak_seen_bytes = highest(self._peak_seen_bytes, tree.memory_resident_bytes)
        reading = Reading()
        reading.time_ns = time.time_ns()
        reading.pid = self.pid
        reading.process = own
        reading.tree = tree
        reading.reaped_voluntary = reaped.voluntary or 0
        reading.reaped_involuntary = reaped.involuntary or 0
        reading.children_count = len(members)
        reading.memory_total_bytes = self._memory_total_bytes
        reading.peak_bytes = None
        reading.peak_seen_bytes = self._peak_seen_bytes
        reading.status = _measured(self._root.status)
        reading.cpu_num = _measured(self._root.cpu_num) if _HAS_CPU_NUM else None
        return reading

    def _descendants(self) -> list[psutil.Process]:
        try:
            found: list[psutil.Process] = self._root.children(recursive=True)
        except psutil.Error:
            return []
        return found

    def _reaped(self) -> Usage:
        """Return what children that were waited for have used, which only a parent is told."""
        reaped = Usage((0,) * 10)
        if self._is_own:
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            reaped.cpu_user_s, reaped.cpu_system_s = used.ru_utime, used.ru_stime
            reaped.voluntary, reaped.involuntary = used.ru_nvcsw, used.ru_nivcsw
        return reaped


def _usage(process: psutil.Process) -> Usage:
    usage = Usage()
    with process.oneshot():
        if times := _measured(process.cpu_times):
            usage.cpu_user_s, usage.cpu_system_s = times.user, times.system
        if _HAS_IO and (moved := _measured(process.io_counters)):
            # Only Linux says how much was read and written, however it was served.
            usage.read_bytes = getattr(moved, "read_chars", None)
            usage.write_bytes = getattr(moved, "write_chars", None)
        if switches := _measured(process.num_ctx_switches):
            usage.voluntary, usage.involuntary = switches.voluntary, switches.involuntary
        if memory := _measured(process.memory_info):
            usage.memory_resident_bytes, usage.memory_virtual_bytes = memory.rss, memory.vms
        usage.thread_count = _measured(process.num_threads)
        usage.fd_count = _measured(process.num_fds)
    return usage


def _measured(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except (psutil.Error, OSError):
        return None
