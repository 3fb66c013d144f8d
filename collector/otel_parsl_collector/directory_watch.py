"""Whether anything was made, replaced or removed in a directory: one look at its time of change."""

from __future__ import annotations

import os
from pathlib import Path


class DirectoryWatch:
    """
    Watch a directory for what is worth reading its files for.

    Args:
        directory: Which one.
    """

    def __init__(self, directory: Path) -> None:
        self._path = os.fspath(directory)
        self._seen_ns = -1
        self._is_new = False

    def has_changed(self) -> bool:
        """
        Tell whether something has changed since the last call but one.

        Two changes within one tick of the file system's clock (some ms) have the same time: hence
        a change is told twice, and the calls must be further apart than that.
        """
        try:
            changed_ns = os.stat(self._path).st_mtime_ns
        except FileNotFoundError:  # the user has removed it: nothing more will come
            changed_ns = 0
        was_new, self._is_new = self._is_new, changed_ns != self._seen_ns
        self._seen_ns = changed_ns
        return self._is_new or was_new
