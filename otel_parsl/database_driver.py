"""The Python package that speaks to a database server: found, or said to be missing."""

from __future__ import annotations

from importlib.util import find_spec

from sqlalchemy.engine import URL
from sqlalchemy.exc import NoSuchModuleError

_EXPECTED = "expected postgresql:// or postgresql+psycopg://"


class NoDriver(ValueError):
    """Nothing that is installed speaks to the database of a URL as we do; the text says why."""


def with_driver(url: URL) -> URL:
    """
    Return a URL as it can be opened: with psycopg where it names no driver and that is installed.

    SQLAlchemy's own default is psycopg2, which is another package.

    Raises:
        NoDriver: The driver is unknown, asynchronous or not installed.
    """
    if url.drivername == "postgresql" and find_spec("psycopg") is not None:
        url = url.set(drivername="postgresql+psycopg")
    shown = url.render_as_string()
    try:
        dialect = url.get_dialect()
    except NoSuchModuleError as error:
        raise NoDriver(f"{shown}: no such driver; {_EXPECTED}") from error
    if dialect.is_async:
        raise NoDriver(f"{shown}: its driver is asynchronous; {_EXPECTED}")
    package = dialect.driver
    # Looked for and not imported: the submit process has no other use for it.
    if url.get_backend_name() != "sqlite" and find_spec(package) is None:
        instead = "" if package == "psycopg" else ", or postgresql+psycopg:// in its place"
        raise NoDriver(
            f"{shown}: needs the package {package}{instead}."
            " Run: pip install 'otel-parsl[postgres]'"
        )
    return url
