"""
Spans that the user's code makes inside an app, with the plain OpenTelemetry API.

Flow: the user's tracer -> **user_spans** -> the try's other telemetry, on its result
They become children of the execution. Nothing is loaded, and nothing costs, until the user's code
imports ``opentelemetry.trace``: an import hook waits for that.
A tracer provider that is there already, as under ``opentelemetry-instrument``, is the user's own
business: then only the context is given.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple

from otel_parsl import semconv
from otel_parsl.propagation import BAGGAGE, TRACE_CONTEXT, load_propagator

logger = logging.getLogger(__name__)

_API = "opentelemetry.trace"


class Given(NamedTuple):
    """The context that an execution gives to the user's code."""

    trace_id: bytes
    span_id: bytes
    task_id: int
    is_sampled: bool
    baggage: str
    """As W3C writes it; empty where there is none."""
    propagators: tuple[str, ...]
    """The forms it is carried in, in the words of ``OTEL_PROPAGATORS``."""


_given: Given | None = None
_finished: list[Any] = []
_resource: dict[str, Any] = {}
_is_set_up = False
_variables: set[str] = set()
_missing: set[str] = set()


def begin(given: Given, resource: dict[str, Any]) -> None:
    """
    Give the user's code the context of an execution.

    Args:
        given: The context.
        resource: Attributes for the Resource of the user's spans.
    """
    global _given
    _given = given
    _set_variables(given)
    if _is_set_up:
        _attach()
    elif _API in sys.modules:
        _set_up(resource)
    elif not any(isinstance(finder, _ImportHook) for finder in sys.meta_path):
        _resource.update(resource)
        sys.meta_path.insert(0, _ImportHook())


def end() -> bytes | None:
    """Return the spans that ended since ``begin`` as a request, and take the context away."""
    global _given
    _given = None
    for name in _variables:
        os.environ.pop(name, None)
    _variables.clear()
    if not _is_set_up:
        return None
    from opentelemetry import context

    context.attach(context.Context())
    if not _finished:
        return None
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    spans, _finished[:] = list(_finished), []
    return bytes(encode_spans(spans).SerializeToString())


def _set_variables(given: Given) -> None:
    """Set the variables for what the app starts, such as the shell of a bash app."""
    for form in given.propagators:
        if form == TRACE_CONTEXT:
            flags = "01" if given.is_sampled else "00"
            _set("TRACEPARENT", f"00-{given.trace_id.hex()}-{given.span_id.hex()}-{flags}")
        elif form == BAGGAGE:
            if given.baggage:
                _set("BAGGAGE", given.baggage)
        elif form not in _missing:
            _set_by_package(form, given)


def _set_by_package(form: str, given: Given) -> None:
    try:
        propagator = load_propagator(form)
    except (LookupError, ImportError) as error:
        _missing.add(form)
        logger.warning(
            "context is not carried as %s: no package here provides it (%r)", form, error
        )
        return
    carrier: dict[str, str] = {}
    propagator.inject(carrier, context=_context(given))
    for name, value in carrier.items():
        _set(name.upper().replace("-", "_"), value)


def _set(name: str, value: str) -> None:
    os.environ[name] = value
    _variables.add(name)


def _set_up(resource: dict[str, Any]) -> None:
    """Provide tracers, unless somebody else does."""
    global _is_set_up
    _is_set_up = True
    from opentelemetry import trace

    is_ours_to_set = isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    if is_ours_to_set and os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true":
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.sampling import DEFAULT_ON

        class Collect(SpanProcessor):
            def on_start(self, span: Any, parent_context: Any = None) -> None:
                if _given is not None:
                    span.set_attribute(semconv.TASK_ID, _given.task_id)

            def on_end(self, span: Any) -> None:
                _finished.append(span)

        # The run's sampler has decided: its flag is followed, whatever a variable here says.
        provider = TracerProvider(
            resource=Resource.create(resource), sampler=DEFAULT_ON, shutdown_on_exit=False
        )
        provider.add_span_processor(Collect())
        trace.set_tracer_provider(provider)
    _attach()


def _attach() -> None:
    if _given is not None:
        from opentelemetry import context

        context.attach(_context(_given))


def _context(given: Given) -> Any:
    """Return a context as OpenTelemetry's API has it: what is carried, and nothing else."""
    from opentelemetry import context, trace

    made = context.Context()
    if any(form != BAGGAGE for form in given.propagators):
        parent = trace.SpanContext(
            int.from_bytes(given.trace_id, "big"),
            int.from_bytes(given.span_id, "big"),
            is_remote=False,
            trace_flags=trace.TraceFlags(int(given.is_sampled)),
        )
        made = trace.set_span_in_context(trace.NonRecordingSpan(parent), made)
    if given.baggage and BAGGAGE in given.propagators:
        from opentelemetry.baggage.propagation import W3CBaggagePropagator

        made = W3CBaggagePropagator().extract({"baggage": given.baggage}, context=made)
    return made


class _ImportHook(MetaPathFinder):
    """Wait until the API is imported, in whichever try that happens."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _API:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _SetUpAfter(spec.loader)
        return spec


class _SetUpAfter(Loader):
    """Load a module as its own loader does, then set up."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _set_up(_resource)
