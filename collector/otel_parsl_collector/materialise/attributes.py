"""KeyValues as a dict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import KeyValue

Attributes = dict[str, Any]

_SHORT = 130
"""Longer ones are seldom seen again, and would take much to remember."""
_MOST = 20_000


def read_attributes(pairs: Iterable[bytes]) -> Attributes:
    """
    Return encoded KeyValues as a dict; values that are lists or maps are protobuf messages.

    Raises:
        DecodeError: One is no KeyValue.
    """
    found = dict(map(_known.__getitem__, pairs))
    found.pop("", None)
    return found


class _Known(dict[bytes, tuple[str, Any]]):
    """
    What KeyValues say, read once; one without a value goes by no name.

    Of the attributes of a stream most have been seen before: names of apps and hosts, but also the
    id of a task, which each of its events, spans and points carries.
    """

    def __missing__(self, data: bytes) -> tuple[str, Any]:
        message = KeyValue.FromString(data)
        value = message.value
        kind = value.WhichOneof("value")
        pair = ("", None) if kind is None else (message.key, getattr(value, kind))
        if len(data) <= _SHORT:
            if len(self) >= _MOST:
                self.clear()
            self[data] = pair
        return pair


_known = _Known()
