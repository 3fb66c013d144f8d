"""
Our hub leaves the rows that Parsl's hub leaves.

One program with every shape runs under both, and the databases are compared row by row.
The comparison itself is held to account: it finds nothing between two runs under Parsl's hub, and
it finds each of a list of small falsifications.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from otel_parsl_collector.exporters.splitting import split
from otel_parsl_collector.replay import _parse

from otel_parsl.wire import LOGS, METRICS
from tests.support.collector import CollectorProcess
from tests.support.delivery import deliver, in_order, shuffled_delivery
from tests.support.everything_runs import EverythingRun, everything_run
from tests.support.postgres import Postgres
from tests.support.recorded_stream import Request
from tests.support.rows import PARSL_TABLES, Tables, compare, read_tables
from tests.support.server_process import wait_for
from tests.support.store_rows import only_parsls, read_rows


@pytest.fixture(scope="session")
def parsl_run(tmp_path_factory: pytest.TempPathFactory) -> EverythingRun:
    """Give the program's run under Parsl's own hub."""
    return everything_run(tmp_path_factory.getbasetemp(), "parsl")


@pytest.fixture(scope="session")
def parsl_tables(parsl_run: EverythingRun) -> Tables:
    """Give the tables of the program's run under Parsl's own hub."""
    return read_tables(parsl_run.url)


@pytest.fixture(scope="session")
def otel_run(tmp_path_factory: pytest.TempPathFactory) -> EverythingRun:
    """Give the program's run under our hub."""
    return everything_run(tmp_path_factory.getbasetemp(), "otel")


def test_otel_hub_leaves_the_rows_of_parsls_hub(
    parsl_tables: Tables, otel_run: EverythingRun
) -> None:
    """The same program leaves alike rows in all seven tables under both hubs."""
    differences = compare(parsl_tables, read_tables(otel_run.url))

    assert differences == [], "\n".join([*differences, otel_run.printed])


def test_otel_hub_writes_local_times_of_the_submit_host(otel_run: EverythingRun) -> None:
    """Every time is the naive local time of the submitting process, in a zone that is not UTC."""
    times = _times_of(read_tables(otel_run.url))

    assert otel_run.began <= min(times)
    assert max(times) <= otel_run.ended


def test_otel_hub_measures_what_a_try_uses(otel_run: EverythingRun) -> None:
    """The samples of the one try that works show its memory, and its own CPU time alone."""
    tables = read_tables(otel_run.url)
    working = {
        (row["run_id"], row["task_id"])
        for row in tables["task"]
        if row["task_func_name"] == "work" and row["task_id"] > 10
    }
    samples = [row for row in tables["resource"] if (row["run_id"], row["task_id"]) in working]

    assert len(samples) >= 2
    assert max(row["psutil_process_memory_resident"] for row in samples) > 48 << 20
    assert 0.2 < max(row["psutil_process_time_user"] for row in samples) < 2.5


