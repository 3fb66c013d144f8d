"""Times of the tables in UTC, and back."""

from __future__ import annotations

import datetime

import pytest

from otel_parsl.query.times import local_from_utc, ns_from_utc, utc_from_local, utc_from_ns

UTC = datetime.timezone.utc
NAIVE = datetime.datetime(2026, 7, 1, 12, 0, 0, 123456)


@pytest.mark.parametrize(
    ("zone", "hours"),
    [("Europe/Berlin", 2.0), ("+05:45", 5.75), ("-03:30", -3.5), ("Etc/UTC", 0), ("Nowhere", 0)],
)
def test_local_time_is_told_in_utc_and_back(zone: str, hours: float) -> None:
    """A naive time of a submit host is its zone's, be that a name or an offset; else UTC."""
    utc = (NAIVE - datetime.timedelta(hours=hours)).replace(tzinfo=UTC)

    assert utc_from_local(NAIVE, zone) == utc
    assert local_from_utc(utc, zone) == NAIVE


def test_nanoseconds_are_exact_to_the_microsecond() -> None:
    """A time of our tables loses nothing that Parsl's could have."""
    time_ns = 1_795_254_196_906_012_000

    time = utc_from_ns(time_ns)

    assert time == datetime.datetime(2026, 11, 21, 9, 43, 16, 906012, tzinfo=UTC)
    assert ns_from_utc(time) == time_ns


def test_null_stays_unknown() -> None:
    """What is not known is not the epoch."""
    assert utc_from_ns(None) is None
    assert utc_from_local(None, "Etc/UTC") is None
