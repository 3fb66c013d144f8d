"""Whether a run goes on, has ended, or has died without a word."""

from __future__ import annotations

import datetime
import shutil
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from otel_parsl import rendezvous
from otel_parsl.query.engine import open_database
from otel_parsl.query.liveness import (
    HEARTBEAT_LATE_S,
    SILENT_S,
    Liveness,
    RunState,
    select_liveness,
    submit_process,
    with_open_tasks,
)
from otel_parsl.query.runs import Run, find_run
from otel_parsl.query.times import utc_from_local
from otel_parsl.submit_process import this_process
from tests.support.stored_run import BEGAN, HOST, StoredRun

SOON = BEGAN + datetime.timedelta(seconds=30)
LATE = BEGAN + datetime.timedelta(seconds=30 + SILENT_S)


def _liveness(
    path: Path, *, open_tasks: int = 0, now: datetime.datetime = SOON, which: str = "latest"
) -> Liveness:
    database = open_database(str(path))
    with database.read() as connection:
        run = find_run(connection, which, has_otel=database.has_otel)
        return with_open_tasks(select_liveness(connection, run, now=now), open_tasks)


def _run(path: Path) -> Run:
    database = open_database(str(path))
    with database.read() as connection:
        return find_run(connection, has_otel=True)


@pytest.mark.parametrize(
    ("outcome", "open_tasks", "state", "because"),
    [
        (None, 0, RunState.COMPLETED, "it was cleaned up"),
        (None, 3, RunState.UNFINISHED, "it was cleaned up while 3 of its tasks were open"),
        ("unfinished", 3, RunState.UNFINISHED, "its process ended without cleaning up"),
        ("lost", 3, RunState.LOST, "its process died"),
    ],
)
def test_ended_run_is_as_it_said(
    tmp_path: Path, outcome: str | None, open_tasks: int, state: RunState, because: str
) -> None:
    """A run that was closed is what its outcome says, however long ago."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        run.ended(outcome, at_s=20)

    liveness = _liveness(path, open_tasks=open_tasks, now=LATE)

    assert liveness == Liveness(state, because, BEGAN + datetime.timedelta(seconds=20))


def test_run_elsewhere_is_judged_by_what_was_heard_of_it(tmp_path: Path) -> None:
    """A run on another host goes on while it is heard of, and is lost when it falls silent."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        run.task(0, "pending", "launched", at_s=10)
        run.manager("m1", workers=4, tasks=1, at_s=20)
    heard = BEGAN + datetime.timedelta(seconds=20)

    assert _liveness(path) == Liveness(RunState.RUNNING, "it was heard of lately", heard)
    assert _liveness(path, now=LATE) == Liveness(
        RunState.LOST,
        "nothing was heard of it for 10 minutes, and its process is out of sight",
        heard,
    )


def test_run_elsewhere_is_lost_two_minutes_after_its_last_heartbeat(tmp_path: Path) -> None:
    """A heartbeat alone keeps a run going; when it stops the run is lost, and was seen then."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}") as run:
        run.task(0, "pending", "launched", at_s=10)
        run.heartbeat(at_s=900)
    with StoredRun(f"sqlite:///{path}") as run:
        run.heartbeat(at_s=870)  # an earlier one that comes late
    seen = BEGAN + datetime.timedelta(seconds=900)

    alive = _liveness(path, now=seen + datetime.timedelta(seconds=HEARTBEAT_LATE_S))
    dead = _liveness(path, now=seen + datetime.timedelta(seconds=HEARTBEAT_LATE_S + 1))

    assert alive == Liveness(RunState.RUNNING, "it was heard of lately", seen)
    assert dead == Liveness(
        RunState.LOST,
        "it gave no sign of life for 2 minutes, and its process is out of sight",
        seen,
    )


def test_run_of_the_first_version_has_no_heartbeat(tmp_path: Path) -> None:
    """A database of an earlier version is read as it is, and silence is judged as of old."""
    path = tmp_path / "monitoring.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((Path(__file__).parents[2] / "support/store_v1.sql").read_text())
    heard = BEGAN + datetime.timedelta(seconds=2, milliseconds=1)

    found = [
        _liveness(path, now=heard + datetime.timedelta(seconds=age))
        for age in (HEARTBEAT_LATE_S + 1, SILENT_S + 1)
    ]

    assert [item.state for item in found] == [RunState.RUNNING, RunState.LOST]
    assert _run(path).heartbeat_at is None


def test_sample_of_a_long_try_is_a_sign_of_life(tmp_path: Path) -> None:
    """A run of which nothing but samples comes is not lost."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}", zone="+05:45") as run:
        run.task(0, "pending", "launched")
    local = LATE.astimezone(datetime.timezone(datetime.timedelta(hours=5, minutes=45)))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO resource (try_id, task_id, run_id, timestamp)"
            " SELECT 0, 0, run_id, ? FROM workflow",
            (f"{local:%Y-%m-%d %H:%M:%S.%f}",),
        )
        connection.commit()

    assert _liveness(path, now=LATE) == Liveness(RunState.RUNNING, "it was heard of lately", LATE)


