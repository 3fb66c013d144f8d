"""UTC nanoseconds to the naive local times of Parsl's tables."""

from __future__ import annotations

import datetime

from otel_parsl.time_zone import zone_named

_CACHED_SECONDS = 4096


class LocalTimes:
    """
    Turn times into what a DateTime column of a database takes.

    Args:
        zone: An IANA name, or an offset such as ``+02:00``; UTC where it is neither.
        as_text: SQLite keeps times as text; other databases take a datetime.
    """

    def __init__(self, zone: str, *, as_text: bool) -> None:
        self._zone = zone_named(zone)
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
