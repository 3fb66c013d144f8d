"""Which run a user means."""

from __future__ import annotations

import datetime
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from otel_parsl.query.engine import open_database
from otel_parsl.query.errors import NoSuchRun
from otel_parsl.query.runs import Run, find_run, find_runs, select_runs
from tests.support.recorded_databases import rows
from tests.support.stored_run import BEGAN, StoredRun

FIRST = "da000000-0000-4000-8000-000000000000"
SECOND = "db000000-0000-4000-8000-000000000000"
THIRD = "c0000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: two of one workflow in one place, and a later one that was run elsewhere."""
    path = tmp_path_factory.mktemp("runs") / "monitoring.db"
    for number, (run_id, name, rundir) in enumerate(
        (
            (FIRST, "flow.py", "/a/runinfo/000"),
            (SECOND, "flow.py", "/a/runinfo/003"),
            (THIRD, "other flow", "/b/runinfo/000"),
        )
    ):
        began = BEGAN + datetime.timedelta(hours=number)
        with StoredRun(f"sqlite:///{path}", run_id=run_id, name=name, rundir=rundir, began=began):
            pass
    return path


def _find(path: Path, which: str) -> Run:
    database = open_database(str(path))
    with database.read() as connection:
        return find_run(connection, which, has_otel=database.has_otel)


@pytest.mark.parametrize(
    ("which", "run_id"),
    [
        ("latest", THIRD),
        ("", THIRD),
        (FIRST, FIRST),
        ("3", SECOND),
        ("003", SECOND),
        ("other flow", THIRD),
        ("da", FIRST),
        ("DB0000", SECOND),
        ("c", THIRD),
    ],
)
def test_run_is_found(store: Path, which: str, run_id: str) -> None:
    """A run is named by latest, its id, its number, its workflow or the beginning of its id."""
    assert _find(store, which).run_id == run_id


@pytest.mark.parametrize("which", ["0", "000"])
def test_number_of_several_runs_is_refused(store: Path, which: str) -> None:
    """A number that two run directories have names neither; the candidates are listed."""
    with pytest.raises(NoSuchRun) as caught:
        _find(store, which)

    assert str(caught.value) == (
        f"run {which!r} may be any of 2. Give the beginning of an id:\n"
        f"  {THIRD}  000  2026-01-15 14:00:00 UTC  other flow\n"
        f"  {FIRST}  000  2026-01-15 12:00:00 UTC  flow.py"
    )


def test_beginning_of_several_ids_is_refused(store: Path) -> None:
    """What two ids begin with names neither run; the latest is listed first."""
    with pytest.raises(NoSuchRun) as caught:
        _find(store, "d")

    assert str(caught.value) == (
        "run 'd' may be any of 2. Give the beginning of an id:\n"
        f"  {SECOND}  003  2026-01-15 13:00:00 UTC  flow.py\n"
        f"  {FIRST}  000  2026-01-15 12:00:00 UTC  flow.py"
    )


def test_name_of_several_runs_is_that_of_the_latest(store: Path) -> None:
    """A workflow that was run twice names its latest run; the earlier one comes after it."""
    database = open_database(str(store))
    with database.read() as connection:
        found = find_runs(connection, "flow.py", has_otel=database.has_otel)

    assert [run.run_id for run in found] == [SECOND, FIRST]
    assert _find(store, "flow.py") == found[0]


def test_unknown_run_is_refused_with_those_that_are(store: Path) -> None:
    """Where nothing fits, all runs are listed."""
    with pytest.raises(NoSuchRun) as caught:
        _find(store, "ff")

    assert str(caught.value) == (
        "no run 'ff'. There are:\n"
        f"  {THIRD}  000  2026-01-15 14:00:00 UTC  other flow\n"
        f"  {SECOND}  003  2026-01-15 13:00:00 UTC  flow.py\n"
        f"  {FIRST}  000  2026-01-15 12:00:00 UTC  flow.py"
    )


def test_many_runs_are_not_all_listed(tmp_path: Path) -> None:
    """An error lists ten runs and says how many more there are."""
    path = tmp_path / "monitoring.db"
    for number in range(12):
        run_id = f"{number:08x}-0000-4000-8000-000000000000"
        began = BEGAN + datetime.timedelta(hours=number)
        with StoredRun(f"sqlite:///{path}", run_id=run_id, began=began):
            pass

    with pytest.raises(NoSuchRun) as caught:
        _find(path, "nothing")

    assert str(caught.value).splitlines()[-1] == "  and 2 older ones"
    assert len(str(caught.value).splitlines()) == 12


def test_database_without_a_run_is_said(tmp_path: Path) -> None:
    """A database whose first run is just beginning has no latest run."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}"):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM workflow")
        connection.commit()

    with pytest.raises(NoSuchRun) as caught:
        _find(path, "latest")

    assert str(caught.value) == (
        "no run is in the database yet. If one has only just begun, try again"
    )


def test_recorded_runs_have_the_facts_of_table_workflow(recorded_database: Path) -> None:
    """Runs of either hub are listed, the latest first, with what table workflow says."""
    database = open_database(str(recorded_database))
    with database.read() as connection:
        runs = select_runs(connection, has_otel=database.has_otel)

    expected = rows(
        recorded_database,
        "SELECT run_id, workflow_name, workflow_version, rundir, host, user FROM workflow"
        " ORDER BY time_began DESC",
    )
    assert [
        (run.run_id, run.name, run.version, run.rundir, run.host, run.user) for run in runs
    ] == expected
    assert [run.number for run in runs] == ["003", "002", "001", "000"]
    assert {run.outcome for run in runs} == {"completed"}
    assert {run.is_ours for run in runs} == {database.has_otel}


def test_run_times_are_in_utc(otel_database: Path) -> None:
    """Naive local times of the submit host, which was in +05:45, are told in UTC."""
    database = open_database(str(otel_database))
    with database.read() as connection:
        runs = select_runs(connection, has_otel=True)

    for run in runs:
        (began,) = rows(
            otel_database, "SELECT time_began FROM workflow WHERE run_id = ?", run.run_id
        )[0]
        local = datetime.datetime.fromisoformat(began)
        zone = datetime.timezone(datetime.timedelta(hours=5, minutes=45))
        assert (run.zone, run.began_at) == ("+05:45", local.replace(tzinfo=zone))


def test_run_of_parsls_hub_in_a_store_of_ours_is_known_as_such(tmp_path: Path) -> None:
    """A database that both hubs have written has runs of both kinds."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}", run_id=FIRST):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO workflow SELECT ?, workflow_name, workflow_version,"
            " '2026-01-16 00:00:00.000000', NULL, host, user, rundir, 0, 0 FROM workflow",
            (SECOND,),
        )
        connection.commit()

    database = open_database(str(path))
    with database.read() as connection:
        runs = select_runs(connection, has_otel=database.has_otel)

    assert [(run.run_id, run.is_ours, run.outcome) for run in runs] == [
        (SECOND, False, None),
        (FIRST, True, None),
    ]
