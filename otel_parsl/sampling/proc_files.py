"""
Read one process from its files in /proc.

Flow: **proc_files** -> process_tree
Whoever reads another process races with its end, and may be refused: what has ended raises
ProcessLookupError, what is refused or missing is None.
"""

from __future__ import annotations

import os

from otel_parsl.sampling.process_usage import Usage, plus

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_LINE_BYTES = 2048
# Long enough for the groups of a user who is in a thousand of them.
_STATUS_BYTES = 16384
_START_BYTES = 5

# psutil's words, which are those in Parsl's table.
_STATUS_WORDS = {
    b"R": "running",
    b"S": "sleeping",
    b"D": "disk-sleep",
    b"T": "stopped",
    b"t": "tracing-stop",
    b"Z": "zombie",
    b"X": "dead",
    b"x": "dead",
    b"K": "wake-kill",
    b"W": "waking",
    b"I": "idle",
    b"P": "parked",
}
# Places in /proc/pid/stat, counted from the word after the name.
_STATE, _PARENT, _UTIME, _STIME, _CUTIME, _CSTIME = 0, 1, 11, 12, 13, 14
_THREADS, _START, _PROCESSOR = 17, 19, 36


class Process:
    """One process as it was read."""

    __slots__ = (
        "cpu_num",
        "is_stray",
        "peak_bytes",
        "reaped_involuntary",
        "reaped_system_s",
        "reaped_user_s",
        "reaped_voluntary",
        "start_ticks",
        "status",
        "usage",
    )

    def __init__(self) -> None:
        self.usage = Usage()
        self.reaped_user_s = 0.0
        """What descendants that were waited for have used; their I/O is in the usage already."""
        self.reaped_system_s = 0.0
        self.reaped_voluntary = 0
        """Only the process itself is told of these: 0 where another one is read."""
        self.reaped_involuntary = 0
        self.start_ticks: int | None = None
        self.peak_bytes: int | None = None
        self.status: str | None = None
        self.cpu_num: int | None = None
        self.is_stray = False
        """Its parent has left the tree."""

    def with_reaped(self) -> Usage:
        """Return the usage with that of the descendants that were waited for."""
        usage = Usage(self.usage.values())
        usage.cpu_user_s = plus(usage.cpu_user_s, self.reaped_user_s)
        usage.cpu_system_s = plus(usage.cpu_system_s, self.reaped_system_s)
        usage.voluntary = plus(usage.voluntary, self.reaped_voluntary)
        usage.involuntary = plus(usage.involuntary, self.reaped_involuntary)
        return usage


class _KeptFile:
    """
    A file of /proc that stays open in a process that is not ours.

    The user's program may close it (``os.closerange``) and get its number for a file of its own.
    """

    __slots__ = ("_fd", "_identity", "_start")

    def __init__(self, fd: int, data: bytes) -> None:
        self._fd = fd
        self._start = data[:_START_BYTES]
        self._identity = _identity(fd)

    def read(self, size: int) -> bytes:
        """Return what it holds now, nothing when the process has ended or it is another file."""
        try:
            data = os.pread(self._fd, size, 0)
        except OSError:
            return b""
        return data if data.startswith(self._start) else b""

    def close(self) -> None:
        """Close it unless it is another file."""
        try:
            if _identity(self._fd) == self._identity:
                os.close(self._fd)
        except OSError:
            return


