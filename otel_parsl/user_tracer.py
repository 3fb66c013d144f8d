"""
The tracer that the user's code gets inside an app, where nobody else provides one.

Flow: the user's code -> **user_tracer** -> user_spans
Loaded at the first ``get_tracer``, with OpenTelemetry's SDK.
A tracer outlives the try that asked for it, and in a thread pool serves tries of several at once:
what a span belongs to is looked up when it begins, and outside of tries it is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, Tracer, TracerProvider
from opentelemetry.sdk.trace.sampling import DEFAULT_ON

from otel_parsl import semconv, user_spans


class TryTracer(trace.Tracer):
    """
    A tracer for whichever try its caller works for.

    Args:
        args: Of ``get_tracer``.
        kwargs: Likewise.
    """

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._args = args
        self._kwargs = dict(kwargs)
        self._of_runs: dict[TracerProvider, trace.Tracer] = {}
        self._of_none = trace.NoOpTracer()

    def start_span(self, *args: Any, **kwargs: Any) -> trace.Span:
        """Begin a span, as the API says."""
        begun = user_spans.current()
        if begun is None:
            return self._of_none.start_span(*args, **kwargs)
        provider = _provider(tuple(begun.resource.items()))
        tracer = self._of_runs.get(provider)
        if tracer is None:
            tracer = self._of_runs[provider] = provider.get_tracer(*self._args, **self._kwargs)
        return tracer.start_span(*args, **kwargs)

    # The SDK's calls start_span, and serves as a decorator of coroutines too.
    start_as_current_span = Tracer.start_as_current_span


class _Collect(SpanProcessor):
    def on_start(self, span: Span, parent_context: Any = None) -> None:
        if (begun := user_spans.current()) is not None:
            span.set_attribute(semconv.TASK_ID, begun.given.task_id)
            user_spans.span_began(span.get_span_context().span_id)

    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is not None:
            user_spans.span_ended(context.span_id, span)


@cache
def _provider(resource: tuple[tuple[str, Any], ...]) -> TracerProvider:
    """Return the SDK's provider for the tries of a run."""
    # The run's sampler has decided: its flag is followed, whatever a variable here says.
    provider = TracerProvider(
        resource=Resource.create(dict(resource)), sampler=DEFAULT_ON, shutdown_on_exit=False
    )
    provider.add_span_processor(_Collect())
    return provider
