"""Fixture: what Parsls of earlier years recorded, a database of each schema since 1.1."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parents[1] / "dashboards" / "generations"
GENERATIONS = sorted(path.stem for path in _FOLDER.glob("*.sql"))


@pytest.fixture(params=GENERATIONS)
def parsl_generation(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A small run under Parsl's own hub, as the Parsl of each generation recorded it."""
    path = tmp_path / "monitoring.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript((_FOLDER / f"{request.param}.sql").read_text())
    return path


__all__ = ["parsl_generation"]
