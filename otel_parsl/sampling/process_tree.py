"""
Add up what a process and its descendants use.

Flow: proc_files -> **process_tree** -> sampling (in the worker), sampler_process (beside it)
The kernel adds CPU time and I/O of a child that was waited for to its parent's, so that the total
of the living is the total of all, and nothing is lost or counted twice when a child ends.
Two things need care: context switches, which only the parent itself is told (``getrusage``), and
processes whose parent ended first: they leave the tree, and are followed by their id.
"""

from __future__ import annotations

import os
import resource
import time

from otel_parsl.sampling.proc_files import (
    Process,
    ProcFiles,
    children_by_parent,
    memory_total_bytes,
)
from otel_parsl.sampling.process_usage import Reading, Usage, boot_clock_s, highest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Set
    from typing import Any

# A process that ends while the tree is being read moves its counters to its parent: read again.
_ATTEMPTS = 3
# __WALL: children that end without SIGCHLD, too.
_WALL = 0x40000000
# A peak that is so little above what is held is not made to start anew, which takes as long as a
# reading.
_NEAR_BYTES = 1 << 20
_NEAR_PART = 16
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class ProcessTree:
    """
    A process and its descendants; not for two threads at once.

    Args:
        pid: The process at the root.
        proc: Where /proc is.
        ignore_pids: Descendants to leave out.
    """

    def __init__(
        self, pid: int, *, proc: str = "/proc", ignore_pids: Set[int] = frozenset()
    ) -> None:
        self.pid = pid
        self._ignore_pids = ignore_pids
        self._proc = proc
        self._is_own = proc == "/proc" and pid == os.getpid()
        folder = "/proc/self" if self._is_own else f"{proc}/{pid}"
        self._root = ProcFiles(folder, is_real=proc == "/proc", keep_open=True)
        self._lists_children = os.path.exists(f"{folder}/task/{pid}/children")
        self._memory_total_bytes = memory_total_bytes(proc)
        self.restart()

    def restart(self, at_s: float | None = None) -> None:
        """
        Forget what was seen of descendants: a try begins.

        Args:
            at_s: When it began, by ``boot_clock_s``; now by default.
        """
        self._began_ticks = int((boot_clock_s() if at_s is None else at_s) * _TICKS_A_SECOND)
        self._known: dict[int, Process] = {}
        self._lost: Usage | None = None
        self._floor: Usage | None = None
        self._peak_seen_bytes: int | None = None
        self._is_peak_of_life = False
        """Whether no more was held before the try than now, or little more."""

    def reset_peak(self) -> bool:
        """Make the process's peak of resident memory start anew; return whether it could."""
        return self._root.reset_peak()

    def own_counters(self) -> tuple[Any, ...] | None:
        """
        Return where the counters stand, by a fifth of the work of a reading.

        For the main thread of the calling process alone: its switches are those that count.

        Returns:
            User and system CPU time, bytes read and written, switches, those that came with
            children waited for, and the peak of memory, 0 where it starts anew; None where only a
            reading can tell.
        """
        if not self._is_own or self._has_children():
            return None
        mine = resource.getrusage(resource.RUSAGE_SELF)
        main = resource.getrusage(resource.RUSAGE_THREAD)
        reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Of whatever the process was before it was started anew (exec), too: never less than its
        # own peak.
        peak_bytes, resident_bytes = mine.ru_maxrss * 1024, self._root.resident_bytes()
        is_near = resident_bytes is not None and peak_bytes - resident_bytes <= max(
            _NEAR_BYTES, resident_bytes // _NEAR_PART
        )
        if not is_near and not self.reset_peak():
            return None
        self._is_peak_of_life = is_near
        self._peak_seen_bytes = resident_bytes
        read_bytes, write_bytes = self._root.traffic()
        return (
            mine.ru_utime + reaped.ru_utime,
            mine.ru_stime + reaped.ru_stime,
            read_bytes,
            write_bytes,
            main.ru_nvcsw + reaped.ru_nvcsw,
            main.ru_nivcsw + reaped.ru_nivcsw,
            reaped.ru_nvcsw,
            reaped.ru_nivcsw,
            peak_bytes if is_near else 0,
        )

    def read_own(self) -> Reading | None:
        """
        Read as ``read`` does, by half of its work.

        For the main thread of the calling process alone, after ``own_counters``.

        Returns:
            What is known of the process; None where only ``read`` can tell.
        """
        if not self._is_peak_of_life or not self._is_alone():
            return None
        root = self._root.read_held()
        mine = _take_own(root)
        main = resource.getrusage(resource.RUSAGE_THREAD)
        root.usage.voluntary, root.usage.involuntary = main.ru_nvcsw, main.ru_nivcsw
        root.peak_bytes = mine.ru_maxrss * 1024
        return self._reading_alone(root)

    def start_ticks(self) -> int | None:
        """Return when the process at the root began, None when it has ended."""
        try:
            return self._root.read().start_ticks
        except ProcessLookupError:
            return None

    def read(self) -> Reading:
        """
        Read the whole tree.

        Raises:
            ProcessLookupError: When the process at the root has ended.
        """
        if self._is_alone():
            return self._reading_alone(self._read_root())
        root, look, hidden = self._settled()
        tree = root.with_reaped()
        for member in look.members.values():
            tree += member.with_reaped()
        if hidden:
            tree += Usage()
        if self._known or look.members:
            self._retire(look.members)
        if self._lost is not None:
            tree += self._lost
        if self._floor is not None:
            tree.never_below(self._floor)
        if look.members:
            self._floor = tree
        self._note_peak(tree, look.members)
        return self._reading(root, tree, children_count=len(look.members) + len(hidden))

    def _is_alone(self) -> bool:
        """Tell whether the process has no descendants, and had none in this try."""
        if self._known or self._lost is not None or self._floor is not None:
            return False
        return not self._has_children()

    def _reading_alone(self, root: Process) -> Reading:
        """Return the reading of a process without descendants."""
        tree = root.with_reaped()
        self._peak_seen_bytes = highest(self._peak_seen_bytes, tree.memory_resident_bytes)
        return self._reading(root, tree, children_count=0)

    def _reading(self, root: Process, tree: Usage, *, children_count: int) -> Reading:
        reading = Reading()
        reading.time_ns = time.time_ns()
        reading.pid = self.pid
        reading.process = root.usage
        reading.tree = tree
        reading.reaped_voluntary = root.reaped_voluntary
        reading.reaped_involuntary = root.reaped_involuntary
        reading.children_count = children_count
        reading.memory_total_bytes = self._memory_total_bytes
        reading.peak_bytes = root.peak_bytes
        reading.peak_seen_bytes = self._peak_seen_bytes
        reading.status = root.status
        reading.cpu_num = root.cpu_num
        return reading

    def _settled(self) -> tuple[Process, _Look, set[int]]:
        """
        Read until nothing ends in between; also return the ids of what may not be read.

        A process that is listed again after it could not be read has not ended: it is hidden.
        """
        missing_before: set[int] = set()
        for _ in range(_ATTEMPTS):
            look = _Look(self._proc, self._ignore_pids, lists_children=self._lists_children)
            # Children are listed before their parent is read, and read after it: one that ends
            # in between is missing or counted by its parent, never both.
            children = look.children(self._root, self.pid) if self._has_children() else []
            root = self._read_root()
            look.follow(children)
            look.follow_strays(self._known)
            hidden = look.missing & missing_before
            if look.missing == hidden:
                break
            missing_before = look.missing
        return root, look, hidden

    def _has_children(self) -> bool:
        """Ask the kernel where it can be asked: listing takes 2 µs a thread."""
        if not self._is_own:
            return True
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WALL)
        except ChildProcessError:
            return False
        return True

    def _read_root(self) -> Process:
        root = self._root.read()
        if self._is_own:
            _take_own(root)
        return root

    def _retire(self, members: dict[int, Process]) -> None:
        """Keep of descendants that have ended what no living process counts."""
        for pid, before in self._known.items():
            after = members.get(pid)
            if after is not None and after.start_ticks == before.start_ticks:
                continue
            lost = before.with_reaped().without_held()
            if not before.is_stray:
                # Its parent has got its CPU time and I/O, and its switches if the parent is us.
                if self._is_own:
                    continue
                lost.cpu_user_s = lost.cpu_system_s = lost.read_bytes = lost.write_bytes = 0
            self._lost = lost if self._lost is None else self._lost + lost
        self._known = members

    def _note_peak(self, tree: Usage, members: Mapping[int, Process]) -> None:
        peaks = [self._peak_seen_bytes, tree.memory_resident_bytes]
        # The peak of a process that is older than the try may be older than the try.
        peaks += [
            member.peak_bytes
            for member in members.values()
            if member.start_ticks is not None and member.start_ticks >= self._began_ticks
        ]
        self._peak_seen_bytes = highest(*peaks)


