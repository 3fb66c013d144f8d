"""Numbers, times and texts as people read them; what is not known is a dash."""

from __future__ import annotations

import datetime
import math
import unicodedata

from otel_parsl.time_zone import zone_named

UNKNOWN = "-"
SIZES = ("B", "kB", "MB", "GB", "TB", "PB")


def duration(seconds: float | None) -> str:
    """Return a length of time with two significant units: ``0.34 s``, ``5 min 12 s``."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s"


def size(count: float | None) -> str:
    """Return a number of bytes in powers of a thousand: ``63.2 MB``."""
    if count is None or math.isnan(count):
        return UNKNOWN
    for unit in SIZES:
        if count < 999.5 or unit == SIZES[-1]:
            break
        count /= 1000
    return f"{count:.0f} B" if unit == "B" else f"{count:.3g} {unit}"


def number(count: int | None) -> str:
    """Return a count with its thousands apart: ``12,345``."""
    return UNKNOWN if count is None else f"{count:,}"


def counted(count: int, noun: str) -> str:
    """Return a count of things: ``1 task``, ``2 tasks``."""
    if count == 1:
        return f"1 {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {plural}"


def local(time: datetime.datetime | None, zone: str) -> str:
    """Return a time as the submit host's clock had it, to the second."""
    return _local(time, zone, "%Y-%m-%d %H:%M:%S")


def clock(time: datetime.datetime | None, zone: str) -> str:
    """Return the time of day as the submit host's clock had it, to the millisecond."""
    return _local(time, zone, "%H:%M:%S.%f")[:-3] if time is not None else UNKNOWN


def visible(text: str) -> str:
    """Return one line of text in which control characters are shown, not obeyed."""
    return "".join(
        character if unicodedata.category(character)[0] != "C" else _escaped(character)
        for character in text
    )


def visible_lines(text: str) -> list[str]:
    """Return the lines of a text, each made visible."""
    return [visible(line.expandtabs(4)) for line in text.splitlines()]


def _escaped(character: str) -> str:
    if character in "\n\r\t":
        return " "
    return character.encode("unicode_escape").decode()


def _local(time: datetime.datetime | None, zone: str, form: str) -> str:
    return UNKNOWN if time is None else time.astimezone(zone_named(zone)).strftime(form)
