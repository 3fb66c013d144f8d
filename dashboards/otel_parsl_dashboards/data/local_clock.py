"""
The clock of frames: local to the submit host, and never put forward or back while a run goes on.

Parsl's tables have naive local times. Where summer time begins or ends within a run these jump, so
that a length across it would be an hour off; in frames they go on by the clock of the run's start.
"""

from __future__ import annotations

import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from otel_parsl.time_zone import zone_named
from otel_parsl_dashboards.data import frames

_UTC = datetime.timezone.utc
_DAY = datetime.timedelta(days=1)
_LONGEST = 3660 * _DAY
"""What seems to be longer after the start of a run is no time."""


class Change(NamedTuple):
    """When a zone's clocks were set, and how far from UTC they are from then on."""

    at: datetime.datetime
    """Aware."""
    offset: datetime.timedelta


class LocalClock:
    """
    The clock at the start of a run.

    Args:
        zone: The submit host's zone: an IANA name or an offset.
        began_at: When the run began; aware.
    """

    def __init__(self, zone: str, began_at: datetime.datetime) -> None:
        self._zone = zone
        self._began_at = began_at
        self._offset = _offset(began_at, zone)

    def local(self, time: datetime.datetime) -> np.datetime64:
        """Return an aware time as frames have it."""
        return np.datetime64((time.astimezone(_UTC) + self._offset).replace(tzinfo=None), "us")

    def utc(self, time: np.datetime64) -> datetime.datetime:
        """Return a time of a frame as an aware one."""
        local: datetime.datetime = time.astype(frames.TIME).item()
        return local.replace(tzinfo=_UTC) - self._offset

    def changes(self, until: datetime.datetime) -> list[Change]:
        """Return when clocks were set since the start of the run, up to an aware time."""
        return [
            change
            for change in _changes(self._zone, self._began_at.date(), until.date())
            if self._began_at < change.at <= until
        ]

    def steadied(self, columns: dict[str, Any]) -> dict[str, Any]:
        """
        Return columns of Parsl's tables with their times by this clock.

        Times of the hour that clocks show twice are taken for the first, as ``datetime`` does.
        """
        return {
            name: self._steady(values) if getattr(values, "dtype", None) == frames.TIME else values
            for name, values in columns.items()
        }

    def as_tables(self, times: Any) -> Any:
        """Return times of frames as Parsl's tables have them."""
        return self._moved(times, is_back=True)

    def _steady(self, times: Any) -> Any:
        return self._moved(times, is_back=False)

    def _moved(self, times: Any, *, is_back: bool) -> Any:
        last = np.fmax.reduce(times, initial=np.datetime64("NaT", "us"))
        if np.isnat(last):
            return times
        first = self.local(self._began_at)
        last = max(min(last, self.local(self._began_at + _LONGEST)), first)
        changes = self.changes(self.utc(last) + _DAY)
        if not changes:
            return times
        offsets = [self._offset, *(change.offset for change in changes)]
        before = [self._offset] * len(changes) if is_back else offsets
        by_clock = np.array(
            [
                change.at.replace(tzinfo=None) + offset
                for change, offset in zip(changes, before, strict=False)
            ],
            frames.TIME,
        )
        gained = np.array([self._offset - offset for offset in offsets], "timedelta64[us]")
        gained = gained[np.searchsorted(by_clock, times, side="right")]
        return times - gained if is_back else times + gained


@lru_cache(maxsize=256)
def _changes(zone: str, first: datetime.date, last: datetime.date) -> tuple[Change, ...]:
    """Return when a zone's clocks were set, from one day to another."""
    time = datetime.datetime(first.year, first.month, first.day, tzinfo=_UTC)
    end = datetime.datetime(last.year, last.month, last.day, tzinfo=_UTC)
    found = []
    while time <= end:
        if _offset(time, zone) != _offset(time + _DAY, zone):
            at = _first_with(_offset(time + _DAY, zone), time, zone)
            found.append(Change(at, _offset(at, zone)))
        time += _DAY
    return tuple(found)


def _first_with(
    offset: datetime.timedelta, before: datetime.datetime, zone: str
) -> datetime.datetime:
    """Return the second within a day from which on clocks have an offset."""
    without, within = 0, int(_DAY.total_seconds())
    while within - without > 1:
        middle = (without + within) // 2
        if _offset(before + datetime.timedelta(seconds=middle), zone) == offset:
            within = middle
        else:
            without = middle
    return before + datetime.timedelta(seconds=within)


def _offset(time: datetime.datetime, zone: str) -> datetime.timedelta:
    return time.astimezone(zone_named(zone)).utcoffset() or datetime.timedelta()
