"""
Which tasks' spans are forwarded, and recorded at all where they are the user's own.

Flow: ``OTEL_TRACES_SAMPLER``, ``OTEL_SDK_DISABLED``, a destination's ``sampling``
-> **trace_sampling** -> worker, agent
A task is decided upon once, by a number computed from its run and its id, so every process comes to
the same decision and all its spans share it, whichever trace they live in. It is the trace id of a
task that has a trace of its own, read as the SDK's ``traceidratio`` reads one.
The tables are never sampled.
Workers import this module: nothing here may load more than the standard library.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from otel_parsl.identity import task_trace_id
from otel_parsl.propagation import parse_traceparent

logger = logging.getLogger(__name__)

_PARENT = "parentbased_"
_ROOTS = ("always_on", "always_off", "traceidratio")


def share_from_environment(
    caller: str | None, environment: Mapping[str, str] = os.environ
) -> float:
    """
    Return the share of tasks that ``OTEL_TRACES_SAMPLER`` keeps: 1.0 for all, 0.0 for none.

    It is none under ``OTEL_SDK_DISABLED``: workers elsewhere may not have the variable.

    Args:
        caller: The span that the run was loaded in, as a W3C traceparent: what ``parentbased_``
            samplers follow, for the whole run.
        environment: The variables.
    """
    if is_disabled(environment):
        return 0.0
    name = environment.get("OTEL_TRACES_SAMPLER", "").strip() or "parentbased_always_on"
    root = name.removeprefix(_PARENT)
    if root not in _ROOTS:
        logger.warning(
            "OTEL_TRACES_SAMPLER: %r is not known here, so all is forwarded; expected one of %s,"
            " each with or without %s before it",
            name,
            ", ".join(_ROOTS),
            _PARENT,
        )
        return 1.0
    parent = parse_traceparent(caller)
    if parent is not None and name.startswith(_PARENT):
        return 1.0 if parent.is_sampled else 0.0
    if root == "traceidratio":
        return _ratio(environment.get("OTEL_TRACES_SAMPLER_ARG", "").strip())
    return 1.0 if root == "always_on" else 0.0


def is_disabled(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether ``OTEL_SDK_DISABLED`` is set: nothing is forwarded, and no span recorded."""
    return environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def is_sampled(run: bytes, task_id: int, share: float) -> bool:
    """
    Tell whether a task is among the share that is kept; with a larger share it stays among it.

    Args:
        run: What ``identity.run_key`` gave.
        task_id: Parsl's task id.
        share: From 0.0 to 1.0.
    """
    if share >= 1.0:
        return True
    number = int.from_bytes(task_trace_id(run, task_id, scope="task")[8:], "big")
    return number < round(share * (1 << 64))


def _ratio(text: str) -> float:
    if not text:
        return 1.0
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if 0.0 <= share <= 1.0:
        return share
    logger.warning(
        "OTEL_TRACES_SAMPLER_ARG: %r; expected a number from 0 to 1: all is forwarded", text
    )
    return 1.0
