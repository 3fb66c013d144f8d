"""Where a trace is seen in a browser: Jaeger, Tempo or another backend, as the user says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from otel_parsl.cli.traces import TracePlace
from otel_parsl.errors import OTelParslError

VARIABLE = "OTEL_PARSL_TRACE_URL"
_TRACE, _SPAN = "{trace_id}", "{span_id}"
_EXAMPLE = "http://localhost:16686/trace/{trace_id}"


class TraceUrlUnusable(OTelParslError):
    """The template of traces' addresses is none."""


class TraceUrl(NamedTuple):
    """The address of a trace, with places for ids."""

    template: str

    def of(self, place: TracePlace) -> str:
        """Return the address of a span's trace."""
        filled = self.template.replace(_TRACE, quote(place.trace_id, safe=""))
        return filled.replace(_SPAN, quote(place.span_id, safe=""))


def chosen_trace_url(
    given: str | None = None, environment: Mapping[str, str] = os.environ
) -> TraceUrl | None:
    """
    Return the template that the user chose, if any.

    Args:
        given: On the command line; else the variable holds.
        environment: The variables.

    Raises:
        TraceUrlUnusable: It is no address of a trace.
    """
    found, where = (given, "--trace-url") if given else (environment.get(VARIABLE), VARIABLE)
    if not found:
        return None
    if not found.startswith(("http://", "https://")) or _TRACE not in found:
        raise TraceUrlUnusable(
            f"{where}: {found!r} is no address of a trace; expected http:// or https:// and a place"
            f" for the trace's id, as {_EXAMPLE}"
        )
    return TraceUrl(found)
