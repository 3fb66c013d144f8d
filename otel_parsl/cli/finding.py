"""What the doctor found of one thing."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Verdict(str, enum.Enum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    """Nothing is wrong; it may be worth knowing."""
    WARNING = "warning"
    """It works, but not as it should, or not for everything."""
    BAD = "bad"
    """It does not work."""

    def __str__(self) -> str:
        return self.value


class Finding(NamedTuple):
    """What was found of one thing, and what to do about it."""

    subject: str
    verdict: Verdict
    found: str
    advice: str = ""
    """What to do; empty where nothing needs doing."""
