"""The exporter that says in the log what comes: to see that telemetry arrives at all."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from otel_parsl.spool import Frame, Place
from otel_parsl_collector.component import Component, ExporterContext, Outcome
from otel_parsl_collector.otlp_json import render
from otel_parsl_collector.signals import SIGNALS

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DebugSettings:
    """``exporters.debug``."""

    verbosity: Literal["basic", "detailed"] = "basic"
    """``basic`` says how many items; ``detailed`` shows them, as OTLP/JSON."""


class DebugExporter:
    """
    Log requests.

    Args:
        settings: How much to say.
        context: Where it keeps its place.
    """

    retryable: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, settings: DebugSettings, context: ExporterContext) -> None:
        self._settings = settings
        self._name = context.name
        self._kept = context.place_file()

    def places(self) -> Mapping[str, Place]:
        return self._kept.places

    def consume(self, frames: list[Frame], places: Mapping[str, Place]) -> Outcome:
        shown: Counter[int] = Counter()
        for item in frames:
            signal = SIGNALS[item.signal]
            request = signal.request.FromString(item.payload)
            items = signal.count(request)
            shown[item.signal] += items
            logger.info("%s: %s: %d %s", self._name, signal.name, items, signal.items)
            if self._settings.verbosity == "detailed":
                logger.info("%s", json.dumps(render(request)))
        self._kept.save(places)
        return Outcome(shown)

    def delay_s(self, error: Exception) -> float:
        return 1.0

    def close(self) -> None:
        """It holds nothing."""


COMPONENT = Component(DebugSettings, DebugExporter)
