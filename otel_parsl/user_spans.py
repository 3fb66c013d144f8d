"""
Spans that the user's code makes inside an app, with the plain OpenTelemetry API.

Flow: the user's tracer -> **user_spans** -> the try's other telemetry, on its result
They become children of the execution. Nothing is loaded, and nothing costs, until the user's code
imports ``opentelemetry.trace``: an import hook waits for that.
A tracer provider that is there already, as under ``opentelemetry-instrument``, is the user's own
business: then only the context is given.
Several tries may run in threads of one process: each has its context in its own thread, as
OpenTelemetry has it, and the environment, which they share, says nothing then.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Sequence
from contextvars import ContextVar
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple

from otel_parsl.environment import set_variable, unset_variable
from otel_parsl.open_tries import OpenTry
from otel_parsl.propagation import BAGGAGE, TRACE_CONTEXT, load_propagator
from otel_parsl.trace_sampling import is_disabled

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


class Begun:
    """
    What one try gives to the user's code, and the spans that this made.

    Args:
        given: The context.
        resource: Attributes for the Resource of the spans.
    """

    __slots__ = ("before", "finished", "given", "outer", "resource", "unfinished")

    def __init__(self, given: Given, resource: dict[str, Any]) -> None:
        self.given = given
        self.resource = resource
        self.finished: list[Any] = []
        self.unfinished: set[int] = set()
        """The ids of spans that were begun."""
        self.before: Any = None
        """OpenTelemetry's context that ours was put in place of."""
        self.outer: Begun | None = None


_current: ContextVar[Begun | None] = ContextVar("otel_parsl_try", default=None)
_alone: Begun | None = None
"""The try that has the process to itself: also what threads of the user's own work for."""
_lock = threading.Lock()
"""Held for the environment, and whose it is."""
_owners: dict[int, Begun] = {}
"""Which try a span that goes on belongs to, by the span's id."""
_late: list[Any] = []
"""Spans that ended after their try: they leave with the next one."""
_is_set_up = False
_variables: set[str] = set()
_missing: set[str] = set()


def begin(given: Given, resource: dict[str, Any], entered: OpenTry) -> Begun:
    """
    Give the user's code in this thread the context of an execution.

    Args:
        given: The context.
        resource: Attributes for the Resource of the user's spans.
        entered: Whether the try has the process to itself: then it has the environment too, which
            the tries of a process cannot have each for itself.

    Returns:
        What ``end`` takes.
    """
    global _alone
    begun = Begun(given, resource)
    begun.outer = _current.get()
    _current.set(begun)
    with _lock:
        _take_variables()
        _alone = begun if entered.has_process else None
        if entered.has_process:
            _set_variables(given)
    if _is_set_up:
        _attach(begun)
    elif _API in sys.modules:
        _set_up()
    elif not any(isinstance(finder, _ImportHook) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ImportHook())
    return begun


def end(begun: Begun) -> bytes | None:
    """Take the context away and return the spans that have ended as a request, if there are any."""
    global _alone
    _current.set(begun.outer)
    with _lock:
        if _alone is begun:
            _alone = None
            _take_variables()
    if not _is_set_up:
        return None
    if begun.before is not None:
        from opentelemetry import context

        context.attach(begun.before)
    while begun.unfinished:
        _owners.pop(begun.unfinished.pop(), None)
    spans = begun.finished
    while _late:
        spans.append(_late.pop())
    if not spans:
        return None
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    return bytes(encode_spans(spans).SerializeToString())


def current() -> Begun | None:
    """Return the try that the calling code works for; None where it works for none."""
    return _current.get() or _alone


def execution_of_caller() -> str | None:
    """Return the execution that this thread's code is part of, as a W3C traceparent."""
    begun = _current.get()
    return None if begun is None else _traceparent(begun.given)


def span_began(span_id: int) -> None:
    """Note for which try a span was begun."""
    if (begun := current()) is not None:
        begun.unfinished.add(span_id)
        _owners[span_id] = begun


def span_ended(span_id: int, span: Any) -> None:
    """Keep a span until its try ends."""
    begun = _owners.pop(span_id, None)
    if begun is None:
        _late.append(span)
    else:
        begun.unfinished.discard(span_id)
        begun.finished.append(span)


def _set_variables(given: Given) -> None:
    """Set the variables for what the app starts, such as the shell of a bash app."""
    for form in given.propagators:
        if form == TRACE_CONTEXT:
            _set("TRACEPARENT", _traceparent(given))
        elif form == BAGGAGE:
            if given.baggage:
                _set("BAGGAGE", given.baggage)
        elif form not in _missing:
            _set_by_package(form, given)


def _traceparent(given: Given) -> str:
    flags = "01" if given.is_sampled else "00"
    return f"00-{given.trace_id.hex()}-{given.span_id.hex()}-{flags}"


def _take_variables() -> None:
    while _variables:
        unset_variable(_variables.pop())


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
    set_variable(name, value)
    _variables.add(name)


def _set_up() -> None:
    """Provide tracers, unless somebody else does."""
    global _is_set_up
    _is_set_up = True
    from opentelemetry import trace

    is_ours_to_set = isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    if is_ours_to_set and not is_disabled():

        class Provider(trace.TracerProvider):
            def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
                from otel_parsl.user_tracer import TryTracer

                return TryTracer(args, kwargs)

        # Not by set_tracer_provider(), which takes one alone: the user's own, should the program
        # set it only later, is to replace ours.
        trace._TRACER_PROVIDER = Provider()
    if (begun := current()) is not None:
        _attach(begun)


def _attach(begun: Begun) -> None:
    from opentelemetry import context

    begun.before = context.get_current()
    context.attach(_context(begun.given))


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
        if self in sys.meta_path:  # another thread may have imported it meanwhile
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
        if current() is not None:  # else the program's own: whether it has an SDK is to be seen
            _set_up()
