"""The pages follow a run: what is committed is shown, and nothing else moves."""

from __future__ import annotations

import datetime
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from bokeh.util.token import generate_jwt_token, generate_session_id
from playwright.sync_api import Browser, WebSocketRoute
from playwright.sync_api import TimeoutError as NotInTime

from otel_parsl.submit_process import HEARTBEAT_LATE_S
from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab, tab
from tests.support.dashboard import PROGRAM, Dashboard
from tests.support.stored_run import StoredRun

_DEADLINE_MS = 60_000
_FAILURE = {
    "exception_type": "ValueError",
    "message": "no luck",
    "stacktrace": "Traceback (most recent call last):\nValueError: no luck",
}
_COUNT = """
([state, tasks]) => document.querySelector(`#states [data-state=${state}] b`).innerText === tasks
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that the runs of these tests are in."""
    return tmp_path_factory.mktemp("live") / "live.db"


@pytest.fixture
def run(database: Path) -> StoredRun:
    """A run that began just now, with a task that has ended and one that runs."""
    now = datetime.datetime.now(datetime.timezone.utc)
    stored = StoredRun(
        f"sqlite:///{database}",
        run_id=str(uuid.uuid4()),
        began=now - datetime.timedelta(seconds=20),
    )
    stored.task(0, "pending", "launched", "exec_done", at_s=1.0)
    stored.execution(0, at_s=1.5, run_s=4.0)
    stored.task(1, "pending", "launched", at_s=2.0)
    stored.running(1, at_s=3.0)
    stored.heartbeat(at_s=19.5)
    stored.write()
    return stored


@pytest.fixture
def live(run: StoredRun, database: Path, serve: Serve, shown: Tab) -> Iterator[Tab]:
    """Its page."""
    dashboard = serve(database)
    shown.open(dashboard.address)
    shown.open(f"{dashboard.root}/workflow/{run.run_id}/")
    shown.wait_drawn()
    yield shown
    shown.page.goto("about:blank")


def wait_for_count(tab: Tab, state: str, tasks: int) -> None:
    """Wait until the state bar counts so many tasks."""
    tab.page.wait_for_function(_COUNT, arg=[state, str(tasks)], timeout=_DEADLINE_MS)


def test_what_is_committed_is_shown(run: StoredRun, live: Tab) -> None:
    """A task that begins and one that ends change the numbers and the plots, without a reload."""
    live.page.evaluate("window.isThisPage = true")
    before = live.text("#f-summary-stream")

    run.task(1, "exec_done", at_s=9.0)
    run.execution(1, at_s=3.0, run_s=6.0)
    run.task(2, "pending", "launched", at_s=9.5, app="triple")
    run.execution(2, at_s=10.0, run_s=1.0, app="triple")
    run.heartbeat(at_s=21.0)
    run.write()

    wait_for_count(live, "executed", 2)
    assert live.text("#states [data-state=total] b") == "3"
    live.page.wait_for_function(
        "(before) => document.getElementById('f-summary-stream').innerText !== before",
        arg=before,
        timeout=_DEADLINE_MS,
    )
    assert [cells[0] for cells in live.cells("#apps")] == ["double", "triple"]
    assert live.page.evaluate("window.isThisPage")
    assert live.errors == []


def test_nothing_moves_that_its_reader_looks_at(run: StoredRun, live: Tab) -> None:
    """A range that was zoomed into and a text that is selected stay while the run goes on."""
    _drag_over_the_stream(live)
    url = live.page.url
    live.page.evaluate("getSelection().selectAllChildren(document.querySelector('#apps'))")
    live.page.evaluate("document.querySelector('#f-window p').dataset.mark = 'same'")

    run.task(3, "pending", at_s=11.0, app="quadruple")
    run.heartbeat(at_s=22.0)
    run.write()
    wait_for_count(live, "waiting", 1)

    assert live.page.url == url
    assert live.page.locator("#f-window p").get_attribute("data-mark") == "same"
    assert live.page.evaluate("String(getSelection())") != ""
    assert "quadruple" not in live.text("#apps"), "it would no longer be what is selected"

    live.page.evaluate("getSelection().removeAllRanges()")
    live.page.locator("#apps", has_text="quadruple").wait_for(timeout=_DEADLINE_MS)


