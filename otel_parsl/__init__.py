"""
OpenTelemetry monitoring for Parsl.

Public names are resolved on first use (PEP 562): the collector and the workers import
small modules of this package, and must not pay for Parsl, SQLAlchemy or gRPC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_parsl.hub import OTelMonitoringHub as OTelMonitoringHub

__version__ = "0.1.0"

__all__ = ["OTelMonitoringHub", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "OTelMonitoringHub":
        from otel_parsl.hub import OTelMonitoringHub

        return OTelMonitoringHub
    raise AttributeError(f"module 'otel_parsl' has no attribute {name!r}")
