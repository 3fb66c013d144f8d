"""UTC nanoseconds become the naive local times of the submit host, as Parsl writes them."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from otel_parsl_collector.store.times import LocalTimes

from tests.support.otlp_text import TEXT
from tests.support.parsl_database import parsls_database
from tests.support.parsl_messages import run_started

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
OFFSETS = ["+02:00", "-09:30", "+00:00", "+14:00", "-00:01"]
INSTANTS = st.integers(0, 4_000_000_000_000_000_000)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def _expected(zone: datetime.tzinfo, time_ns: int) -> datetime.datetime:
    instant = EPOCH + datetime.timedelta(microseconds=time_ns // 1000)
    return instant.astimezone(zone).replace(tzinfo=None)


@given(st.sampled_from(ZONES), st.lists(INSTANTS, min_size=1, max_size=20))
def test_times_of_a_zone(name: str, instants: list[int]) -> None:
    """Every instant is the local time of the zone then, cut to the microsecond, in both forms."""
    texts, datetimes = LocalTimes(name, as_text=True), LocalTimes(name, as_text=False)
    for time_ns in instants:
        expected = _expected(ZoneInfo(name), time_ns)
        assert datetimes(time_ns) == expected
        assert texts(time_ns) == expected.strftime("%Y-%m-%d %H:%M:%S.%f")


@given(st.sampled_from(OFFSETS), INSTANTS)
def test_times_of_an_offset(offset: str, time_ns: int) -> None:
    """A zone that is told by its offset is that far from UTC."""
    zone = datetime.datetime.strptime(offset, "%z").tzinfo
    assert zone is not None
    assert LocalTimes(offset, as_text=False)(time_ns) == _expected(zone, time_ns)


@pytest.mark.parametrize("as_text", [True, False])
def test_no_time_is_null(as_text: bool) -> None:
    """None stays None: what is not known is NULL."""
    assert LocalTimes("UTC", as_text=as_text)(None) is None


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01 00:00:00.000000"),
        (999, "1970-01-01 00:00:00.000000"),
        (999_999_999, "1970-01-01 00:00:00.999999"),
        (1_000_000_000, "1970-01-01 00:00:01.000000"),
        (-1, "1969-12-31 23:59:59.999999"),
    ],
)
def test_microseconds_are_cut_and_never_rounded_up(time_ns: int, text: str) -> None:
    """Nanoseconds beyond the microsecond are dropped, before 1970 too."""
    assert LocalTimes("UTC", as_text=True)(time_ns) == text


def test_clock_put_back_gives_one_local_time_twice() -> None:
    """When summer time ends the hour comes twice, as on the clock that Parsl reads."""
    times = LocalTimes("Europe/Berlin", as_text=True)
    first = int(datetime.datetime(2026, 10, 25, 0, 30, tzinfo=datetime.timezone.utc).timestamp())
    assert times(first * 10**9) == times((first + 3600) * 10**9) == "2026-10-25 02:30:00.000000"


def test_many_seconds_do_not_fill_memory() -> None:
    """The texts that are kept are few, however long a run, and stay right."""
    times = LocalTimes("UTC", as_text=True)
    for second in range(20_000):
        times(second * 10**9)
    assert len(times._texts) <= 4096
    assert times(19_999 * 10**9) == "1970-01-01 05:33:19.000000"


@given(TEXT)
@example("")
@example("Europe")
@example("+99:99")
@example("+24:00")
@example("+02:00\n")
@example("../../etc/passwd")
def test_any_other_zone_is_utc(name: str) -> None:
    """A zone that is none, whatever a stranger's telemetry says, never stops the store."""
    found = LocalTimes(name, as_text=False)(86_400 * 10**9)
    assert isinstance(found, datetime.datetime)


@pytest.mark.parametrize("name", ["", "Europe", "+99:99", "+24:00", "no zone", "a\0b", "\ud800"])
def test_unknown_zone_is_utc(name: str) -> None:
    """What is neither a name nor an offset is taken as UTC."""
    assert LocalTimes(name, as_text=True)(0) == "1970-01-01 00:00:00.000000"


@pytest.fixture
def parsls_text(tmp_path: Path) -> Iterator[str]:
    """Give a time as Parsl's own database manager has SQLite keep it."""
    message = run_started(time_began=datetime.datetime(2026, 1, 15, 12, 0, 0))
    with parsls_database(tmp_path / "parsl.db") as database:
        database.insert(table="workflow", messages=[message])
    with sqlite3.connect(tmp_path / "parsl.db") as connection:
        yield connection.execute("SELECT time_began FROM workflow").fetchone()[0]


def test_text_is_parsls_text(parsls_text: str) -> None:
    """A time without microseconds has them as zeros, to the letter as Parsl's."""
    instant = datetime.datetime(2026, 1, 15, 12, tzinfo=datetime.timezone.utc)
    assert LocalTimes("UTC", as_text=True)(int(instant.timestamp()) * 10**9) == parsls_text
