"""Whatever a run's texts are, each page shows them as text, from either kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from otel_parsl_dashboards.pages import RUN_PAGES
from playwright.sync_api import Browser

from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab, tab
from tests.support.dashboard import Dashboard
from tests.support.markup import RAN, SCRIPT
from tests.support.postgres import Postgres
from tests.support.stored_run import RUN_ID, StoredRun

_FAILURE = "failures/{fingerprint}"
_PATHS = [page.path for page in RUN_PAGES if page.path != _FAILURE]
_HOVER = """
() => [...document.querySelectorAll("[data-root-id]")].map((slot) => {
    const figure = Bokeh.index[slot.dataset.rootId]?.child_views?.[0];
    return (figure?.el ?? slot).getBoundingClientRect();
}).map((box) => [box.x, box.y, box.width, box.height])
"""


def _write(url: str) -> None:
    with StoredRun(url, name=SCRIPT, rundir=f"/home/{SCRIPT}", host=SCRIPT) as run:
        run.executor(SCRIPT, "lost", SCRIPT, at_s=5)
        run.block(SCRIPT, "FAILED", executor=SCRIPT, job_id=SCRIPT, submit_error=SCRIPT)
        run.manager(SCRIPT, workers=2, tasks=1, host=SCRIPT, block=SCRIPT)
        for task_id, state in enumerate(("exec_done", "failed")):
            run.task(
                task_id,
                "pending",
                "launched",
                state,
                app=SCRIPT,
                executor=SCRIPT,
                depends=str(task_id - 1) if task_id else "",
                inputs=SCRIPT,
                outputs=SCRIPT,
                stdin=SCRIPT,
                stdout=SCRIPT,
                stderr=SCRIPT,
                fail_history=SCRIPT,
                hashsum=SCRIPT,
            )
            run.execution(
                task_id,
                at_s=1 + task_id,
                run_s=1,
                app=SCRIPT,
                host=SCRIPT,
                exception_type=SCRIPT if state == "failed" else None,
                message=SCRIPT if state == "failed" else None,
                stacktrace=SCRIPT if state == "failed" else None,
            )
        run.ended()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def served(
    request: pytest.FixtureRequest, serve: Serve, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dashboard]:
    """A server on a run whose every text is a script."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('hostile')}/monitoring.db"
        _write(url)
        yield serve(url)
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as url:
        _write(url)
        yield serve(url)


@pytest.fixture(scope="module")
def opened(served: Dashboard, browser: Browser) -> Iterator[Tab]:
    """A page that knows the token."""
    with tab(browser) as page:
        page.open(served.address)
        yield page


@pytest.mark.parametrize("path", _PATHS)
def test_texts_of_a_run_are_text(opened: Tab, served: Dashboard, path: str) -> None:
    """Nothing of a run is taken for markup: not in the page, and not where a plot is hovered."""
    part = path.replace("{name}", quote(SCRIPT, safe="")).replace("{task_id:int}", "1")

    assert opened.open(f"{served.root}/workflow/{RUN_ID}/{part}") == 200
    opened.wait_drawn()
    for x, y, width, height in opened.page.evaluate(_HOVER):
        for share in (0.1, 0.3, 0.5, 0.7, 0.9):
            opened.page.mouse.move(x + share * width, y + height / 2, steps=2)

    assert opened.page.evaluate(RAN) is None
    assert opened.page.locator("main script, main img").count() == 0
    assert SCRIPT in opened.text("body")
    assert (opened.errors, opened.failed) == ([], [])


def test_texts_of_a_cause_and_of_the_list_are_text(opened: Tab, served: Dashboard) -> None:
    """The page of a cause of failures, and the list of runs, which lead to the others."""
    opened.open(f"{served.root}/workflow/{RUN_ID}/failures")
    opened.wait_drawn()
    opened.page.locator("#f-groups h2 a").first.click()
    opened.page.wait_for_selector("#tries")
    said = [opened.text("main")]
    opened.open(f"{served.root}/")
    opened.wait_drawn()
    said.append(opened.text("main"))

    assert [SCRIPT in each for each in said] == [True, True]
    assert opened.page.evaluate(RAN) is None
    assert (opened.errors, opened.failed) == ([], [])
