"""
Spans that the user's code makes inside an app, with the plain OpenTelemetry API.

Flow: the user's tracer -> **user_spans** -> the try's other telemetry, on its result
They become children of the execution. Nothing is loaded, and nothing costs, until the user's code
imports ``opentelemetry.trace``: an import hook waits for that.
A tracer provider that is there already, as under ``opentelemetry-instrument``, is the user's own
business: then only the context is given.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_API = "opentelemetry.trace"

_parent: tuple[bytes, bytes] | None = None
_finished: list[Any] = []
_resource: dict[str, Any] = {}
_is_set_up = False


def begin(trace_id: bytes, span_id: bytes, resource: dict[str, Any]) -> None:
    """
    Give the user's code the context of an execution.

    Args:
        trace_id: 16 bytes.
        span_id: 8 bytes.
        resource: Attributes for the Resource of the user's spans.
    """
    global _parent
    _parent = (trace_id, span_id)
    # W3C's variables for what the app starts, such as the shell of a bash app.
    os.environ["TRACEPARENT"] = f"00-{trace_id.hex()}-{span_id.hex()}-01"
    if _is_set_up:
        _attach()
    elif _API in sys.modules:
        _set_up(resource)
    elif not any(isinstance(finder, _ImportHook) for finder in sys.meta_path):
        _resource.update(resource)
        sys.meta_path.insert(0, _ImportHook())


def end() -> bytes | None:
    """Return the spans that ended since ``begin`` as a request, and take the context away."""
    global _parent
    _parent = None
    os.environ.pop("TRACEPARENT", None)
    if not _is_set_up:
        return None
    from opentelemetry import context

    context.attach(context.Context())
    if not _finished:
        return None
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    spans, _finished[:] = list(_finished), []
    return bytes(encode_spans(spans).SerializeToString())


def _set_up(resource: dict[str, Any]) -> None:
    """Provide tracers, unless somebody else does."""
    global _is_set_up
    _is_set_up = True
    from opentelemetry import trace

    is_ours_to_set = isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    if is_ours_to_set and os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true":
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

        class Collect(SpanProcessor):
            def on_end(self, span: Any) -> None:
                _finished.append(span)

        provider = TracerProvider(resource=Resource.create(resource), shutdown_on_exit=False)
        provider.add_span_processor(Collect())
        trace.set_tracer_provider(provider)
    _attach()


def _attach() -> None:
    if _parent is None:
        return
    from opentelemetry import context, trace

    trace_id, span_id = (int.from_bytes(part, "big") for part in _parent)
    parent = trace.SpanContext(
        trace_id, span_id, is_remote=False, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED)
    )
    context.attach(trace.set_span_in_context(trace.NonRecordingSpan(parent), context.Context()))


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
