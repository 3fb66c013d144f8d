"""Real filesystems: with little room, with a quota, not known to be local."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.catalogue import BINDFS, BTRFS, in_ci, require
from tests.support.backend_fixtures import missing_fails_or_skips


@contextlib.contextmanager
def small_disk(path: Path, *, kib: int) -> Iterator[Path]:
    """Mount a filesystem of so many KiB for a test."""
    with _mounted("-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", at=path):
        yield path


@contextlib.contextmanager
def small_quota(path: Path, *, mib: int) -> Iterator[Path]:
    """Make a folder that may hold so many MiB, on a filesystem with much more room."""
    if "btrfs" not in Path("/proc/filesystems").read_text() or not Path("/dev/loop0").exists():
        pytest.skip("the kernel here has no btrfs, or no loop device to have one in a file")
    image, folder = path.with_name(f"{path.name}.img"), path / "small"
    with image.open("wb") as file:
        file.truncate(256 << 20)
    with missing_fails_or_skips():
        program = require(BTRFS)
    subprocess.run([program, "--quiet", image], check=True, capture_output=True)
    with _mounted("-o", "loop", image, at=path):
        image.unlink()
        for command in (
            ("quota", "enable", path),
            ("subvolume", "create", folder),
            ("qgroup", "limit", f"{mib}M", folder),
        ):
            subprocess.run(["btrfs", *command], check=True, capture_output=True)
        yield folder


@contextlib.contextmanager
def fuse_folder(path: Path) -> Iterator[Path]:
    """Make a folder that is on a filesystem of type FUSE, as one of another machine may be."""
    if not Path("/dev/fuse").exists():
        pytest.skip("the kernel here has no FUSE")
    with missing_fails_or_skips():
        program = require(BINDFS)
    behind = path.with_name(f"{path.name}.behind")
    behind.mkdir()
    path.mkdir()
    subprocess.run([program, behind, path], check=True, capture_output=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


@contextlib.contextmanager
def _mounted(*what: str | Path, at: Path) -> Iterator[None]:
    """Mount something for a while; where that is not allowed CI fails."""
    at.mkdir()
    if subprocess.run(["mount", *what, at], capture_output=True, check=False).returncode != 0:
        reason = "only root may mount a small disk"
        if in_ci():
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", at], check=True)


def fill(disk: Path) -> Path:
    """Take all the room that is left; return the file that has it, to be removed."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return ballast
