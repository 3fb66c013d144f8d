"""
OTLP/JSON to protobuf messages and back.

It is ProtoJSON but for trace and span ids, which are hexadecimal, and enums, which are written as
integers (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding); so protobuf's own
``json_format`` reads ids wrongly.
Both ways go by the messages' descriptors: no field is named here but the ids.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

_HEXADECIMAL = frozenset({"trace_id", "span_id", "parent_span_id"})
_MAX_DEPTH = 90
"""Below the 100 that protobuf decoders take, or what is accepted here could be read by no other."""
_INTEGER = re.compile(r"-?[0-9]{1,20}")


class JsonError(ValueError):
    """A text is no OTLP/JSON of the message; says where."""


class _Field(NamedTuple):
    name: str
    key: str
    is_repeated: bool
    message: Any
    """The descriptor of the message it holds; None for a scalar."""
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


def load(text: bytes) -> Any:
    """
    Return JSON as Python values.

    Raises:
        JsonError: It is no JSON.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise JsonError(f"no JSON: {error}") from error


def fill(message: Any, value: Any) -> None:
    """
    Fill a protobuf message with what JSON says.

    Unknown keys are ignored, as OTLP asks for; a key may be in lowerCamelCase or as in protobuf.

    Raises:
        JsonError: A value does not fit its field.
    """
    _fill(message, value, 0)


def render(message: Any) -> dict[str, Any]:
    """Return a protobuf message as OTLP/JSON values, without what is unset."""
    fields = _by_name(message.DESCRIPTOR)
    out: dict[str, Any] = {}
    for descriptor, value in message.ListFields():
        field = fields[descriptor.name]
        out[field.key] = (
            [field.write(v) for v in value] if field.is_repeated else field.write(value)
        )
    return out


def _fill(message: Any, value: Any, depth: int) -> None:
    if not isinstance(value, Mapping):
        raise JsonError(f"{_shown(value)}; expected an object")
    if depth > _MAX_DEPTH:
        raise JsonError("nested too deep")
    fields = _by_key(message.DESCRIPTOR)
    for key, item in value.items():
        field = fields.get(key)
        if field is None or item is None:
            continue
        try:
            _set(message, field, item, depth)
        except ValueError as error:
            raise JsonError(f"{key}{_separator(error)}{error}") from error


def _set(message: Any, field: _Field, item: Any, depth: int) -> None:
    if field.is_repeated:
        if not isinstance(item, list):
            raise JsonError(f"{_shown(item)}; expected a list")
        values = getattr(message, field.name)
        if field.message is None:
            values.extend(map(field.read, item))
            return
        for number, element in enumerate(item):
            try:
                _fill(values.add(), element, depth + 1)
            except ValueError as error:
                raise _At(f"[{number}]{_separator(error)}{error}") from error
    elif field.message is not None:
        inner = getattr(message, field.name)
        inner.SetInParent()
        _fill(inner, item, depth + 1)
    else:
        setattr(message, field.name, field.read(item))


class _At(JsonError):
    """An error whose message begins with a place in a list."""


def _separator(error: ValueError) -> str:
    if isinstance(error, _At):
        return ""
    return "." if isinstance(error.__cause__, ValueError) else ": "


@cache
def _by_key(descriptor: Any) -> dict[str, _Field]:
    fields = _by_name(descriptor)
    return {field.key: field for field in fields.values()} | fields


@cache
def _by_name(descriptor: Any) -> dict[str, _Field]:
    return {field.name: _field(field) for field in descriptor.fields}


def _field(field: Any) -> _Field:
    repeated = getattr(field, "is_repeated", None)  # older protobuf has `label` in its place
    if repeated is None:
        repeated = field.label == field.LABEL_REPEATED
    read, write = _conversion(field)
    return _Field(field.name, field.json_name, repeated, field.message_type, read, write)


def _conversion(field: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    kind = field.cpp_type
    if kind == field.CPPTYPE_MESSAGE:
        return _same, render
    if kind in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64):
        return _read_integer, str
    if kind in (field.CPPTYPE_INT32, field.CPPTYPE_UINT32):
        return _read_integer, _same
    if kind in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT):
        return _read_number, _write_number
    if kind == field.CPPTYPE_BOOL:
        return _read_boolean, _same
    if kind == field.CPPTYPE_ENUM:
        return _enum_reader(field.enum_type), _same
    if field.type != field.TYPE_BYTES:
        return _read_text, _same
    if field.name in _HEXADECIMAL:
        return _read_hexadecimal, bytes.hex
    return _read_base64, _write_base64


def _same(value: Any) -> Any:
    return value


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise JsonError(f"{_shown(value)}; expected a string")
    return value


def _read_boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise JsonError(f"{_shown(value)}; expected true or false")
    return value


def _read_integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise JsonError(f"{_shown(value)}; expected an integer, or one in a string")


def _read_number(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise JsonError("too large for a double") from None
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    raise JsonError(f"{_shown(value)}; expected a number")


def _write_number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _enum_reader(enum: Any) -> Callable[[Any], int]:
    """Return a reader that takes names too, as the OpenTelemetry Collector's does."""

    def read(value: Any) -> int:
        named = enum.values_by_name.get(value) if isinstance(value, str) else None
        return int(named.number) if named is not None else _read_integer(value)

    return read


def _read_hexadecimal(value: Any) -> bytes:
    if isinstance(value, str) and value.isalnum():
        try:
            return bytes.fromhex(value)
        except ValueError:
            pass
    elif value == "":
        return b""
    raise JsonError(f"{_shown(value)}; expected hexadecimal digits")


def _read_base64(value: Any) -> bytes:
    text = _read_text(value).translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise JsonError(f"{_shown(value)}; expected base64") from None


def _write_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _refuse_constant(name: str) -> None:
    raise JsonError(f"{name} is no JSON; write it as a string")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
