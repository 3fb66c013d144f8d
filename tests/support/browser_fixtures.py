"""
Fixtures of the pages' tests: a browser, the demo's run, and servers on databases.

A pytest plugin, taken in by tests/dashboards/conftest.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.backend_fixtures import missing_fails_or_skips
from tests.support.chromium import Tab, chromium, tab
from tests.support.dashboard import Dashboard
from tests.support.made_once import made_once

_DEMO_S = 180


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium shared by the tests of this process."""
    with ExitStack() as stack:
        with missing_fails_or_skips():
            started = stack.enter_context(chromium())
        yield started


@pytest.fixture
def shown(browser: Browser) -> Iterator[Tab]:
    """An empty page with a cookie jar of its own."""
    with tab(browser) as opened:
        yield opened


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo has run, without a terminal; ``output.txt`` has what it printed."""
    return made_once("demo", tmp_path_factory.getbasetemp(), _demo_in)


def _demo_in(folder: Path) -> Path:
    ran = subprocess.run(
        [str(Path(sys.executable).parent / "otel-parsl"), "demo"],
        cwd=folder,
        env={**os.environ, "CI": "true"},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_DEMO_S,
    )
    assert ran.returncode == 0, ran.stdout
    (folder / "output.txt").write_text(ran.stdout)
    return folder


@pytest.fixture
def demo_output(demo_folder: Path) -> str:
    """What the demo printed."""
    return (demo_folder / "output.txt").read_text()


@pytest.fixture(scope="session")
def demo_database(demo_folder: Path) -> Path:
    """The database that a run of the demo has left."""
    return demo_folder / "otel-parsl-demo" / "runinfo" / "monitoring.db"


Serve = Callable[..., Dashboard]
_RUNNING = pytest.StashKey[dict[object, Dashboard]]()


@pytest.fixture(autouse=True)
def servers_have_no_faults(pytestconfig: pytest.Config) -> Iterator[None]:
    """A test during which a server prints a traceback fails, whatever its page shows."""
    yield
    for dashboard in pytestconfig.stash.get(_RUNNING, {}).values():
        dashboard.look_for_faults()


@pytest.fixture(scope="session")
def serve(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A function that serves a database, once for equal arguments, until the tests have ended."""
    running: dict[object, Dashboard] = {}
    pytestconfig.stash[_RUNNING] = running
    with ExitStack() as stack:

        def start(database: str | Path, *arguments: str) -> Dashboard:
            key = (str(database), arguments)
            if key not in running:
                log = tmp_path_factory.mktemp("dashboard") / "log.txt"
                running[key] = stack.enter_context(Dashboard(database, log, *arguments))
            return running[key]

        yield start


@pytest.fixture(scope="session")
def demo(serve: Serve, demo_database: Path) -> Dashboard:
    """A server on the demo's run."""
    return serve(demo_database)