def _drag_over_the_stream(live: Tab) -> None:
    """Choose a stretch of time; again where the figure was drawn anew under the mouse."""
    for _ in range(3):
        figure = live.page.locator("#plot-stream .bk-Figure").bounding_box()
        assert figure is not None
        y = figure["y"] + 60
        live.page.mouse.move(figure["x"] + 200, y)
        live.page.mouse.down()
        live.page.mouse.move(figure["x"] + 500, y, steps=4)
        live.page.mouse.up()
        with suppress(NotInTime):
            live.page.wait_for_selector("#f-window .notice", timeout=10_000)
            return
    raise AssertionError("no stretch of time was chosen")


_SAID = {
    "": "#states [data-state=total]",
    "task/": "#shown",
    "app/double": "#cards .card:first-child strong",
    "failures": "#f-groups .facts div:first-child dd",
    "dag_group_by_apps": "#stages td:nth-child(3)",
    "resource_usage": "#f-cards .card:first-child small",
}
"""Where pages say how many tasks there are, all of them failed, with a worker for each."""
_SAYS = r"""
([selector, tasks]) => document.querySelector(selector)?.innerText.match(/\d+/g)?.at(-1) === tasks
"""


def test_what_is_committed_is_shown_within_two_seconds(
    database: Path, serve: Serve, browser: Browser
) -> None:
    """Whichever pages are open, each says soon what was committed; the best of three commits."""
    began = datetime.datetime.now(datetime.timezone.utc)
    stored = StoredRun(f"sqlite:///{database}", run_id=str(uuid.uuid4()), began=began)

    def commit(tasks: int) -> float:
        at_s = (datetime.datetime.now(datetime.timezone.utc) - began).total_seconds()
        stored.task(tasks - 1, "pending", "launched", "failed", at_s=at_s)
        stored.execution(tasks - 1, at_s=at_s, run_s=0.1, **_FAILURE)
        stored.manager("uid", workers=tasks, tasks=0, at_s=at_s)
        stored.heartbeat(at_s=at_s)
        stored.write()
        return time.monotonic()

    commit(1)
    dashboard = serve(database)
    took_s: dict[str, list[float]] = {path: [] for path in _SAID}
    with ExitStack() as stack:
        pages = {path: stack.enter_context(tab(browser)) for path in _SAID}
        for path, page in pages.items():
            page.open(dashboard.address)
            page.open(f"{dashboard.root}/workflow/{stored.run_id}/{path}")
            page.wait_drawn()
        for tasks in (2, 3, 4):
            committed_s = commit(tasks)
            for path, page in pages.items():
                page.page.wait_for_function(
                    _SAYS, arg=[_SAID[path], str(tasks)], timeout=_DEADLINE_MS
                )
                took_s[path].append(time.monotonic() - committed_s)
        errors = [page.errors for page in pages.values()]

    assert {path: times for path, times in took_s.items() if min(times) > 2} == {}
    assert errors == [[]] * len(pages)


def test_keyboard_and_scrolled_table_stay_where_they_are(run: StoredRun, live: Tab) -> None:
    """The link or help mark that has the keyboard keeps it, though rows move, and so do tables."""
    for number in range(40):
        run.task(10 + number, "pending", "launched", at_s=12.0, app=f"app_{number:02d}")
    run.write()
    live.page.wait_for_function("document.querySelectorAll('#apps tbody tr').length === 41")
    live.page.set_viewport_size({"width": 420, "height": 800})
    live.page.evaluate("document.querySelector('#f-apps .scroll').scrollTo(60, 300)")
    live.page.evaluate("document.querySelector('a[href$=app_25]').focus({ preventScroll: true })")
    place = """() => {
      const table = document.querySelector('#f-apps .scroll');
      return [document.activeElement.innerText, table.scrollTop, table.scrollLeft];
    }"""

    run.task(50, "pending", at_s=13.0, app="app_30")
    run.write()
    live.page.wait_for_function("document.querySelector('#apps a').innerText === 'app_30'")

    assert live.page.evaluate(place) == ["app_25", 300, 60]

    live.page.locator("#apps .help").first.focus()
    run.task(51, "pending", at_s=14.0, app="app_30")
    run.write()
    live.page.wait_for_function("document.querySelector('#apps td + td').innerText === '3'")

    assert live.page.evaluate("document.activeElement.matches('#apps .help')")


def test_what_was_folded_stays_folded(run: StoredRun, live: Tab) -> None:
    """A stack trace that its reader has closed is not opened by what comes in."""
    run.execution(1, at_s=3.0, run_s=1.0, exception_type="ValueError", stacktrace="Traceback: …")
    run.task(1, "fail_retryable", at_s=4.0, fail_history="ValueError: no")
    run.write()
    live.open(live.page.url + "task/1")
    live.page.locator("summary", has_text="Stack trace").click()

    run.task(1, "pending", "launched", at_s=5.0, try_id=1)
    run.write()
    live.page.wait_for_function("document.querySelectorAll('#tries tbody tr').length === 2")

    assert live.page.locator("details[open]", has_text="Stack trace").count() == 0
    assert live.page.evaluate("document.activeElement.innerText") == "Stack trace"


