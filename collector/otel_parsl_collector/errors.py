"""
What the collector raises.

    CollectorError
    ├── ConfigError    its configuration cannot be used
    └── StoreError     a database cannot be used, and waiting will not help
"""

from __future__ import annotations


class CollectorError(Exception):
    """Whatever the collector raises on purpose."""


class ConfigError(CollectorError, ValueError):
    """A setting cannot be used; the message says which, what was found and what is allowed."""


class StoreError(CollectorError):
    """A database cannot be used; the message says why and what to do."""
