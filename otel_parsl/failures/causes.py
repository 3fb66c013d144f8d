"""
Find the tasks whose failure made another one fail.

Flow: text of a DependencyError or JoinError -> **causes** -> failures
Pure: no clock, no I/O.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_VIA: Final = "The representative cause is via "
# Parsl before 2024 named the direct dependencies only.
_OLD_LIST: Final = " with failed dependencies from tasks ["
_TASK: Final = re.compile(r"(?:DataFuture from )?task (\d{1,18})\b")
_OLD_TASK: Final = re.compile(r"\d{1,18}")

_PROPAGATED: Final = ("DependencyError(", "JoinError(")
# A string that is never closed goes on to the end: to look for its end again and again is slow.
_TOKEN: Final = re.compile(
    r"""'(?:[^'\\]|\\(?:.|\Z))*(?:'|\Z)|"(?:[^"\\]|\\(?:.|\Z))*(?:"|\Z)"""
    r"""|\b(?:DependencyError|JoinError)\(|[()\[\]{}]""",
    re.DOTALL,
)
# What is left to go by where an exception's own repr() has unpaired quotes or brackets.
_DESCRIPTION: Final = re.compile(r"'((?:DataFuture from )?task \d{1,18})'\)(?=, \(|\])")


def cause_of_dependency(message: str | None) -> tuple[int, ...]:
    """
    Name the failed tasks that a dependency failure or a join failure goes back to.

    Where several dependencies failed, Parsl follows the first at each step, and so does this.

    Args:
        message: ``str()`` or ``repr()`` of the exception, or Parsl's ``task_fail_history``.

    Returns:
        Task ids, the direct dependency first, the task that failed by itself last.
        Futures that are no tasks of this run are left out.
        Empty for any other text.

    Example:
        >>> cause_of_dependency(
        ...     "Dependency failure for task 9. The representative cause is via task 8 <- task 2"
        ... )
        (8, 2)
    """
    if not message:
        return ()
    _, via, chain = message.partition(_VIA)
    if via:
        return _task_ids(chain.split(" <- "))
    _, old, listed = message.partition(_OLD_LIST)
    if old:
        return tuple(int(found) for found in _OLD_TASK.findall(listed.partition("]")[0]))
    text = message.strip()
    if text.startswith(_PROPAGATED):
        return _task_ids(chain_of_history(text))
    return ()


# Asked for twice for each failure: for the message, and for the tasks.
@functools.lru_cache(maxsize=16)
def chain_of_history(text: str) -> tuple[str, ...]:
    """List the failed futures in the ``repr()`` of a propagated error as its ``str()`` does."""
    chain = _chain_of_nested(text)
    return tuple(chain or _DESCRIPTION.findall(text)[::-1])


def _task_ids(descriptions: Iterable[str]) -> tuple[int, ...]:
    return tuple(int(found[1]) for found in map(_TASK.match, descriptions) if found)


@dataclass
class _Propagated:
    """An error of which the list of failed futures is being read."""

    first: str = ""
    pairs: int = 0


def _chain_of_nested(text: str) -> list[str]:
    """
    Walk ``DependencyError([(exception, description), …], task_id)``, nested to any depth.

    Messages of users are strings in there, so that brackets and task ids in them do not count.
    """
    chain: list[str] = []
    open_brackets: list[_Propagated | None] = []
    off_the_path = 0
    for token in _TOKEN.finditer(text):
        start = text[token.start()]
        if start in "'\"":
            error = open_brackets[-3] if len(open_brackets) > 2 else None
            if error is not None and text.startswith(")", token.end()):
                error.pairs += 1
                if error.pairs == 1:
                    error.first = token[0][1:-1]
                    off_the_path += 1
        elif start in "DJ":
            open_brackets.append(_Propagated())
        elif start in "([{":
            open_brackets.append(None)
        elif open_brackets:
            closed = open_brackets.pop()
            if closed is None or not closed.pairs:
                continue
            off_the_path -= 1
            if not off_the_path:
                chain.append(closed.first + (" (+ others)" if closed.pairs > 1 else ""))
    return chain[::-1]
