"""What the tests of the pages share."""

from tests.support.backend_fixtures import postgres
from tests.support.browser_fixtures import (
    browser,
    demo,
    demo_database,
    demo_folder,
    demo_output,
    serve,
    servers_have_no_faults,
    shown,
)
from tests.support.parsl_generations import parsl_generation
from tests.support.recorded_databases import (
    otel_database,
    parsl_database,
    recorded_database,
)
from tests.support.simulated_database import simulated_database, simulated_parsl_database

__all__ = [
    "browser",
    "demo",
    "demo_database",
    "demo_folder",
    "demo_output",
    "otel_database",
    "parsl_database",
    "parsl_generation",
    "postgres",
    "recorded_database",
    "serve",
    "servers_have_no_faults",
    "shown",
    "simulated_database",
    "simulated_parsl_database",
]
