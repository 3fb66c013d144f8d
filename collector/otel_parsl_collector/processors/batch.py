"""
The processor that puts requests together: taken, and without effect.

Exporters take what waits in the spool in batches, by size, as fast as their destination allows.
"""

from __future__ import annotations

from dataclasses import dataclass

from otel_parsl_collector.component import Component
from otel_parsl_collector.config_reader import Duration


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """``processors.batch``, with the OpenTelemetry Collector's names."""

    timeout: Duration | None = None
    """Without effect: a batch waits for more for half a second at most."""
    send_batch_size: int | None = None
    """Without effect: a batch is 2 MiB at most, or one request."""
    send_batch_max_size: int | None = None
    """Without effect: as for ``send_batch_size``."""


def _create(settings: BatchSettings, context: object) -> None:
    """Make nothing: all goes on as it is."""


COMPONENT = Component(BatchSettings, _create)
