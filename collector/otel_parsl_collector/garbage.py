"""How often Python looks for objects that refer to one another in a ring."""

from __future__ import annotations

import gc
from typing import Final

_NEW: Final = 20_000
"""Objects more than before after which Python looks, in the place of 700."""


def look_seldom() -> None:
    """
    Have Python look seldom, in a process of ours.

    A batch is made into tens of thousands of tuples that all live until it is stored, and none of
    them is in a ring: to look through them again and again took an eighth of the time.
    """
    gc.set_threshold(_NEW)
