"""How a run that goes on is followed: what a reader may run into, and how much it may cost."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from otel_parsl_dashboards.data.drawing_share import (
    MOST_S,
    SHARE,
    SHARE_OF_BUSY,
    DrawingShare,
)
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.data.resident import Resident
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.pages.run_session import RunSession

from tests.support.programs import until
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


def test_all_pages_are_told_before_any_does_what_takes_longer(tmp_path: Path) -> None:
    """The words of one page do not wait for the plots of another, nor for a page that fails."""
    now = datetime.datetime.now(datetime.timezone.utc)
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db", began=now) as run:
        run.task(0, "pending")
    library = Library(Source(str(tmp_path / "monitoring.db")))
    done: list[str] = []
    is_over = threading.Event()

    def page(name: str) -> Callable[[Resident], Callable[[], None]]:
        def tell(resident: Resident) -> Callable[[], None]:
            done.append(f"{name} is told")
            return lambda: done.append(f"{name} is drawn")

        return tell

    def failing(resident: Resident) -> None:
        raise ValueError(resident)

    def last(resident: Resident) -> Callable[[], None]:
        return is_over.set

    try:
        library.resident(run.run_id).wait(("samples",), _DEADLINE_S)
        for told in (page("one"), failing, page("another"), last):
            library.follow(run.run_id, told)
        run.task(1, "pending")
        run.write()
        assert is_over.wait(_DEADLINE_S)
    finally:
        library.close()

    assert done[:4] == ["one is told", "another is told", "one is drawn", "another is drawn"]


def _is_current(library: Library, run_id: str) -> bool:
    """Tell whether a run has been read as it is now."""
    library.snapshot(run_id)
    return library.resident(run_id).signature == library.source.signature()


def test_run_that_is_over_is_not_shown_anew_while_another_is_written(tmp_path: Path) -> None:
    """Its pages are not drawn again for every commit of the run that goes on beside it."""
    url = f"sqlite:///{tmp_path}/monitoring.db"
    with StoredRun(url) as over:
        over.task(0, "pending", "launched", "exec_done")
        over.block("0", "COMPLETED")
        over.ended()
    now = datetime.datetime.now(datetime.timezone.utc)
    other = StoredRun(url, run_id="another", rundir="/home/me/runinfo/001", began=now)
    library = Library(Source(url))
    try:
        shown = library.resident(over.run_id).wait(("samples",), _DEADLINE_S)
        for task_id in range(3):
            other.task(task_id, "pending", "launched", "exec_done")
            other.write()
            until(lambda: _is_current(library, over.run_id))
            assert library.snapshot(over.run_id) is shown

        over.block("0", "FAILED", at_s=61)
        over.write()
        _settle(library.source)
        assert list(library.snapshot(over.run_id).blocks["status"]) == ["COMPLETED", "FAILED"]
        # What only tables of ours have, as when a worker's records come last.
        shown = library.snapshot(over.run_id)
        over.execution(0, at_s=2, run_s=1, exception_type="ValueError")
        over.write()
        _settle(library.source)
        assert library.snapshot(over.run_id) is not shown
    finally:
        library.close()


def test_run_that_was_killed_is_not_shown_anew_while_another_is_written(tmp_path: Path) -> None:
    """The tries that a worker had begun stand in the store for ever, and change nothing."""
    url = f"sqlite:///{tmp_path}/monitoring.db"
    with StoredRun(url) as lost:
        lost.task(0, "pending", "launched")
        lost.running(0, at_s=2)
        lost.ended("lost")
    now = datetime.datetime.now(datetime.timezone.utc)
    other = StoredRun(url, run_id="another", rundir="/home/me/runinfo/001", began=now)
    library = Library(Source(url))
    try:
        library.resident(lost.run_id).wait(("samples",), _DEADLINE_S)
        until(lambda: _is_current(library, lost.run_id))
        shown = library.snapshot(lost.run_id)
        other.task(0, "pending", "launched", "exec_done")
        other.write()
        until(lambda: _is_current(library, lost.run_id))
        assert library.snapshot(lost.run_id) is shown
    finally:
        library.close()


def test_what_is_asked_for_later_is_as_of_then(tmp_path: Path) -> None:
    """Whoever opens a page of a run in memory has what was committed before, the first time."""
    url = f"sqlite:///{tmp_path}/monitoring.db"
    now = datetime.datetime.now(datetime.timezone.utc)
    run = StoredRun(url, began=now)
    run.task(0, "pending")
    run.write()
    library = Library(Source(url))
    try:
        library.resident(run.run_id).wait(("samples",), _DEADLINE_S)
        for task_id in range(1, 4):
            run.task(task_id, "pending")
            run.write()
            _settle(library.source)
            assert len(library.snapshot(run.run_id).tasks) == task_id + 1
    finally:
        library.close()


def _settle(source: Source) -> None:
    """Wait until the time stamp of a database tells by itself whether it has changed."""
    until(lambda: source.signature() == source.signature())


def test_words_of_an_older_snapshot_do_not_follow_those_of_a_newer_one() -> None:
    """A page told of a change while its first plots were drawn keeps what it was told."""
    session: Any = RunSession.__new__(RunSession)
    session._version_of_words = 0
    sent: list[object] = []
    session.send = sent.append
    session._view = session._shared_fragments = lambda each: each
    older, newer = (SimpleNamespace(version=version, reading=None) for version in (1, 2))

    for snapshot in (newer, older, newer):
        session._show_words(snapshot)

    assert sent == [newer]


def test_plots_take_less_of_cores_that_have_no_time_to_spare() -> None:
    """What is drawn beside a run that keeps all cores busy waits longer."""
    now_s, used_s, idle_s = 100.0, 5.0, 40.0
    share = DrawingShare(lambda: now_s, lambda: used_s, lambda: idle_s)
    share.begin()
    used_s += 0.3
    now_s += 1.0
    assert share.due_in_s() == pytest.approx(0.3 / SHARE_OF_BUSY - 1.0)

    idle_s += 0.25
    assert share.due_in_s() == pytest.approx(0.3 / SHARE - 1.0)

    now_s += 1.0
    assert share.due_in_s() == pytest.approx(0.3 / SHARE_OF_BUSY - 2.0)


def test_how_long_plots_are_held_back_is_known_until_they_no_longer_are() -> None:
    """What a page says of it stays from one drawing to the next, and goes once one had no wait."""
    now_s, used_s = 100.0, 5.0
    share = DrawingShare(lambda: now_s, lambda: used_s, lambda: 0.0)
    share.begin()
    used_s += 0.15
    now_s += 1.0
    share.due_in_s()
    while_held = share.held_s
    now_s += MOST_S
    assert share.due_in_s() == 0
    share.begin()
    after_one = share.held_s
    now_s += MOST_S
    assert share.due_in_s() == 0
    share.begin()

    assert while_held == after_one == pytest.approx(0.15 / SHARE_OF_BUSY)
    assert share.held_s == 0


def test_plots_take_their_share_of_a_core_and_no_more() -> None:
    """After a drawing the next waits until all that was used is a share of the time since."""
    now_s, used_s = 100.0, 5.0
    share = DrawingShare(lambda: now_s, lambda: used_s, lambda: now_s)
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