def test_run_that_ends_is_said_to_have_ended(run: StoredRun, live: Tab) -> None:
    """The header changes from running to completed by itself."""
    assert live.text("#f-header .pill") in ("running", "lost")

    run.task(1, "exec_done", at_s=9.0)
    run.ended("completed", at_s=25.0)
    run.write()

    live.page.wait_for_selector("#f-header .pill.completed", timeout=_DEADLINE_MS)


def test_list_of_runs_follows_them(
    run: StoredRun, database: Path, serve: Serve, shown: Tab
) -> None:
    """A run that begins or ends changes the list, and so does one whose heartbeat stays away."""
    dashboard = serve(database)
    shown.open(dashboard.address)
    shown.page.wait_for_selector(f"{_row_of(run)} .pill.running")
    now = datetime.datetime.now(datetime.timezone.utc)
    dying = StoredRun(
        f"sqlite:///{database}",
        run_id=str(uuid.uuid4()),
        began=now - datetime.timedelta(seconds=HEARTBEAT_LATE_S),
    )
    dying.task(0, "pending", "launched", at_s=1.0)
    dying.heartbeat(at_s=20.0)  # it will be late so much later
    dying.write()

    shown.page.wait_for_selector(f"{_row_of(dying)} .pill.running", timeout=_DEADLINE_MS)
    # Nothing is written any more.
    shown.page.wait_for_selector(f"{_row_of(dying)} .pill.lost", timeout=_DEADLINE_MS)
    run.ended("completed", at_s=25.0)
    run.write()
    shown.page.wait_for_selector(f"{_row_of(run)} .pill.unfinished", timeout=_DEADLINE_MS)


def _row_of(run: StoredRun) -> str:
    return f"tr:has(a[href*='{run.run_id}'])"


def test_lost_server_is_said(run: StoredRun, database: Path, tmp_path: Path, shown: Tab) -> None:
    """When the server is gone the page says that what it shows no longer changes."""
    with Dashboard(database, tmp_path / "log.txt") as dashboard:
        shown.open(dashboard.address)
        shown.open(f"{dashboard.root}/workflow/{run.run_id}/")
        shown.wait_drawn()

    shown.page.wait_for_selector("#connection:not([hidden])", timeout=_DEADLINE_MS)
    assert "The connection is lost" in shown.text("#connection")


def test_page_that_connects_too_late_loads_itself_again(
    run: StoredRun, database: Path, serve: Serve, shown: Tab
) -> None:
    """Over a slow line a page's session may have ended: it says so, and is whole in the end."""
    dashboard = serve(database)
    shown.open(dashboard.address)
    connections = _connections(shown, lambda number: number > 1)
    shown.open(f"{dashboard.root}/workflow/{run.run_id}/")
    shown.page.wait_for_selector("#connection:not([hidden])", timeout=_DEADLINE_MS)
    shown.wait_drawn()

    assert len(connections) == 2
    assert not shown.page.locator("#connection").is_visible()


def test_page_without_connections_keeps_its_numbers(
    run: StoredRun, database: Path, serve: Serve, shown: Tab
) -> None:
    """Where a proxy lets no WebSocket through a page says so, and does not load for ever."""
    dashboard = serve(database)
    shown.open(dashboard.address)
    connections = _connections(shown, lambda _number: False)
    shown.open(f"{dashboard.root}/workflow/{run.run_id}/")
    shown.page.get_by_text("A proxy between may not let WebSockets").wait_for(timeout=_DEADLINE_MS)

    assert len(connections) == 2
    assert shown.text("#states [data-state=executed] b") == "1"


def test_page_of_no_session_is_not_connected(
    run: StoredRun, database: Path, serve: Serve, shown: Tab
) -> None:
    """A connection for a session that has ended is closed: another's plots have no place there."""
    dashboard = serve(database)
    shown.open(dashboard.address)
    shown.open(f"{dashboard.root}/workflow/{run.run_id}/")
    shown.wait_drawn()

    assert _first_message(shown, generate_jwt_token(generate_session_id())) == "closed"


