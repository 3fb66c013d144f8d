"""
Parsl's own pandas queries give the same frames on our database as on that of Parsl's hub.

Both databases come from the program that has every shape; a second run under Parsl's hub shows
what the queries give twice without our doing.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pandas as pd
import pytest
from parsl.monitoring.queries import pandas as queries

from tests.support.everything_runs import EverythingRun, everything_run

Query = Callable[[str, sqlite3.Connection], pd.DataFrame]


def _resources_for_task(run_id: str, database: sqlite3.Connection) -> pd.DataFrame:
    """Query the samples of the first task of a run, the one query with a task as its argument."""
    return queries.resources_for_task(run_id, 0, database)


@pytest.fixture(params=["otel", "parsl, a second time"])
def run_pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[EverythingRun, EverythingRun]:
    """Give the program's run under Parsl's hub, and one to be compared with it."""
    folder = tmp_path_factory.getbasetemp()
    if request.param == "otel":
        return everything_run(folder, "parsl"), everything_run(folder, "otel")
    return everything_run(folder, "parsl"), everything_run(folder, "parsl", "again")


@pytest.mark.parametrize(
    "query",
    [
        queries.app_counts_for_workflow,
        queries.nodes_for_workflow,
        queries.status_for_workflow,
        queries.completion_times_for_workflow,
        queries.tasks_for_workflow,
        queries.tries_for_workflow,
    ],
)
def test_query_gives_frames_of_equal_shape_and_types(
    query: Query, run_pair: tuple[EverythingRun, EverythingRun]
) -> None:
    """Each query gives equal columns, types and numbers of rows for every run of the program."""
    expected, actual = (_frames(run, query) for run in run_pair)

    assert [_outline(frame) for frame in expected] == [_outline(frame) for frame in actual]


@pytest.mark.parametrize("query", [queries.resources_for_workflow, _resources_for_task])
def test_query_gives_samples_of_equal_types_of_the_same_tries(
    query: Query, run_pair: tuple[EverythingRun, EverythingRun]
) -> None:
    """Frames of samples differ in nothing but how many there are of a try."""
    expected, actual = (_frames(run, query) for run in run_pair)

    assert [_outline(frame.iloc[:0]) for frame in expected] == [
        _outline(frame.iloc[:0]) for frame in actual
    ]
    assert [_tries(frame) for frame in expected] == [_tries(frame) for frame in actual]


@pytest.mark.parametrize(
    "query",
    [
        queries.nodes_for_workflow,
        queries.status_for_workflow,
        queries.completion_times_for_workflow,
        queries.tasks_for_workflow,
        queries.tries_for_workflow,
    ],
)
def test_query_gives_equal_values(
    query: Query, run_pair: tuple[EverythingRun, EverythingRun]
) -> None:
    """All that two runs of a program have in common is equal: of times, whether there is one."""
    expected, actual = ([_values(frame, run) for frame in _frames(run, query)] for run in run_pair)

    assert expected == actual
    assert any(expected)


def test_query_counts_the_same_apps(run_pair: tuple[EverythingRun, EverythingRun]) -> None:
    """The one query without ids and times gives equal frames, value by value."""
    expected, actual = (_frames(run, queries.app_counts_for_workflow) for run in run_pair)

    for before, after in zip(expected, actual, strict=True):
        pd.testing.assert_frame_equal(before, after)


def _frames(run: EverythingRun, query: Query) -> list[pd.DataFrame]:
    """Ask the query of each run in a database, in the order in which they began."""
    with closing(sqlite3.connect(run.database)) as database:
        runs = database.execute("SELECT run_id FROM workflow ORDER BY time_began").fetchall()
        return [query(run_id, database) for (run_id,) in runs]


def _outline(frame: pd.DataFrame) -> tuple[int, list[tuple[str, str]]]:
    return len(frame), [(str(name), str(dtype)) for name, dtype in frame.dtypes.items()]


_OWN = ("run_id", "uid", "id")
"""Columns of which each run has its own."""


def _values(frame: pd.DataFrame, run: EverythingRun) -> list[tuple[object, ...]]:
    """Return the rows without what each run has of its own, in an order of their own."""

    def common(name: str, value: object) -> object:
        if "time" in name or name == "last_heartbeat":
            return "" if pd.isna(value) else "a time"
        if isinstance(value, str):
            return re.sub(
                r"\b0x[0-9a-f]+", "0x…", value.replace(str(run.database.parent), "<folder>")
            )
        return "" if pd.isna(value) else value

    shown = frame.drop(columns=[name for name in _OWN if name in frame])
    rows = ([common(*pair) for pair in zip(shown, row, strict=True)] for row in shown.values)
    return sorted((tuple(row) for row in rows), key=repr)


def _tries(frame: pd.DataFrame) -> list[tuple[int, int]]:
    return sorted(set(zip(frame["task_id"], frame["try_id"], strict=True)))
