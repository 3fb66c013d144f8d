"""
What otel_parsl raises.

    OTelParslError
    ├── ConfigError      a setting that cannot be used; raised where it is given
    └── ParslMismatch    this Parsl does not have what otel_parsl holds on to
"""

from __future__ import annotations


class OTelParslError(Exception):
    """Whatever otel_parsl raises on purpose."""


class ConfigError(OTelParslError, ValueError):
    """A setting cannot be used; the message says which, what was found and what is allowed."""


class ParslMismatch(OTelParslError):
    """The installed Parsl lacks a seam; the message names it and the versions that have it."""
