"""
The worker's end of the helper process that samples long tries.

Flow: worker -> **sampler_client** -> sampler_process -> **sampler_client** -> worker
Nothing here raises, and nothing waits but the constructor: without its helper a worker goes on.
The line that says which try runs lies in a pipe as in a letter box: the worker takes out what the
helper has not read before it puts in the next, so that the pipe never fills and a short try wakes
nobody.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading

from otel_parsl.sampling.proc_files import ProcFiles
from otel_parsl.sampling.sampler import Baseline, Sample, TrySampler, sample_since
from otel_parsl.sampling.sampler_lines import END, Begun, begin_line, parse_reading

_START_TIMEOUT_S = 10.0
_READ_BYTES = 1 << 16
_KNOWN = 64
"""How many tries back samples are told apart; the tries between have ended unseen by the helper."""


class SamplerProcess:
    """
    A helper process that samples the tries of one worker process.

    Any thread may call; in a forked child of the worker every call does nothing.

    Args:
        pid: The worker process; the calling one by default.
    """

    def __init__(self, pid: int | None = None) -> None:
        self.failures = 0
        """How often the helper could not be started, ended by itself, or was not understood."""
        self.failure = ""
        """What the last of them was."""
        self.dropped = 0
        """How many samples the helper gave up since nobody read them."""
        self.helper_pid: int | None = None
        """The helper: for ``ignore_pids``, should the worker adopt orphans (as PID 1 does)."""
        self._worker_pid = os.getpid() if pid is None else pid
        self._owner_pid = os.getpid()
        self._lock = threading.Lock()
        self._own_sampler: TrySampler | None = None
        self._unfinished = b""
        self._begun = 0
        self._tries: dict[int, tuple[str, Baseline]] = {}
        self._letter_box: tuple[int, int] | None = None
        self._readings = self._will = -1
        try:
            self._start()
        except (AttributeError, OSError, ValueError, subprocess.SubprocessError) as error:
            self._fail(f"could not be started: {error}")

    @property
    def is_running(self) -> bool:
        """Whether there is a helper, as far as was noticed by ``read``."""
        return self._letter_box is not None

    def begin(
        self,
        token: str,
        interval_s: float,
        baseline: Baseline | None = None,
        last_words: bytes = b"",
    ) -> None:
        """
        Have a try sampled from now on, once every interval since it began.

        Args:
            token: What its samples come back with.
            interval_s: Seconds between samples; with 0 or less it is not sampled.
            baseline: What ``TrySampler.begin`` returned; by default a try begins now.
            last_words: What is said if the worker ends before it; see ``otel_parsl.last_words``.
        """
        if not self._is_usable():
            return
        with self._lock:
            if interval_s <= 0:
                self._post(begin_line(Begun(0.0, 0.0, 0, last_words)))
                return
            self._post(self._begin_line(token, interval_s, baseline, last_words))

    def leave(self, will: bytes) -> None:
        """
        Leave what last words are said with, in place of what was left before.

        Args:
            will: See ``otel_parsl.last_words``.
        """
        if not self._is_usable():
            return
        with self._lock:
            self._post(END)  # what is left now is not for the try before
            if not self._is_usable():
                return
            try:
                os.ftruncate(self._will, 0)
                os.pwrite(self._will, will, 0)
            except OSError as error:
                self._fail(f"cannot be told: {error}")

    def end(self) -> None:
        """Say that the try has ended."""
        if self._is_usable():
            with self._lock:
                self._post(END)

    def read(self) -> list[tuple[str, Sample]]:
        """Return the samples that have arrived since the last call, with their tokens; no wait."""
        if not self._is_usable():
            return []
        with self._lock:
            lines = (self._unfinished + self._arrived()).split(b"\n")
            self._unfinished = lines.pop()
            return [sample for line in lines if (sample := self._parse(line)) is not None]

    def fileno(self) -> int:
        """Return the descriptor that is readable when samples have arrived; -1 without helper."""
        return self._readings

    def close(self) -> None:
        """Let the helper end, which it does within a second; safe to call twice."""
        if self._owner_pid == os.getpid():
            with self._lock:
                self._close()

    def _start(self) -> None:
        if not sys.executable:
            raise FileNotFoundError("this Python does not say where its executable is")
        worker = ProcFiles(f"/proc/{self._worker_pid}", is_real=True).read()
        # An instrumented worker (LD_PRELOAD) is no reason to instrument the helper.
        environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sampler_process.py")
        command = [sys.executable, "-I", "-S", "-B", script]
        box_read, box_write = os.pipe()
        readings_read, readings_write = os.pipe()
        for fd in (box_read, box_write, readings_read, readings_write):
            os.set_blocking(fd, False)
        self._letter_box, self._readings = (box_read, box_write), readings_read
        try:
            # In memory alone: it holds the run's token.
            self._will = os.memfd_create("otel-parsl")
            starter = subprocess.Popen(
                [*command, str(self._worker_pid), str(worker.start_ticks), str(self._will)],
                pass_fds=(self._will,),
                stdin=box_read,
                stdout=readings_write,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(readings_write)
        try:
            starter.wait(_START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            starter.kill()
            starter.wait()
            raise
        # Its own child, the helper, is nobody's: said before the starter ended.
        self.helper_pid = int(os.read(readings_read, _READ_BYTES))

    def _is_usable(self) -> bool:
        return self._letter_box is not None and self._owner_pid == os.getpid()

    def _begin_line(
        self, token: str, interval_s: float, baseline: Baseline | None, last_words: bytes
    ) -> bytes:
        if baseline is None:
            self._own_sampler = self._own_sampler or TrySampler(self._worker_pid)
            baseline = self._own_sampler.begin()
        # What the samples are of stays here: writing it down would cost every short try.
        self._begun += 1
        self._tries[self._begun] = token, baseline
        self._tries.pop(self._begun - _KNOWN, None)
        return begin_line(Begun(interval_s, baseline.began_s, self._begun, last_words))

    def _post(self, line: bytes) -> None:
        if self._letter_box is None:
            return
        try:
            _empty(self._letter_box[0])
            os.write(self._letter_box[1], line)
        except OSError as error:
            self._fail(f"cannot be told: {error}")

    def _arrived(self) -> bytes:
        parts = []
        try:
            while part := os.read(self._readings, _READ_BYTES):
                parts.append(part)
            self._fail("ended by itself")
        except BlockingIOError:
            pass
        except OSError as error:
            self._fail(f"cannot be heard: {error}")
        return b"".join(parts)

    def _parse(self, line: bytes) -> tuple[str, Sample] | None:
        try:
            number, reading, self.dropped = parse_reading(line)
            if number not in self._tries:
                return None
            token, baseline = self._tries[number]
            return token, sample_since(baseline.seen_from_beside(), reading)
        except (ValueError, TypeError) as error:
            self._note(f"wrote {line[:80]!r}: {error}")
            return None

    def _fail(self, what: str) -> None:
        self._note(what)
        self._close()

    def _note(self, what: str) -> None:
        self.failures += 1
        self.failure = f"sampler process of worker {self._worker_pid}: {what}"

    def _close(self) -> None:
        if self._letter_box is not None:
            for fd in (*self._letter_box, self._readings, self._will):
                with contextlib.suppress(OSError):
                    os.close(fd)
        self._letter_box, self._readings, self._will = None, -1, -1


def _empty(fd: int) -> None:
    try:
        os.read(fd, _READ_BYTES)
    except BlockingIOError:
        return
