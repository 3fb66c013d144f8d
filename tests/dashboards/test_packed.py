"""Rows that are read packed are those that are read one by one, whatever stands in them."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from otel_parsl_dashboards.data import columns, frames, packed, queries
from otel_parsl_dashboards.data.columns import Gathered, read_columns
from otel_parsl_dashboards.data.edges import read_edges
from otel_parsl_dashboards.data.packed import read_packed
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

_MOMENTS = st.datetimes(datetime.datetime(1971, 1, 1), datetime.datetime(2200, 1, 1))
_TIMES = st.one_of(
    st.none(),
    _MOMENTS.map(lambda time: time.isoformat(" ", "microseconds")),
    _MOMENTS.map(lambda time: time.isoformat(" ", "seconds")),
    st.sampled_from(
        ["", "never", "2026-02-31 10:00:00.000000", "2026-01-31 24:00:00.000000", "2026-01-31"]
    ),
)
_NAMES = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"], min_codepoint=1)))
_IDS = st.integers(0, 2**53)
_COLUMNS = {
    "task_func_name": _NAMES,
    "task_memoize": st.sampled_from([0, 1, "0", "1", "True", "False", "true", None]),
    "task_time_invoked": _TIMES,
    "task_time_returned": _TIMES,
    "task_fail_count": st.one_of(_IDS, st.none()),
    "task_fail_cost": st.one_of(st.none(), st.floats(allow_nan=False), st.integers(-9, 9)),
    "task_depends": st.one_of(
        st.none(),
        st.lists(_IDS, max_size=3).map(lambda ids: ",".join(map(str, ids))),
        st.sampled_from(["1, 2", "[]", ",", "1,,2", "x"]),
    ),
}


@given(
    rows=st.lists(
        st.tuples(st.fixed_dictionaries(_COLUMNS), st.sampled_from(["this", "other"])), max_size=12
    ),
    size=st.integers(1, 5),
)
def test_packed_rows_are_the_rows(rows: list[tuple[dict[str, object], str]], size: int) -> None:
    """Of one run of a table of several, in pieces of any size, with values of any form."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.connect() as connection, pytest.MonkeyPatch.context() as patched:
        patched.setattr(packed, "_ROWS", size)
        patched.setattr(columns, "_TOGETHER", 2)
        connection.exec_driver_sql(
            "CREATE TABLE task (task_id, run_id, task_func_name, task_memoize, task_time_invoked,"
            " task_time_returned, task_fail_count, task_fail_cost, task_depends)"
        )
        connection.exec_driver_sql('CREATE TABLE "try" (task_id, run_id, task_joins)')
        for number, (row, run_id) in enumerate(rows):
            connection.exec_driver_sql(
                "INSERT INTO task VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (number, run_id, *(row[name] for name in _COLUMNS)),
            )
        expected = read_columns(
            connection, queries.TASKS.query, queries.TASKS.columns, {"run_id": "this"}
        )
        told: list[int] = []
        first = Gathered(queries.TASKS.columns)
        second = Gathered(queries.TASKS.columns, beside=first)
        middle = len(rows) // 2
        for start, end, part in ((middle, len(rows), second), (0, middle, first)):
            read_packed(
                connection, queries.TASKS_PACKED, "this", start, end, part, read=told.append
            )
        found = first.columns(second)
        edges = [read_edges(connection, "this", ends) for ends in (None, (0, len(rows)))]

    assert sum(told) == len(expected["task_id"])
    assert list(found) == list(expected)
    for name, kind in queries.TASKS.columns:
        if kind == frames.NAME:
            assert list(found[name]) == list(expected[name])
        else:
            assert found[name].dtype == expected[name].dtype
            np.testing.assert_array_equal(found[name], expected[name])
    pd.testing.assert_frame_equal(*edges)
