"""
Run one real server in the foreground on free loopback ports, its output in a file.

Shared by the backends of tests/support/backends.py; knows none of them.
"""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from typing_extensions import Self

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
READ_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.02
PORT_ATTEMPTS = 5
# Below what Linux hands to outgoing connections, so that none of those takes a port first.
PORT_RANGE = (20_000, 32_000)

Seen = TypeVar("Seen")


class ServerFailed(RuntimeError):
    """A server ended or stayed silent instead of becoming ready; the message has its last lines."""


def wait_for(
    look: Callable[[], Seen | None], *, what: str, timeout_s: float = START_TIMEOUT_S
) -> Seen:
    """
    Look again and again until there is something to see, and return it.

    Args:
        look: Returns None as long as it should be called again.
        what: What is waited for, for the message of the error.
        timeout_s: Seconds until it is given up.

    Raises:
        TimeoutError: When nothing was seen in time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        seen = look()
        if seen is not None:
            return seen
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}.")
        time.sleep(POLL_INTERVAL_S)


def free_ports(count: int) -> tuple[int, ...]:
    """Return different loopback ports on which nothing listens at this moment."""
    sockets: list[socket.socket] = []
    try:
        while len(sockets) < count:
            candidate = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                candidate.bind(("127.0.0.1", random.randrange(*PORT_RANGE)))
            except OSError:
                candidate.close()
            else:
                sockets.append(candidate)
        return tuple(taken.getsockname()[1] for taken in sockets)
    finally:
        for taken in sockets:
            taken.close()


def account_options(user: str | None) -> dict[str, Any]:
    """Return the arguments of Popen that run a program as that account; none for None."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _environment_without_telemetry() -> dict[str, str]:
    # What a test sets for our own code must not configure the backend.
    return {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}


class ServerProcess:
    """
    A server of this test process alone: start, stop, kill, start again on the same ports.

    As a context manager it starts on entry and stops on exit.
    Not to be shared between threads.
    """

    name = ""
    """Names the log file and the errors."""
    ready_line = ""
    """What the server writes when it accepts connections.

    Its own word, rather than an answer on a port, which another test's server might give.
    """
    port_count = 0
    stop_signal = signal.SIGTERM
    kill_signal = signal.SIGKILL
    user: str | None = None
    """The account it runs as; None is that of the tests."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log_file = directory / f"{self.name}.log"
        self.ports: tuple[int, ...] = ()
        """Chosen by the first start, kept by later ones."""
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Return the command line, for `ports`; may write configuration into `directory`."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        """The process id, while it runs."""
        if self._process is None:
            raise ServerFailed(f"{self.name}: not running; call start() first.")
        return self._process.pid

    def start(self) -> None:
        """
        Start it and return when it is ready.

        Raises:
            ServerFailed: When it ends or is silent, or runs already.
        """
        if self._process is not None:
            raise ServerFailed(f"{self.name}: runs already as process {self.pid}.")
        if self.ports:
            self._start_on_ports()
            return
        for attempt in range(PORT_ATTEMPTS):
            self.ports = free_ports(self.port_count)
            try:
                self._start_on_ports()
                return
            except ServerFailed as failure:
                # Between our look and its bind, another test may have taken the port.
                is_last = attempt == PORT_ATTEMPTS - 1
                if is_last or "address already in use" not in str(failure).lower():
                    raise

    def stop(self) -> None:
        """End it as an operator would, and return when it has ended; again is harmless."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it as a crash would, with no time to tidy up."""
        self._end(self.kill_signal)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start_on_ports(self) -> None:
        with self.log_file.open("ab") as log:
            log_start = log.tell()
            self._process = subprocess.Popen(
                self._tied_to_this_process(self.command()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=_environment_without_telemetry(),
                **account_options(self.user),
                # Ctrl-C is for pytest, which then stops the server in good order.
                start_new_session=True,
            )
        process = self._process

        def ready_or_ended() -> bool | None:
            has_ended = process.poll() is not None
            if self.ready_line in self._log_since(log_start):
                return True
            return False if has_ended else None

        try:
            is_ready = wait_for(ready_or_ended, what=f"{self.name} to be ready")
        except BaseException:
            self.kill()
            raise
        if not is_ready:
            self._process = None
            raise ServerFailed(
                f"{self.name}: ended with {process.returncode} before it was ready; "
                f"{self.log_file} says:\n{self._log_since(log_start)[-3000:]}"
            )

    def _tied_to_this_process(self, argv: list[str]) -> list[str]:
        # So that killed tests leave no server behind; without the tool it is only less tidy.
        tool = shutil.which("setpriv")
        return [tool, "--pdeathsig", "KILL", "--", *argv] if tool else argv

    def _log_since(self, position: int) -> str:
        with self.log_file.open("rb") as log:
            log.seek(position)
            return log.read().decode(errors="replace")

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            os.kill(process.pid, number)
        try:
            process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerFailed(
                f"{self.name}: did not end within {STOP_TIMEOUT_S:g} s of {number.name}."
            ) from None
