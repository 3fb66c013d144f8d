"""The databases that the tests of this folder read."""

from tests.support.recorded_databases import (
    otel_database,
    parsl_database,
    recorded_database,
)

__all__ = ["otel_database", "parsl_database", "recorded_database"]
