"""What is known of one run at one moment; it never changes, so that any thread may read it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from otel_parsl.query.engine import of_one_moment
from otel_parsl.query.gaps import Gaps
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.data.loading import Frames
from otel_parsl_dashboards.data.sizes import size_of
from otel_parsl_dashboards.data.standing import Standing, last_time

Result = TypeVar("Result")
_KEPT = 256
"""Things made from a snapshot that stay with it."""
_KEPT_BYTES = 160 << 20
"""
What these take together: no page of a run of a million tasks needs more, and what the page before
needed is made again when somebody comes back to it.
"""
_SMALL_BYTES = 4 << 20
"""
What is shown takes less, such as a picture, and may have cost seconds; what it is worked out from
takes more.
"""


class _Made:
    """
    What is made once, by whoever asks first.

    Each has a lock of its own, since one that draws also waits for its turn to draw.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.is_made = False
        self._value: Any = None
        self.size = 0
        """In bytes; 0 while it is not made."""

    def get(self, make: Callable[[], Any]) -> Any:
        with self._lock:
            if not self.is_made:
                self._value = of_one_moment(make)
                self.size = size_of(self._value)
                self.is_made = True
            return self._value


class Snapshot:
    """
    One run as it was found at one moment.

    Args:
        standing: How the run stands.
        known: Its frames, as far as they have been read.
        gaps: What the database lacks.
        version: Grows with every snapshot of the run.
        reading: What is being read still, in words; None once everything is there.
        is_drawn: Whether plots are drawn anew for it, beside the numbers.
        held_s: How long plots are, or were just now, held back after the numbers.
    """

    def __init__(
        self,
        standing: Standing,
        known: Frames,
        gaps: Gaps,
        *,
        version: int,
        reading: str | None = None,
        is_drawn: bool = True,
        held_s: float = 0.0,
    ) -> None:
        self.is_drawn = is_drawn
        self.held_s = held_s
        self.standing = standing
        self.run = standing.run
        self.gaps = gaps
        self.version = version
        self.reading = reading
        self._frames = known
        self._once: dict[Any, _Made] = {}
        self.worked_out: set[Any] = set()
        """Pages whose numbers were worked out, or could not be."""
        self._lock = threading.Lock()

    @property
    def tasks(self) -> pd.DataFrame:
        """See ``frames.TASKS``."""
        return self._frame("tasks")

    @property
    def tries(self) -> pd.DataFrame:
        """See ``frames.TRIES``."""
        return self._frame("tries")

    @property
    def statuses(self) -> pd.DataFrame:
        """See ``frames.STATUSES``."""
        return self._frame("statuses")

    @property
    def edges(self) -> pd.DataFrame:
        """See ``frames.EDGES``."""
        return self._frame("edges")

    @property
    def samples(self) -> pd.DataFrame:
        """See ``frames.SAMPLES``."""
        return self._frame("samples")

    @property
    def nodes(self) -> pd.DataFrame:
        """See ``frames.NODES``."""
        return self._frame("nodes")

    @property
    def blocks(self) -> pd.DataFrame:
        """See ``frames.BLOCKS``."""
        return self._frame("blocks")

    @property
    def lanes(self) -> pd.DataFrame:
        """See ``frames.LANES``."""
        return self._frame("lanes")

    @property
    def began(self) -> np.datetime64:
        """When the run began, as frames have times."""
        return self.standing.local(self.run.began_at)

    @property
    def until(self) -> np.datetime64:
        """Up to when something is known: open bars end here."""
        end = np.fmax(self.standing.local(self.standing.last_at), self.began)
        if not (self.standing.is_running or self.run.completed_at is not None):
            end = np.fmax(last_time(self._frames), end)
        return np.datetime64(end, "us")

    @property
    def apps(self) -> list[str]:
        """The apps, sorted."""
        return sorted(self.sizes)

    @property
    def sizes(self) -> dict[str, int]:
        """How many tasks each app has."""

        def read() -> dict[str, int]:
            counts = self.tasks["app"].value_counts(sort=False)
            return {app: int(tasks) for app, tasks in counts.items() if app}

        return self.once("apps", read)

    def has(self, kind: str) -> bool:
        """Tell whether a frame has been read."""
        return kind in self._frames

    def has_made(self, key: Any) -> bool:
        """Tell whether what is made once for a key is there."""
        with self._lock:
            made = self._once.get(key)
        return made is not None and made.is_made

    def once(self, key: Any, make: Callable[[], Result]) -> Result:
        """Return what was made for a key, made at the first asking and kept for a while."""
        with self._lock:
            made = self._once.pop(key, None) or _Made()
            self._once[key] = made  # the latest asked for is the last
            while len(self._once) > _KEPT:
                del self._once[next(iter(self._once))]
        result: Result = made.get(make)
        with self._lock:
            # What it was made from was asked for before it is used.
            if self._once.get(key) is made:
                self._once[key] = self._once.pop(key)
            self._drop_beyond(_KEPT_BYTES)
        return result

    def _drop_beyond(self, most: int) -> None:
        """
        Let go of what was asked for longest ago, until the others take no more than that.

        What is small goes last.
        """
        excess = sum(made.size for made in self._once.values()) - most
        if excess <= 0:
            return
        older = list(self._once.items())[:-1]
        for key, made in sorted(older, key=lambda item: item[1].size <= _SMALL_BYTES):
            if excess <= 0:
                break
            if made.size:
                del self._once[key]
                excess -= made.size

    def _frame(self, kind: str) -> pd.DataFrame:
        known = self._frames.get(kind)
        return frames.empty(kind) if known is None else known
