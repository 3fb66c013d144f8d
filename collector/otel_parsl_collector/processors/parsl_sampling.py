"""
The processor that lets the spans of a share of the tasks go on, and of all that failed.

A task is kept or left out whole; the spans of runs, blocks and managers, and those of other
programs, always go on. It may not stand before a database of Parsl's tables, which has everything.
"""

from __future__ import annotations

from dataclasses import dataclass

from otel_parsl_collector.component import Component, ProcessorContext
from otel_parsl_collector.exporters.task_sampling import Rule, TaskSampling


@dataclass(frozen=True, kw_only=True)
class ParslSamplingSettings:
    """``processors.parsl_sampling``."""

    sampling_percentage: int
    """Of the tasks in which nothing failed, how many in a hundred to keep."""

    def __post_init__(self) -> None:
        if not 0 <= self.sampling_percentage <= 100:
            raise ValueError(
                f"sampling_percentage is {self.sampling_percentage}; expected 0 to 100"
            )


def _create(settings: ParslSamplingSettings, context: ProcessorContext) -> TaskSampling:
    rule = Rule(settings.sampling_percentage / 100, keeps_failures=True)
    return TaskSampling(rule, context.path.with_suffix(".db"))


COMPONENT = Component(ParslSamplingSettings, _create, leaves_out=True)
