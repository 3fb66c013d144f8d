"""
Variables of this process's environment that change with every try.

Flow: user_spans -> **environment** -> what the app starts
The C library of Linux (glibc, ``setenv``) keeps every value that a variable ever had: 100 bytes a
try, which a worker of a million tries does not give back. ``putenv`` takes memory of ours instead,
which the next value is written to.
Workers import this module: nothing here may load more than the standard library.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

logger = logging.getLogger(__name__)

_LEAST_BYTES = 256

_memory: dict[bytes, Any] = {}


def set_variable(name: str, value: str) -> None:
    """Set a variable for this process and all that it starts from now on."""
    put = _putenv()
    seen_by_python = getattr(os.environ, "_data", None)
    if put is None or seen_by_python is None:
        os.environ[name] = value
        return
    key, encoded = os.fsencode(name), os.fsencode(value)
    if put(_holding(key, b"%b=%b" % (key, encoded))):
        os.environ[name] = value  # which says why that cannot be
        return
    seen_by_python[key] = encoded


def unset_variable(name: str) -> None:
    """Remove a variable, if it is there."""
    os.environ.pop(name, None)


def _holding(key: bytes, text: bytes) -> Any:
    """Return the memory of a variable with this text in it."""
    memory = _memory.get(key)
    if memory is None or len(memory) <= len(text):
        memory = _memory[key] = _new_memory(max(_LEAST_BYTES, 2 * len(text)))
    memory.value = text
    return memory


def _new_memory(size: int) -> Any:
    from ctypes import create_string_buffer, py_object, pythonapi

    memory = create_string_buffer(size)
    # For ever: C code may read the environment after Python has ended.
    pythonapi.Py_IncRef(py_object(memory))
    return memory


@cache
def _putenv() -> Callable[[Any], int] | None:
    """Return the C library's function; None where there is none like it."""
    if sys.platform != "linux":
        return None
    try:
        from ctypes import PyDLL  # which keeps other threads away meanwhile, as Python does

        putenv: Callable[[Any], int] = PyDLL(None).putenv
    except (ImportError, OSError, AttributeError) as error:
        logger.debug("variables are set as Python does it: %r", error)
        return None
    return putenv
