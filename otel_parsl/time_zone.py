"""Time zones by name: which one this host keeps, and what a name means."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_OFFSET = re.compile(r"^([+-])(\d\d):(\d\d)$")


def local_zone(
    environment: Mapping[str, str] = os.environ, localtime: Path = Path("/etc/localtime")
) -> str:
    """
    Return the local zone as an IANA name, or as an offset such as ``+02:00`` where it has none.

    ``TZ`` wins over the host's setting, as it does for ``datetime.now``.
    """
    name = environment.get("TZ", "").lstrip(":")
    if not name and "TZ" not in environment:
        parts = localtime.resolve().parts
        name = "/".join(parts[parts.index("zoneinfo") + 1 :]) if "zoneinfo" in parts else ""
    try:
        if name and not name.startswith("/"):
            ZoneInfo(name)
            return name
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    offset = datetime.datetime.now(datetime.timezone.utc).astimezone().utcoffset()
    minutes = round((offset or datetime.timedelta()).total_seconds() / 60)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def zone_named(name: str) -> datetime.tzinfo:
    """Return the zone of an IANA name or an offset such as ``+02:00``; UTC for anything else."""
    match = _OFFSET.match(name)
    if match:
        minutes = int(match[2]) * 60 + int(match[3])
        sign = -1 if match[1] == "-" else 1
        if minutes < 24 * 60:
            return datetime.timezone(sign * datetime.timedelta(minutes=minutes))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a directory of zones
        return datetime.timezone.utc