def _take_own(process: Process) -> resource.struct_rusage:
    """Take what the calling process is told of itself; return it."""
    # To the microsecond, where /proc has hundredths of a second.
    mine = resource.getrusage(resource.RUSAGE_SELF)
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    process.usage.cpu_user_s, process.usage.cpu_system_s = mine.ru_utime, mine.ru_stime
    process.reaped_user_s, process.reaped_system_s = reaped.ru_utime, reaped.ru_stime
    process.reaped_voluntary, process.reaped_involuntary = reaped.ru_nvcsw, reaped.ru_nivcsw
    return mine


class _Look:
    """One pass over the descendants of a process."""

    def __init__(self, proc: str, ignore_pids: Set[int], *, lists_children: bool) -> None:
        self.members: dict[int, Process] = {}
        self.missing: set[int] = set()
        """Listed as children, but not to be read: ended or hidden."""
        self._proc = proc
        self._ignore_pids = ignore_pids
        self._lists_children = lists_children
        self._by_parent: dict[int, list[int]] | None = None

    def children(self, files: ProcFiles, pid: int) -> list[int]:
        """Return the ids of a process's children."""
        if self._lists_children:
            return files.children()
        if self._by_parent is None:
            self._by_parent = children_by_parent(self._proc)
        return self._by_parent.get(pid, []).copy()

    def follow(self, pids: list[int]) -> None:
        """Read processes and all their descendants."""
        waiting = pids
        while waiting:
            pid = waiting.pop()
            if pid in self.members or pid in self.missing or pid in self._ignore_pids:
                continue
            files = self._files(pid)
            children = self.children(files, pid)
            try:
                self.members[pid] = files.read()
            except ProcessLookupError:
                self.missing.add(pid)
                continue
            waiting += children

    def follow_strays(self, known: Mapping[int, Process]) -> None:
        """Read those known from before that live on outside the tree."""
        for pid, before in known.items():
            if pid in self.members or pid in self.missing:
                continue
            try:
                is_same = self._files(pid).read().start_ticks == before.start_ticks
            except ProcessLookupError:
                continue
            if is_same:
                self.follow([pid])
                if pid in self.members:
                    self.members[pid].is_stray = True

    def _files(self, pid: int) -> ProcFiles:
        return ProcFiles(f"{self._proc}/{pid}", is_real=self._proc == "/proc")
