"""
Work out what pages of a run of many tasks will be asked for, while nobody waits for anything.

What a page of a million tasks says and draws takes seconds the first time, and is kept then. So it
is made once somebody has looked at any page of such a run, one page after the other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from functools import partial
from weakref import WeakSet

from otel_parsl.query.errors import QueryError
from otel_parsl_dashboards.data.freed import give_back
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.data.resident import Resident
from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.pages import RUN_PAGES, app
from otel_parsl_dashboards.pages.page import RunPage, View
from otel_parsl_dashboards.pages.page_facts import kept_facts, summary
from otel_parsl_dashboards.pages.rendering import rendered

_log = logging.getLogger(__name__)

MANY = 5_000
"""So many tasks, or more, and some page takes a second or longer the first time."""
CALM_S = 2.0
"""Nothing was asked for or sent for so long: whoever looks at a page has all of it."""
_LOOK_S = 0.5
_APPS = 8
"""Apps whose pages are worked out, those of most tasks first."""


class Ahead:
    """
    Works for a server's readers while none of them waits.

    All but what the worker does is done in the thread of the server's loop.

    Args:
        library: The runs.
        worker: Makes one thing at a time, also what readers wait for.
    """

    def __init__(self, library: Library, worker: Executor) -> None:
        self._library = library
        self._worker = worker
        self._heard_s = time.monotonic()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._done: WeakSet[Snapshot] = WeakSet()

    def hold(self) -> None:
        """Put off what is not under way: a reader has asked for something, or is sent it."""
        self._heard_s = time.monotonic()

    def want(self, run_id: str) -> None:
        """Have the pages of a run worked out, if that takes a while and has an end."""
        if run_id not in self._under_way:
            task = asyncio.ensure_future(self._work(run_id))
            self._under_way[run_id] = task
            task.add_done_callback(lambda _task: self._under_way.pop(run_id))

    async def close(self) -> None:
        """Begin nothing more."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, run_id: str) -> None:
        try:
            await self._work_out(run_id)
        except QueryError as error:
            _log.warning("%s", error)  # as whoever asks for the run next is told

    async def _work_out(self, run_id: str) -> None:
        await self._calm()
        resident = self._library.resident(run_id)
        while resident.progress is not None and resident.error is None:
            await asyncio.sleep(_LOOK_S)
        snapshot = resident.snapshot
        # Of one that goes on, all would soon be to be made again.
        is_many = len(snapshot.tasks) >= MANY
        if snapshot.standing.is_running or not is_many or snapshot in self._done:
            return
        for make in _each(self._library, resident, snapshot):
            await self._calm()
            if resident.snapshot is not snapshot or resident.error is not None:
                return  # what is there now is wanted by whoever looks at it next
            await asyncio.get_running_loop().run_in_executor(self._worker, _made, make)
        self._done.add(snapshot)

    async def _calm(self) -> None:
        while (left_s := self._heard_s + CALM_S - time.monotonic()) > 0:
            await asyncio.sleep(left_s)


def _each(
    library: Library, resident: Resident, snapshot: Snapshot
) -> Iterator[Callable[[], object]]:
    for page, params in _pages(snapshot):
        view = View(snapshot, params, {}, None, library.source, library.trace_url)
        yield partial(kept_facts, page, view)
        for plot in page.plots:
            if plot.is_ready(snapshot):
                yield partial(rendered, resident, page, plot, view)
                yield partial(summary, page, view, plot)


def _pages(snapshot: Snapshot) -> Iterator[tuple[RunPage, dict[str, str]]]:
    """Yield the pages that take a while, and what their paths name."""
    for page in RUN_PAGES:
        if "{" not in page.path:
            yield page, {}
    for name in sorted(snapshot.sizes, key=snapshot.sizes.__getitem__, reverse=True)[:_APPS]:
        yield app.PAGE, {"name": name}


def _made(make: Callable[[], object]) -> None:
    try:
        make()
    except QueryError as error:
        _log.warning("%s", error)
    except Exception:  # noqa: BLE001 - whatever it is, whoever asks for it is told
        _log.exception("a page cannot be worked out ahead")
    finally:
        give_back()
