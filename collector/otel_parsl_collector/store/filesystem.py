"""
The filesystem that a path is on, as Linux's statfs tells it.

The numbers are those of ``linux/magic.h`` and of statfs(2); GPFS, Lustre and BeeGFS name theirs in
their own sources.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

UNKNOWN = "an unknown filesystem"

_LOCAL = {
    0xEF53: "ext4",  # ext2 and ext3 too
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0x2FC12FC1: "zfs",
    0xF2F52010: "f2fs",
    0x3153464A: "jfs",
    0x52654973: "reiserfs",
    0xCA451A4E: "bcachefs",
    0x01021994: "tmpfs",
    0x858458F6: "ramfs",
    0x794C7630: "overlay",
}
"""Those that one machine alone has mounted; any other may be a network's."""
_SHARED = {
    0x6969: "nfs",
    0x0BD00BD0: "lustre",
    0x47504653: "gpfs",
    0x19830326: "beegfs",
    0x00C36400: "ceph",
    0xFF534D42: "cifs",
    0xFE534D42: "smb",
    0x517B: "smb",
    0x01021997: "9p",
    0x65735546: "fuse",
    0x5346414F: "afs",
    0xAAD7AAEA: "panfs",
}
_NAMES = _LOCAL | _SHARED
_STATFS_BYTES = 512
"""More than ``struct statfs`` has anywhere; it begins with the filesystem's number, a long.
On s390x that is an int, and so what is found there has no name and counts as shared."""


def filesystem(path: Path) -> str:
    """Return the name of the filesystem that a path, which need not exist yet, is on."""
    number = _number(path)
    return UNKNOWN if number is None else _NAMES.get(number, f"a filesystem of type {number:#x}")


def is_local(path: Path) -> bool:
    """Tell whether one machine alone has the filesystem of a path mounted."""
    return _number(path) in _LOCAL


def _number(path: Path) -> int | None:
    if sys.platform != "linux":
        return None
    try:
        import ctypes  # a Python may have been built without it

        library = ctypes.CDLL(None)
    except (ImportError, OSError):
        return None
    there = path.resolve()
    while not os.path.exists(there):  # whatever the reason: opening the database says it
        there = there.parent
    told = ctypes.create_string_buffer(_STATFS_BYTES)
    if library.statfs(os.fsencode(there), told):
        return None
    return ctypes.c_long.from_buffer(told).value & 0xFFFFFFFF
