"""The commands say the same of a run whether its tables are in SQLite or in PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backend_fixtures import postgres
from tests.support.command_line import otel_parsl
from tests.support.postgres import Postgres
from tests.support.recorded_databases import copy_rows, rows

__all__ = ["postgres"]

_COMMANDS = (
    ("status",),
    ("tasks",),
    ("tasks", "--state", "failed"),
    ("failures",),
    ("failures", "--stack"),
    ("show",),
)


@pytest.fixture(scope="module")
def copy(postgres: Postgres, otel_database: Path) -> Iterator[str]:
    """The database of the program's runs, every row of it, in PostgreSQL."""
    with postgres.database() as url:
        copy_rows(otel_database, url)
        yield url


@pytest.mark.parametrize("command", _COMMANDS, ids=" ".join)
def test_commands_say_the_same(otel_database: Path, copy: str, command: tuple[str, ...]) -> None:
    """Of each run, in words and as JSON."""
    runs = [rundir for (rundir,) in rows(otel_database, "SELECT rundir FROM workflow")]
    name, *options = command
    said = 0
    for run in (Path(rundir).name for rundir in runs):
        for form in ((), ("--json",)):
            here = otel_parsl(name, run, *options, *form, "--db", otel_database)
            there = otel_parsl(name, run, *options, *form, "--db", copy)
            assert (there.code, _timeless(there.output)) == (here.code, _timeless(here.output))
            said += len(here.output)
    assert said > 500


def _timeless(output: str) -> str:
    """Return what was said without how long ago something was."""
    return re.sub(r"[0-9.]+ \w+ ago", "ago", output)


@pytest.mark.parametrize("task", range(0, 45, 4))
def test_tasks_are_shown_alike(otel_database: Path, copy: str, task: int) -> None:
    """Its tries, states, failures, parents and children."""
    here, there = (
        otel_parsl("show", f"000/{task}", "--json", "--db", database)
        for database in (otel_database, copy)
    )
    assert (there.code, there.output) == (here.code, here.output)
    assert here.json["task_id"] == task
