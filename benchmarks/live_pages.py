"""
What open pages cost the server while a run goes on, and how soon they show what is new.

    python benchmarks/live_pages.py [--tasks 100000] [--pages 50] [--seconds 30]

A run of so many tasks goes on while it is watched: what ends is added to its database twice a
second, a hundred tasks a second. One page is open in a real Chromium; the others are clients that
load the page, connect as its script does and take what is sent, since fifty tabs of a browser
would have the server wait for them on two cores. CPU is that of the server's process.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import psutil
from bokeh.document import Document
from bokeh.document.events import MessageSentEvent
from bokeh.events import DocumentReady
from bokeh.protocol import Protocol
from dashboard import MACHINE
from simulated_rows import RUN_ID, Store
from simulated_run import SAMPLE, SimulatedRun, simulate
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.locks import Lock
from tornado.websocket import WebSocketClientConnection, websocket_connect

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.chromium import IS_DRAWN, chromium
from tests.support.dashboard import Dashboard

_TASKS_PER_S = 100.0
_WRITTEN_S = 0.5
_PLOTS_BYTES = 100_000
"""Less than the plots of a page take, and more than all that comes before them."""
_FRAMES = 3
"""Of a message: its header, metadata and content."""
_SETTLED_S = 30.0
"""After the last page was opened: what it costs to open them is not counted."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(watch(Path(folder), given.tasks, given.pages, given.seconds))


def watch(folder: Path, tasks: int, pages: int, seconds: float) -> str:
    """Return what a server uses while a run of so many tasks goes on and pages show it."""
    workers, nodes = MACHINE[tasks]
    run = simulate(tasks + 20_000, workers=workers, nodes=nodes, submitted_per_s=_TASKS_PER_S)
    done_at = float(np.max(run.returned[:tasks]))
    began = np.datetime64("now", "us") - np.timedelta64(int((done_at + 15) * 1e6), "us")
    store = Store(folder / "live.db", run, began=began, is_ours=True)
    store.write(0, tasks)
    store.report(0.0, done_at)
    with (
        Dashboard(store.path, folder / "server.txt") as server,
        chromium() as browser,
        _writing(store, run, tasks, began) as writer,
        Clients(server.root, server.token, RUN_ID, pages - 1) as clients,
    ):
        page = browser.new_context(viewport={"width": 1500, "height": 1150}).new_page()
        page.goto(server.address)
        page.goto(f"{server.root}/workflow/{RUN_ID}/")
        page.wait_for_function(IS_DRAWN, timeout=60_000)
        clients.wait()
        time.sleep(_SETTLED_S)
        page.evaluate(_WATCH)
        process = psutil.Process(server.process.pid)
        before, at, rows, sent = process.cpu_times(), time.monotonic(), writer.tasks, clients.bytes
        time.sleep(seconds)
        after, elapsed = process.cpu_times(), time.monotonic() - at
        added, sent = writer.tasks - rows, clients.bytes - sent
        delays = _delays_s(writer.written, page.evaluate("window.seen"))
    used = (after.user + after.system - before.user - before.system) / elapsed
    return (
        f"{pages} pages on a run of {tasks:,} tasks: {100 * used:.0f} % of a core;"
        f" {added / elapsed:.0f} tasks a second were added, and shown by the browser"
        f" {statistics.median(delays):.1f} s after that, {max(delays):.1f} s at most;"
        f" {sent / elapsed / max(pages - 1, 1) / 1000:.0f} kB a second went to each page"
    )


def _delays_s(written: list[tuple[float, int]], seen: list[tuple[float, int]]) -> list[float]:
    """Return how long after each count of tasks was committed the page showed as many."""
    return [
        next(at_ms / 1000 - at_s for at_ms, shown in seen if shown >= tasks)
        for at_s, tasks in written
        if seen[0][1] < tasks <= seen[-1][1]
    ]


_WATCH = """
() => {
    const total = () => Number(document.querySelector("#states [data-state=total] b")
        .innerText.replaceAll(",", ""));
    window.seen = [[Date.now(), total()]];
    new MutationObserver(() => {
        if (total() !== window.seen.at(-1)[1]) window.seen.push([Date.now(), total()]);
    }).observe(document.getElementById("f-states"), { childList: true, subtree: true });
}
"""


