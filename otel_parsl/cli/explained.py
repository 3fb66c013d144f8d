"""What a command says of an error that ends it."""

from __future__ import annotations

import argparse

from otel_parsl.errors import OTelParslError
from otel_parsl.query.errors import WrongDatabase


def explained(error: OTelParslError, arguments: argparse.Namespace) -> str:
    """Return an error in words, with how the command is told of another database if that helps."""
    return f"{error}: {arguments.another}" if isinstance(error, WrongDatabase) else str(error)
