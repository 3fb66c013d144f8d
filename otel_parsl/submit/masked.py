"""Arguments of the hub whose repr, which Parsl logs, shows no secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from otel_parsl.errors import ConfigError


class DatabaseUrl(str):
    """A database URL whose password is not shown by repr."""

    def __repr__(self) -> str:
        from sqlalchemy.engine import make_url

        return repr(make_url(str(self)).render_as_string(hide_password=True))


class Headers(dict[str, str]):
    """Headers whose values, often secrets, are not shown by repr."""

    def __repr__(self) -> str:
        return repr(dict.fromkeys(self, "…"))


def database_url(given: str) -> DatabaseUrl:
    """
    Return the hub's ``logging_endpoint``, checked.

    Raises:
        ConfigError: It is no URL, of a kind of database that cannot have the tables, or needs a
            package that is not installed.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    from otel_parsl.database_driver import NoDriver, with_driver
    from otel_parsl.schema import DATABASES

    expected = "expected sqlite:/// or postgresql+psycopg://"
    try:
        url = make_url(given)
    except ArgumentError as error:  # what was given may be a URL with a password and a slip
        raise ConfigError(f"logging_endpoint: no SQLAlchemy URL; {expected}") from error
    if url.get_backend_name() not in DATABASES:
        raise ConfigError(
            f"logging_endpoint: {url.render_as_string()}: no such kind of database; {expected}"
        )
    try:
        with_driver(url)
    except NoDriver as error:
        raise ConfigError(f"logging_endpoint: {error}") from error
    return DatabaseUrl(given)


def absolute_url(url: str) -> str:
    """Return a database URL that means the same in another directory, where the agent works."""
    from sqlalchemy.engine import make_url

    parts = make_url(url)
    path = parts.database
    if parts.get_backend_name() != "sqlite" or not path or path.startswith((":", "file:")):
        return url
    absolute = parts.set(database=os.path.abspath(path))
    return absolute.render_as_string(hide_password=False)


def without_secrets(given: Any) -> Any:
    """Return a URL or a mapping as the repr may show it."""
    if not isinstance(given, Mapping):
        return given
    shown = dict(given)
    if "headers" in shown:
        headers = shown["headers"]
        shown["headers"] = Headers(headers) if isinstance(headers, Mapping) else "…"
    return shown
