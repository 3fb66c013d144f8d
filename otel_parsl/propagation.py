"""
Which context is carried on: ``OTEL_PROPAGATORS``, and the span that is current at a call of Parsl.

Flow: the user's context -> **propagation** -> hub (links), worker (``user_spans``)
The OpenTelemetry API is never loaded here but where a format other than W3C's is asked for: a
program that does not use it pays a look into ``sys.modules``.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

logger = logging.getLogger(__name__)

TRACE_CONTEXT, BAGGAGE = "tracecontext", "baggage"
DEFAULT = (TRACE_CONTEXT, BAGGAGE)
_TRACEPARENT = re.compile(r"[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}")


def propagators(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return what ``OTEL_PROPAGATORS`` names and is installed; a warning says what is not."""
    text = environment.get("OTEL_PROPAGATORS", "").strip() or ",".join(DEFAULT)
    names = list(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))
    if "none" in names:
        return ()
    return tuple(name for name in names if name in DEFAULT or _is_installed(name))


def current_span() -> str | None:
    """Return the span that is current in this thread as a W3C traceparent, if there is one."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    try:
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    except Exception as error:  # noqa: BLE001 - a border: an API half imported, or another's span
        logger.debug("the current span cannot be read: %r", error)
        return None


def span_at_load(formats: Iterable[str], environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the span that a run is loaded in: the current one, or that of ``TRACEPARENT``."""
    current = current_span()
    if current is None and TRACE_CONTEXT in formats:
        given = environment.get("TRACEPARENT", "").strip().lower()
        current = given if _TRACEPARENT.fullmatch(given) else None
    return current


def baggage_at_load(formats: Iterable[str], environment: Mapping[str, str] = os.environ) -> str:
    """Return the baggage that a run is loaded with, as W3C writes it."""
    if BAGGAGE not in formats:
        return ""
    if "opentelemetry.baggage" in sys.modules:
        from opentelemetry.baggage.propagation import W3CBaggagePropagator

        carrier: dict[str, str] = {}
        W3CBaggagePropagator().inject(carrier)
        if carrier:
            return carrier["baggage"]
    return environment.get("BAGGAGE", "").strip()


class Caller(NamedTuple):
    """A span that called."""

    trace_id: bytes
    span_id: bytes
    is_sampled: bool


def parse_traceparent(text: Any) -> Caller | None:
    """Return the span that a traceparent names; None where it is none."""
    if not isinstance(text, str) or not _TRACEPARENT.fullmatch(text):
        return None
    _, trace_id, span_id, flags = text.split("-")
    return Caller(bytes.fromhex(trace_id), bytes.fromhex(span_id), bool(int(flags, 16) & 1))


def load_propagator(name: str) -> Any:
    """
    Return an installed propagator.

    Raises:
        LookupError: It is not installed.
    """
    from importlib.metadata import entry_points

    for found in entry_points(group="opentelemetry_propagator", name=name):
        return found.load()()
    raise LookupError(name)


def _is_installed(name: str) -> bool:
    from importlib.metadata import entry_points

    if entry_points(group="opentelemetry_propagator", name=name):
        return True
    logger.warning(
        "OTEL_PROPAGATORS: no package here provides %r, so context is not carried in that form;"
        " b3 comes with: pip install opentelemetry-propagator-b3",
        name,
    )
    return False