class Clients:
    """
    Pages without a browser: each connects as a page's script does and counts what it is sent.

    Args:
        root: Where the pages are.
        token: Lets in.
        run_id: Whose pages.
        count: How many.
    """

    def __init__(self, root: str, token: str, run_id: str, count: int) -> None:
        self.bytes = 0
        self._url = f"{root}/workflow/{run_id}/"
        self._headers = {"Authorization": f"token {token}", "Origin": root}
        self._count = count
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._following: list[asyncio.Future[None]] = []

    def __enter__(self) -> Clients:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def wait(self) -> None:
        """Open the pages, one after the other, each once the one before has its plots."""
        for _ in range(self._count):
            asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(60)

    async def _open(self) -> None:
        asked = HTTPRequest(self._url, headers=self._headers)
        answer = await AsyncHTTPClient().fetch(asked)
        found = re.search(r'"token":\s*"([^"]+)"', answer.body.decode())
        assert found is not None, answer.body[:500]
        socket = await websocket_connect(
            HTTPRequest(self._url.replace("http", "ws", 1) + "ws", headers=self._headers),
            subprotocols=["bokeh", found[1]],
            max_message_size=1 << 30,
        )
        for _ in range(_FRAMES):  # ACK, before which the server takes nothing
            await self._take(socket)
        protocol = Protocol()
        ready = MessageSentEvent(Document(), "bokeh_event", DocumentReady())
        for message in (protocol.create("PULL-DOC-REQ"), protocol.create("PATCH-DOC", [ready])):
            await message.send(_Sender(socket))
        before = self.bytes
        while self.bytes - before < _PLOTS_BYTES:
            await self._take(socket)
        self._following.append(asyncio.ensure_future(self._follow(socket)))

    async def _follow(self, socket: WebSocketClientConnection) -> None:
        while True:
            await self._take(socket)

    async def _take(self, socket: WebSocketClientConnection) -> None:
        received = await socket.read_message()
        if received is None:
            raise ConnectionError(f"the server has closed a page: {socket.close_reason}")
        self.bytes += len(received)


class _Sender:
    """What Bokeh's messages are sent by."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self._socket = socket
        self.write_lock = Lock()

    async def write_message(self, message: str | bytes, binary: bool = False, **_: object) -> None:
        """Send a part of a message."""
        await self._socket.write_message(message, binary)


@contextmanager
def _writing(
    store: Store, run: SimulatedRun, tasks: int, began: np.datetime64
) -> Iterator[_Writer]:
    writer = _Writer(store, run, tasks, began)
    with closing(sqlite3.connect(store.path)) as held:
        # As an agent's connection does, it keeps the write-ahead log from coming and going.
        held.execute("SELECT count(*) FROM workflow").fetchall()
        writer.start()
        try:
            yield writer
        finally:
            writer.stop()


class _Writer(threading.Thread):
    """Adds what ends to a run that goes on, twice a second."""

    def __init__(self, store: Store, run: SimulatedRun, tasks: int, began: np.datetime64) -> None:
        super().__init__(daemon=True)
        self.tasks = tasks
        self.written: list[tuple[float, int]] = []
        """When how many tasks were there."""
        self._store, self._began = store, began
        by_sample = run.returned[: len(run.returned) // SAMPLE * SAMPLE].reshape(-1, SAMPLE)
        self._ends = np.maximum.accumulate(by_sample.max(axis=1))
        self._ended = threading.Event()

    def run(self) -> None:
        """Write until told to end."""
        before = 0.0
        while not self._ended.wait(_WRITTEN_S):
            now = float((np.datetime64("now", "us") - self._began) / np.timedelta64(1, "s"))
            end = max(int(np.searchsorted(self._ends, now)) * SAMPLE, self.tasks)
            if end > self.tasks:
                self._store.write(self.tasks, end)
                self.written.append((time.time(), end))
            if before:
                self._store.report(before, now)
            self.tasks, before = end, now

    def stop(self) -> None:
        """Have it end, and wait for that."""
        self._ended.set()
        self.join()


if __name__ == "__main__":
    main()
