"""
What a page that is open costs the run that it shows: tasks a second with it, and without.

    python benchmarks/page_beside_run.py [--seconds 20] [--turns 6] [--work-ms 50] [--sleeping]

A real workflow on HTEX keeps two workers busy for so long a task, monitored by our hub, which has
started the pages beside it. A page is opened and closed in turn, by a client in a process of its
own that takes what it is sent, at the lowest priority: a browser is on its reader's machine.
Ratios are of two stretches that follow one another. With ``--sleeping`` tasks wait where they would
work, so that the cores have time to spare, as the host of a submit process mostly has.
"""

from __future__ import annotations

import argparse
import io
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from live_pages import Clients
from overhead import config

from otel_parsl.low_priority import lower_priority

_IN_FLIGHT = 40
_WARM_UP_S = 15.0
_OPEN_S = 5.0
"""Not counted after a page was opened or closed."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--work-ms", type=float, default=50.0)
    parser.add_argument("--sleeping", action="store_true")
    parser.add_argument("--client", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.client:
        _follow(*given.client)
    with tempfile.TemporaryDirectory() as folder:
        print(measure(Path(folder), given))


def measure(folder: Path, given: argparse.Namespace) -> str:
    """Return how many tasks a second a workflow does with a page open, and with none."""
    import parsl

    from otel_parsl import OTelMonitoringHub

    @parsl.python_app
    def work(seconds: float, sleeping: bool) -> None:
        import time

        if sleeping:
            time.sleep(seconds)
            return
        until = time.process_time() + seconds
        while time.process_time() < until:
            pass

    settings = config(OTelMonitoringHub(dashboard=True))
    settings.run_dir = str(folder / "runinfo")
    rates: dict[bool, list[float]] = {False: [], True: []}
    said = io.StringIO()
    with redirect_stderr(said), parsl.load(settings) as kernel:
        feeder = _Feeder(lambda: work(given.work_ms / 1000, given.sleeping))
        where = _address(said)
        time.sleep(_WARM_UP_S)
        for turn in range(2 * given.turns):
            has_page = turn % 4 in (1, 2)
            page = None
            if has_page:
                client = [sys.executable, __file__, "--client", *where, kernel.run_id]
                page = subprocess.Popen(client, start_new_session=True)
            time.sleep(_OPEN_S)
            rates[has_page].append(feeder.rate(given.seconds))
            if page is not None:
                assert page.poll() is None, "the page was closed"
                page.terminate()
                page.wait()
        feeder.stop()
    ratios = [a / b for a, b in zip(rates[True], rates[False], strict=True)]
    return (
        f"{feeder.done:,} tasks: {statistics.median(rates[False]):.1f} a second without a page,"
        f" {statistics.median(rates[True]):.1f} with one; ratios {min(ratios):.3f} to"
        f" {max(ratios):.3f}, median {statistics.median(ratios):.3f}"
    )


class _Feeder:
    """Keep so many tasks in flight, and count those that are done."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.done = 0
        self._call = call
        self._is_stopping = False
        self._room = threading.Semaphore(_IN_FLIGHT)
        self._thread = threading.Thread(target=self._feed)
        self._thread.start()

    def rate(self, seconds: float) -> float:
        """Return how many are done in a second, over so many from now on."""
        began, before = time.monotonic(), self.done
        time.sleep(seconds)
        return (self.done - before) / (time.monotonic() - began)

    def stop(self) -> None:
        """Call no more, and wait for what was called."""
        self._is_stopping = True
        self._thread.join()
        for _ in range(_IN_FLIGHT):
            self._room.acquire()

    def _feed(self) -> None:
        while not self._is_stopping:
            self._room.acquire()
            self._call().add_done_callback(self._count)

    def _count(self, _future: Any) -> None:
        self.done += 1
        self._room.release()


def _address(said: io.StringIO) -> tuple[str, str]:
    """Return where the pages are, and their token, once the hub has said so."""
    while True:
        found = re.search(r"(http://127\.0\.0\.1:\d+)/\?token=(\S+)", said.getvalue())
        if found:
            return found[1], found[2]
        time.sleep(0.1)


def _follow(root: str, token: str, run_id: str) -> None:
    """Open the page of a run as a browser's script does, and take what is sent for ever."""
    lower_priority(19)
    with Clients(root, token, run_id, 1) as clients:
        clients.wait()
        threading.Event().wait()


if __name__ == "__main__":
    main()
