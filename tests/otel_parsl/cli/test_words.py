"""Numbers, times and texts as people read them."""

from __future__ import annotations

import datetime

import pytest

from otel_parsl.cli import words


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "-"),
        (0.0, "0 µs"),
        (0.000_017, "17 µs"),
        (0.0123, "12.3 ms"),
        (0.34, "0.34 s"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (312.4, "5 min 12 s"),
        (3600, "1 h 0 min"),
        (90_061, "1 d 1 h"),
    ],
)
def test_duration_has_two_units_at_most(seconds: float | None, expected: str) -> None:
    """A length of time is told in what suits its size."""
    assert words.duration(seconds) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (2048, "2.05 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (66_342_912, "66.3 MB"),
        (float("nan"), "-"),
    ],
)
def test_size_has_decimal_units(count: float | None, expected: str) -> None:
    """Bytes are told in powers of a thousand, as the pages' axes have them."""
    assert words.size(count) == expected


def test_counts_agree_with_their_nouns() -> None:
    """One of a thing is not several."""
    assert [words.counted(n, "try") for n in (0, 1, 2, 1234)] == [
        *("0 tries", "1 try", "2 tries", "1,234 tries")
    ]
    assert words.counted(2, "task") == "2 tasks"


def test_times_are_the_submit_hosts() -> None:
    """A time in UTC is told by the clock of the submit host."""
    time = datetime.datetime(2026, 11, 21, 9, 43, 16, 906012, tzinfo=datetime.timezone.utc)

    assert words.local(time, "+05:45") == "2026-11-21 15:28:16"
    assert words.clock(time, "+05:45") == "15:28:16.906"
    assert (words.local(None, "+05:45"), words.clock(None, "+05:45")) == ("-", "-")


def test_text_is_one_visible_line() -> None:
    """Control characters are shown, line breaks are blanks, letters of any script stay."""
    assert words.visible("größe\x1b[2J\n测试\x07") == "größe\\x1b[2J 测试\\x07"
    assert words.visible_lines("a\tb\nc\x00") == ["a   b", "c\\x00"]
