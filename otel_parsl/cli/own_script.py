"""
Make ``parsl-visualize`` ours.

Parsl installs a program of that name too, and the one that was installed last wins, by an order
that differs between pip and uv.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from otel_parsl.cli.finding import Finding, Verdict

NAME = "parsl-visualize"
_LONGEST_SHEBANG = 127
"""The kernel reads no more of a script's first line."""


def make_ours(beside: Path, python: str = sys.executable, *, was: str | None = None) -> Finding:
    """
    Put our script in the place of whatever has its name.

    Args:
        beside: The folder of this environment's commands.
        python: The interpreter that is to run it.
        was: Whose the one was that it replaces; None where there was none.

    Returns:
        What was done, or why it could not be.
    """
    path = beside / NAME
    replaced = f"; it was {was}" if was else ""
    scratch = beside / f".{NAME}.{os.getpid()}"
    try:
        scratch.write_text(_script(python))
        scratch.chmod(0o755)
        os.replace(scratch, path)
    except OSError as error:
        return Finding(
            NAME,
            Verdict.BAD,
            f"{path} cannot be written: {error.strerror}",
            "use otel-parsl visualize, which is the same program",
        )
    return Finding(NAME, Verdict.OK, f"{path} is ours now{replaced}")


def _script(python: str) -> str:
    is_plain = len(python) + 3 <= _LONGEST_SHEBANG and " " not in python
    # To the shell the second line runs Python on this file; to Python it is a text.
    by_shell = f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''"
    return (
        f"{f'#!{python}' if is_plain else by_shell}\n"
        "import sys\n"
        "from otel_parsl.cli.visualize import main\n"
        'if __name__ == "__main__":\n'
        "    sys.exit(main())\n"
    )
