"""Colours, where a person looks at a terminal that has them and did not forbid them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}

OF_STATE = {
    "waiting": "dim",
    "queued": "blue",
    "retrying": "yellow",
    "running": "cyan",
    "joining": "cyan",
    "executed": "green",
    "memoised": "green",
    "failed": "red",
    "dep_failed": "magenta",
    "unknown": "yellow",
    "completed": "green",
    "unfinished": "yellow",
    "lost": "red",
}
"""The colour of a state of a task or a run."""


def has_colours(stream: TextIO = sys.stdout, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether colours are wanted: see https://no-color.org."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def paint(text: str, colour: str | None) -> str:
    """Return text in a colour, or as it is where there are none."""
    if colour is None or not text or not has_colours(sys.stdout):
        return text
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"
