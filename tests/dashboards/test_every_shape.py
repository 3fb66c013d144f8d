"""
Every page is whole for every shape of a run: empty, one task, no tries, killed, odd names.

With our tables, and as Parsl's own hub leaves them.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from otel_parsl_dashboards.pages import RUN_PAGES

from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab
from tests.support.dashboard import Dashboard
from tests.support.recorded_databases import leave_parsls_tables
from tests.support.stored_run import StoredRun

NAME = "Größe / a b.c?d#e%f"


def _empty(run: StoredRun) -> None:
    run.ended()


def _one_waits(run: StoredRun) -> None:
    run.task(0, "pending")


def _none_ran(run: StoredRun) -> None:
    run.task(0, "pending", "dep_fail", depends="1")
    run.task(1, "pending", "launched", "failed", fail_history="E('no')")
    run.task(2, "pending", "memo_done", hashsum="abc")
    run.ended()


def _killed(run: StoredRun) -> None:
    run.task(0, "pending", "launched")
    run.running(0, at_s=2)
    run.task(1, "pending", "launched")
    run.task(2, "pending", depends="1")
    run.ended("lost")


def _named(run: StoredRun) -> None:
    run.task(0, "pending", "launched", "exec_done", app=NAME, executor=NAME, stdout=NAME)
    run.execution(0, at_s=2, run_s=1, app=NAME, host=NAME, block=NAME)
    run.ended()


_SHAPES: dict[str, Callable[[StoredRun], None]] = {
    "empty": _empty,
    "one waits": _one_waits,
    "none ran": _none_ran,
    "killed": _killed,
    "named": _named,
}


@pytest.fixture(scope="module")
def shapes(
    request: pytest.FixtureRequest, serve: Serve, tmp_path_factory: pytest.TempPathFactory
) -> Dashboard:
    """A server on a run of each shape, without a row of resources or of managers."""
    path = tmp_path_factory.mktemp("shapes") / "monitoring.db"
    for number, (shape, say) in enumerate(_SHAPES.items()):
        name = NAME if shape == "named" else shape
        rundir = f"/home/me/{name}/runinfo/{number:03}"
        with StoredRun(f"sqlite:///{path}", run_id=shape, name=name, rundir=rundir) as run:
            say(run)
    if request.param != "ours":
        leave_parsls_tables(path)
    return serve(path)


@pytest.mark.parametrize(
    ("shapes", "shape"),
    [
        *(("ours", shape) for shape in _SHAPES),
        *(("Parsl's", shape) for shape in ("one waits", "none ran", "killed")),
    ],
    indirect=["shapes"],
    scope="module",
)
def test_every_page_is_whole(shown: Tab, shapes: Dashboard, shape: str) -> None:
    """Each page is answered and drawn, has the run's header, and no error in the browser."""
    app = quote(NAME if shape == "named" else "double", safe="")
    has_tasks = shape != "empty"
    shown.open(shapes.address)
    for page in RUN_PAGES:
        if "fingerprint" in page.path or (not has_tasks and "{" in page.path):
            continue
        path = page.path.replace("{name}", app).replace("{task_id:int}", "0")

        status = shown.open(f"{shapes.root}/workflow/{quote(shape)}/{path}")
        shown.wait_drawn()

        assert status == 200, path
        assert shown.text("h1").startswith(NAME if shape == "named" else shape), path
        assert (shown.errors, shown.failed) == ([], []), path
