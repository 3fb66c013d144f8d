"""The public names, and what importing them costs."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import otel_parsl

PUBLIC = ["OTelMonitoringHub", "__version__"]


def _loaded_by(statement: str, *names: str) -> list[str]:
    """Return which of the named modules a new process has loaded after a statement."""
    program = f"import sys\n{statement}\nprint(*[n for n in {names!r} if n in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return result.stdout.split()


def test_all_is_what_can_be_imported() -> None:
    """Every public name is there, sorted, and nothing else is public."""
    assert sorted(otel_parsl.__all__) == otel_parsl.__all__ == PUBLIC
    namespace: dict[str, object] = {}
    exec("from otel_parsl import *", namespace)
    namespace.pop("__builtins__")
    assert sorted(namespace) == PUBLIC


def test_unknown_name_is_an_attribute_error() -> None:
    """A name that is not there is told as of any other module."""
    with pytest.raises(AttributeError, match="'otel_parsl' has no attribute 'Nothing'"):
        _ = otel_parsl.Nothing


def test_module_has_no_public_names_beside() -> None:
    """What the package's own file binds for itself is not left lying about as public."""
    modules = {module.name for module in pkgutil.iter_modules(otel_parsl.__path__)}
    bound = {name for name in vars(otel_parsl) if not name.startswith("_")}
    assert bound - modules <= {"OTelMonitoringHub", "annotations", "TYPE_CHECKING", "Any"}


def test_import_of_the_package_loads_nothing_heavy() -> None:
    """Collector and workers import the package without paying for Parsl or a database."""
    heavy = ("parsl", "sqlalchemy", "grpc", "google.protobuf", "opentelemetry.sdk", "panel")
    assert _loaded_by("import otel_parsl", *heavy) == []


def test_import_of_the_worker_loads_nothing_heavy() -> None:
    """What runs where a try runs loads neither Parsl, nor a database, nor OpenTelemetry's SDK."""
    heavy = (
        "parsl",
        "sqlalchemy",
        "grpc",
        "google.protobuf",
        "opentelemetry.sdk",
        "pandas",
        "panel",
        "psutil",
    )
    assert _loaded_by("import otel_parsl.worker, otel_parsl.carrier", *heavy) == []


def test_submit_side_loads_no_collector() -> None:
    """Nothing downstream is imported by anything upstream."""
    downstream = ("otel_parsl_collector", "otel_parsl_dashboards", "panel", "grpc")
    assert _loaded_by("from otel_parsl import OTelMonitoringHub", *downstream) == []
