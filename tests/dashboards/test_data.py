"""The frames say what the tables say, whoever wrote them and however much later they are read."""

from __future__ import annotations

import datetime
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.data.loading import Frames, Marks, read_changes, read_stages
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.data.standing import count

from otel_parsl.query.counts import select_counts
from otel_parsl.query.runs import Run, select_runs
from otel_parsl.query.task_states import OF_PARSL
from tests.support.parsl_run import ParslRun, became
from tests.support.recorded_databases import rows
from tests.support.stored_run import BEGAN, RUN_ID, StoredRun

_APPENDED = ("status", "resource", "node")


def runs_of(source: Source) -> list[Run]:
    database, _ = source.open()
    with database.read() as connection:
        return select_runs(connection, has_otel=database.has_otel)


def read_whole(source: Source, run: Run) -> tuple[Frames, Marks]:
    known: Frames = {}
    marks = Marks()
    for frames_so_far, marks_then in read_stages(source, run, lambda _rows: None):
        known, marks = frames_so_far, marks_then
    return known, marks


_RANKS = {state: rank for rank, state in enumerate(OF_PARSL)}


def as_rows(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    plain = frame.astype(dict.fromkeys(frame.select_dtypes("category"), str))
    return sorted(plain.itertuples(index=False, name=None), key=repr)


def test_states_are_those_of_the_command_line(recorded_database: Path) -> None:
    """Tasks by app and state are the same by columns as by the queries of `otel-parsl status`."""
    source = Source(str(recorded_database))
    library = Library(source)
    try:
        for run in runs_of(source):
            snapshot = library.resident(run.run_id).wait(("samples",), 60)
            with source.read() as connection:
                assert snapshot.standing.counts == select_counts(connection, run)
    finally:
        library.close()


def test_frames_have_a_row_for_each_of_the_tables(recorded_database: Path) -> None:
    """Nothing is left out: each frame has as many rows as its table has of the run."""
    source = Source(str(recorded_database))
    tables = {
        "tasks": "task",
        "tries": "try",
        "statuses": "status",
        "samples": "resource",
        "nodes": "node",
        "blocks": "block",
    }
    for run in runs_of(source):
        read: list[int] = []
        *_, (known, _) = read_stages(source, run, read.append)
        assert sum(read) == sum(len(known[kind]) for kind in tables), "what is said meanwhile"
        counted = {
            kind: rows(
                recorded_database, f'SELECT count(*) FROM "{table}" WHERE run_id = ?', run.run_id
            )[0][0]
            for kind, table in tables.items()
        }
        assert {kind: len(known[kind]) for kind in tables} == counted


@contextmanager
def rewound(database: Path, folder: Path, run_id: str) -> Iterator[tuple[Path, list[str]]]:
    """Give a copy that has the first half of the run's rows, and the statements for the rest."""
    path = folder / "rewound.db"
    shutil.copy(database, path)
    with closing(sqlite3.connect(path)) as connection:
        with connection:
            for name in [*_APPENDED, "task", "try"]:
                connection.execute(f'CREATE TABLE whole_{name} AS SELECT * FROM "{name}"')
            last = connection.execute("SELECT max(rowid) FROM status").fetchone()[0]
            for name in _APPENDED:
                most = connection.execute(f"SELECT max(rowid) FROM {name}").fetchone()[0] or 0
                connection.execute(f"DELETE FROM {name} WHERE rowid > ?", (most // 2,))
            connection.execute(
                "DELETE FROM task WHERE task_id NOT IN (SELECT task_id FROM status WHERE"
                " status.run_id = task.run_id)"
            )
            connection.execute(
                'UPDATE "try" SET task_try_time_returned = NULL WHERE NOT EXISTS (SELECT 1 FROM'
                ' status WHERE status.run_id = "try".run_id AND status.task_id = "try".task_id AND'
                ' status.try_id = "try".try_id AND task_status_name NOT IN'
                " ('pending', 'launched', 'running', 'running_ended', 'joining'))"
            )
        assert last
        yield (
            path,
            [
                *(f"INSERT OR IGNORE INTO {name} SELECT * FROM whole_{name}" for name in _APPENDED),
                "REPLACE INTO task SELECT * FROM whole_task",
                'REPLACE INTO "try" SELECT * FROM whole_try',
            ],
        )


def test_following_a_run_gives_what_reading_it_gives(
    recorded_database: Path, tmp_path: Path
) -> None:
    """Reading half of a run and then what was added gives the frames of reading it whole."""
    run = runs_of(Source(str(recorded_database)))[-1]
    expected, _ = read_whole(Source(str(recorded_database)), run)
    with rewound(recorded_database, tmp_path, run.run_id) as (path, statements):
        source = Source(str(path))
        known, marks = read_whole(source, run)
        assert len(known["statuses"]) < len(expected["statuses"])
        with closing(sqlite3.connect(path)) as writer, writer:
            for statement in statements:
                writer.execute(statement)
        with source.read() as connection:
            found, _ = read_changes(connection, run, known, marks)

    assert {kind: as_rows(frame) for kind, frame in found.items()} == {
        kind: as_rows(frame) for kind, frame in expected.items()
    }
    for each in (expected["statuses"], found["statuses"]):
        ranks = [_RANKS[state] for state in each["state"]]
        places = list(zip(each["task_id"], each["try_id"], ranks, strict=True))
        assert places == sorted(places)


def test_lanes_that_follow_are_those_of_reading_whole(recorded_database: Path) -> None:
    """Every try that ran has a lane of its own host."""
    source = Source(str(recorded_database))
    run = runs_of(source)[-1]
    known, _ = read_whole(source, run)
    tries = known["tries"]
    ran = tries[tries["running"].notna()]
    host_of_lane = dict(zip(known["lanes"]["lane"], known["lanes"]["host"], strict=True))

    assert [host_of_lane[lane] for lane in ran["lane"]] == list(ran["host"])


def test_run_that_goes_on_is_followed(tmp_path: Path) -> None:
    """What a writer commits is in the snapshot that a reader is given next."""
    url = f"sqlite:///{tmp_path}/live.db"
    since_s = (datetime.datetime.now(datetime.timezone.utc) - BEGAN).total_seconds()
    with StoredRun(url) as stored:
        stored.task(0, "pending", "launched")
        stored.heartbeat(at_s=since_s)
    library = Library(Source(url))
    try:
        before = library.snapshot(RUN_ID)
        with StoredRun(url) as stored:
            stored.task(0, "pending", "launched", "exec_done")
            stored.task(1, "pending", app="triple")
        after = library.snapshot(RUN_ID)
    finally:
        library.close()

    assert Counter(before.standing.states) == {"queued": 1}
    assert Counter(after.standing.states) == {"executed": 1, "waiting": 1}
    assert after.apps == ["double", "triple"]


def test_database_of_an_earlier_parsl_is_read(parsl_generation: Path) -> None:
    """A database without the columns of later years is read, and what it lacks is NULL."""
    source = Source(str(parsl_generation))
    (run,) = runs_of(source)
    _, gaps = source.open()
    costs = [None] * 8
    if "task_fail_cost" not in gaps.get("task", ()):
        costs = [cost for (cost,) in rows(parsl_generation, "SELECT task_fail_cost FROM task")]
    memory = "SELECT psutil_process_memory_resident FROM resource"

    known, _ = read_whole(source, run)

    assert count(known) == {
        ("inc", "executed"): 3,
        ("inc", "dep_failed"): 1,
        ("fail", "failed"): 1,
        ("remember", "executed"): 1,
        ("remember", "memoised"): 1,
        ("join", "executed"): 1,
    }
    assert known["tasks"]["fail_cost"].replace(np.nan, None).tolist() == costs
    assert sorted(known["samples"]["memory_bytes"]) == sorted(
        of_sample for (of_sample,) in rows(parsl_generation, memory)
    )


def test_try_that_parsl_writes_after_its_state_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parsl commits a state first, and then the try that it is of: each part is a reading later."""
    path = tmp_path / "monitoring.db"
    with ParslRun(f"sqlite:///{path}") as parsls:
        parsls.tell(became("launched"))
        source = Source(str(path))
        (run,) = runs_of(source)
        known, marks = read_whole(source, run)
        assert known["tries"].empty

        def read_on() -> dict[Hashable, Any]:
            nonlocal known, marks
            with source.read() as connection:
                known, marks = read_changes(connection, run, known, marks)
            (only,) = known["tries"].to_dict("records")
            return only

        parsls.tell(
            'INSERT INTO "try" (try_id, task_id, run_id, task_executor, task_try_time_launched)'
            " VALUES (0, 0, 'parsls', 'htex', :now)"
        )
        assert read_on()["executor"] == "htex"
        parsls.tell(became("exec_done"))
        assert pd.isna(read_on()["returned"])
        with monkeypatch.context() as later:  # a manager that is behind
            now_s = time.monotonic()
            later.setattr(time, "monotonic", lambda: now_s + 120.0)
            assert pd.isna(read_on()["returned"])
            assert len(marks.unsettled.task_ids)
        parsls.tell('UPDATE "try" SET task_try_time_returned = :now')
        assert pd.notna(read_on()["returned"])
        assert not len(marks.unsettled.task_ids)
