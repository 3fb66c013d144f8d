"""Fixtures: databases that real runs of the program with every shape have left."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, insert, select

from otel_parsl import schema
from tests.support.everything_runs import everything_run

FIRST = "000"
"""The run directory of the program's first run, which has most."""


@pytest.fixture(scope="session")
def otel_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of the program's runs under our hub."""
    return everything_run(tmp_path_factory.getbasetemp(), "otel").database


@pytest.fixture(scope="session")
def parsl_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of the program's runs under Parsl's own hub."""
    return everything_run(tmp_path_factory.getbasetemp(), "parsl").database


@pytest.fixture(params=["otel", "parsl"])
def recorded_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The database of the program's runs, under our hub and under Parsl's own."""
    return everything_run(tmp_path_factory.getbasetemp(), request.param).database


def copy_rows(database: Path, url: str) -> None:
    """Copy every row of an SQLite database to an empty one of another kind."""
    here, there = create_engine(f"sqlite:///{database}"), create_engine(url)
    schema.metadata.create_all(there)
    with here.connect() as reading, there.begin() as writing:
        for table in schema.metadata.sorted_tables:
            found = [row._asdict() for row in reading.execute(select(table))]
            if found:
                writing.execute(insert(table), found)
    here.dispose()
    there.dispose()


def leave_parsls_tables(path: Path) -> None:
    """Make of a database of ours what Parsl's own hub would have written."""
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'otel!_%' ESCAPE '!'"
        ).fetchall()
        assert names
        for (name,) in names:
            connection.execute(f"DROP TABLE {name}")
        connection.commit()


def rows(database: Path, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Return what SQL written by hand gives."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)) as connection:
        return connection.execute(sql, parameters).fetchall()


def value(database: Path, sql: str, *parameters: Any) -> Any:
    """Return the one value that SQL written by hand gives."""
    found: Sequence[tuple[Any, ...]] = rows(database, sql, *parameters)
    assert len(found) == 1, found
    return found[0][0]


def microseconds(column: str) -> str:
    """Return SQL for the microseconds of a time: SQLite's own functions round to milliseconds."""
    return f"(strftime('%s', substr({column}, 1, 19)) * 1000000 + substr({column}, 21, 6))"


def first_run_id(database: Path) -> str:
    """Return the id of the program's first run."""
    return str(value(database, "SELECT run_id FROM workflow ORDER BY time_began LIMIT 1"))


__all__ = ["otel_database", "parsl_database", "recorded_database"]
