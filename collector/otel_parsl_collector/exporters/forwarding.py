"""
One destination of a run: what it is to have of what was spooled, and the exporter that sends it.

Flow: spool -> exception_logs -> task_sampling -> **forwarding** -> exporters.otlp
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from otel_parsl.spool import Frame, Place
from otel_parsl_collector.component import Outcome
from otel_parsl_collector.exporters.exception_logs import with_exceptions_by
from otel_parsl_collector.exporters.otlp import OtlpExporter
from otel_parsl_collector.exporters.task_sampling import Rule, TaskSampling


class Forwarding:
    """
    Forward to one destination.

    Args:
        exporter: Sends to it.
        rule: Which tasks' spans it is sent.
        exception_signals: The signals that exceptions are told by.
        path: Of the database in which spans wait.
    """

    def __init__(
        self,
        exporter: OtlpExporter,
        *,
        rule: Rule,
        exception_signals: Collection[str],
        path: Path,
    ) -> None:
        self.exporter = exporter
        self.sampling = TaskSampling(rule, path)
        self._exception_signals = exception_signals
        self._given: list[Frame] | None = None
        self._picked: list[Frame] = []

    def consume(self, frames: list[Frame], places: Mapping[str, Place]) -> Outcome:
        """
        Send what is to be sent of frames; given the same again, go on with the same.

        Raises:
            Unavailable: Some may have been sent; sending them again does no harm.
            OSError: What was refused cannot be set aside for now.
            sqlite3.OperationalError: Spans cannot be kept waiting for now.
        """
        if frames is not self._given:
            told = with_exceptions_by(self._exception_signals, frames)
            self._given, self._picked = frames, self.sampling.pick(told)
        outcome = self.exporter.consume(self._picked, places)
        self.sampling.commit()
        return outcome
