"""The pages of a run, served by a process beside it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

_LINES = 3
"""What the server says once it listens: how it is reached from here and from afar."""
_END_S = 5.0


class DashboardProcess:
    """
    Serves a database from the moment that it is there until it is closed, or this process ends.

    Args:
        database: Its URL.
        log: The file that takes what goes wrong.
        said: Is told how the pages are reached, once they are, in another thread; nothing, where
            they end before.
    """

    def __init__(
        self, database: str, log: Path, said: Callable[[Sequence[str]], None] | None
    ) -> None:
        self._log = log
        self._said = said
        self._is_closed = False
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "otel_parsl_dashboards.beside_run"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=log.parent,  # else a module of the user's could stand in for one of Python's
                env=_environment(),
                text=True,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            stdin.write(f"{database}\n")
        self._thread = threading.Thread(target=self._read, name="otel-parsl-pages", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._is_closed = True
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        lines = []
        with self._process.stdout as output:
            for line in output:
                lines.append(line.rstrip("\n"))
                if len(lines) == _LINES and self._said is not None:
                    self._said(lines)
        if len(lines) < _LINES and self._said is not None:
            self._said([])
        if not self._is_closed:
            logger.warning(
                "the dashboard has ended; the run goes on. See %s, or run: otel-parsl visualize",
                self._log,
            )


def _environment() -> dict[str, str]:
    """Return this process's, good for another directory."""
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    absolute = [os.path.abspath(path) for path in paths if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(absolute)}
