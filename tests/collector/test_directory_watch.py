"""An idle agent looks at one time of change, and misses nothing that its hub writes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from otel_parsl_collector.directory_watch import DirectoryWatch

from otel_parsl import rendezvous


def _make(directory: Path) -> None:
    (directory / "submit-000002.spool").write_bytes(b"")


def _replace(directory: Path) -> None:
    rendezvous.write(directory, rendezvous.CLOSING, {"place": [1, 0]})


def _remove(directory: Path) -> None:
    (directory / "there").unlink()


@pytest.mark.parametrize("change", [_make, _replace, _remove])
def test_every_change_is_told(tmp_path: Path, change: object) -> None:
    """What is made, replaced or removed in a directory is told, and then no more."""
    (tmp_path / "there").touch()
    watch = DirectoryWatch(tmp_path)
    assert [watch.has_changed() for _ in range(4)] == [True, True, False, False]
    assert callable(change)
    change(tmp_path)
    assert [watch.has_changed() for _ in range(4)] == [True, True, False, False]


def test_change_within_the_same_tick_is_told(tmp_path: Path) -> None:
    """A change just after a look, at the same time by the file system's clock, counts."""
    watch = DirectoryWatch(tmp_path)
    assert watch.has_changed()
    now_ns = os.stat(tmp_path).st_mtime_ns
    _make(tmp_path)
    os.utime(tmp_path, ns=(now_ns, now_ns))
    assert watch.has_changed()
