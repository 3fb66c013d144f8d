"""The reference says what the code says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from otel_parsl import config, propagation, trace_sampling

_DOCS = Path(__file__).parents[2] / "docs"


def _load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", _DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


generate = _load_generator()


@pytest.mark.parametrize("name", sorted(generate.pages()))
def test_page_is_what_the_code_makes(name: str) -> None:
    """Each page of the reference is the one that docs/generate.py makes now."""
    written = (_DOCS / "reference" / name).read_text()

    assert written == generate.pages()[name], "run: python docs/generate.py"


def test_reference_has_no_other_pages() -> None:
    """Nothing in docs/reference is written by hand, where it would grow old."""
    assert sorted(path.name for path in (_DOCS / "reference").iterdir()) == sorted(generate.pages())


@pytest.mark.parametrize("variable", generate.VARIABLES, ids=lambda variable: variable.name)
def test_variable_of_the_reference_makes_a_difference(variable: Any) -> None:
    """Each variable that the reference names changes what is forwarded, or what it says."""
    base = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/etc/ssl/me.pem",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "127.0.0.1:4317",
        "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc",
    }

    assert _settings({**base, variable.name: variable.example}) != _settings(base)


def _settings(environment: dict[str, str]) -> tuple[object, ...]:
    found = config.destinations(
        endpoint=None,
        forward_to=(),
        protocol=None,
        headers=None,
        certificate=None,
        environment=environment,
    )
    formats = propagation.propagators(environment)
    caller = propagation.span_at_load(formats, environment)
    return (
        [each.as_settings() for each in found],
        config.resource_attributes(None, environment),
        config.exception_signals(environment),
        formats,
        caller,
        propagation.baggage_at_load(formats, environment),
        trace_sampling.share_from_environment(caller, environment),
    )