@pytest.mark.parametrize(
    ("change", "is_alive"),
    [({}, True), ({"hub_started": 1.0}, False), ({"hub_pid": 2**22 + 1}, False)],
)
def test_run_of_this_host_is_judged_by_its_process(
    tmp_path: Path, change: dict[str, float], is_alive: bool
) -> None:
    """Where the submit process can be looked for, silence does not count: it is there or gone."""
    path = tmp_path / "monitoring.db"
    directory = tmp_path / "000" / "otel-parsl"
    directory.mkdir(parents=True)
    settings = {**this_process(), **change}
    rendezvous.write(directory, rendezvous.SETTINGS, settings)
    here = socket.gethostname()
    with StoredRun(f"sqlite:///{path}", rundir=tmp_path / "000", host=here):
        pass

    assert submit_process(_run(path)) is is_alive
    assert _liveness(path, now=LATE)[:2] == (
        (RunState.RUNNING, f"its process on {here} is there")
        if is_alive
        else (RunState.LOST, f"its process on {here} is gone")
    )


def test_process_of_a_run_without_settings_is_out_of_sight(tmp_path: Path) -> None:
    """A run directory that is gone, or is another host's, says nothing of the process."""
    path = tmp_path / "monitoring.db"
    with StoredRun(f"sqlite:///{path}", rundir=tmp_path / "gone", host=socket.gethostname()):
        pass
    elsewhere = tmp_path / "elsewhere.db"
    with StoredRun(f"sqlite:///{elsewhere}", host=HOST):
        pass

    assert submit_process(_run(path)) is None
    assert submit_process(_run(elsewhere)) is None


@pytest.mark.parametrize("number", ["000", "002"])
def test_recorded_runs_have_ended(recorded_database: Path, number: str) -> None:
    """Runs of either hub that were cleaned up are completed."""
    assert _liveness(recorded_database, which=number).state is RunState.COMPLETED


def test_open_run_of_parsls_hub_is_judged_by_its_rows(parsl_database: Path, tmp_path: Path) -> None:
    """A run of Parsl's own hub without an end is as alive as its latest row is young."""
    path = tmp_path / "monitoring.db"
    shutil.copy(parsl_database, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE workflow SET time_completed = NULL")
        connection.commit()
        (last,) = connection.execute(
            "SELECT max(timestamp) FROM (SELECT timestamp FROM status NATURAL JOIN workflow"
            " WHERE rundir LIKE '%/003' UNION SELECT timestamp FROM node NATURAL JOIN workflow"
            " WHERE rundir LIKE '%/003' UNION SELECT timestamp FROM block NATURAL JOIN workflow"
            " WHERE rundir LIKE '%/003')"
        ).fetchone()
    database = open_database(str(path))
    with database.read() as connection:
        run = find_run(connection, "003", has_otel=False)
        heard = utc_from_local(datetime.datetime.fromisoformat(last), run.zone)
        assert heard is not None
        soon = heard + datetime.timedelta(seconds=5)
        late = heard + datetime.timedelta(seconds=SILENT_S + 65)
        found = [
            with_open_tasks(select_liveness(connection, run, now=now), 1) for now in (soon, late)
        ]

    assert found == [
        Liveness(RunState.RUNNING, "it was heard of lately", heard),
        Liveness(
            RunState.LOST,
            "nothing was heard of it for 11 minutes, and its process is out of sight",
            heard,
        ),
    ]
