"""
The processor that has senders come again later while the collector uses too much memory.

It looks before a request is spooled, so what has been acknowledged is not touched. In whichever
pipeline it stands, it holds for all that the collector receives.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import psutil

from otel_parsl_collector.component import Component
from otel_parsl_collector.config_reader import Duration

_MIB = 1 << 20
_ONE_SECOND = Duration(1.0)


@dataclass(frozen=True, kw_only=True)
class MemoryLimiterSettings:
    """``processors.memory_limiter``."""

    check_interval: Duration = _ONE_SECOND
    """How often memory is measured."""
    limit_mib: int
    """What the collector may use, resident, at most."""
    spike_limit_mib: int | None = None
    """Senders are put off from so much below ``limit_mib`` on; a fifth of it by default."""

    def __post_init__(self) -> None:
        if self.check_interval <= 0:
            raise ValueError("check_interval is 0; expected a time such as 1s")
        if self.limit_mib < 1:
            raise ValueError(f"limit_mib is {self.limit_mib}; expected at least 1")
        if self.spike_limit_mib is not None and not 0 <= self.spike_limit_mib < self.limit_mib:
            raise ValueError(
                f"spike_limit_mib is {self.spike_limit_mib}; expected less than limit_mib"
            )

    def soft_limit_mib(self) -> int:
        """Return from where on senders are put off."""
        spike = self.limit_mib // 5 if self.spike_limit_mib is None else self.spike_limit_mib
        return self.limit_mib - spike


class MemoryGuard:
    """
    Measure the memory of this process, for any number of threads.

    Args:
        settings: How often, and what is too much.
    """

    def __init__(self, settings: MemoryLimiterSettings) -> None:
        self._settings = settings
        self._process = psutil.Process()
        self._lock = threading.Lock()
        self._measured_at = float("-inf")
        self._used_mib = 0

    def __call__(self) -> str | None:
        """Return why nothing can be taken now, if so."""
        with self._lock:
            now = time.monotonic()
            if now - self._measured_at >= self._settings.check_interval:
                self._measured_at = now
                self._used_mib = self._process.memory_info().rss // _MIB
            limit_mib = self._settings.soft_limit_mib()
            if self._used_mib <= limit_mib:
                return None
            return (
                f"the collector uses {self._used_mib} MiB of memory; its memory_limiter puts"
                f" senders off from {limit_mib} MiB on"
            )


def _create(settings: MemoryLimiterSettings, context: object) -> None:
    """Make nothing: all that was taken goes on."""


COMPONENT = Component(MemoryLimiterSettings, _create, guard=MemoryGuard)
