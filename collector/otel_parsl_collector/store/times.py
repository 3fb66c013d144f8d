"""UTC nanoseconds to the naive local times of Parsl's tables."""

from __future__ import annotations

import datetime
import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_OFFSET = re.compile(r"^([+-])(\d\d):(\d\d)$")
_CACHED_SECONDS = 4096


class LocalTimes:
    """
    Turn times into what a DateTime column of a database takes.

    Args:
        zone: An IANA name, or an offset such as ``+02:00``; UTC where it is neither.
        as_text: SQLite keeps times as text; other databases take a datetime.
    """

    def __init__(self, zone: str, *, as_text: bool) -> None:
        self._zone = _zone(zone)
        self._as_text = as_text
        self._texts: dict[int, str] = {}

    def __call__(self, time_ns: int | None) -> str | datetime.datetime | None:
        """Return a column's value, to the microsecond; NULL for None."""
        if time_ns is None:
            return None
        second, rest = divmod(time_ns, 1_000_000_000)
        if not self._as_text:
            return self._local(second).replace(microsecond=rest // 1000)
        text = self._texts.get(second)
        if text is None:
            if len(self._texts) >= _CACHED_SECONDS:
                self._texts.clear()
            text = self._texts[second] = self._local(second).strftime("%Y-%m-%d %H:%M:%S.")
        return f"{text}{rest // 1000:06d}"

    def _local(self, second: int) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(second, self._zone).replace(tzinfo=None)


def _zone(name: str) -> datetime.tzinfo:
    match = _OFFSET.match(name)
    if match:
        sign = -1 if match[1] == "-" else 1
        minutes = int(match[2]) * 60 + int(match[3])
        if minutes < 24 * 60:
            return datetime.timezone(sign * datetime.timedelta(minutes=minutes))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a directory of zones
        return datetime.timezone.utc
