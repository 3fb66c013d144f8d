"""
The real backends that tests talk to, and the error that says how to have a missing one.

Each runs on free loopback ports and belongs to the test process that started it, so several test
processes may run at once.
tests/backends/provision.py makes the programs; tests/support/backend_fixtures.py has the fixtures.
"""

from __future__ import annotations

from tests.backends.catalogue import BackendMissing
from tests.support.jaeger import Jaeger
from tests.support.otel_collector import Forwarding, OtelCollector
from tests.support.postgres import Postgres

__all__ = ["BackendMissing", "Forwarding", "Jaeger", "OtelCollector", "Postgres"]
