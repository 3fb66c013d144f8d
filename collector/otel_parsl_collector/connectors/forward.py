"""
The connector that joins pipelines of one signal: what leaves the first goes on in the second.

It has the OpenTelemetry Collector's name, and no settings either.
"""

from __future__ import annotations

from dataclasses import dataclass

from otel_parsl_collector.component import Component


@dataclass(frozen=True, kw_only=True)
class ForwardSettings:
    """``connectors.forward``."""


def _create(settings: ForwardSettings, context: object) -> None:
    """Make nothing: all goes on as it is."""


COMPONENT = Component(ForwardSettings, _create)
