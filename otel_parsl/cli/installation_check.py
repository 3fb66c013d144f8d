"""Check what is installed: versions, Parsl's seams, and what is on the PATH."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from otel_parsl import __version__
from otel_parsl.cli.finding import Finding, Verdict
from otel_parsl.cli.own_script import NAME as _VISUALIZE

_DISTRIBUTION = "otel-parsl"
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(?:\(?>=\s*([0-9][0-9.]*)\)?)?")
_HTEX_SCRIPTS = ("interchange.py", "process_worker_pool.py")
_SCRIPT_BYTES = 65_536
_IMPORT = re.compile(r"^\s*from\s+([\w.]+)\s+import", re.MULTILINE)


def check_installation() -> Iterator[Finding]:
    """Yield what was found of the packages and scripts."""
    yield Finding(
        "otel-parsl",
        Verdict.OK,
        f"{__version__} in {Path(__file__).parents[1]}, Python {platform.python_version()}",
    )
    yield from _packages()
    yield _seams()
    yield _htex_scripts()
    yield check_visualize(shutil.which(_VISUALIZE), beside=Path(sys.executable).parent)


def _packages() -> Iterator[Finding]:
    try:
        requirements = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding(
            "packages",
            Verdict.WARNING,
            "otel-parsl itself is not installed here, so what it needs is not known",
            "pip install otel-parsl",
        )
        return
    for requirement in requirements:
        if ";" not in requirement:
            yield _package(requirement)
    if importlib.util.find_spec("psycopg") is None:
        yield Finding(
            "psycopg",
            Verdict.NOTE,
            "not installed; it is needed for PostgreSQL alone",
            "for PostgreSQL: pip install 'otel-parsl[postgres]'",
        )
    else:
        yield Finding("psycopg", Verdict.OK, _version_of("psycopg") or "installed")


def _package(requirement: str) -> Finding:
    match = _REQUIREMENT.match(requirement)
    name, least = (match[1], match[2]) if match else (requirement, None)
    version = _version_of(name)
    install = f"pip install '{name}>={least}'" if least else f"pip install {name}"
    if version is None:
        return Finding(name, Verdict.BAD, "not installed", install)
    if least and _numbers(version) < _numbers(least):
        return Finding(
            name, Verdict.BAD, f"{version} is not supported; {least} and later are", install
        )
    supported = f"{version}, supported from {least} on" if least else version
    return Finding(name, Verdict.OK, supported)


def _version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with; what follows them does not count."""
    numbers = []
    for part in version.split("."):
        digits = re.match(r"\d+", part)
        if digits is None:
            break
        numbers.append(int(digits[0]))
    return tuple(numbers)


def _seams() -> Finding:
    try:
        importlib.import_module("otel_parsl.hub")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is to be found
        return Finding(
            "OTelMonitoringHub",
            Verdict.BAD,
            f"cannot be used with this Parsl: {type(error).__name__}: {error}",
            "use a Parsl and an otel-parsl of about the same time",
        )
    return Finding("OTelMonitoringHub", Verdict.OK, "finds in this Parsl what it holds on to")


def _htex_scripts() -> Finding:
    missing = [name for name in _HTEX_SCRIPTS if shutil.which(name) is None]
    if not missing:
        return Finding("PATH", Verdict.OK, f"has {' and '.join(_HTEX_SCRIPTS)}")
    folder = Path(sys.executable).parent
    return Finding(
        "PATH",
        Verdict.WARNING,
        f"has no {' and no '.join(missing)}, which HighThroughputExecutor starts",
        f"before running a workflow: export PATH={folder}:$PATH",
    )


def check_visualize(path: str | None, *, beside: Path) -> Finding:
    """
    Return whose ``parsl-visualize`` is on the PATH.

    Args:
        path: Where it is; None where there is none.
        beside: The folder of this environment's commands.
    """
    if path is None:
        own = beside / _VISUALIZE
        if not own.exists():
            return Finding(
                _VISUALIZE, Verdict.NOTE, "not installed", "to have ours: otel-parsl doctor --fix"
            )
        return Finding(
            _VISUALIZE,
            Verdict.NOTE,
            f"not on the PATH; this environment has {own}",
            f"to have it there: export PATH={beside}:$PATH",
        )
    try:
        with open(path, "rb") as file:
            script = file.read(_SCRIPT_BYTES).decode(errors="replace")
    except OSError as error:
        return Finding(_VISUALIZE, Verdict.WARNING, f"{path} cannot be read: {error.strerror}")
    modules = _IMPORT.findall(script)
    if any(module.split(".")[0] in ("otel_parsl", "otel_parsl_dashboards") for module in modules):
        return Finding(_VISUALIZE, Verdict.OK, f"{path} is ours")
    if not any(module.split(".")[0] == "parsl" for module in modules):
        return Finding(
            _VISUALIZE,
            Verdict.WARNING,
            f"{path} is neither Parsl's nor ours",
            f"look into {path}",
        )
    if Path(path).parent.resolve() != beside.resolve():
        return Finding(
            _VISUALIZE,
            Verdict.NOTE,
            f"{path} is Parsl's, of another environment; otel-parsl visualize is ours",
            f"to have ours under that name: export PATH={beside}:$PATH",
        )
    return Finding(
        _VISUALIZE,
        Verdict.NOTE,
        f"{path} is Parsl's; otel-parsl visualize is ours",
        "to have ours under that name: otel-parsl doctor --fix",
    )
