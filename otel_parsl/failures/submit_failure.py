"""
What the submit side knows of a try's failure, for the event that says that it failed.

Flow: seam -> **submit_failure** -> drain
Where a worker has seen the exception, it stands on the worker's span, and here is only its class
and its fate; where no worker could tell, all of it is here.
"""

from __future__ import annotations

import logging
from typing import Any

from otel_parsl import semconv
from otel_parsl.exceptions import exception_attributes, message_of, stacktrace_of, type_name
from otel_parsl.failures.fates import classify
from otel_parsl.wire import Key

logger = logging.getLogger(__name__)

_ERROR_TYPE = Key(semconv.ERROR_TYPE)
_FATE = Key(semconv.FATE)


def told_failure(error: Any, *, is_told: bool) -> list[bytes]:
    """
    Return the attributes of a failure.

    Args:
        error: The exception, or Parsl's RemoteExceptionWrapper of it.
        is_told: Whether a worker has told it already.
    """
    if not isinstance(error, BaseException):
        try:
            error = error.get_exception()
        except Exception as unreadable:  # noqa: BLE001 - the user's class may raise anything
            # Its fate is then told from Parsl's words, as where no worker of ours ran.
            logger.debug("a failure could not be read: %r", unreadable)
            return []
    kind, message, stacktrace = type_name(error), message_of(error), stacktrace_of(error)
    fate = classify(exception_type=kind, message=message, stacktrace=stacktrace)
    attributes = [_ERROR_TYPE.text(kind), _FATE.text(fate.value)]
    if not is_told:
        attributes += exception_attributes(kind, message, stacktrace)
    return attributes
