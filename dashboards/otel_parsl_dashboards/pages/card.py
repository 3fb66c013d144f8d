"""One figure at the head of a page."""

from __future__ import annotations

from typing import NamedTuple


class Card(NamedTuple):
    """What ``cards.html`` shows: a figure in words, and what it means."""

    name: str
    value: str
    more: str
    """Said beneath it, smaller; empty for nothing."""
    help: str
    colour: str = ""
    """Of its swatch; empty for none."""
    is_bad: bool = False
    phase: str = ""
    """The phase of tasks that it is of, if any."""
