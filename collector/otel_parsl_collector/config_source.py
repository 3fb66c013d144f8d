"""
A configuration file to plain values: YAML, ``${env:NAME}`` and ``--set``.

Flow: **config_source** -> config_reader -> config
Values that come from the environment or from ``--set`` are text; config_reader turns them into
what their setting is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from otel_parsl_collector.errors import ConfigError

_REFERENCE = re.compile(r"\$(\$|\{(?P<inner>[^{}]*)\})")
_ENVIRONMENT = re.compile(r"env:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?P<default>.*))?")


def read_source(
    text: str, *, name: str, sets: Iterable[str], environment: Mapping[str, str]
) -> dict[str, Any]:
    """
    Return a configuration as nested dicts and lists.

    Args:
        text: YAML.
        name: Of the file, for messages.
        sets: ``a.b=value``, which override it.
        environment: The variables that ``${env:NAME}`` and ``${env:NAME:-default}`` name.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        found = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"collector config {name}: no YAML: {_one_line(error)}") from error
    if found is None:
        found = {}
    if not isinstance(found, dict):
        raise ConfigError(
            f"collector config {name}: the file is {found!r:.60}; expected settings such as"
            " receivers: and exporters:"
        )
    for assignment in sets:
        _assign(found, assignment)
    expanded: dict[str, Any] = _expand(found, environment, "")
    return expanded


_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """YAML as usual, but a key may not stand twice: one of them would be lost."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == _MERGE:
            continue
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"{key!r} stands twice", key_node.start_mark
            )
        seen.add(key)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _assign(config: dict[str, Any], assignment: str) -> None:
    path, separator, value = assignment.partition("=")
    keys = path.split(".")
    if not separator or not all(keys):
        raise ConfigError(f"--set {assignment}: expected a.b=value")
    inner = config
    for key in keys[:-1]:
        if inner.get(key) is None:
            inner[key] = {}
        inner = inner[key]
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {assignment}: {key!r} is {inner!r}, which has no settings")
    inner[keys[-1]] = _assigned(value)


def _assigned(text: str) -> Any:
    """Return a list, settings or a quoted text as YAML has it; all else is text as it stands."""
    if not text.lstrip().startswith(("[", "{", '"', "'")):
        return text
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # as of [::1]:4317
        return text


def _expand(value: Any, environment: Mapping[str, str], path: str) -> Any:
    if isinstance(value, dict):
        return {
            key: _expand(item, environment, f"{path}.{key}" if path else str(key))
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            _expand(item, environment, f"{path}[{number}]") for number, item in enumerate(value)
        ]
    if not isinstance(value, str) or "$" not in value:
        return value

    def replacement(match: re.Match[str]) -> str:
        inner = match["inner"]
        if inner is None:
            return "$"
        named = _ENVIRONMENT.fullmatch(inner)
        if named is None:
            raise ConfigError(
                f"collector config: {path} has {match[0]!r};"
                " expected ${env:NAME} or ${env:NAME:-default}, or $$ for a dollar sign"
            )
        found = environment.get(named["name"], named["default"])
        if found is None:
            raise ConfigError(
                f"collector config: {path} names the variable {named['name']}, which is not set."
                f" Set it, or write ${{env:{named['name']}:-default}}"
            )
        return found

    return _REFERENCE.sub(replacement, value)


def _one_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error))
