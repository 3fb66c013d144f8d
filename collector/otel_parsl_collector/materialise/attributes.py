"""KeyValues as a dict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Attributes = dict[str, Any]


def read_attributes(pairs: Iterable[Any]) -> Attributes:
    """Return KeyValues as a dict; values that are lists or maps stay protobuf messages."""
    found: Attributes = {}
    for pair in pairs:
        value = pair.value
        kind = value.WhichOneof("value")
        if kind is not None:
            found[pair.key] = getattr(value, kind)
    return found
