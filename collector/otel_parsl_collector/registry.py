"""
Find the components: each is a module named as its type.

A contributor adds one by adding a file with a ``COMPONENT``; nothing lists them.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from otel_parsl_collector import connectors, exporters, extensions, processors, receivers
from otel_parsl_collector.component import Component
from otel_parsl_collector.config_reader import unknown
from otel_parsl_collector.errors import ConfigError

_PACKAGES: dict[str, ModuleType] = {
    "receivers": receivers,
    "processors": processors,
    "connectors": connectors,
    "exporters": exporters,
    "extensions": extensions,
}
_ALIASES = {"exporters": {"otlp": "otlp_grpc", "otlphttp": "otlp_http"}}
"""Names that the OpenTelemetry Collector had before, and still takes."""
KINDS = tuple(_PACKAGES)


def find(kind: str, name: str) -> Component:
    """
    Return the component of an id, such as ``otlp`` or ``otlp/site``.

    Args:
        kind: One of ``KINDS``.
        name: The id, whose type is what comes before a slash.

    Raises:
        ConfigError: There is no such component.
    """
    package = _PACKAGES[kind]
    aliases = _ALIASES.get(kind, {})
    type_ = name.partition("/")[0]
    names = {module.name for module in pkgutil.iter_modules(package.__path__)}
    module = aliases.get(type_, type_)
    component = _component(package, module) if module in names else None
    if component is None:
        known = {known for known in names if _component(package, known)} | set(aliases)
        raise ConfigError(f"collector config: {unknown(kind[:-1], kind, type_, known)}")
    return component


def _component(package: ModuleType, name: str) -> Component | None:
    module = importlib.import_module(f"{package.__name__}.{name}")
    return getattr(module, "COMPONENT", None)
