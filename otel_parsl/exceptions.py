"""
An exception as attributes, by the semantic conventions.

Workers import this module: nothing here may load more than the standard library.
"""

from __future__ import annotations

import traceback

from otel_parsl import semconv
from otel_parsl.wire import Key, utf8

LIMIT = 16 << 10
"""Bytes of a message or a stack trace, as UTF-8; of a longer trace the end is kept."""
STATUS_LIMIT = 1024
"""Characters of the message in a span's status."""

_TYPE = Key(semconv.EXCEPTION_TYPE)
_MESSAGE = Key(semconv.EXCEPTION_MESSAGE)
_STACKTRACE = Key(semconv.EXCEPTION_STACKTRACE)


def type_name(error: BaseException) -> str:
    """Return an exception's class with its module; Python's own bare, as the conventions say."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def message_of(error: BaseException) -> str:
    """Return what an exception says, or that its own code cannot say it."""
    try:
        return _beginning(str(error))
    except Exception as broken:  # noqa: BLE001 - the user's __str__ may raise anything
        return f"(its __str__ raised {type(broken).__name__})"


def stacktrace_of(error: BaseException) -> str:
    """Return an exception's stack trace, its end where it is long."""
    return _end("".join(traceback.format_exception(error)))


def exception_attributes(kind: str, message: str, stacktrace: str | None) -> list[bytes]:
    """Return the attributes of an event ``exception``."""
    attributes = [_TYPE.text(kind), _MESSAGE.text(_beginning(message))]
    if stacktrace:
        attributes.append(_STACKTRACE.text(_end(stacktrace)))
    return attributes


def _beginning(text: str) -> str:
    return utf8(text[:LIMIT])[:LIMIT].decode(errors="ignore")  # no part of a character


def _end(text: str) -> str:
    return utf8(text[-LIMIT:])[-LIMIT:].decode(errors="ignore")
