"""Tell events of ours, which spans are made of, from a user's records that are named alike."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from otel_parsl import semconv as names
from otel_parsl.seldom import Seldom
from otel_parsl.spans import Event

logger = logging.getLogger(__name__)

_TRY = {names.TASK_ID: int, names.TRY_ID: int}
_SUBMITTED_TRY = {
    names.SEQUENCE: int,
    **_TRY,
    names.APP_NAME: str,
    names.EXECUTOR_LABEL: str,
}
_BLOCK = {
    names.SEQUENCE: int,
    names.EXECUTOR_LABEL: str,
    names.BLOCK_ID: str,
    names.BLOCK_STATUS: str,
}
_OF_RUN = {names.SEQUENCE: int}
_NEEDED: Mapping[str, Mapping[str, type]] = {
    names.EVENT_TASK_STATE: {**_SUBMITTED_TRY, names.TASK_STATE: str},
    names.EVENT_TRY_LOST: _SUBMITTED_TRY,
    names.EVENT_TRY_RUNNING: _TRY,
    names.EVENT_BLOCK_STATUS: _BLOCK,
    names.EVENT_BLOCK_DESCRIBED: _BLOCK,
    names.EVENT_RUN_STARTED: _OF_RUN,
    names.EVENT_EXECUTOR_STATE: _OF_RUN,
    names.EVENT_EXECUTOR_UNTRACED: _OF_RUN,
    names.EVENT_RUN_ENDED: _OF_RUN,
    names.EVENT_MANAGERS_ENDED: {},
}
"""The attributes that every such event of ours has, and of which type."""


class OwnEvents:
    """Read events of the hub and of the agent, and count what only looks like one."""

    def __init__(self) -> None:
        self.skipped = 0
        """Records with the name of an event of ours that are none."""
        self._voice = Seldom(logger, logging.WARNING)

    def read(self, record: Any, scope: str) -> Event | None:
        """
        Return an event that spans are made of; None for any other record.

        Args:
            record: A LogRecord.
            scope: The name of its instrumentation scope.
        """
        needed = _NEEDED.get(record.event_name)
        if needed is None:
            return None
        event = Event(record)
        found = event.attributes
        if scope == names.SCOPE and all(
            type(found.get(key)) is kind for key, kind in needed.items()
        ):
            return event
        self.skipped += 1
        self._voice.say(
            "a log record of scope %r has the name of an event of ours, %s, but is none: no span"
            " is made of it",
            scope,
            record.event_name,
        )
        return None
