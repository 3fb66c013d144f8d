"""The elements' arithmetic holds for all inputs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from otel_parsl_dashboards.data import frames, lanes
from otel_parsl_dashboards.elements import gantt, state_changes
from otel_parsl_dashboards.elements.concurrency import steps
from otel_parsl_dashboards.elements.gantt import state_bars
from otel_parsl_dashboards.elements.raster import Coverage
from otel_parsl_dashboards.elements.span import Span

_BEGAN = np.datetime64("2026-01-15T12:00:00", "us")
_SECOND = np.timedelta64(1, "s")
_place = st.floats(-3, 13, allow_nan=False)
intervals = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 1), _place, _place).map(
        lambda each: (each[0], each[1], min(each[2:]), max(each[2:]))
    ),
    max_size=30,
)


@given(intervals, st.integers(0, 30))
def test_each_pixel_has_the_exact_part_that_is_covered(
    given_intervals: list[tuple[int, int, float, float]], piece: int
) -> None:
    """What a pixel shows is how much of it each app's tries cover, to the last bits."""
    columns = 10
    expected = np.zeros((2, 3, columns))
    for row, group, start, end in given_intervals:
        for column in range(columns):
            expected[group, row, column] += max(0.0, min(end, column + 1) - max(start, column))
    row, group, start, end = (
        np.array([each[place] for each in given_intervals], dtype=kind)
        for place, kind in enumerate(("int64", "int64", "float64", "float64"))
    )

    coverage = Coverage(2, 3, columns)
    coverage.add(row[:piece], group[:piece], start[:piece], end[:piece])
    coverage.add(row[piece:], group[piece:], start[piece:], end[piece:])
    parts = coverage.picture(np.eye(2))

    np.testing.assert_allclose(parts, expected, atol=1e-9)


offsets = st.integers(0, 50)
runs = st.lists(st.tuples(st.sampled_from(["node2", "node13"]), offsets, offsets), max_size=40)


def _times(seconds: list[int]) -> pd.Series:
    return pd.Series(_BEGAN + np.array(seconds, dtype="timedelta64[s]")).astype(frames.TIME)


@given(runs)
def test_lanes_hold_one_try_at_a_time_and_are_as_few_as_can_be(
    given_runs: list[tuple[str, int, int]],
) -> None:
    """No lane has two tries at once, and a host has as many lanes as ever were busy there."""
    hosts = pd.Series(pd.Categorical([host for host, _, _ in given_runs]))
    starts = [start for _, start, _ in given_runs]
    ends = [start + length + 1 for _, start, length in given_runs]

    lane, table = lanes.pack(hosts, _times(starts), _times(ends))

    for host in set(hosts):
        of_host = [number for number, each in enumerate(hosts) if each == host]
        most = max(
            sum(starts[other] <= starts[number] < ends[other] for other in of_host)
            for number in of_host
        )
        assert len(table[table["host"] == host]) == most
        for number in of_host:
            together = [
                other
                for other in of_host
                if other != number
                and lane[other] == lane[number]
                and starts[other] < ends[number]
                and starts[number] < ends[other]
            ]
            assert together == []
    shown = list(dict.fromkeys(table["host"]))
    assert shown == [host for host in ("node2", "node13") if host in set(hosts)]


@given(runs)
def test_steps_count_what_is_open(given_runs: list[tuple[str, int, int]]) -> None:
    """Between two moments of the line as many tries ran as it says."""
    starts = [start for _, start, _ in given_runs]
    ends = [start + length + 1 for _, start, length in given_runs]
    span = Span(_BEGAN, _BEGAN + np.timedelta64(120, "s"))

    moments, counts = steps(_times(starts).to_numpy(), _times(ends).to_numpy(), span=span)

    for moment, count in zip(moments, counts, strict=True):
        at = (moment - _BEGAN) / np.timedelta64(1, "s")
        assert count == sum(start <= at < end for start, end in zip(starts, ends, strict=True))


def test_the_first_row_is_at_the_top() -> None:
    """Of two lanes the first is drawn at the top, as the names beside them say."""
    coverage = Coverage(1, 2, 4)
    coverage.add(np.array([0]), np.array([0]), np.array([0.0]), np.array([4.0]))

    assert coverage.picture(np.eye(1))[0].tolist() == [[1.0] * 4, [0.0] * 4]


