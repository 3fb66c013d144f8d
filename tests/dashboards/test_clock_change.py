"""A run in which the clocks were set: its lengths are those that it took."""

from __future__ import annotations

import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.data.local_clock import LocalClock
from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.pages import workflow
from otel_parsl_dashboards.pages.page import View
from otel_parsl_dashboards.pages.run_header import header_facts

from tests.support.recorded_databases import rows
from tests.support.stored_run import RUN_ID, StoredRun

_HOUR = 3600
_CHANGES = {
    "forward": ("Europe/Berlin", "2026-03-29T01:00", "2026-03-29 03:00:00"),
    "back": ("Europe/Berlin", "2026-10-25T01:00", "2026-10-25 02:00:00"),
    "back by half an hour": ("Australia/Lord_Howe", "2026-04-04T15:00", "2026-04-05 01:30:00"),
    "back, behind UTC": ("America/New_York", "2026-11-01T06:00", "2026-11-01 01:00:00"),
}


def _utc(time: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(time).replace(tzinfo=datetime.timezone.utc)


def _write(url: str, began: datetime.datetime, zone: str, *, is_ended: bool) -> None:
    with StoredRun(url, began=began, zone=zone) as run:
        for task_id in range(2):
            run.task(task_id, "pending", "launched", at_s=0.25 * _HOUR)
            run.execution(task_id, at_s=2 * _HOUR, run_s=5 * _HOUR)
        ends = 2 if is_ended else 1
        for task_id in range(ends):
            run.task(
                task_id,
                "exec_done",
                at_s=7.25 * _HOUR,
                launched_ns=run.ns(0.25 * _HOUR),
                returned_ns=run.ns(7.25 * _HOUR),
            )
        if is_ended:
            run.ended(at_s=8 * _HOUR)


def _snapshot(library: Library) -> Snapshot:
    return library.resident(RUN_ID).wait(("samples",), 60)


@pytest.mark.parametrize(("zone", "change", "by_clock"), _CHANGES.values(), ids=_CHANGES)
def test_lengths_are_true_where_clocks_are_set(
    zone: str, change: str, by_clock: str, tmp_path: Path
) -> None:
    """A try of five hours lasts five, whichever way the clock went, and the page says it went."""
    began = _utc(change) - datetime.timedelta(hours=4)
    path = tmp_path / "monitoring.db"
    url = f"sqlite:///{path}"
    _write(url, began, zone, is_ended=False)
    library = Library(Source(url))
    try:
        _snapshot(library)
        _write(url, began, zone, is_ended=True)
        followed = library.snapshot(RUN_ID)
    finally:
        library.close()
    written = rows(path, 'SELECT task_try_time_running, task_try_time_returned FROM "try"')
    by_wall = {
        datetime.datetime.fromisoformat(returned) - datetime.datetime.fromisoformat(running)
        for running, returned in written
    }
    assert by_wall != {datetime.timedelta(hours=5.25)}, "or there is nothing to mend"

    library = Library(Source(url))
    try:
        for snapshot in (followed, _snapshot(library)):
            tries = snapshot.tries
            assert set(tries["ended"] - tries["running"]) == {np.timedelta64(5 * _HOUR, "s")}
            assert set(tries["returned"] - tries["launched"]) == {np.timedelta64(7 * _HOUR, "s")}
            assert snapshot.until - snapshot.began == np.timedelta64(8 * _HOUR, "s")
            assert snapshot.statuses["time"].max() <= snapshot.until
            (row,) = workflow.facts(View(snapshot, {}, {}, None, library.source))["apps"]
            assert row["mean_s"] == 5 * _HOUR
            (notice,) = header_facts(snapshot)["notices"]
            assert notice.startswith(f"The clocks of {zone} were set at {by_clock}")
            assert "Plots, lists and times to filter by go on by the clock of its start." in notice
    finally:
        library.close()


@given(
    st.sampled_from([zone for zone, _, _ in _CHANGES.values()]),
    st.datetimes(datetime.datetime(2024, 1, 1), datetime.datetime(2027, 1, 1)),
    st.timedeltas(datetime.timedelta(), datetime.timedelta(days=500)),
)
def test_times_of_tables_become_the_moments_that_they_were(
    zone: str, began: datetime.datetime, since: datetime.timedelta
) -> None:
    """Whenever a run began, and however long ago: but for the hour that clocks show twice."""
    began_at = began.replace(tzinfo=datetime.timezone.utc)
    time = began_at + since
    local = time.astimezone(ZoneInfo(zone))
    assume(local.fold == 0)
    clock = LocalClock(zone, began_at)

    by_clock = np.array([local.replace(tzinfo=None), "NaT", "29999-01-01"], "datetime64[us]")
    steady, missing, _ = clock.steadied({"time": by_clock})["time"]

    assert clock.utc(steady) == time
    assert clock.local(time) == steady
    assert steady - clock.local(began_at) == np.timedelta64(since, "us")
    assert np.isnat(missing)
    assert clock.as_tables(np.array([steady]))[0] == by_clock[0]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "+05:30", "Etc/UTC"])
def test_run_without_a_change_keeps_the_times_of_its_tables(zone: str, tmp_path: Path) -> None:
    """Most runs: what the frames have is what the tables have, and nothing is said."""
    path = tmp_path / "monitoring.db"
    _write(f"sqlite:///{path}", _utc("2026-07-01T12:00"), zone, is_ended=True)
    library = Library(Source(f"sqlite:///{path}"))
    try:
        snapshot = _snapshot(library)
        written = rows(path, 'SELECT task_try_time_running FROM "try" ORDER BY task_id')
        assert list(snapshot.tries["running"]) == [pd.Timestamp(time) for (time,) in written]
        assert header_facts(snapshot)["notices"] == []
    finally:
        library.close()
