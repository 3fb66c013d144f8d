"""
What the hub says stands in Parsl's log of the run, ``runinfo/NNN/parsl.log``.

Parsl's log takes the logger ``parsl`` alone, or all where the user's ``LogConfig`` says so.
"""

from __future__ import annotations

import logging
import threading

_OURS = logging.getLogger("otel_parsl")
_SHOWN = logging.INFO


class _ParslLogs(logging.Handler):
    """Writes to the logs of the runs that go on, and to whatever else the program has set up."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[logging.Handler] = []

    def emit(self, record: logging.LogRecord) -> None:
        for target in list(self.targets):
            if record.levelno >= target.level:
                target.handle(record)
        root = logging.getLogger()
        # As it would without us: a program that shows warnings is not to show all that Parsl logs.
        if root.isEnabledFor(record.levelno):
            root.handle(record)


_logs = _ParslLogs()
_lock = threading.Lock()


class ParslLog:
    """Parsl's log of one run, for as long as it is open."""

    def __init__(self) -> None:
        with _lock:
            self._targets = [
                handler
                for handler in logging.getLogger("parsl").handlers
                if handler not in _logs.targets
            ]
            if self._targets and not _logs.targets:
                _OURS.addHandler(_logs)
                _OURS.propagate = False
                if _OURS.level == logging.NOTSET:
                    _OURS.setLevel(_SHOWN)
            _logs.targets += self._targets

    def close(self) -> None:
        """Write there no more."""
        with _lock:
            for target in self._targets:
                _logs.targets.remove(target)
            if self._targets and not _logs.targets:
                _OURS.removeHandler(_logs)
                _OURS.propagate = True
                if _OURS.level == _SHOWN:
                    _OURS.setLevel(logging.NOTSET)
            self._targets = []
