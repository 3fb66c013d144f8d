"""Run ``otel-parsl`` in this process, or by its path as a user does."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from otel_parsl.cli.main import main

PROGRAM = Path(sys.executable).parent / "otel-parsl"
_TIMEOUT_S = 60


class Ran(NamedTuple):
    """What a command left."""

    code: int
    output: str
    error: str

    @property
    def json(self) -> Any:
        """Its output, read as JSON."""
        return json.loads(self.output)

    @property
    def lines(self) -> list[str]:
        """Its output, line by line."""
        return self.output.splitlines()


def otel_parsl(*arguments: str | Path) -> Ran:
    """Run a command in this process."""
    output, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ran(code, output.getvalue(), error.getvalue())


def otel_parsl_by_path(
    *arguments: str | Path, cwd: Path, bare: bool = True, **environment: str
) -> Ran:
    """Run a command by its path, with standard input closed and hardly any environment."""
    kept = {"PATH": "/usr/bin:/bin", "HOME": str(cwd)} if bare else dict(os.environ)
    ran = subprocess.run(
        [str(PROGRAM), *map(str, arguments)],
        cwd=cwd,
        env={**kept, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def otel_parsl_on_terminal(*arguments: str | Path, columns: int = 80, **environment: str) -> Ran:
    """Run a command whose output is a terminal of so many columns."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(PROGRAM), *map(str, arguments)],
        env={**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": "40", **environment},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    output = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so at the end
            break
        if not part:
            break
        output += part
    os.close(ours)
    _, error = process.communicate(timeout=_TIMEOUT_S)
    return Ran(process.returncode, output.decode().replace("\r\n", "\n"), error.decode())
