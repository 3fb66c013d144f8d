"""
Sample a worker's tries from beside it: a process that no C code in the worker can stop.

Flow: worker -> sampler_client -> **sampler_process** -> sampler_client -> worker
Run by path, ``python -I -S sampler_process.py PID START WILL``: it loads four small files of ours
and not the package, and holds 8 MB.
Where the worker dies with a try that it has said nothing of, this process says that it ran
(``otel_parsl.last_words``).
What the worker says on stdin is a state, not a queue: only the newest line counts, and while a try
runs it is looked at once a second, so that thousands of short tries cost this process nothing.
"""

from __future__ import annotations

import math
import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from otel_parsl.sampling.process_tree import ProcessTree
    from otel_parsl.sampling.sampler_lines import Begun

_STDIN, _STDOUT = 0, 1
_NAP_S = 1.0
# Where the kernel has no pidfd (before 5.3) the worker's end is looked for.
_LOOK_FOR_WORKER_S = 5.0
# Three hours at an interval of 10 s, should the worker be stuck for so long; half a megabyte.
_MOST_UNREAD = 1024


class Sampler:
    """
    Follow what the worker says and write readings until the worker ends.

    Args:
        tree: The worker's processes.
        pidfd: Becomes readable when the worker ends; None where the kernel has none.
    """

    def __init__(self, tree: ProcessTree, pidfd: int | None) -> None:
        from otel_parsl.sampling.process_usage import boot_clock_s
        from otel_parsl.sampling.sampler_lines import parse_state, reading_line

        self._now_s = boot_clock_s
        self._parse_state = parse_state
        self._reading_line = reading_line
        self._tree = tree
        self._pidfd = pidfd
        self._begun: Begun | None = None
        self._due_s = 0.0
        self._unread: list[bytes] = []
        # Of so many samples one is kept while nobody reads them, and so many came since the last.
        self._kept_of = 1
        self._passed = 0
        self._dropped = 0

    def run(self) -> None:
        """Sample until the worker ends, closes its end, or is no more to be read."""
        try:
            while self._wait() and self._take_state():
                self._sample_if_due()
                self._write()
        except (ProcessLookupError, BrokenPipeError):
            return

    def last_words(self) -> bytes:
        """Return those of the try that the worker, which has ended, left running, if any."""
        self._take_state()  # of a try that began since
        return b"" if self._begun is None else self._begun.last_words

    def _wait(self) -> bool:
        """Wait for the next thing to do; return whether the worker lives."""
        readers = [] if self._pidfd is None else [self._pidfd]
        timeout_s = None if readers else _LOOK_FOR_WORKER_S
        if self._begun is None:
            readers.append(_STDIN)
        else:
            timeout_s = max(0.0, min(_NAP_S, self._due_s - self._now_s()))
        readable, _, _ = select.select(readers, [_STDOUT] if self._unread else [], [], timeout_s)
        if self._pidfd is None:
            return self._tree.read().status != "zombie"
        return self._pidfd not in readable

    def _take_state(self) -> bool:
        """Take the newest line of stdin; return whether the worker still has its end open."""
        try:
            lines = os.read(_STDIN, 1 << 16)
        except BlockingIOError:
            return True
        if lines:
            self._begun = begun = self._parse_state(lines.splitlines()[-1])
            if begun is not None:
                is_sampled = begun.interval_s > 0
                self._due_s = begun.began_s + begun.interval_s if is_sampled else math.inf
                self._tree.restart(begun.began_s)
        return bool(lines)

    def _sample_if_due(self) -> None:
        begun, now_s = self._begun, self._now_s()
        if begun is None or now_s < self._due_s:
            return
        reading = self._tree.read()
        self._due_s += begun.interval_s * (1 + (now_s - self._due_s) // begun.interval_s)
        # Of another try, should this one have ended while it was read.
        if self._take_state() and self._begun is begun:
            self._keep(self._reading_line(begun.number, reading, self._dropped))

    def _keep(self, line: bytes) -> None:
        """Keep a sample until it is read; of too many every second one, and of those to come."""
        self._passed += 1
        if self._passed < self._kept_of:
            self._dropped += 1
            return
        self._passed = 0
        self._unread.append(line)
        if len(self._unread) > _MOST_UNREAD:
            # Were those to come all kept, the oldest would be thinned to nothing.
            self._kept_of *= 2
            self._dropped += len(self._unread[1::2])
            del self._unread[1::2]

    def _write(self) -> None:
        while self._unread:
            try:
                os.write(_STDOUT, self._unread[0])
            except BlockingIOError:
                return
            del self._unread[0]
        self._kept_of = 1


def main(pid: int, start_ticks: int, will: int) -> None:
    """
    Leave the worker's children, then sample it.

    A worker's program may wait for all its children to end, kill them, or count them: the helper
    is none of them.

    Args:
        pid: The worker.
        start_ticks: When it began: by now another process may have its id.
        will: The descriptor of what it leaves: see ``otel_parsl.last_words``.
    """
    if child := os.fork():
        os.write(_STDOUT, b"%d\n" % child)
        os._exit(0)
    # The package without its __init__, which is no business of this process.
    package = type(sys)("otel_parsl")
    package.__path__ = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
    sys.modules["otel_parsl"] = package
    from otel_parsl.sampling.process_tree import ProcessTree

    tree = ProcessTree(pid)
    try:
        pidfd = os.pidfd_open(pid)
    except (AttributeError, OSError):
        pidfd = None
    sampler = Sampler(tree, pidfd)
    if tree.start_ticks() == start_ticks:
        sampler.run()
    if last_words := sampler.last_words():
        # The package itself now, for this alone: no try waits for it.
        del sys.modules["otel_parsl"]
        sys.path.insert(0, os.path.dirname(package.__path__[0]))
        from otel_parsl.last_words import say

        say(os.pread(will, os.fstat(will).st_size, 0), last_words)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
