"""Starting the pages: where they are, who may look, and what is said when they cannot be."""

from __future__ import annotations

import getpass
import http.client
import os
import shutil
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.server.addresses import PortBusy, free_port

from otel_parsl.cli import main, visualize
from otel_parsl.query.errors import DatabaseUnusable
from tests.support.chromium import Tab
from tests.support.command_line import otel_parsl_by_path
from tests.support.dashboard import PROGRAM, Dashboard
from tests.support.recorded_databases import rows
from tests.support.server_process import free_ports


def asked(dashboard: Dashboard, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """Return status, headers and text of an answer, redirects not followed."""
    connection = http.client.HTTPConnection("127.0.0.1", dashboard.port, timeout=30)
    with closing(connection):
        connection.request(
            "GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()


def cookie_of(dashboard: Dashboard) -> str:
    """Return the cookie that the token is good for."""
    _, headers, _ = asked(dashboard, f"/?token={dashboard.token}")
    return headers["Set-Cookie"].partition(";")[0]


@contextmanager
def forwarded(port: int, prefix: str = "") -> Iterator[int]:
    """Forward another port to one, as `ssh -L` does or a proxy that takes a prefix away."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        is_over = threading.Event()

        def pump(origin: socket.socket, target: socket.socket) -> None:
            try:
                while data := origin.recv(65536):
                    if prefix and data.startswith(b"GET "):
                        data = data.replace(f" {prefix}/".encode(), b" /", 1)
                    target.sendall(data)
            except OSError:
                pass
            finally:
                target.close()

        def accept() -> None:
            while not is_over.is_set():
                try:
                    near, _ = listening.accept()
                except OSError:
                    return
                far = socket.create_connection(("127.0.0.1", port))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]
        is_over.set()


def test_three_lines_say_how_the_pages_are_reached(demo_database: Path, tmp_path: Path) -> None:
    """What is printed: the address with its token, the ssh line, and the address to open then."""
    with Dashboard(demo_database, tmp_path / "log.txt") as dashboard:
        local, tunnel, remote = dashboard.printed.splitlines()
        port, token = dashboard.port, dashboard.token

    assert local == f"Open        http://127.0.0.1:{port}/?token={token}"
    host = socket.getfqdn()
    host = socket.gethostname() if host.startswith("localhost") else host
    assert tunnel == f"From afar   ssh -L 50000:127.0.0.1:{port} {getpass.getuser()}@{host}"
    assert remote == f"then open   http://127.0.0.1:50000/?token={token}"


def test_pages_open_through_a_tunnel(demo: Dashboard, demo_database: Path, shown: Tab) -> None:
    """Through another port everything works, the live connection too, and the token goes away."""
    ((run_id,),) = rows(demo_database, "SELECT run_id FROM workflow")
    with forwarded(demo.port) as port:
        shown.open(f"http://127.0.0.1:{port}/?token={demo.token}")
        assert shown.page.url == f"http://127.0.0.1:{port}/"
        shown.open(f"http://127.0.0.1:{port}/workflow/{run_id}/")
        shown.wait_drawn()
        shown.page.goto("about:blank")

    assert shown.errors == []


@pytest.mark.parametrize("is_taken_away", [True, False])
def test_pages_open_behind_a_proxy(
    is_taken_away: bool, demo_database: Path, tmp_path: Path, shown: Tab
) -> None:
    """Under the prefix of a proxy, which may take it away, every request keeps to that prefix."""
    ((run_id,),) = rows(demo_database, "SELECT run_id FROM workflow")
    prefix = "/user/me/proxy/80"
    with Dashboard(demo_database, tmp_path / "log.txt", "--root-path", prefix) as dashboard:
        token = urlsplit(dashboard.address).query
        assert urlsplit(dashboard.address).path == f"{prefix}/"
        status, headers, _ = asked(dashboard, f"{prefix}?{token}")
        assert (status, headers["Location"]) == (302, f"{prefix}/?{token}")
        with forwarded(dashboard.port, prefix if is_taken_away else "") as port:
            shown.open(f"http://127.0.0.1:{port}{prefix}/?{token}")
            shown.page.get_by_role("link", name="otel-parsl demo").click()
            shown.page.wait_for_url(f"**{prefix}/workflow/{run_id}/")
            shown.wait_drawn()
            shown.page.goto("about:blank")

    paths = [urlsplit(url).path for url in shown.requests if url.startswith("http")]
    assert [path for path in paths if not path.startswith(prefix)] == []
    assert (shown.errors, shown.failed) == ([], [])


def test_nobody_gets_in_without_the_token(demo: Dashboard, demo_database: Path) -> None:
    """Without the token each page answers 401 and holds no data; a wrong token is no better."""
    ((run_id,),) = rows(demo_database, "SELECT run_id FROM workflow")
    for path in ("/", f"/workflow/{run_id}/", "/nothing", "/?token=wrong", "/login"):
        status, headers, text = asked(demo, path)
        assert (path, status, "Set-Cookie" in headers) == (path, 401, False)
        assert "otel-parsl demo" not in text


def test_no_route_runs_what_the_path_names(demo_database: Path, tmp_path: Path) -> None:
    """Panel has a route that imports any module by its name, for anybody: it is none of ours."""
    mark = tmp_path / "has_run"
    (tmp_path / "my_workflow.py").write_text(f"open({str(mark)!r}, 'w').close()")
    with Dashboard(demo_database, tmp_path / "log.txt", PYTHONPATH=str(tmp_path)) as dashboard:
        known = {"Authorization": f"token {dashboard.token}"}
        for path in ("/components/my_workflow/a/b/c", "/metadata", "/autoload.js"):
            assert (asked(dashboard, path)[0], asked(dashboard, path, **known)[0]) == (401, 404)
    assert not mark.exists()


def test_token_is_good_for_a_cookie_and_leaves_the_address(demo: Dashboard) -> None:
    """The token is taken once, for a cookie that scripts of the page cannot read."""
    status, headers, _ = asked(demo, f"/?q=x&token={demo.token}")

    assert (status, headers["Location"]) == (302, "./?q=x")
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert asked(demo, "/", Cookie=cookie.partition(";")[0])[0] == 200
    assert demo.token not in demo.log.read_text().partition("then open")[2].partition("\n")[2]


def test_cookie_that_was_not_signed_lets_nobody_in(demo: Dashboard) -> None:
    """What a cookie says counts for nothing, but that this server has signed it."""
    name, _, value = cookie_of(demo).partition("=")
    for forged in ("user", value[:-4] + "AAAA", value.replace("2|", "1|", 1), ""):
        assert asked(demo, "/", Cookie=f"{name}={forged}")[0] == 401
    assert asked(demo, "/", Cookie=f"{name}={value}")[0] == 200


def test_port_is_8080_or_the_next_free_one() -> None:
    """Without --port the pages are where one looks for them, or as near to that as can be."""
    with ExitStack() as taken:
        for port in (8080, 8081):
            made = taken.enter_context(socket.socket())
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):  # another program's, and as good as ours
                made.bind(("127.0.0.1", port))
                made.listen(1)
        assert free_port("127.0.0.1", None) > 8081
    with suppress(PortBusy):
        assert free_port("127.0.0.1", 8080) == 8080
        assert free_port("127.0.0.1", None) == 8080


@pytest.mark.parametrize("scheme", ["token", "Bearer"])
def test_scripts_give_the_token_in_a_header(demo: Dashboard, scheme: str) -> None:
    """A script that sends an Authorization header needs no cookie."""
    assert asked(demo, "/", Authorization=f"{scheme} {demo.token}")[0] == 200
    assert asked(demo, "/", Authorization=f"{scheme} {demo.token}x")[0] == 401


@pytest.mark.parametrize(
    ("origin", "has_cookie", "status"),
    [("http://evil.example", True, 403), (None, False, 403), (None, True, 101)],
)
def test_another_site_cannot_open_the_live_connection(
    demo: Dashboard, origin: str | None, has_cookie: bool, status: int
) -> None:
    """A WebSocket from a page of another site, or without the cookie, is refused."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol": "bokeh, no-session",
        "Origin": origin or demo.root,
    }
    if has_cookie:
        headers["Cookie"] = cookie_of(demo)
    connection = http.client.HTTPConnection("127.0.0.1", demo.port, timeout=30)
    with closing(connection):
        connection.request("GET", "/ws", headers=headers)
        assert connection.getresponse().status == status


def test_unknown_run_says_so(demo: Dashboard, demo_database: Path) -> None:
    """A run that is not there, and a path that is no page's, are answered 404 with a sentence."""
    cookie = cookie_of(demo)
    status, _, text = asked(demo, "/workflow/no-such-run/", Cookie=cookie)
    assert (status, "no run &#39;no-such-run&#39;" in text) == (404, True)
    ((run_id,),) = rows(demo_database, "SELECT run_id FROM workflow")
    for number in ("99999999999999999999", "9" * 4400):
        assert asked(demo, f"/workflow/{run_id}/task/{number}", Cookie=cookie)[0] == 404
    status, _, text = asked(demo, "/nothing/here", Cookie=cookie)
    assert (status, "There is no page /nothing/here." in text) == (404, True)


def test_port_that_is_taken_is_an_error(demo: Dashboard, demo_database: Path) -> None:
    """A port that was asked for and is taken ends the program with a sentence."""
    ran = otel_parsl_by_path(
        "visualize", demo_database, "--port", str(demo.port), cwd=demo_database.parent
    )

    assert (ran.code, ran.output) == (3, "")
    assert f"cannot listen on 127.0.0.1 port {demo.port}: Address already in use" in ran.error


def test_another_server_takes_the_next_port(
    demo: Dashboard, demo_database: Path, tmp_path: Path
) -> None:
    """Two servers started alike have ports of their own, and cookies that do not meet."""
    with Dashboard(demo_database, tmp_path / "log.txt") as second:
        assert second.port != demo.port
        assert cookie_of(second).partition("=")[0] != cookie_of(demo).partition("=")[0]
        assert asked(second, "/", Cookie=cookie_of(demo))[0] == 401


def test_listening_everywhere_warns(demo_database: Path, tmp_path: Path) -> None:
    """The old -e listens on all addresses, and says what a cluster may think of that."""
    (port,) = free_ports(1)
    with Dashboard(demo_database, tmp_path / "log.txt", "-e", "-p", str(port)) as dashboard:
        assert dashboard.printed.startswith("WARNING: anyone who can reach this machine")
        assert dashboard.address.startswith(f"http://127.0.0.1:{port}/")


def test_parsl_visualize_is_the_same_program(demo_database: Path, tmp_path: Path) -> None:
    """`parsl-visualize` without an argument finds runinfo/monitoring.db, as Parsl's does."""
    program = PROGRAM.with_name("parsl-visualize")
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [str(program), "-p", str(port), "-l", "127.0.0.1"],
        cwd=demo_database.parents[1],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline().startswith(f"Open        http://127.0.0.1:{port}/?token=")
    process.terminate()
    assert process.wait(20) == 0


def damaged(demo_database: Path, folder: Path, how: str) -> Path:
    """Return a database that cannot be shown."""
    path = folder / "monitoring.db"
    if how == "missing":
        return path
    if how == "corrupt":
        path.write_bytes(b"no database at all" * 100)
    elif how == "empty":
        sqlite3.connect(path).close()
        path.touch()
    else:
        shutil.copy(demo_database, path)
        with closing(sqlite3.connect(path)) as connection, connection:
            if how == "newer":
                connection.execute("UPDATE otel_schema SET version = version + 1")
            else:
                connection.execute('DROP TABLE "try"')
    return path


DAMAGES = {
    "missing": "no such file. Parsl keeps it in runinfo/monitoring.db by default",
    "empty": "has no tables. If its run has only just begun, try again",
    "corrupt": "not an SQLite database",
    "newer": "Upgrade with: pip install --upgrade otel-parsl",
    "foreign": "not a monitoring database, it lacks the tables try",
}


@pytest.mark.parametrize("how", DAMAGES)
def test_database_that_cannot_be_shown_says_why(
    how: str, demo_database: Path, tmp_path: Path
) -> None:
    """What cannot be shown ends the program with a sentence that says what to do."""
    path = damaged(demo_database, tmp_path, how)
    before = path.read_bytes() if path.exists() else None

    ran = otel_parsl_by_path("visualize", path, cwd=tmp_path)

    assert (ran.code, ran.output) == (3, "")
    assert DAMAGES[how] in ran.error
    assert (path.read_bytes() if path.exists() else None) == before


@pytest.mark.parametrize("program", ["otel-parsl visualize", "parsl-visualize"])
@pytest.mark.parametrize("how", ["none", "corrupt", "foreign"])
def test_another_database_is_named_as_the_program_takes_it(
    how: str,
    program: str,
    demo_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where another database is needed, what is said to be typed is what the program takes."""
    monkeypatch.chdir(tmp_path)
    given = [] if how == "none" else [str(damaged(demo_database, tmp_path, how))]

    code = (
        visualize.main(given) if program == "parsl-visualize" else main.main(["visualize", *given])
    )

    assert code == 3
    assert capsys.readouterr().err.endswith(f" by its path or URL: {program} PATH\n")


def test_page_says_what_is_wrong_with_the_database(
    demo_database: Path, tmp_path: Path, shown: Tab
) -> None:
    """A database that is damaged while it is shown is named on the page, then shown."""
    path = tmp_path / "served.db"
    shutil.copy(demo_database, path)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=DELETE")
    ((run_id,),) = rows(demo_database, "SELECT run_id FROM workflow")
    with Dashboard(path, tmp_path / "log.txt") as dashboard:
        shown.open(dashboard.address)
        for how in ("corrupt", "newer", "foreign", "empty"):
            folder = tmp_path / how
            folder.mkdir()
            os.replace(damaged(demo_database, folder, how), path)
            assert shown.open(dashboard.root + "/") == 503
            assert DAMAGES[how] in shown.text("main")
        path.unlink()
        assert shown.open(f"{dashboard.root}/workflow/{run_id}/") == 503
        shutil.copy(demo_database, path)
        assert shown.open(f"{dashboard.root}/workflow/{run_id}/") == 200
        assert urlsplit(shown.page.url).path == f"/workflow/{run_id}/"


def test_page_of_a_locked_database_holds_up_nobody(demo_database: Path, tmp_path: Path) -> None:
    """The server waits for a lock and says so, and answers others in the meantime."""
    path = tmp_path / "served.db"
    shutil.copy(demo_database, path)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=DELETE")
    with Dashboard(path, tmp_path / "log.txt") as dashboard, ThreadPoolExecutor(1) as pool:
        known = {"Authorization": f"token {dashboard.token}"}
        others = 0
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("BEGIN EXCLUSIVE")
            waiting = pool.submit(asked, dashboard, "/", **known)
            while not waiting.done():
                assert asked(dashboard, "/nothing", **known)[0] == 404
                others += 1
        status, _, text = waiting.result()
        assert (status, "is locked by another program" in text) == (503, True)
        assert others > 3, "they waited for the lock too"
        assert asked(dashboard, "/", **known)[0] == 200


def test_page_of_a_run_says_that_its_database_is_locked(
    demo_database: Path, tmp_path: Path
) -> None:
    """Also once the run has been read: what a page has to ask for still is waited for aside."""
    path = tmp_path / "served.db"
    shutil.copy(demo_database, path)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=DELETE")
    ((run_id, app),) = rows(demo_database, "SELECT run_id, task_func_name FROM task LIMIT 1")
    paths = ("task/", "task/1", "failures", "blocks", "health", f"app/{app}")
    with Dashboard(path, tmp_path / "log.txt") as dashboard, ThreadPoolExecutor() as pool:
        known = {"Authorization": f"token {dashboard.token}"}
        run = f"/workflow/{run_id}/"
        while "being read" in asked(dashboard, f"{run}resource_usage", **known)[2]:
            pass
        others = 0
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("BEGIN EXCLUSIVE")
            waiting = [pool.submit(asked, dashboard, run + page, **known) for page in paths]
            while not all(answer.done() for answer in waiting):
                assert asked(dashboard, "/nothing", **known)[0] == 404
                others += 1
        for page, answer in zip(paths, waiting, strict=True):
            status, _, text = answer.result()
            assert (page, status, "is locked by another program" in text) == (page, 503, True)
        assert others > 3, "they waited for the lock too"
        assert {asked(dashboard, run + page, **known)[0] for page in paths} == {200}


class _Faulty(Dashboard):
    """A server that cannot make one of its pages."""

    def look_for_faults(self) -> None:
        """Find the traceback of that one, and no other."""
        assert self.printed.count("Traceback (most recent call last)") == 1
        assert "ValueError: Invalid isoformat string: 'no time'" in self.printed


def test_page_that_fails_says_of_what(demo_database: Path, tmp_path: Path) -> None:
    """A time that is none spoils the page of its task, which says so; the log says where."""
    path = tmp_path / "served.db"
    shutil.copy(demo_database, path)
    with closing(sqlite3.connect(path)) as writer, writer:
        writer.execute("UPDATE status SET timestamp = 'no time' WHERE task_id = 1")
    ((run_id,),) = rows(demo_database, "SELECT run_id FROM workflow")
    with _Faulty(path, tmp_path / "log.txt") as dashboard:
        known = {"Authorization": f"token {dashboard.token}"}
        status, _, text = asked(dashboard, f"/workflow/{run_id}/task/1", **known)
        assert (status, "This page could not be made: ValueError: Invalid iso" in text) == (
            500,
            True,
        )
        assert asked(dashboard, f"/workflow/{run_id}/task/2", **known)[0] == 200


def test_database_written_over_is_not_taken_for_the_one_before(
    demo_database: Path, tmp_path: Path
) -> None:
    """A copy in a database's place may have its inode: what it is made of is looked at again."""
    path = tmp_path / "served.db"
    shutil.copy(demo_database, path)
    source = Source(str(path))
    source.open()
    for how in ("newer", "foreign", "empty", "corrupt"):
        folder = tmp_path / how
        folder.mkdir()
        path.write_bytes(damaged(demo_database, folder, how).read_bytes())
        with pytest.raises(DatabaseUnusable) as caught:
            source.open()
        assert DAMAGES[how] in str(caught.value)
    path.write_bytes(demo_database.read_bytes())
    assert source.open()[0].has_otel


def test_locked_database_is_said_to_be_locked(demo_database: Path, tmp_path: Path) -> None:
    """A writer that holds the database for long is waited for, then named."""
    path = tmp_path / "locked.db"
    shutil.copy(demo_database, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=DELETE")
        writer.execute("BEGIN EXCLUSIVE")
        ran = otel_parsl_by_path("visualize", path, cwd=tmp_path)

    assert (ran.code, "is locked by another program" in ran.error) == (3, True)