class ProcFiles:
    """
    The files of one process under /proc.

    Args:
        folder: The process's folder.
        is_real: Whether it is the kernel's, not a copy of its files.
        keep_open: Keep them open: 1 µs less a file, and never another process with the same id.
    """

    def __init__(self, folder: str, *, is_real: bool, keep_open: bool = False) -> None:
        self.folder = folder
        self._is_real = is_real
        self._keep_open = keep_open
        self._kept: dict[str, _KeptFile] = {}

    def read(self) -> Process:
        """
        Read the process.

        Raises:
            ProcessLookupError: When it has ended.
        """
        process = Process()
        _take_stat(process, self._contents("stat", _LINE_BYTES), has_times=True)
        _take_memory(process.usage, self._contents("statm", _LINE_BYTES))
        _take_status(process, self._contents("status", _STATUS_BYTES))
        _take_io(process.usage, self._contents("io", _LINE_BYTES))
        process.usage.fd_count = self._fd_count()
        return process

    def read_held(self) -> Process:
        """Read what the process itself is not told by ``getrusage``."""
        process = Process()
        _take_stat(process, self._contents("stat", _LINE_BYTES), has_times=False)
        _take_memory(process.usage, self._contents("statm", _LINE_BYTES))
        _take_io(process.usage, self._contents("io", _LINE_BYTES))
        return process

    def resident_bytes(self) -> int | None:
        """Return the resident memory alone."""
        usage = Usage()
        _take_memory(usage, self._contents("statm", _LINE_BYTES))
        return usage.memory_resident_bytes

    def traffic(self) -> tuple[int | None, int | None]:
        """Return the bytes read and written alone."""
        usage = Usage()
        _take_io(usage, self._contents("io", _LINE_BYTES))
        return usage.read_bytes, usage.write_bytes

    def children(self) -> list[int]:
        """Return the ids of its children, none where they are refused or it has ended."""
        found: list[int] = []
        tasks = f"{self.folder}/task"
        try:
            threads = os.listdir(tasks)
        except OSError:
            return found
        for thread in threads:
            try:
                found += map(int, _whole(f"{tasks}/{thread}/children").split())
            except (OSError, ValueError):
                continue
        return found

    def reset_peak(self) -> bool:
        """Make the peak of the resident memory start anew; return whether that was possible."""
        # Opened each time: a kept number could by now be a file of the user's, and this writes.
        try:
            fd = os.open(f"{self.folder}/clear_refs", os.O_WRONLY)
        except OSError:
            return False
        try:
            os.write(fd, b"5")
        except OSError:
            return False
        finally:
            os.close(fd)
        return True

    def close(self) -> None:
        """Close what is kept open; the next reading opens it again."""
        kept, self._kept = self._kept, {}
        for one in kept.values():
            one.close()

    __del__ = close

    def _contents(self, name: str, size: int) -> bytes:
        """
        Return a file's contents, empty where they are refused or missing.

        Raises:
            ProcessLookupError: When the process has ended.
        """
        if (kept := self._kept.get(name)) is not None:
            if data := kept.read(size):
                return data
            del self._kept[name]
            kept.close()
        try:
            return self._opened(name, size)
        except (FileNotFoundError, ProcessLookupError):
            if not os.path.exists(f"{self.folder}/stat"):
                raise ProcessLookupError(f"{self.folder} is gone") from None
            return b""
        except OSError:
            return b""

    def _opened(self, name: str, size: int) -> bytes:
        fd = os.open(f"{self.folder}/{name}", os.O_RDONLY)
        try:
            data = os.pread(fd, size, 0)
        except OSError:
            os.close(fd)
            raise
        if self._keep_open and data:
            self._kept[name] = _KeptFile(fd, data)
        else:
            os.close(fd)
        return data

    def _fd_count(self) -> int | None:
        folder = f"{self.folder}/fd"
        try:
            # Linux 6.2 and later say it in the size.
            if self._is_real and (count := os.stat(folder).st_size):
                return count
            count = len(os.listdir(folder))
        except OSError:
            return None
        # A process that lists its own folder finds the descriptor it lists with.
        return count - 1 if self._is_real and self.folder == "/proc/self" else count


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def children_by_parent(proc: str) -> dict[int, list[int]]:
    """Return all parents' children, for kernels that do not list them: reads every process."""
    found: dict[int, list[int]] = {}
    for name in os.listdir(proc):
        if name.isdigit():
            try:
                parent = int(_words(_whole(f"{proc}/{name}/stat"))[_PARENT])
            except (OSError, ValueError, IndexError):
                continue
            found.setdefault(parent, []).append(int(name))
    return found


def memory_total_bytes(proc: str) -> int | None:
    """Return the physical memory of the machine."""
    try:
        return int(_whole(f"{proc}/meminfo").split(b"MemTotal:")[1].split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        return None


def _whole(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while part := os.read(fd, 4096):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def _words(stat: bytes) -> list[bytes]:
    """Return the words after the name, which may hold blanks and parentheses itself."""
    return stat[stat.rindex(b")") + 2 :].split()


def _take_stat(process: Process, stat: bytes, *, has_times: bool) -> None:
    try:
        words = _words(stat)
        usage = process.usage
        if has_times:
            usage.cpu_user_s = int(words[_UTIME]) / _TICKS_A_SECOND
            usage.cpu_system_s = int(words[_STIME]) / _TICKS_A_SECOND
            process.reaped_user_s = int(words[_CUTIME]) / _TICKS_A_SECOND
            process.reaped_system_s = int(words[_CSTIME]) / _TICKS_A_SECOND
            process.start_ticks = int(words[_START])
        usage.thread_count = int(words[_THREADS])
        process.status = _STATUS_WORDS.get(words[_STATE])
        process.cpu_num = int(words[_PROCESSOR])
    except (ValueError, IndexError):
        return


def _take_memory(usage: Usage, statm: bytes) -> None:
    # Exact, where the same figure in stat may be off by some pages for each processor.
    try:
        virtual, resident, _ = statm.split(None, 2)
        usage.memory_virtual_bytes = int(virtual) * _PAGE_BYTES
        usage.memory_resident_bytes = int(resident) * _PAGE_BYTES
    except ValueError:
        return


def _take_status(process: Process, status: bytes) -> None:
    try:
        # A zombie has no memory, and a kernel thread neither.
        if (at := status.find(b"\nVmHWM:")) >= 0:
            process.peak_bytes = int(status[at + 7 : status.index(b"kB", at)]) * 1024
        words = status[status.rindex(b"\nvoluntary_ctxt_switches:") :].split(None, 4)
        process.usage.voluntary, process.usage.involuntary = int(words[1]), int(words[3])
    except (ValueError, IndexError):
        return


def _take_io(usage: Usage, io: bytes) -> None:
    try:
        words = io.split(None, 4)
        usage.read_bytes, usage.write_bytes = int(words[1]), int(words[3])
    except (ValueError, IndexError):
        return