def _connections(tab: Tab, passes: Callable[[int], bool]) -> list[WebSocketRoute]:
    """Return a page's connections, as they come; those that do not pass, by number, are closed."""
    found: list[WebSocketRoute] = []

    def take(route: WebSocketRoute) -> None:
        found.append(route)
        if passes(len(found)):
            route.connect_to_server()
        else:
            route.close()

    tab.page.route_web_socket(re.compile("/ws$"), take)
    return found


def _first_message(tab: Tab, token: str) -> object:
    """Return what a page's connection is sent first."""
    return tab.page.evaluate(
        """
        (token) => new Promise((done) => {
          const path = location.pathname.replace(/[/]$/, "") + "/ws";
          const socket = new WebSocket(`ws://${location.host}${path}`, ["bokeh", token]);
          socket.onmessage = (event) => done(event.data);
          socket.onclose = () => done("closed");
        })
        """,
        token,
    )


def test_demo_shows_its_run_until_ctrl_c(tmp_path: Path, shown: Tab) -> None:
    """At a terminal the demo prints the address, is seen to run, and serves until Ctrl-C."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [str(PROGRAM), "demo"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "CI"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        # What a shell starts in the background ignores Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    os.close(slave)
    printed: list[str] = []

    def read() -> None:
        while True:
            try:
                data = os.read(master, 4096)
            except OSError:  # the terminal's way of saying that nobody writes any more
                return
            printed.append(data.decode(errors="replace"))

    threading.Thread(target=read, daemon=True).start()

    def wait_printed(pattern: str) -> str:
        deadline = time.monotonic() + 120
        while not (match := re.search(pattern, "".join(printed))):
            assert process.poll() is None, "".join(printed)
            assert time.monotonic() < deadline, "".join(printed)
            time.sleep(0.05)
        return match[1]

    try:
        shown.open(wait_printed(r"Open +(http\S+)"))
        shown.page.get_by_role("link", name="otel-parsl demo").click()
        shown.page.wait_for_selector("#f-header .pill.running")
        shown.page.wait_for_selector("#f-header .pill.completed", timeout=120_000)
        wait_for_count(shown, "total", 56)
        wait_printed("(until you press Ctrl-C)")
        shown.page.goto("about:blank")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)
    assert shown.errors == []


def test_demo_without_a_terminal_loads_every_page(demo_output: str) -> None:
    """In CI the demo shows how far it is and how it went, loads each page once, and ends."""
    for line in (
        r"^█{30} 56/56 tasks$",
        r"^otel-parsl demo  run 000  completed",
        r"^  total +56 *$",
        r"tasks? failed of \d+ causes?",
        r"^app_exception  \w+",
        r"^  (\S+/)?otel-parsl show latest/\d+ ",
    ):
        assert re.search(line, demo_output, re.M), line
    loaded = re.search(r"^dashboard ok: (\d+) pages loaded$", demo_output, re.M)
    assert loaded is not None
    assert int(loaded[1]) >= 17, "the pages of single apps, tasks and causes among them"


def test_hub_starts_the_pages_beside_its_run(tmp_path: Path) -> None:
    """`OTelMonitoringHub(dashboard=True)` prints the address; the pages go when the run ends."""
    program = tmp_path / "program.py"
    program.write_text(
        """
import http.client, re, sys, time, urllib.parse
from pathlib import Path
import parsl
from parsl.config import Config
from parsl.executors import ThreadPoolExecutor
from otel_parsl import OTelMonitoringHub

@parsl.python_app
def double(x):
    return 2 * x

def ask(address):
    parts = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    connection.request("GET", f"{parts.path}", headers={
        "Authorization": parts.query.replace("=", " ")})
    return connection.getresponse().read().decode()

hub = OTelMonitoringHub(dashboard=True, workflow_name="beside")
with parsl.load(Config(executors=[ThreadPoolExecutor()], monitoring=hub)):
    double(3).result()
    log = Path(sys.argv[1])
    deadline = time.monotonic() + 90
    while not (match := re.search(r"otel-parsl: Open +(\\S+)", log.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "beside</a>" in ask(match[1])
try:
    answer = ask(match[1])
except ConnectionRefusedError:
    answer = ""
if "beside</a>" not in answer:  # another program's pages may have its port by now
    print("gone")
"""
    )
    log = tmp_path / "stderr.txt"
    with log.open("w") as errors:
        ran = subprocess.run(
            [sys.executable, str(program), str(log)],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            timeout=180,
            check=False,
        )

    printed = log.read_text()
    assert (ran.returncode, ran.stdout) == (0, "gone\n"), printed
    database = f"sqlite:///{tmp_path}/runinfo/monitoring.db"
    assert f"otel-parsl: Afterwards  otel-parsl visualize {database}\n" in printed