def test_otel_hub_leaves_the_rows_of_parsls_hub_in_postgresql(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The rows are alike in a PostgreSQL database too, where types and keys are enforced."""
    folder = tmp_path_factory.getbasetemp()
    with postgres.database() as parsl_url, postgres.database() as otel_url:
        everything_run(folder, "parsl", "postgres", parsl_url)
        otel = everything_run(folder, "otel", "postgres", otel_url)
        differences = compare(read_tables(parsl_url), read_tables(otel_url))

    assert differences == [], "\n".join([*differences, otel.printed])


@dataclass(frozen=True)
class SiteRun:
    """What a site's collector made of the program's run, and what it was sent."""

    url: str
    printed: str
    stream: Path
    """As OTLP JSON lines, where a file was asked for."""


def _site_run(folder: Path, exporters: Mapping[str, Any], elsewhere: Mapping[str, str]) -> SiteRun:
    url = f"sqlite:///{folder}/monitoring.db"
    stored = {"parsl_sql": {"url": url}, **exporters}
    with CollectorProcess(folder, exporters=stored, elsewhere=elsewhere) as site:
        sent = everything_run(folder, "otel", "site", url, f"http://{site.grpc}")
        wait_for(lambda: _ended_runs(url) == 4 or None, what="the end of the last run")
    return SiteRun(url, sent.printed, site.out)


@pytest.fixture(scope="session")
def site_run(tmp_path_factory: pytest.TempPathFactory) -> SiteRun:
    """Give the program's run as a site's collector has it, recorded on its way."""
    folder = tmp_path_factory.mktemp("site")
    return _site_run(folder, {"file": {"path": str(folder / "out.jsonl")}}, {})


def test_otel_hub_leaves_the_rows_of_parsls_hub_with_a_sites_collector(
    parsl_tables: Tables, site_run: SiteRun
) -> None:
    """The rows are alike where a site's collector makes them of what it is sent."""
    differences = compare(parsl_tables, read_tables(site_run.url))

    assert differences == [], "\n".join([*differences, site_run.printed])


def test_otel_hub_leaves_the_rows_of_parsls_hub_without_logs(
    parsl_tables: Tables, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The rows are alike where the log signal is filtered out before the store."""
    found = _site_run(tmp_path_factory.mktemp("no-logs"), {}, {"logs": "debug"})
    differences = compare(parsl_tables, read_tables(found.url))

    assert differences == [], "\n".join([*differences, found.printed])


@pytest.mark.parametrize("signals", ["all", "no logs"])
def test_a_recorded_stream_gives_the_same_rows_however_it_comes(
    site_run: SiteRun, signals: str, tmp_path: Path
) -> None:
    """The real stream, cut small, shuffled, half of it twice and joined anyhow, gives its rows."""
    requests = [
        request for request in _recorded(site_run) if signals == "all" or request[0] != LOGS
    ]
    expected = deliver(tmp_path / "as-it-came.db", requests, in_order(len(requests)))
    pieces = list(_cut_small(requests))
    for seed in range(2):
        shuffled = shuffled_delivery(len(pieces), seed)
        assert deliver(tmp_path / f"{seed}.db", pieces, shuffled) == expected
    stored = read_rows(site_run.url.removeprefix("sqlite:///"))
    assert only_parsls(expected) == only_parsls(stored)
    assert len(pieces) > 200


def _recorded(run: SiteRun) -> Iterator[Request]:
    for line in run.stream.read_bytes().splitlines():
        signal, request = _parse(line)
        yield signal.number, request.SerializeToString()


_OF_A_SAMPLE = 5000
"""Bytes that hold the points of one sample, or of one report, with their Resource."""


def _cut_small(requests: Iterable[Request]) -> Iterator[Request]:
    """Cut spans, events and samples from one another; the points of a sample travel together."""
    for signal, payload in requests:
        pieces = split(signal, payload, limit_bytes=_OF_A_SAMPLE if signal == METRICS else 1)
        yield from ((signal, piece) for piece in (*pieces.fitting, *pieces.too_large))


def _ended_runs(url: str) -> int:
    return sum(row["time_completed"] is not None for row in read_tables(url)["workflow"])


def test_comparison_finds_parsls_hub_alike_to_itself(
    parsl_tables: Tables, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two runs under Parsl's own hub do not differ, so what is found is a hub's doing."""
    again = everything_run(tmp_path_factory.getbasetemp(), "parsl", "again")

    differences = compare(parsl_tables, read_tables(again.url))

    assert differences == [], "\n".join([*differences, again.printed])


def test_program_has_every_shape(parsl_run: EverythingRun, parsl_tables: Tables) -> None:
    """Each state of tasks and blocks, each odd text and each kind of row occurs in the program."""
    runs = sorted(parsl_tables["workflow"], key=lambda row: row["time_began"])
    tasks, tries = parsl_tables["task"], parsl_tables["try"]
    ends = Counter(row["executor_label"] for row in _where(parsl_tables["block"], "SCALED_IN"))

    assert "not seen within" not in parsl_run.printed
    assert [(row["tasks_failed_count"], row["tasks_completed_count"]) for row in runs] == [
        *((24, 38), (1, 2), (0, 2), (1, 3))
    ]
    assert {row["task_status_name"] for row in parsl_tables["status"]} == {
        *("pending", "launched", "running", "running_ended", "joining", "exec_done"),
        *("failed", "dep_fail", "fail_retryable", "memo_done"),
    }
    assert {row["task_executor"] for row in tries} == {
        *("threads", "htex", "bursty", "_parsl_internal", "nowhere")
    }
    assert ends == {"bursty": 2, "htex": 4}
    assert max(row["try_id"] for row in tries) == 4
    assert {row["task_fail_cost"] for row in tasks} == {0.0, 0.75, 1.0, 1.25, 2.0, 10.5}
    assert {None, "", "21", "23,24,25"} <= {row["task_joins"] for row in tries}
    assert any("AppFuture at 0x" in row["task_inputs"] for row in tasks)
    assert any("depot:///" in row["task_outputs"] for row in tasks)
    assert any("/task_logs/" in row["task_stdout"] for row in tasks)
    assert any(row["task_stdin"] for row in tasks)
    assert any(row["task_func_name"] == "größe_测试" for row in tasks)
    assert any(row["psutil_process_memory_resident"] > 48 << 20 for row in parsl_tables["resource"])


FIRST = "run_id = (SELECT run_id FROM workflow ORDER BY time_began LIMIT 1)"
DOUBLE = f"{FIRST} AND task_id = 0"
SQUARE = f"{FIRST} AND task_id = 1"
LATEST = "(SELECT max(timestamp) FROM status WHERE task_id = 0)"


@pytest.mark.parametrize(
    ("falsification", "difference"),
    [
        (
            f"DELETE FROM status WHERE {DOUBLE} AND task_status_name = 'running_ended'",
            "status[run 0, 0, 0, running_ended]: missing",
        ),
        (
            "INSERT INTO status SELECT task_id, task_status_name, time_completed, run_id, try_id "
            f"FROM status NATURAL JOIN workflow WHERE {DOUBLE} AND task_status_name = 'exec_done'",
            "status[run 0, 0, 0, exec_done, 1]: not expected",
        ),
        (
            f"UPDATE status SET try_id = 1 WHERE {DOUBLE} AND task_status_name = 'exec_done'",
            "status[run 0, 0, 1, exec_done]: not expected",
        ),
        (
            f"UPDATE task SET task_stdin = '' WHERE {DOUBLE}",
            "task[run 0, 0].task_stdin: expected None, found ''",
        ),
        (
            f"UPDATE task SET task_memoize = 'False' WHERE {DOUBLE}",
            "task[run 0, 0].task_memoize: expected '0', found 'False'",
        ),
        (
            "UPDATE task SET task_depends = '11' WHERE task_depends = '11,11,11'",
            "task[run 0, 12].task_depends: expected '11,11,11', found '11'",
        ),
        (
            f"UPDATE task SET task_hashsum = 'x' || task_hashsum WHERE {SQUARE}",
            "task[run 0, 1].task_hashsum: expected ",
        ),
        (
            "UPDATE task SET task_fail_cost = 1 WHERE task_fail_cost = 1.25",
            "task[run 0, 8].task_fail_cost: expected 1.25, found 1.0",
        ),
        (
            "UPDATE task SET task_inputs = '[None]' WHERE task_inputs LIKE '%AppFuture%'",
            "task[run 2, 3].task_inputs: expected '[<AppFuture at 0x… state=pending>]', found",
        ),
        (
            f"UPDATE task SET task_time_returned = NULL WHERE {DOUBLE}",
            "task[run 0, 0].task_time_returned: expected 'a naive time', found None",
        ),
        (
            "UPDATE task SET task_time_returned = task_time_invoked WHERE run_id IN "
            "(SELECT run_id FROM task WHERE task_time_returned IS NULL) AND task_id = 1",
            "task[run 2, 1].task_time_returned: expected None, found 'a naive time'",
        ),
        (
            f"UPDATE status SET timestamp = replace(timestamp, ' ', 'T') WHERE {SQUARE}",
            "status[run 0, 1, 0, pending].timestamp: expected 'a naive time', found ",
        ),
        (
            f"UPDATE block SET timestamp = timestamp || '+05:45' WHERE {FIRST}",
            "block[run 0, htex, 0].timestamp: expected 'a naive time', found ",
        ),
        (
            f"UPDATE task SET task_time_invoked = datetime(task_time_invoked, '-5 hours', "
            f"'-45 minutes') || '.000000' WHERE {DOUBLE}",
            "is outside its run",
        ),
        (
            f"UPDATE status SET timestamp = {LATEST} WHERE {DOUBLE} "
            "AND task_status_name = 'running_ended'",
            "running_ended comes after exec_done",
        ),
        (
            f'UPDATE "try" SET task_try_time_running = task_try_time_returned WHERE {DOUBLE}',
            "task_try_time_running: not the time of its status row",
        ),
        (
            f"UPDATE \"try\" SET hostname = 'elsewhere' WHERE {DOUBLE}",
            "try[run 0, 0, 0].hostname: expected ",
        ),
        (
            f"UPDATE \"try\" SET block_id = '0' WHERE {SQUARE}",
            "try[run 0, 1, 0].block_id: expected None, found '0'",
        ),
        (
            f'UPDATE "try" SET task_fail_history = NULL WHERE {DOUBLE}',
            "try[run 0, 0, 0].task_fail_history: expected '', found None",
        ),
        (
            "UPDATE \"try\" SET task_joins = NULL WHERE task_joins = ''",
            ".task_joins: expected '', found None",
        ),
        (
            f"DELETE FROM resource WHERE {DOUBLE}",
            "resource[run 0, 0, 0]: missing",
        ),
        (
            f"UPDATE resource SET task_id = 1 WHERE {DOUBLE}",
            "resource[run 0, 1, 0]: not expected",
        ),
        (
            "UPDATE resource SET psutil_process_status = NULL "
            "WHERE psutil_process_memory_resident > 48 * 1024 * 1024",
            ".psutil_process_status: expected \"'text like ",
        ),
        (
            f"UPDATE resource SET psutil_process_memory_resident = -1.0 WHERE {DOUBLE}",
            "resource[run 0, 0, 0].psutil_process_memory_resident: expected ",
        ),
        (
            f"UPDATE resource SET resource_monitoring_interval = 30 WHERE {DOUBLE}",
            "resource[run 0, 0, 0].resource_monitoring_interval: expected '1.0', found '30.0'",
        ),
        (
            f"UPDATE resource SET timestamp = {LATEST} WHERE {DOUBLE}",
            "comes after running_ended",
        ),
        (
            "DELETE FROM node WHERE id = (SELECT max(id) FROM node)",
            "node[run 3, manager 0, 3]: missing",
        ),
        (
            "UPDATE node SET active = 1 WHERE active = 0",
            ".active: expected 0, found 1",
        ),
        (
            "UPDATE node SET worker_count = 2",
            "node[run 0, manager 0].worker_count: expected 1, found 2",
        ),
        (
            "UPDATE block SET status = 'COMPLETED' WHERE status = 'SCALED_IN'",
            "block[run 0, bursty, 0, 2].status: expected 'SCALED_IN', found 'COMPLETED'",
        ),
        (
            "DELETE FROM block WHERE status = 'RUNNING'",
            "block[run 0, bursty, 0, 2]: missing",
        ),
        (
            "UPDATE block SET job_id = NULL",
            "block[run 0, bursty, 0].job_id: expected ",
        ),
        (
            f"UPDATE workflow SET tasks_failed_count = 25 WHERE {FIRST}",
            "workflow[run 0].tasks_failed_count: expected 24, found 25",
        ),
        (
            "UPDATE workflow SET time_completed = NULL",
            "workflow[run 0].time_completed: expected 'a naive time', found None",
        ),
        (
            "UPDATE workflow SET workflow_version = time_began",
            "workflow[run 0].workflow_version: expected ",
        ),
        (
            f"DELETE FROM workflow WHERE NOT {FIRST} AND tasks_failed_count = 1 "
            "AND workflow_version != '1.0'",
            "workflow[run 3]: missing",
        ),
        (
            "ALTER TABLE node RENAME COLUMN python_v TO python_version",
            "schema.columns[node, python_v]: missing",
        ),
        (
            "ALTER TABLE task ADD COLUMN task_colour TEXT",
            "schema.columns[task, task_colour]: not expected",
        ),
        (
            "DROP INDEX ix_task_task_hashsum",
            "schema.indexes[task, task_hashsum]: missing",
        ),
        (
            "PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql = "
            "replace(sql, 'task_fail_cost FLOAT', 'task_fail_cost REAL')",
            "schema.columns[task, task_fail_cost].type: expected 'FLOAT', found 'REAL'",
        ),
        (
            "PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql = "
            "replace(sql, 'PRIMARY KEY (try_id, task_id', 'PRIMARY KEY (task_id, try_id')",
            ".place in the primary key: expected 0, found 1",
        ),
        (
            "DROP TABLE node",
            "node[run 0, manager 0]: missing",
        ),
    ],
)
def test_comparison_reports_a_falsified_database(
    falsification: str,
    difference: str,
    parsl_run: EverythingRun,
    parsl_tables: Tables,
    tmp_path: Path,
) -> None:
    """A copy of Parsl's own database in which one thing is changed is reported for that."""
    reported = compare(parsl_tables, _read_changed(parsl_run, tmp_path, falsification))

    assert any(difference in line for line in reported), "\n".join(reported)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE task SET task_inputs = replace(task_inputs, '0x', '0x1')",
        "UPDATE block SET job_id = job_id + 1",
        "UPDATE node SET uid = uid || 'f'",
        "UPDATE node SET id = id + 1000",
        "UPDATE resource SET psutil_process_pid = psutil_process_pid + 1, "
        "psutil_process_time_user = psutil_process_time_user + 1",
        "DELETE FROM resource WHERE timestamp NOT IN "
        "(SELECT min(timestamp) FROM resource GROUP BY run_id, task_id, try_id)",
        "CREATE INDEX ours ON status (run_id, timestamp)",
        "CREATE TABLE otel_failure (run_id TEXT)",
        "; ".join(
            f"UPDATE \"{table}\" SET run_id = 'a' || run_id"
            for table in ("workflow", "task", "try", "status", "resource", "block", "node")
        ),
    ],
)
def test_comparison_overlooks_what_differs_by_nature(
    change: str, parsl_run: EverythingRun, parsl_tables: Tables, tmp_path: Path
) -> None:
    """What no two runs have in common, and what we add to a database, is no difference."""
    assert compare(parsl_tables, _read_changed(parsl_run, tmp_path, change)) == []


def _read_changed(run: EverythingRun, tmp_path: Path, script: str) -> Tables:
    """Read a copy of a run's database after an SQL script has changed it."""
    copy = shutil.copy(run.database, tmp_path / "changed.db")
    with closing(sqlite3.connect(copy)) as connection:
        connection.executescript(script)
        connection.commit()
    return read_tables(f"sqlite:///{copy}")


def _where(blocks: list[dict[str, object]], status: str) -> list[dict[str, object]]:
    return [row for row in blocks if row["status"] == status]


def _times_of(tables: Tables) -> list[datetime]:
    """Give every time of one database."""
    return [
        datetime.fromisoformat(value)
        for name in PARSL_TABLES
        for row in tables[name]
        for column, value in row.items()
        if value is not None and ("time" in column or column == "last_heartbeat")
        if not column.startswith(("psutil_", "resource_"))
    ]
