"""
What one try has used since its start, its children included.

Flow: process_tree (or psutil_tree) -> **sampling** -> worker -> samples
A try without children costs 10 µs where it begins and a reading of 15 µs at its end; a child adds
30 µs to each.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from otel_parsl.sampling.process_usage import Reading, boot_clock_s, highest

if TYPE_CHECKING:
    from otel_parsl.sampling.process_tree import ProcessTree
    from otel_parsl.sampling.psutil_tree import PsutilTree


class Sample(NamedTuple):
    """
    What one try has used since its start, children included.

    None is what could not be measured; never 0.
    """

    time_ns: int
    """When it was read, in UTC nanoseconds."""
    pid: int
    """The worker process."""
    cpu_user_s: float | None
    """Seconds since the try's start, with children, the living and those waited for."""
    cpu_system_s: float | None
    memory_resident_bytes: int | None
    """Sum over the process and its living descendants."""
    memory_virtual_bytes: int | None
    memory_percent: float | None
    """Resident memory in percent of the machine's."""
    memory_peak_bytes: int | None
    """Highest resident memory of the process during the try, or of the tree when it was read; where
    neither went beyond what was held before, the highest when it was read."""
    children_count: int | None
    read_bytes: int | None
    """Bytes read since the try's start, from whatever: files, caches, pipes."""
    write_bytes: int | None
    context_switches_voluntary: int | None
    """Since the try's start, of main threads, as psutil counts them."""
    context_switches_involuntary: int | None
    status: str | None
    """State of the process in psutil's words."""
    cpu_num: int | None
    """Processor the process last ran on."""


class ProcessReading(NamedTuple):
    """
    What the worker process itself has used since it was started, its children left out.

    Bytes are an exception: the system adds those of children that were waited for.
    """

    time_ns: int
    cpu_user_s: float | None
    cpu_system_s: float | None
    memory_resident_bytes: int | None
    memory_virtual_bytes: int | None
    read_bytes: int | None
    write_bytes: int | None
    context_switches_voluntary: int | None
    context_switches_involuntary: int | None
    thread_count: int | None
    fd_count: int | None


class Baseline(NamedTuple):
    """Where the counters stood when a try began; plain values, to be handed to the helper."""

    began_s: float
    """By ``process_usage.boot_clock_s``."""
    cpu_user_s: float | None
    cpu_system_s: float | None
    read_bytes: int | None
    write_bytes: int | None
    voluntary: int | None
    involuntary: int | None
    reaped_voluntary: int
    """Those that came with children waited for, which no other process can know."""
    reaped_involuntary: int
    peak_bytes: int | None
    """The process's peak so far, 0 where it starts anew with the try."""

    def seen_from_beside(self) -> Baseline:
        """Return where the counters stood for another process that reads this one."""
        voluntary, involuntary = self.voluntary, self.involuntary
        return self._replace(
            voluntary=None if voluntary is None else voluntary - self.reaped_voluntary,
            involuntary=None if involuntary is None else involuntary - self.reaped_involuntary,
        )


