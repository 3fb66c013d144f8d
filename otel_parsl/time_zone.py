"""Which time zone this host keeps."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


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
