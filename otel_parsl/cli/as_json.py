"""Print facts as JSON: names of fields as keys, times as ISO 8601 in UTC, None as null."""

from __future__ import annotations

import datetime
import enum
import json
import sys
from typing import Any


def print_json(facts: Any) -> None:
    """Print one JSON document."""
    json.dump(plain(facts), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def plain(value: Any) -> Any:
    """Return a value in the types that JSON has; a named tuple becomes an object."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat()
    if hasattr(value, "_asdict"):
        return {name: plain(item) for name, item in value._asdict().items()}
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value
