"""A database whose tables of ours are of an earlier version is read by every command and page."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.pages import RUN_PAGES
from otel_parsl_dashboards.pages.page import View
from otel_parsl_dashboards.pages.page_facts import page_facts
from otel_parsl_dashboards.report.making import make_report, read_whole

from otel_parsl.schema import OTEL_TABLES, SCHEMA_VERSION
from tests.support.command_line import otel_parsl
from tests.support.recorded_databases import first_run_id, rows

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

    for command in _COMMANDS:
        ran = otel_parsl(*command, "--db", path)
        assert (ran.code in (0, 1), ran.error) == (True, ""), command  # 1: a task failed

    source = Source(str(path))
    run_id = first_run_id(path)
    snapshot = read_whole(source, run_id)
    assert "</html>" in make_report(snapshot, source)
    failed = "SELECT task_id, task_func_name, fingerprint FROM task JOIN otel_failure"
    ((task_id, app, fingerprint), *_) = rows(path, f"{failed} USING (run_id, task_id)")
    params = {"task_id": str(task_id), "app": app, "name": app, "fingerprint": fingerprint}
    for page in RUN_PAGES:
        view = View(snapshot, params, {}, None, source)
        page.find(view)
        assert page_facts(page, view, "/")