class TrySampler:
    """
    Sample the tries that one process runs, one after another.

    Any thread may ask; a sample is always of one try, the one begun last.

    Args:
        pid: The process that runs the tries; the calling one by default.
        proc: Where /proc is.
        ignore_pids: Descendants to leave out.
    """

    _tree: ProcessTree | PsutilTree
    _baseline: Baseline | None
    _seen: Sample | None

    def __init__(
        self, pid: int | None = None, *, proc: str = "/proc", ignore_pids: Iterable[int] = ()
    ) -> None:
        self._is_own = pid is None
        self._pid = os.getpid() if pid is None else pid
        self._proc = proc
        self.ignore_pids = set(ignore_pids)
        """May be added to at any time."""
        self._attach()

    def begin(self) -> Baseline:
        """
        Mark the start of a try.

        Returns:
            Where the counters stood, for ``SamplerProcess.begin``.

        Raises:
            ProcessLookupError: When the process, another than the calling one, has ended.
        """
        self._reattach_after_fork()
        with self._lock:
            return self._begin()

    def sample(self) -> Sample:
        """
        Return what the try begun last has used so far; begin one if none has begun.

        Raises:
            ProcessLookupError: When the process, another than the calling one, has ended.
        """
        self._reattach_after_fork()
        with self._lock:
            baseline = self._baseline or self._begin()
            reading = self._tree.read_own() if _is_main_thread() else None
            sample = sample_since(baseline, reading or self._tree.read())
            return self._include(sample)

    def include(self, sample: Sample) -> Sample:
        """
        Take in what the helper saw of the try begun last.

        Returns:
            The sample, with no less of what only grows than any before it: of CPU time the helper
            is told hundredths of a second, the worker microseconds.
        """
        with self._lock:
            return self._include(sample)

    def process(self) -> ProcessReading:
        """Return what the process itself has used."""
        self._reattach_after_fork()
        with self._lock:
            reading = self._tree.read()
            used = reading.process
            return ProcessReading(
                reading.time_ns,
                used.cpu_user_s,
                used.cpu_system_s,
                used.memory_resident_bytes,
                used.memory_virtual_bytes,
                used.read_bytes,
                used.write_bytes,
                used.voluntary,
                used.involuntary,
                used.thread_count,
                used.fd_count,
            )

    def _include(self, sample: Sample) -> Sample:
        self._seen = sample if self._seen is None else _never_below(sample, self._seen)
        return self._seen

    def _begin(self) -> Baseline:
        tree = self._tree
        began_s = boot_clock_s()
        tree.restart(began_s)
        self._seen = None
        if _is_main_thread() and (counters := tree.own_counters()) is not None:
            self._baseline = Baseline(began_s, *counters)
            return self._baseline
        peak_starts_anew = tree.reset_peak()
        reading = tree.read()
        used = reading.tree
        self._baseline = Baseline(
            began_s,
            used.cpu_user_s,
            used.cpu_system_s,
            used.read_bytes,
            used.write_bytes,
            used.voluntary,
            used.involuntary,
            reading.reaped_voluntary,
            reading.reaped_involuntary,
            0 if peak_starts_anew else reading.peak_bytes,
        )
        return self._baseline

    def _attach(self) -> None:
        self._lock = threading.Lock()
        self._baseline = None
        self._seen = None
        self._tree = _tree(self._pid, self._proc, self.ignore_pids)

    def _reattach_after_fork(self) -> None:
        if self._is_own and self._pid != os.getpid():
            self._pid = os.getpid()
            self._attach()


def _is_main_thread() -> bool:
    """Tell whether the caller's context switches are the process's, as psutil counts."""
    return threading.get_ident() == threading.main_thread().ident


def sample_since(baseline: Baseline, reading: Reading) -> Sample:
    """Return what was used between the start of a try and a reading."""
    used = reading.tree
    resident, total = used.memory_resident_bytes, reading.memory_total_bytes
    peak = reading.peak_bytes
    if peak is not None and (baseline.peak_bytes is None or peak <= baseline.peak_bytes):
        # Older than the try, for all that is known.
        peak = None
    return Sample(
        time_ns=reading.time_ns,
        pid=reading.pid,
        cpu_user_s=_seconds_since(baseline.cpu_user_s, used.cpu_user_s),
        cpu_system_s=_seconds_since(baseline.cpu_system_s, used.cpu_system_s),
        memory_resident_bytes=resident,
        memory_virtual_bytes=used.memory_virtual_bytes,
        memory_percent=resident / total * 100 if resident is not None and total else None,
        memory_peak_bytes=highest(peak, reading.peak_seen_bytes),
        children_count=reading.children_count,
        read_bytes=_since(baseline.read_bytes, used.read_bytes),
        write_bytes=_since(baseline.write_bytes, used.write_bytes),
        context_switches_voluntary=_since(baseline.voluntary, used.voluntary),
        context_switches_involuntary=_since(baseline.involuntary, used.involuntary),
        status=reading.status,
        cpu_num=reading.cpu_num,
    )


_ONLY_GROW = (
    "cpu_user_s",
    "cpu_system_s",
    "memory_peak_bytes",
    "read_bytes",
    "write_bytes",
    "context_switches_voluntary",
    "context_switches_involuntary",
)


def _never_below(sample: Sample, floor: Sample) -> Sample:
    raised = {}
    for field in _ONLY_GROW:
        least, value = getattr(floor, field), getattr(sample, field)
        if least is not None and value is not None and value < least:
            raised[field] = least
    if sample.memory_peak_bytes is None:
        raised["memory_peak_bytes"] = floor.memory_peak_bytes
    return sample._replace(**raised)


def _seconds_since(before: float | None, now: float | None) -> float | None:
    # Hundredths in the helper, microseconds in the worker: rounding down may leave a bit below 0.
    return None if before is None or now is None else max(0.0, round(now - before, 6))


def _since(before: int | None, now: int | None) -> int | None:
    return None if before is None or now is None else max(0, now - before)


def _tree(pid: int, proc: str, ignore_pids: set[int]) -> ProcessTree | PsutilTree:
    if os.path.exists(f"{proc}/{pid}/stat") or os.path.exists(f"{proc}/meminfo"):
        from otel_parsl.sampling.process_tree import ProcessTree

        return ProcessTree(pid, proc=proc, ignore_pids=ignore_pids)
    from otel_parsl.sampling.psutil_tree import PsutilTree

    return PsutilTree(pid, ignore_pids=ignore_pids)
