"""
Which tries this process runs now, and whether one has it to itself.

Flow: worker -> **open_tries**
What a process has used, and its environment variables, are those of a try only where no other runs
beside it: an executor may run several in threads of one worker, as Parsl's thread pool does in the
submit process.
"""

from __future__ import annotations

import os
import threading


class OpenTry:
    """
    A try that runs in this process.

    Args:
        has_process: Whether the process is its own, as far as is known by now.
    """

    __slots__ = ("has_process",)

    def __init__(self, *, has_process: bool) -> None:
        self.has_process = has_process
        """Whether no other try has run beside it; once False, never True again."""


class _Process:
    """The tries that one process runs."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.tries: set[OpenTry] = set()


_process = _Process()


def enter(*, is_workers: bool) -> OpenTry:
    """
    Note that a try begins.

    Args:
        is_workers: Whether the process is a worker; False for the submit process, which does more
            than to run tries.
    """
    global _process
    if _process.pid != os.getpid():
        _process = _Process()  # what a fork has in its memory runs elsewhere
    process = _process
    with process.lock:
        entered = OpenTry(has_process=is_workers and not process.tries)
        for other in process.tries:
            other.has_process = False
        process.tries.add(entered)
    return entered


def leave(entered: OpenTry) -> None:
    """Note that a try has ended."""
    process = _process
    with process.lock:
        process.tries.discard(entered)
