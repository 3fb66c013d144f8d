"""A database of an earlier version is read: of our tables by all there is, of Parsl's by pages."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.data.whole import read_whole
from otel_parsl_dashboards.pages import RUN_PAGES
from otel_parsl_dashboards.pages.page import View
from otel_parsl_dashboards.pages.page_facts import page_facts
from otel_parsl_dashboards.pages.run_header import header_facts
from otel_parsl_dashboards.report.making import make_report
from parsl.monitoring.db_manager import Database

from otel_parsl.schema import OTEL_TABLES, PARSL_TABLES, SCHEMA_VERSION
from tests.support.command_line import otel_parsl
from tests.support.parsl_generations import GENERATIONS
from tests.support.recorded_databases import first_run_id

_COMMANDS = (
    ("status",),
    ("status", "--json"),
    ("tasks", "--json"),
    ("failures", "--json"),
    ("show", "latest"),
    ("show", "latest/0", "--json"),
)


def _of_version(version: int, newest: Path, path: Path) -> Path:
    """Return a copy of a database without what our tables have had since a version."""
    shutil.copy(newest, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in OTEL_TABLES:
            if table.info.get("since", 1) > version:
                connection.execute(f"DROP TABLE {table.name}")
                continue
            for column in table.c:
                if column.info.get("since", 1) > version:
                    connection.execute(f"ALTER TABLE {table.name} DROP COLUMN {column.name}")
        connection.execute("UPDATE otel_schema SET version = ?", (version,))
    return path


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_database_of_an_earlier_version_is_read(
    version: int, otel_database: Path, tmp_path: Path
) -> None:
    """No command and no page asks for what is not there."""
    path = _of_version(version, otel_database, tmp_path / "monitoring.db")

    _read_by_commands(path)
    _read_by_pages(path)


def test_database_of_an_earlier_parsl_is_read(parsl_generation: Path) -> None:
    """Nor do they where the Parsl of an earlier year has recorded a run."""
    before = parsl_generation.read_bytes()

    _read_by_commands(parsl_generation)
    _read_by_pages(parsl_generation)

    assert parsl_generation.read_bytes() == before


_OPTIONAL = {
    "resource": (),
    "node": (),
    "block": (),
    "resource ": (
        *("psutil_process_time_user", "psutil_process_memory_resident"),
        *("psutil_process_disk_read", "resource_monitoring_interval"),
    ),
    "node ": ("total_memory", "cpu_count", "worker_count", "block_id"),
    "block ": ("job_id",),
    "try": ("hostname", "task_fail_history", "task_joins"),
    "task": ("task_fail_cost", "task_stdin"),
}
"""Tables that may be missing, and columns."""


@pytest.mark.parametrize("parsl_generation", GENERATIONS[-1:], indirect=True)
@pytest.mark.parametrize(("table", "columns"), _OPTIONAL.items())
def test_database_that_lacks_a_table_or_column_is_read(
    table: str, columns: tuple[str, ...], parsl_generation: Path
) -> None:
    """Each page is made of what is there, and its header names what is not."""
    table = table.strip()
    with closing(sqlite3.connect(parsl_generation)) as connection, connection:
        for column in columns:
            connection.execute(f'ALTER TABLE "{table}" DROP COLUMN {column}')
        if not columns:
            connection.execute(f'DROP TABLE "{table}"')

    snapshot = _read_by_pages(parsl_generation)

    (notice,) = header_facts(snapshot)["notices"]
    for lacking in [f"{table}.{column}" for column in columns] or [f"table {table}"]:
        assert lacking in notice


@pytest.mark.parametrize("parsl_generation", GENERATIONS[-1:], indirect=True)
def test_newest_generation_is_that_of_the_installed_parsl(parsl_generation: Path) -> None:
    """Where Parsl's tables change again, what it records now is to be committed too."""
    with closing(sqlite3.connect(parsl_generation)) as connection:
        recorded = {
            table.name: {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")}
            for table in PARSL_TABLES
        }

    assert recorded == {
        table.name: {column.name for column in Database.Base.metadata.tables[table.name].columns}
        for table in PARSL_TABLES
    }


def _read_by_commands(path: Path) -> None:
    for command in _COMMANDS:
        ran = otel_parsl(*command, "--db", path)
        assert (ran.code in (0, 1), ran.error) == (True, ""), command  # 1: a task failed


def _read_by_pages(path: Path) -> Snapshot:
    source = Source(str(path))
    run_id = first_run_id(path)
    snapshot = read_whole(source, run_id)
    assert "</html>" in make_report(snapshot, source)
    group, *_ = otel_parsl("failures", run_id, "--json", "--db", path).json["groups"]
    params = {
        "task_id": str(group["example_task"]),
        "name": group["apps"][0],
        "fingerprint": group["fingerprint"],
    }
    for page in RUN_PAGES:
        view = View(snapshot, params, {}, None, source)
        page.find(view)
        assert page_facts(page, view, "/")
    return snapshot
