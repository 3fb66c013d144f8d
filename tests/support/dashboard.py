"""A dashboard server in a process of its own, as a user starts it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

PROGRAM = Path(sys.executable).parent / "otel-parsl"
_START_S = 90


class Dashboard:
    """
    ``otel-parsl visualize`` on a database, for as long as the ``with`` block.

    Args:
        database: A path or a URL.
        log: The file that takes what it prints.
        arguments: Further ones, as ``--port``.
        environment: Variables beside those of this process.
    """

    def __init__(
        self, database: str | Path, log: Path, *arguments: str, **environment: str
    ) -> None:
        self._command = [str(PROGRAM), "visualize", str(database), *arguments]
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        self.log = log
        self._looked_at = 0

    def __enter__(self) -> Self:
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(
                self._command, env=self._environment, stdout=file, stderr=file
            )
        deadline = time.monotonic() + _START_S
        while "then open" not in self.printed:
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < deadline, self.printed
            time.sleep(0.05)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if kind is None:
            self.look_for_faults()

    def look_for_faults(self) -> None:
        """Fail where it has printed a traceback since it was looked at last."""
        printed = self.printed
        since, self._looked_at = printed[self._looked_at :], len(printed)
        assert re.search(r"Traceback|ERROR(?! tornado\.access)", since) is None, since

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return self.log.read_text() if self.log.exists() else ""

    @property
    def address(self) -> str:
        """The address that it printed, token included."""
        match = re.search(r"^Open +(\S+)$", self.printed, re.M)
        assert match is not None, self.printed
        return match[1]

    @property
    def token(self) -> str:
        """The token of that address."""
        return self.address.partition("token=")[2]

    @property
    def root(self) -> str:
        """That address without the token, and without a slash at its end."""
        return self.address.partition("/?")[0]

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.root.rpartition(":")[2].partition("/")[0])


class ScriptedDashboard(Dashboard):
    """
    A server that a script starts, which may change first what does not happen at will.

    Args:
        script: Its text; finds the database, and further arguments, in ``sys.argv``.
        database: A path.
        log: The file that takes what it prints.
        arguments: Further ones of the script.
    """

    def __init__(self, script: str, database: Path, log: Path, *arguments: str | Path) -> None:
        super().__init__(database, log)
        self._command = [sys.executable, "-c", script, str(database), *map(str, arguments)]
