"""Which zone a host keeps, told so that another process gives the same local times back."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_parsl.time_zone import local_zone
from tests.support.otlp_text import TEXT


@pytest.fixture
def kept_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let a test set TZ for this process, and put it back for all others."""
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def _localtime(directory: Path, target: str) -> Path:
    """Return an /etc/localtime that points to a file."""
    file = directory / target
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    link = directory / "localtime"
    link.symlink_to(file)
    return link


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/Argentina/Buenos_Aires", "UTC"])
def test_variable_names_the_zone(tmp_path: Path, name: str) -> None:
    """TZ wins over the host's setting, with or without POSIX's colon."""
    link = _localtime(tmp_path, "zoneinfo/Asia/Tokyo")
    assert local_zone({"TZ": name}, link) == name
    assert local_zone({"TZ": f":{name}"}, link) == name


@pytest.mark.parametrize("name", ["Asia/Tokyo", "America/Argentina/Buenos_Aires", "UTC"])
def test_link_names_the_zone(tmp_path: Path, name: str) -> None:
    """Without TZ the zone is the one that /etc/localtime points to, wherever that tree is."""
    assert local_zone({}, _localtime(tmp_path, f"usr/share/zoneinfo/{name}")) == name


@pytest.mark.parametrize(
    ("variable", "zone"),
    [
        ("<+0545>-5:45", "+05:45"),
        ("XXX+3:30", "-03:30"),
        ("Nowhere/Land", "+00:00"),
        ("/usr/share/zoneinfo/Asia/Kolkata", "+05:30"),
    ],
)
def test_zone_without_a_name_is_an_offset(
    kept_zone: pytest.MonkeyPatch, tmp_path: Path, variable: str, zone: str
) -> None:
    """A zone that has no IANA name is told by its distance from UTC."""
    if variable.startswith("/") and not Path(variable).exists():
        pytest.skip("this host has no zone files")
    kept_zone.setenv("TZ", variable)
    time.tzset()
    assert local_zone(os.environ, tmp_path / "none") == zone


def test_copied_zone_file_is_an_offset(kept_zone: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An /etc/localtime that is a file of its own tells no name: the offset of now is used."""
    kept_zone.setenv("TZ", "<-0930>9:30")
    time.tzset()
    (tmp_path / "localtime").write_bytes(b"TZif2")
    assert local_zone({}, tmp_path / "localtime") == "-09:30"


def test_empty_variable_is_utc(kept_zone: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty TZ is UTC, as it is for datetime.now."""
    kept_zone.setenv("TZ", "")
    time.tzset()
    zone = local_zone(os.environ, _localtime(tmp_path, "zoneinfo/Asia/Tokyo"))
    assert zone in ("UTC", "+00:00")


@given(TEXT)
def test_any_variable_gives_a_zone(variable: str) -> None:
    """Whatever TZ is, the answer is a zone that Python knows or an offset; nothing is raised."""
    zone = local_zone({"TZ": variable}, Path("/nonexistent"))
    if zone[0] in "+-":
        assert datetime.datetime.strptime(zone, "%z").utcoffset() is not None
    else:
        assert ZoneInfo(zone).key == zone


@given(st.sampled_from(["Europe", "America/Argentina", ".", "..", "a/../b", "UTC\0", "zone.tab"]))
def test_name_that_is_no_file_of_a_zone_is_no_zone(name: str) -> None:
    """A directory or another file of the zone tree is not taken for a zone."""
    assert local_zone({"TZ": name}, Path("/nonexistent"))[0] in "+-"
