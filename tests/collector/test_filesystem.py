"""The filesystem of a path is what the system says of it."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from otel_parsl_collector.store.filesystem import _NAMES, filesystem, is_local


@pytest.mark.parametrize("path", ["/", "/dev/shm", "/proc"])
def test_filesystem_is_what_the_system_says(path: str) -> None:
    """Compared with what ``stat`` prints of the same path."""
    told = subprocess.run(
        ["stat", "--file-system", "--format", "%t", path],
        check=True,
        capture_output=True,
        text=True,
    )
    number = int(told.stdout, 16)
    assert filesystem(Path(path)) == _NAMES.get(number, f"a filesystem of type {number:#x}")


def test_path_that_is_not_there_yet_is_where_it_will_be(tmp_path: Path) -> None:
    """A database that a run will make, in a directory that it will make."""
    assert filesystem(tmp_path / "runinfo" / "monitoring.db") == filesystem(tmp_path)
    assert is_local(Path("/dev/shm/runinfo/monitoring.db"))


def test_directory_that_cannot_be_looked_into_is_no_error_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file server that is away for a moment: what opens the database says so, and comes again."""
    away, stat = tmp_path / "away", os.stat

    def look(path: object, *more: Any, **options: Any) -> os.stat_result:
        if str(path).startswith(str(away)):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
        return stat(path, *more, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "stat", look)
    assert filesystem(away / "monitoring.db") == filesystem(tmp_path)


def test_filesystem_follows_links(tmp_path: Path) -> None:
    """A link leads to where the file really is."""
    (tmp_path / "link").symlink_to("/dev/shm")
    assert filesystem(tmp_path / "link" / "x.db") == "tmpfs"
    assert not is_local(Path("/proc"))
