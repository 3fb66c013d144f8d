"""
What the processes of one Parsl run use, by the part they play.

A run's processes are the submit process, all that was started in its directory, the descendants of
these, and the helpers of its workers, which are nobody's children.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading

import psutil

ROLES = (
    ("otel_parsl_collector.agent", "agent"),
    ("sampler_process.py", "sampler"),
    ("interchange.py", "interchange"),
    ("process_worker_pool.py", "manager"),
)
_MONITORING = ("monitoring", "zmq", "database")
MB = 1e6
LOOK_EVERY_S = 0.5


def cpu_seconds(directory: str) -> dict[str, float]:
    """Return CPU seconds by role, those of ended children included."""
    used: dict[str, float] = {}
    for process, role in _of_run(directory):
        with contextlib.suppress(psutil.Error):
            used[role] = used.get(role, 0.0) + sum(process.cpu_times()[:4])
    return used


def memory_mb(directory: str) -> dict[str, float]:
    """Return MB by role: proportional set size, which counts shared pages once."""
    used: dict[str, float] = {}
    for process, role in _of_run(directory):
        with contextlib.suppress(psutil.Error):
            used[role] = used.get(role, 0.0) + process.memory_full_info().pss / MB
    return used


class MemoryPeak:
    """
    The highest sum of what processes of some roles hold, looked at now and then.

    Args:
        directory: The run's.
        roles: Whose memory; of processes that are there by now.
    """

    def __init__(self, directory: str, roles: tuple[str, ...]) -> None:
        self.mb = 0.0
        self._processes = [process for process, role in _of_run(directory) if role in roles]
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryPeak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            held = 0.0
            for process in self._processes:
                with contextlib.suppress(psutil.Error):
                    held += process.memory_full_info().pss / MB
            self.mb = max(self.mb, held)
            if self._is_over.wait(LOOK_EVERY_S):
                return


def _of_run(directory: str) -> list[tuple[psutil.Process, str]]:
    """Return the processes of the run in ``directory`` whose submit process is this one."""
    commands: dict[int, list[str]] = {}
    children: dict[int, list[int]] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            commands[process.pid] = process.cmdline()
            children.setdefault(process.ppid(), []).append(process.pid)
    waiting = [os.getpid()]
    waiting += [pid for pid, words in commands.items() if any(directory in word for word in words)]
    found: set[int] = set()
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    found |= {pid for pid, words in commands.items() if _worker_of_helper(words) in found}
    roles = []
    for pid in found & commands.keys():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            roles.append((process, _role(process, commands)))
    return roles


def _worker_of_helper(words: list[str]) -> int | None:
    for word, following in itertools.pairwise(words):
        if os.path.basename(word) == "sampler_process.py" and following.isdecimal():
            return int(following)
    return None


def _role(process: psutil.Process, commands: dict[int, list[str]]) -> str:
    if process.pid == os.getpid():
        return "submit"
    command = " ".join(commands[process.pid])
    for part, role in ROLES:
        if part in command:
            return role
    if any(word in process.name().lower() for word in _MONITORING):
        return "hub"
    parent = " ".join(commands.get(process.ppid(), []))
    if "process_worker_pool.py" in parent or "spawn_main" in parent:
        return "workers"
    return "hub" if process.ppid() == os.getpid() and "spawn" in command else "other"
