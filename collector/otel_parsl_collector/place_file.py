"""How far an exporter has come, in a file: for those whose destination cannot keep it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from otel_parsl.spool import Place


class PlaceFile:
    """
    A file of places, replaced whole.

    Without it, or where it is damaged, an exporter begins again with all that the spool holds.

    Args:
        path: The file.
        before_saving: Called before it is changed.
    """

    def __init__(self, path: Path, before_saving: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._before_saving = before_saving
        self.places: dict[str, Place] = {}
        self.more: dict[str, Any] = {}
        """What else was kept with the places."""
        try:
            content = json.loads(path.read_bytes())
            self.more = content.pop("more")
            self.places = {stream: Place(*place) for stream, place in content["places"].items()}
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            pass

    def save(self, places: Mapping[str, Place], **more: Any) -> None:
        """Keep places, and anything else that stands with them."""
        self._before_saving()
        self.places = {**self.places, **places}
        self.more = more
        temporary = self._path.with_suffix(".new")
        with open(temporary, "w") as file:
            json.dump({"places": self.places, "more": more}, file)
            file.flush()
            os.fdatasync(file.fileno())
        os.replace(temporary, self._path)
