"""
How fast the pages are, in a real Chromium, beside what Parsl's own parsl-visualize needs.

    python benchmarks/dashboard.py [--tasks 10000 100000 1000000] [--kinds parsl ours]
        [--folder DIR] [--parsl-visualize PROGRAM]

Databases are made in DIR, of Parsl's schema alone ("parsl") and of ours, and kept there for the
next time; at a million tasks they take 2 GB each.
``opened first``: by a server that has just started, so that the run has to be read.
``cold``: with an empty browser cache, and ``warm``: again in the same browser; the run is in the
server's memory then. Medians of some loads; times are the browser's, from when it set out.
A zoom is timed from the choice of a stretch of time until all that follows it has changed, the
40 ms included that a choice is waited for to settle.
``other pages``: each of them opened once, the slowest: until something is painted, and until all;
``at once`` after the run was read, and ``later``, when the server has worked out ahead what they
need.
CPU is that of the server's process. Parsl's pages load their scripts from other hosts: plotly's
comes from this machine here, and the rest at once as an error.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from playwright.sync_api import Error
from simulated_rows import RUN_ID, Store
from simulated_run import SimulatedRun, simulate

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.chromium import IS_DRAWN, chromium
from tests.support.dashboard import Dashboard

MACHINE = {1_000: (32, 2), 10_000: (64, 2), 100_000: (512, 16), 1_000_000: (512, 16)}
"""Workers and nodes by the number of tasks."""
PARSLS_TASKS = (1_000, 10_000)
_WAIT_MS = 90_000
_REST_S = 4.0
"""A server that has done nothing for so long has worked out ahead what it will be asked for."""
_AT_REST = 0.05
"""Of a core: what it takes to have a page open."""
GOALS = {
    "opened first: counts": {1_000_000: 1.5},
    "opened first: stream": {1_000_000: 4.0},
    "opened first: all plots": {},
    "numbers, cold": dict.fromkeys(MACHINE, 0.3),
    "numbers, warm": dict.fromkeys(MACHINE, 0.3),
    "all plots, cold": {10_000: 1.3, 100_000: 1.5, 1_000_000: 2.0},
    "all plots, warm": {10_000: 0.8, 100_000: 1.0, 1_000_000: 1.5},
    "server CPU, cold": {},
    "server CPU, warm": {},
    "zoom": {1_000_000: 0.3},
    "tasks filtered": {1_000_000: 0.3},
    "tasks, last page": {1_000_000: 0.3},
    "server memory, GB": {1_000_000: 1.0},
    "other pages at once: numbers": dict.fromkeys(MACHINE, 0.3),
    "other pages at once: all": {},
    "other pages later: numbers": dict.fromkeys(MACHINE, 0.3),
    "other pages later: all": {10_000: 0.8, 100_000: 1.0, 1_000_000: 1.5},
    "server memory then, GB": {1_000_000: 1.0},
}
"""In seconds, but for memory."""
Measured = dict[str, float]

_COUNTED = "(total) => document.querySelector('#states [data-state=total] b')?.innerText === total"
_DRAWN = f"() => document.querySelector('section.plot') !== null && ({IS_DRAWN})()"
_STREAM = """
() => {
    const slot = document.querySelector('#plot-stream [data-root-id]');
    return slot && window.Bokeh?.index[slot.dataset.rootId]?.child_views.length > 0;
}
"""
_PARSLS = """
() => document.readyState === 'complete'
    && [...document.querySelectorAll('.plotly-graph-div')].length > 0
    && [...document.querySelectorAll('.plotly-graph-div')].every(
        (plot) => plot.querySelector('.main-svg'))
"""
OTHER_PAGES = (
    *("failures", "task/7", "app/simulate", "dag_group_by_apps", "dag_group_by_states"),
    *("resource_usage", "time", "blocks", "health"),
)
_IS_WHOLE = f"""
() => document.querySelector("main") && !document.querySelector("#waiting")
    && (!document.querySelector("section.plot") || ({IS_DRAWN})())
