"""
Describe a failure: why, of which kind, where, and what it goes back to.

Flow: exception as recorded, or Parsl's task_fail_history -> **failures** -> store
Pure: no clock, no I/O.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from otel_parsl.failures.causes import cause_of_dependency
from otel_parsl.failures.fail_history import failure_from_history
from otel_parsl.failures.fates import Fate, classify
from otel_parsl.failures.fingerprints import fingerprint
from otel_parsl.failures.message_template import template
from otel_parsl.failures.stack_frames import UserFrame, find_app_frame, find_user_frame

# These befall a try from outside: frames of a stack trace are those of whoever found out.
_FROM_OUTSIDE: Final = frozenset(
    {Fate.WORKER_LOST, Fate.MANAGER_LOST, Fate.BLOCK_FAILED, Fate.DEPENDENCY, Fate.JOIN}
)


class Failure(NamedTuple):
    """What can be told of the failure of one try."""

    fate: Fate
    fingerprint: str
    """The group of failures that it belongs to."""
    exception_type: str | None
    message: str | None
    template: str
    """The message without what differs from one failure of the group to the next."""
    frame: str | None
    """Where the user's code was, as ``file.py:function``."""
    line: int | None
    """The line in that file; no part of the fingerprint."""
    caused_by: tuple[int, ...]
    """Failed tasks that it goes back to, the direct one first, the root last."""


def describe_failure(
    *,
    exception_type: str | None = None,
    message: str | None = None,
    stacktrace: str | None = None,
    fail_history: str | None = None,
) -> Failure:
    """
    Describe a failure by what the worker saw, or by Parsl's history where no worker could tell.

    Args:
        exception_type: Class name as recorded by the worker.
        message: Its ``str()``.
        stacktrace: Its stack trace as text.
        fail_history: Parsl's ``task_fail_history``, read where no exception type is given.
    """
    caused_by: tuple[int, ...] = ()
    if not exception_type and fail_history:
        exception_type, told = failure_from_history(fail_history)
        message = told if message is None else message
        caused_by = cause_of_dependency(fail_history)
    fate = classify(
        exception_type=exception_type,
        message=message,
        fail_history=fail_history,
        stacktrace=stacktrace,
    )
    if fate in (Fate.DEPENDENCY, Fate.JOIN):
        caused_by = caused_by or cause_of_dependency(message)
    frame = _frame(fate, stacktrace)
    key = None if frame is None else frame.key
    wording = template(message or "")
    return Failure(
        fate=fate,
        fingerprint=fingerprint(
            fate=fate, exception_type=exception_type, frame=key, message=wording
        ),
        exception_type=exception_type,
        message=message,
        template=wording,
        frame=key,
        line=None if frame is None else frame.line,
        caused_by=caused_by,
    )


def _frame(fate: Fate, stacktrace: str | None) -> UserFrame | None:
    if fate in _FROM_OUTSIDE:
        return None
    return find_app_frame(stacktrace) if fate is Fate.WALLTIME else find_user_frame(stacktrace)
