"""Keep the memory small that the C library holds for this process, where that is glibc."""

from __future__ import annotations

import ctypes
from typing import Any

_M_ARENA_MAX = -8
"""Of ``mallopt`` (malloc.h)."""
_ARENAS = 2
_M_MMAP_THRESHOLD = -3
_LARGE = 4 << 20
"""A column of a large run; glibc would come to take such from the arenas, up to 32 MB."""


def keep_little() -> None:
    """
    Have threads share what they take memory from; to be called before there are any.

    Each has a part of its own otherwise, up to sixteen on two cores, and what is free in one is of
    no use to the others. What is large comes from the system itself, and goes back to it.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
        mallopt(_M_MMAP_THRESHOLD, _LARGE)


def give_back() -> None:
    """
    Return what is free to the system (``malloc_trim``).

    After a run of a million tasks has been read that is a quarter of all.
    """
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None)
