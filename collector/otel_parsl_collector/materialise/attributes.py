"""KeyValues as a dict."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from otel_parsl.semconv import TERMS

Attributes = dict[str, Any]

_SHORT = 130
"""Up to this the lengths within a KeyValue are of one byte each."""
_MOST = 20_000
_TEXT, _INTEGER, _DOUBLE = 0x0A, 0x18, 0x21
"""The first byte of an AnyValue: its kind."""
_read_double = Struct("<d").unpack_from


def read_attributes(pairs: Iterable[bytes]) -> Attributes:
    """
    Return encoded KeyValues as a dict; values that are lists or maps are protobuf messages.

    Raises:
        DecodeError: One is no KeyValue.
        ValueError: A text is not UTF-8.
        LookupError: One ends too early.
    """
    found = dict(map(_known.__getitem__, pairs))
    found.pop("", None)
    return found


class _Known(dict[bytes, tuple[str, Any]]):
    """
    What KeyValues say, read once.

    Of the attributes of a stream most have been seen before: names of apps and hosts, but also the
    id of a task, which each of its events, spans and points carries.
    """

    def __missing__(self, data: bytes) -> tuple[str, Any]:
        if len(data) > _SHORT:
            return _read_any(data)
        if len(self) >= _MOST:
            self.clear()
        # What encoders write: 10, a length, the key, 18, a length, the kind and the value.
        start = data[1] + 4 if len(data) > 1 else _SHORT
        name = _names.get(data[: start - 1])
        pair = None
        if name is not None and data[start - 1] == len(data) - start:
            pair = _read_value(name, data, start)
        pair = self[data] = pair or _read_any(data)
        return pair


def _read_value(name: str, data: bytes, start: int) -> tuple[str, Any] | None:
    """Return a name with the AnyValue that is encoded from a place on, if it is a plain one."""
    kind = data[start] if start < len(data) else None
    if kind == _INTEGER:
        value = AnyValue.FromString(data[start:])
        return (name, value.int_value) if value.HasField("int_value") else None
    if kind == _TEXT and data[start + 1] == len(data) - start - 2:
        return name, data[start + 2 :].decode()
    if kind == _DOUBLE and len(data) == start + 9:
        return name, _read_double(data, start + 1)[0]
    return None


def _read_any(data: bytes) -> tuple[str, Any]:
    """Return a key and its value; one without a value goes by no name."""
    message = KeyValue.FromString(data)
    kind = message.value.WhichOneof("value")
    return ("", None) if kind is None else (message.key, getattr(message.value, kind))


_names = {b"\x0a%c%b\x12" % (len(name), name.encode()): name for name in TERMS}
_known = _Known()
