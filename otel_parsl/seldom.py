"""Say in the log what may happen thousands of times: once a minute, with how often it was."""

from __future__ import annotations

import logging
import time

EVERY_S = 60.0


class Seldom:
    """
    A voice for one kind of trouble.

    Args:
        logger: Where to.
        level: Of the log: ERROR where data is lost or a person is needed.
        every_s: How long it keeps quiet after it has said something.
    """

    def __init__(self, logger: logging.Logger, level: int, *, every_s: float = EVERY_S) -> None:
        self._logger = logger
        self._level = level
        self._every_s = every_s
        self._said_at = -every_s
        self._unsaid = 0

    def say(self, message: str, *arguments: object) -> None:
        """Say it, or count it for the next time."""
        now = time.monotonic()
        if now - self._said_at < self._every_s:
            self._unsaid += 1
            return
        if self._unsaid:
            message += " (and %d times more since it was last said)"
            arguments = (*arguments, self._unsaid)
        self._said_at, self._unsaid = now, 0
        self._logger.log(self._level, message, *arguments)
