"""Times as aware UTC, from the nanoseconds of our tables and the naive local times of Parsl's."""

from __future__ import annotations

import datetime

from otel_parsl.time_zone import local_zone, zone_named

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def utc_from_ns(time_ns: int | None) -> datetime.datetime | None:
    """Return a time of our tables, to the microsecond; None for NULL."""
    return None if time_ns is None else _EPOCH + datetime.timedelta(microseconds=time_ns // 1000)


def ns_from_utc(time: datetime.datetime) -> int:
    """Return an aware time as our tables have it."""
    return (time - _EPOCH) // datetime.timedelta(microseconds=1) * 1000


def utc_from_local(time: datetime.datetime | None, zone: str) -> datetime.datetime | None:
    """
    Return a time of Parsl's tables in UTC; None for NULL.

    Args:
        time: Naive, local to the submit host.
        zone: The zone of the submit host.
    """
    if time is None:
        return None
    return time.replace(tzinfo=zone_named(zone)).astimezone(datetime.timezone.utc)


def local_from_utc(time: datetime.datetime, zone: str) -> datetime.datetime:
    """Return an aware time as Parsl's tables of a run have it, for comparing in SQL."""
    return time.astimezone(zone_named(zone)).replace(tzinfo=None)


def zone_of_this_host() -> str:
    """Return the zone that a run is taken to be in where the database does not say."""
    return local_zone()
