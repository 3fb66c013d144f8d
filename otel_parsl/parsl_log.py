"""
Our part of the log of a run, which Parsl keeps for loggers of its own.

A DataFlowKernel attaches its log, ``parsl.log`` or what the user's LogConfig says, to the logger
``parsl`` and takes it off at its end. As long as a run goes on, what our loggers say is handed to
whatever is attached there; all else hears of them what it would have heard without that.
"""

from __future__ import annotations

import logging
import threading

PARSLS = "parsl"
"""The logger that Parsl's own are below; ``tests/contracts/test_parsl_log.py`` holds it to that."""

_lock = threading.Lock()
_attached: dict[str, list[ParslLog]] = {}
_before: dict[str, tuple[bool, int]] = {}
"""Of each logger of ours: whether it propagated, and its level."""


class _ToParsl(logging.Handler):
    """Hand records to the handlers of Parsl's logger, and to the root's as if it were not there."""

    def emit(self, record: logging.LogRecord) -> None:
        for handler in logging.getLogger(PARSLS).handlers:
            if record.levelno >= handler.level:
                handler.handle(record)
        root = logging.getLogger()
        if root.isEnabledFor(record.levelno):
            root.handle(record)


_HANDLER = _ToParsl()


class ParslLog:
    """
    Hand what our loggers say to Parsl's log, until closed; several runs may at once.

    Args:
        names: Of our loggers; one for which the user has set a level keeps it.
        is_debugged: Whether to say more.
    """

    def __init__(self, *names: str, is_debugged: bool) -> None:
        self._names = names
        self._level = logging.DEBUG if is_debugged else logging.INFO
        self._is_closed = False
        with _lock:
            for name in names:
                ours = logging.getLogger(name)
                if not _attached.get(name):
                    _before[name] = ours.propagate, ours.level
                    ours.propagate = False
                    ours.addHandler(_HANDLER)
                _attached.setdefault(name, []).append(self)
                _set_level(name)

    def close(self) -> None:
        """Leave our loggers as they were, once no other run needs them."""
        with _lock:
            if self._is_closed:
                return
            self._is_closed = True
            for name in self._names:
                _attached[name].remove(self)
                if not _attached[name]:
                    ours = logging.getLogger(name)
                    ours.removeHandler(_HANDLER)
                    ours.propagate = _before[name][0]
                _set_level(name)


def _set_level(name: str) -> None:
    _, chosen = _before[name]
    wanted = min((each._level for each in _attached[name]), default=logging.NOTSET)
    logging.getLogger(name).setLevel(chosen or wanted)
