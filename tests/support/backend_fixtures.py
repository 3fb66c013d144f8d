"""
Fixtures of the real backends: `jaeger`, `otel_collector`, `postgres`, `postgres_url`.

A pytest plugin.
Where a backend is missing, its tests fail in CI and are skipped, with the command that installs
it, for a person.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.backends.catalogue import BackendMissing, in_ci
from tests.support.jaeger import Jaeger
from tests.support.otel_collector import OtelCollector
from tests.support.postgres import Postgres


@pytest.fixture(scope="session")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    """A Jaeger shared by the tests of this process: look for your own trace ids."""
    with missing_fails_or_skips():
        server = Jaeger(tmp_path_factory.mktemp("jaeger"))
    with server:
        yield server


@pytest.fixture(scope="session")
def otel_collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtelCollector]:
    """An OpenTelemetry Collector shared by the tests of this process, without authentication."""
    with missing_fails_or_skips():
        server = OtelCollector(tmp_path_factory.mktemp("otelcol"))
    with server:
        yield server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL cluster shared by the tests of this process; take `postgres_url` instead."""
    with missing_fails_or_skips():
        server = Postgres(tmp_path_factory.mktemp("postgres"))
    with server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """SQLAlchemy's URL of an empty PostgreSQL database that this test alone has."""
    with postgres.database() as url:
        yield url


@contextmanager
def missing_fails_or_skips() -> Iterator[None]:
    """Turn BackendMissing into a failure where CI is set, else into a skip with the command."""
    try:
        yield
    except BackendMissing as missing:
        if in_ci():
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
