"""How a run that goes on is followed: what a reader may run into, and how much it may cost."""

from __future__ import annotations

import datetime
import threading
from pathlib import Path

import pytest
from otel_parsl_dashboards.data.drawing_share import MOST_S, SHARE, DrawingShare
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.data.resident import Resident
from otel_parsl_dashboards.data.source import Source

from tests.support.stored_run import StoredRun

_DEADLINE_S = 60.0


class _Heard:
    """Waits until what it hears of a run is as wanted."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._error: str | None = None
        self._tasks = 0

    def __call__(self, resident: Resident) -> None:
        with self._changed:
            self._error = None if resident.error is None else str(resident.error)
            self._tasks = len(resident.snapshot.tasks)
            self._changed.notify_all()

    def wait(self, *, tasks: int, error: str | None = None) -> None:
        with self._changed:
            assert self._changed.wait_for(
                lambda: (
                    self._tasks == tasks
                    and (self._error is None if error is None else error in (self._error or ""))
                ),
                _DEADLINE_S,
            ), (self._error, self._tasks)


def test_file_that_cannot_be_read_for_a_while_is_followed_on(tmp_path: Path) -> None:
    """A page says that its file is damaged, and follows the run again once that is mended."""
    path = tmp_path / "monitoring.db"
    now = datetime.datetime.now(datetime.timezone.utc)
    with StoredRun(f"sqlite:///{path}", began=now) as run:
        for task_id in range(2000):
            run.task(task_id, "pending", "launched")
    sound = path.read_bytes()
    library, heard = Library(Source(str(path))), _Heard()
    try:
        unfollow = library.follow(run.run_id, heard)
        heard.wait(tasks=2000)

        path.write_bytes(sound[:8192] + b"\xff" * (len(sound) - 8192))
        heard.wait(tasks=2000, error="damaged")

        path.write_bytes(sound)
        heard.wait(tasks=2000)
        run.task(2000, "pending")
        run.write()
        heard.wait(tasks=2001)
        unfollow()
    finally:
        library.close()


def test_plots_take_their_share_of_a_core_and_no_more() -> None:
    """After a drawing the next waits until all that was used is a share of the time since."""
    now_s, used_s = 100.0, 5.0
    share = DrawingShare(lambda: now_s, lambda: used_s)
    assert share.due_in_s() == 0

    share.begin()
    assert share.due_in_s() == 0

    used_s += 0.3
    assert share.due_in_s() == pytest.approx(0.3 / SHARE)

    now_s += 1.5
    assert share.due_in_s() == pytest.approx(0.3 / SHARE - 1.5)

    used_s += 1000
    assert share.due_in_s() == MOST_S - 1.5

    now_s += MOST_S
    assert share.due_in_s() == 0