_STATES = ("pending", "launched", "running", "exec_done")
_statuses = st.dictionaries(
    st.tuples(st.integers(0, 5), st.integers(0, 1), st.integers(0, 3)), st.integers(0, 20)
)


_TASKS = pd.DataFrame({"task_id": [1, 2, 4], "app": pd.Categorical(["a", "b", "a"])})


def _frame(entered: dict[tuple[int, int, int], int]) -> pd.DataFrame:
    """Return the frame of statuses: when each state of tasks and tries was entered."""
    keys = sorted(entered)
    return pd.DataFrame(
        {
            "task_id": np.array([task for task, _, _ in keys], dtype="int64"),
            "try_id": np.array([number for _, number, _ in keys], dtype="int64"),
            "state": pd.Categorical([_STATES[rank] for *_, rank in keys], categories=_STATES),
            "time": _times([entered[key] for key in keys]),
        }
    )


@given(
    _statuses,
    st.integers(0, 18),
    st.integers(1, 10),
    st.integers(1, 3),
    st.integers(1, 3),
    st.data(),
)
def test_picture_of_many_tasks_has_all_their_states(
    entered: dict[tuple[int, int, int], int],
    first: int,
    length: int,
    piece: int,
    rows: int,
    data: st.DataObject,
) -> None:
    """What is over before the view, or comes after it, is left out without being looked at."""
    statuses = _frame(entered)
    is_unknown = data.draw(st.lists(st.booleans(), min_size=len(entered), max_size=len(entered)))
    statuses.loc[np.array(is_unknown, dtype=bool), "time"] = np.datetime64("NaT")
    start, end, until = (_times([at])[0].to_datetime64() for at in (first, first + length, 15))
    span = Span(start, end)
    bars = state_bars(_TASKS, statuses, span=span, until=until)
    expected = Coverage(len(_STATES), rows, gantt._COLUMNS)
    row_of_task = np.arange(len(_TASKS)) * rows // len(_TASKS)
    expected.add(
        row_of_task[bars["row"].to_numpy()],
        bars["state"].array.codes,
        span.pixels(bars["start"].to_numpy(), gantt._COLUMNS),
        span.pixels(bars["end"].to_numpy(), gantt._COLUMNS),
    )
    found: list[np.ndarray] = []

    def look(
        coverage: Coverage, _colours: object, whole: np.ndarray, _strength: object
    ) -> np.ndarray:
        assert whole.ravel().tolist() == np.bincount(row_of_task).tolist()
        found.append(coverage.picture(np.eye(len(_STATES))))
        return np.zeros((1, 1, 4), dtype="uint8")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(state_changes, "_PIECE", piece)
        patched.setattr(gantt, "_ROWS", rows)
        patched.setattr(gantt, "coloured", look)
        ids = _TASKS["task_id"].to_numpy()
        for changes in (None, gantt.changes_of(_TASKS, statuses, until=until)):
            gantt._picture(ids, statuses, changes, span, until)

    np.testing.assert_allclose(found, [expected.picture(np.eye(len(_STATES)))] * 2, atol=1e-9)


@given(_statuses, st.integers(0, 10), st.integers(1, 10))
def test_each_state_lasts_until_the_next_whatever_the_clocks_say(
    entered: dict[tuple[int, int, int], int], first: int, length: int
) -> None:
    """A state ends where the next of its task begins, the last where all that is known ends."""
    keys, ids = sorted(entered), list(_TASKS["task_id"])
    statuses = _frame(entered)
    expected = []
    for place, key in enumerate(keys):
        is_followed = place + 1 < len(keys) and keys[place + 1][0] == key[0]
        end = max(entered[key], entered[keys[place + 1]] if is_followed else 15)
        if key[0] in ids and entered[key] < first + length and end > first:
            expected.append((ids.index(key[0]), _STATES[key[2]], entered[key], end))

    def bars() -> list[tuple[int, str, int, int]]:
        start, end, until = (_times([at])[0].to_datetime64() for at in (first, first + length, 15))
        found = state_bars(_TASKS, statuses, span=Span(start, end), until=until)
        assert [ids[row] for row in found["row"]] == list(found["task_id"])
        assert list(found["app"]) == [_TASKS["app"][row] for row in found["row"]]
        start_s, end_s = ((found[name] - _BEGAN) // _SECOND for name in ("start", "end"))
        return list(zip(found["row"], found["state"], start_s, end_s, strict=True))

    assert bars() == expected
