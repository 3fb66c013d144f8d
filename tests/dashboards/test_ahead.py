"""What pages of a run of many tasks will be asked for is made while nobody waits for anything."""

from __future__ import annotations

import asyncio
import datetime
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.pages import RUN_PAGES, app, opening
from otel_parsl_dashboards.pages.page import View
from otel_parsl_dashboards.pages.rendering import rendered
from otel_parsl_dashboards.server import ahead

from tests.support.dashboard import ScriptedDashboard
from tests.support.recorded_databases import value
from tests.support.stored_run import RUN_ID, StoredRun

_WAITING = """
import sys
from otel_parsl.cli import main
from otel_parsl_dashboards.pages import opening
from otel_parsl_dashboards.server import ahead

opening.LARGE = 1
ahead.MANY = 1
ahead.CALM_S = 600
main.main(["visualize", sys.argv[1]])
"""
"""Every run is a large one, and readers are never at rest."""
_PAGES = [page for page in RUN_PAGES if "{" not in page.path]


class _Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


class _Counting(ThreadPoolExecutor):
    """A worker that counts what it is given."""

    def __init__(self) -> None:
        super().__init__(1)
        self.given = 0

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        self.given += 1
        return super().submit(*args, **kwargs)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    """The clock that tells how long nobody has asked for anything; every run is a large one."""
    clock = _Clock()
    monkeypatch.setattr(ahead, "time", clock)
    monkeypatch.setattr(ahead, "CALM_S", 0.01)
    monkeypatch.setattr(opening, "LARGE", 1)
    monkeypatch.setattr(ahead, "MANY", 1)
    return clock


@pytest.fixture
def worker() -> Iterator[_Counting]:
    """What makes one thing at a time."""
    with _Counting() as worker:
        yield worker


@pytest.fixture
def library(demo_database: Path) -> Iterator[Library]:
    """The library of a run that has ended."""
    library = Library(Source(str(demo_database)))
    yield library
    library.close()


async def _done(working: ahead.Ahead) -> None:
    await asyncio.gather(*working._under_way.values())


async def _look_for_a_while(working: ahead.Ahead, run_id: str, clock: _Clock) -> None:
    working.want(run_id)
    working.want(run_id)
    clock.now_s += 1
    await _done(working)


def test_pages_open_with_their_numbers_and_plots(
    library: Library, demo_database: Path, clock: _Clock, worker: _Counting
) -> None:
    """After one page was looked at for a while, no other is shown without its numbers first."""
    run_id = value(demo_database, "SELECT run_id FROM workflow")
    name = value(demo_database, "SELECT min(task_func_name) FROM task")
    paths = [f"/workflow/{run_id}/{page.path}" for page in _PAGES]
    paths.append(f"/workflow/{run_id}/app/{name}")

    def slow() -> set[str]:
        opened = {path: opening.look(library, path, {}) for path in paths}
        return {path for path, each in opened.items() if isinstance(each, opening.Slow)}

    assert {f"/workflow/{run_id}/{path}" for path in ("time", "blocks", f"app/{name}")} <= slow()

    async def look() -> None:
        await _look_for_a_while(ahead.Ahead(library, worker), run_id, clock)

    asyncio.run(look())

    assert slow() == set()
    resident = library.resident(run_id)
    for page, params in [*((page, {}) for page in _PAGES), (app.PAGE, {"name": name})]:
        view = View(resident.snapshot, params, {}, None, library.source, None, None)
        for plot in page.plots:
            drawn = plot._replace(draw=_not_again, picture=None)
            assert rendered(resident, page, drawn, view).drawn.data is not None


def test_readers_go_first(
    library: Library, demo_database: Path, clock: _Clock, worker: _Counting
) -> None:
    """Nothing is begun until nobody has asked for anything for a while."""
    run_id = value(demo_database, "SELECT run_id FROM workflow")

    async def ask() -> list[int]:
        working = ahead.Ahead(library, worker)
        working.want(run_id)
        given = []
        for _ in range(3):
            await asyncio.sleep(0.05)  # as long as it would take to see that all is calm
            given.append(worker.given)
            clock.now_s += 0.009
            working.hold()
        clock.now_s += 1
        await _done(working)
        return [*given, worker.given]

    *while_asked, then = asyncio.run(ask())

    assert while_asked == [0, 0, 0]
    assert then > len(_PAGES)


def test_once_is_enough(
    library: Library, demo_database: Path, clock: _Clock, worker: _Counting
) -> None:
    """A run that is looked at again has all that it takes."""
    run_id = value(demo_database, "SELECT run_id FROM workflow")

    async def look_twice() -> list[int]:
        working = ahead.Ahead(library, worker)
        given = []
        for _ in range(2):
            await _look_for_a_while(working, run_id, clock)
            given.append(worker.given)
        return given

    once, twice = asyncio.run(look_twice())

    assert 0 < once == twice


@pytest.mark.parametrize("many", [1, 5_000])
def test_what_would_be_old_or_is_quick_is_left(
    many: int,
    tmp_path: Path,
    clock: _Clock,
    worker: _Counting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that goes on changes before anybody asks; a small one is worked out at once."""
    monkeypatch.setattr(ahead, "MANY", many)
    url = f"sqlite:///{tmp_path}/monitoring.db"
    with StoredRun(url, began=datetime.datetime.now(datetime.timezone.utc)) as run:
        run.task(0, "exec_done")
        if many > 1:
            run.ended()
    library = Library(Source(url))

    async def look() -> None:
        await _look_for_a_while(ahead.Ahead(library, worker), RUN_ID, clock)

    asyncio.run(look())
    library.close()

    assert worker.given == 0


def test_server_ends_at_once_and_says_nothing(demo_database: Path, tmp_path: Path) -> None:
    """What was to be worked out ahead is left, in silence."""
    run_id = value(demo_database, "SELECT run_id FROM workflow")
    with ScriptedDashboard(_WAITING, demo_database, tmp_path / "log.txt") as dashboard:
        request = urllib.request.Request(
            f"{dashboard.root}/workflow/{run_id}/",
            headers={"Authorization": f"token {dashboard.token}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200
    assert dashboard.process.returncode == 0
    assert len(dashboard.printed.splitlines()) == 3


def _not_again(_view: View) -> object:
    raise AssertionError("it was drawn already")