"""
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--tasks", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--kinds", nargs="*", default=["parsl", "ours"])
    parser.add_argument("--folder", type=Path, help="keeps the databases")
    parser.add_argument("--parsl-visualize", help="Parsl's program, in an environment with Flask")
    parser.add_argument("--loads", type=int, default=5, help="of which the median is taken")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        _print_share("before")
        pages: dict[tuple[int, str], Measured] = {}
        for tasks in given.tasks:
            for kind in given.kinds:
                pages[tasks, kind] = measure(
                    database(folder, tasks, kind), tasks, folder, loads=given.loads
                )
                _print_pages({(tasks, kind): pages[tasks, kind]})
        if len(pages) > 1:
            _print_pages(pages)
        if given.parsl_visualize:
            _print_beside_parsls(folder, given.parsl_visualize, given.loads)
        _print_share("after")


def database(folder: Path, tasks: int, kind: str) -> Path:
    """Return a database of a run that has ended, made if it is not there."""
    path = folder / f"{kind}-{tasks}.db"
    if not path.exists():
        began = time.monotonic()
        run = _run(tasks)
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        store = Store(new, run, began=np.datetime64("2026-11-20T08:00"), is_ours=kind == "ours")
        store.write(0, run.tasks)
        store.report(0.0, run.ended + 1)
        store.end()
        new.rename(path)
        print(f"made {path} in {time.monotonic() - began:.0f} s")
    return path


def measure(path: Path, tasks: int, folder: Path, *, loads: int) -> Measured:
    """Return what the pages of a run take, in seconds of the browser."""
    found: Measured = {}
    with Dashboard(path, folder / "server.txt") as server, chromium() as browser:
        root = f"{server.root}/workflow/{RUN_ID}/"
        with _tab(browser, server) as page:
            page.goto(root, wait_until="commit", timeout=120_000)
            found["opened first: counts"] = _when(page, _COUNTED, f"{tasks:,}")
            found["opened first: stream"] = _when(page, _STREAM)
            found["opened first: all plots"] = _when(page, _DRAWN)
            _settled(page)
        times: dict[str, list[float]] = {}
        process = psutil.Process(server.process.pid)
        for _ in range(loads):
            with _tab(browser, server) as page:
                for name in ("cold", "warm"):
                    before = sum(process.cpu_times()[:2])
                    page.goto(root, wait_until="commit")
                    times.setdefault(f"all plots, {name}", []).append(_when(page, _DRAWN))
                    times.setdefault(f"numbers, {name}", []).append(_painted(page))
                    used = sum(process.cpu_times()[:2]) - before
                    times.setdefault(f"server CPU, {name}", []).append(used)
        with _tab(browser, server) as page:
            page.goto(root)
            _when(page, _DRAWN)
            for turn in range(loads):
                times.setdefault("zoom", []).append(_zoom(page, 0.2 + turn / 20))
            for name, query in (
                ("tasks filtered", "?state=failed"),
                ("tasks, last page", f"?page={tasks // 50}"),
            ):
                for turn in range(loads):
                    page.goto(f"{root}task/{query}{'&app=simulate' if turn % 2 else ''}")
                    page.wait_for_selector("#shown")
                    times.setdefault(name, []).append(_painted(page))
        found |= {name: statistics.median(each) for name, each in times.items()}
        found["server memory, GB"] = _peak_gb(server.process.pid)
    found["server memory then, GB"] = max(
        _measure_others(path, folder, found, when=when) for when in ("at once", "later")
    )
    return found


def _measure_others(path: Path, folder: Path, found: Measured, *, when: str) -> float:
    """Measure the other pages of a server that has just started; return the memory it took."""
    with Dashboard(path, folder / "server.txt") as server, chromium() as browser:
        root = f"{server.root}/workflow/{RUN_ID}/"
        with _tab(browser, server) as page:
            page.goto(root, wait_until="commit", timeout=120_000)
            _when(page, _DRAWN)
            _settled(page)
            if when == "later":
                _at_rest(server.process.pid)
            seen = [_other(page, f"{root}{path}") for path in OTHER_PAGES]
        numbers, whole = map(max, zip(*seen, strict=True))
        found[f"other pages {when}: numbers"], found[f"other pages {when}: all"] = numbers, whole
        return _peak_gb(server.process.pid)


def _at_rest(pid: int) -> None:
    """Wait until a process has done nothing for a while."""
    process = psutil.Process(pid)
    while True:
        before_s = sum(process.cpu_times()[:2])
        time.sleep(_REST_S)
        if sum(process.cpu_times()[:2]) - before_s < _AT_REST * _REST_S:
            return


def _other(page: Any, url: str) -> tuple[float, float]:
    """Return when a page that was never opened shows something, and when all of it."""
    began = time.monotonic()
    page.goto(url, wait_until="commit", timeout=120_000)
    painted = _painted(page)
    while True:
        with suppress(Error):  # it loads itself again once its numbers are worked out
            page.wait_for_function(_IS_WHOLE, timeout=_WAIT_MS)
            return painted, time.monotonic() - began


def measure_parsls(program: str, path: Path, *, loads: int) -> Measured:
    """Return what Parsl's own page of a run takes."""
    port = _free_port()
    process = subprocess.Popen(
        [program, f"sqlite:///{path}", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    found: Measured = {}
    try:
        with chromium() as browser:
            url = f"http://127.0.0.1:{port}/workflow/{RUN_ID}/"
            times: dict[str, list[float]] = {}
            for turn in range(loads):
                context = browser.new_context()
                context.route(lambda address: "127.0.0.1" not in address, _plotly(program))
                page = context.new_page()
                for name in ("cold", "warm"):
                    _goto_once_up(page, url)
                    drawn = _when(page, _PARSLS)
                    if turn == 0 and name == "cold":
                        found["opened first: all plots"] = drawn
                    times.setdefault(f"all plots, {name}", []).append(drawn)
                    times.setdefault(f"numbers, {name}", []).append(_painted(page))
                context.close()
        found |= {name: statistics.median(each) for name, each in times.items()}
        found["server memory, GB"] = _peak_gb(process.pid)
    finally:
        process.terminate()
        process.wait()
    return found


@contextmanager
def _tab(browser: Any, server: Dashboard) -> Iterator[Any]:
    """Give a page with an empty cache that may look at the server."""
    context = browser.new_context(viewport={"width": 1500, "height": 1150})
    context.set_extra_http_headers({"Authorization": f"token {server.token}"})
    try:
        yield context.new_page()
    finally:
        context.close()


def _when(page: Any, script: str, argument: object = None) -> float:
    """Wait for something and return the seconds since the browser set out for the page."""
    timed = f"(argument) => ({script})(argument) && performance.now()"
    found = page.wait_for_function(timed, arg=argument, polling="raf", timeout=_WAIT_MS)
    return float(found.json_value()) / 1000


def _painted(page: Any) -> float:
    """Return how long the page took to its first contentful paint, which is told a little later."""
    return float(page.wait_for_function(_PAINT, timeout=_WAIT_MS).json_value()) / 1000


def _zoom(page: Any, start: float) -> float:
    """Choose a stretch of a fiftieth of the run, and return how long until all has followed."""
    took = page.evaluate(
        """async (start) => {
            const time = Bokeh.documents.map((each) => each.get_model_by_name("time"))[0];
            const [first, last] = [time.reset_start, time.reset_end];
            const place = first + (last - first) * start;
            const before = performance.now();
            otelParsl.range(place, place + (last - first) / 50);
            const said = document.getElementById("f-window").innerText;
            while (document.getElementById("f-window").innerText === said)
                await new Promise(requestAnimationFrame);
            await new Promise(requestAnimationFrame);
            return performance.now() - before;
        }""",
        start,
    )
    return float(took) / 1000


def _settled(page: Any) -> None:
    """Wait until the server has read all of the run."""
    page.wait_for_function("() => !document.querySelector('#f-notices .notice')", timeout=_WAIT_MS)


def _plotly(program: str) -> Callable[[Any], None]:
    """Return what answers Parsl's page in the place of the hosts that it asks."""
    found = next(Path(program).parents[1].glob("lib/python*/site-packages/plotly/package_data"))

    def answer(route: Any) -> None:
        if "plotly" in route.request.url:
            route.fulfill(path=str(found / "plotly.min.js"), content_type="text/javascript")
        else:
            route.abort()

    return answer


def _goto_once_up(page: Any, url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            page.goto(url, wait_until="commit", timeout=120_000)
            return
        except Exception as error:
            if "REFUSED" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _peak_gb(pid: int) -> float:
    """Return the most memory that a process has held."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e9


def _run(tasks: int) -> SimulatedRun:
    workers, nodes = MACHINE[tasks]
    return simulate(tasks, workers=workers, nodes=nodes)


def _print_share(when: str) -> None:
    """Say how much of a core a busy loop gets: far from all of one, other work is in the times."""
    wall, cpu = time.monotonic(), time.process_time()
    while time.process_time() - cpu < 0.5:
        pass
    share = 0.5 / (time.monotonic() - wall)
    print(
        f"{when}: a busy loop gets {100 * share:.0f} % of one of {os.cpu_count()} cores;"
        f" load {os.getloadavg()[0]:.1f}"
    )


def _print_pages(pages: dict[tuple[int, str], Measured]) -> None:
    print("\n| seconds | " + " | ".join(f"{tasks:,} {kind}" for tasks, kind in pages) + " | goal |")
    print("|---|" + "---|" * (len(pages) + 1))
    for name, goals in GOALS.items():
        cells = []
        for (tasks, _), found in pages.items():
            goal = goals.get(tasks)
            is_missed = goal is not None and found[name] > goal
            cells.append(f"**{found[name]:.2f}**" if is_missed else f"{found[name]:.2f}")
        said = sorted({goals[tasks] for tasks, _ in pages if tasks in goals})
        print(f"| {name} | {' | '.join(cells)} | {', '.join(map(str, said))} |", flush=True)


def _print_beside_parsls(folder: Path, program: str, loads: int) -> None:
    print("\n| seconds | tasks | Parsl's | ours | times as fast |\n|---|---|---|---|---|")
    for tasks in PARSLS_TASKS:
        path = database(folder, tasks, "parsl")
        theirs = measure_parsls(program, path, loads=loads)
        ours = measure(path, tasks, folder, loads=loads)
        for name, value in theirs.items():
            ratio = value / ours[name]
            print(
                f"| {name} | {tasks:,} | {value:.2f} | {ours[name]:.2f} | {ratio:.1f} |", flush=True
            )


if __name__ == "__main__":
    main()
