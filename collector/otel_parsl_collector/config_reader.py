"""
Plain values to settings: a frozen dataclass says which there are, their types and defaults.

Flow: config_source -> **config_reader** -> config
A setting that is not known is refused, with its path and what may have been meant.
"""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from otel_parsl_collector.errors import ConfigError

Settings = TypeVar("Settings")
_DURATION = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)(?P<unit>ms|s|m|h)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Duration(float):
    """A time in seconds, written as in Go: ``500ms``, ``5s``, ``10m``, ``168h``."""

    @classmethod
    def from_setting(cls, value: object) -> Duration:
        """
        Read a time.

        Raises:
            ValueError: It has another form.
        """
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError("a time such as 500ms, 5s, 10m or 168h")
        return cls(float(match["number"]) * _UNIT_S[match["unit"]])


def read_settings(kind: type[Settings], value: Any, path: str) -> Settings:
    """
    Return settings read from plain values.

    Args:
        kind: A dataclass of settings.
        value: A mapping, or None for the defaults.
        path: Where it stands, for messages.

    Raises:
        ConfigError: A setting is unknown, missing, or of another type.
    """
    if value is None:
        value = {}
    if not isinstance(value, Mapping):
        raise _wrong(path, value, "settings")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    for key in value:
        if key not in fields:
            raise ConfigError(f"collector config: {unknown('setting', path, key, fields)}")
    found: dict[str, Any] = {}
    for name, field in fields.items():
        where = f"{path}.{name}" if path else name
        if name in value:
            found[name] = _read(hints[name], value[name], where, is_shown=field.repr)
        elif field.default is field.default_factory:  # both are MISSING
            raise ConfigError(f"collector config: {where} is missing")
    try:
        return kind(**found)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"collector config: {path}{'.' if path else ''}{error}") from error


def unknown(what: str, path: str, key: object, known: Iterable[str]) -> str:
    """Return the words for a name that is not known, with the one that may have been meant."""
    prefix = f"{path}." if path else ""
    names = sorted(known)
    close = get_close_matches(str(key), names, n=1)
    if close:
        return f"unknown {what} '{prefix}{key}'. Did you mean '{prefix}{close[0]}'?"
    expected = f"expected one of {', '.join(names)}" if names else "there is none"
    return f"unknown {what} '{prefix}{key}'; {expected}"


def _read(hint: Any, value: Any, path: str, *, is_shown: bool) -> Any:
    try:
        return _convert(hint, value, path, is_shown=is_shown)
    except ConfigError:
        raise
    except ValueError as error:
        raise _wrong(path, value if is_shown else ..., str(error)) from error


def _convert(hint: Any, value: Any, path: str, *, is_shown: bool) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _optional(inner, value, path, is_shown=is_shown)
    if dataclasses.is_dataclass(hint):
        return read_settings(hint, value, path)  # type: ignore[arg-type]
    if origin is Literal:
        if value not in inner:
            raise ValueError(f"one of {', '.join(inner)}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError("a list")
        return tuple(
            _read(inner[0], item, f"{path}[{number}]", is_shown=is_shown)
            for number, item in enumerate(value)
        )
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ValueError("names with their values")
        return {
            str(key): _read(inner[1], item, f"{path}.{key}", is_shown=is_shown)
            for key, item in value.items()
        }
    if hasattr(hint, "from_setting"):
        return hint.from_setting(value)
    return _SCALARS[hint](value)


def _optional(inner: tuple[Any, ...], value: Any, path: str, *, is_shown: bool) -> Any:
    """Read ``X | None``; a section that is named but empty has its defaults, as in Go's."""
    (hint,) = (part for part in inner if part is not type(None))
    if value is None and not dataclasses.is_dataclass(hint):
        return None
    return _convert(hint, value, path, is_shown=is_shown)


def _anything(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("text; write it in quotes")
    return value


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise ValueError("true or false")


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    raise ValueError("an integer")


_SCALARS: dict[Any, Any] = {Any: _anything, str: _text, bool: _boolean, int: _integer}


def _wrong(path: str, value: Any, expected: str) -> ConfigError:
    is_hidden = value is ...
    found = "cannot be used" if is_hidden else f"is {value!r:.80}"
    return ConfigError(f"collector config: {path} {found}; expected {expected}")
