"""Who points at a bar is told what it is, and who clicks on it comes to its task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.chromium import TOOLTIP, Tab, tab
from tests.support.dashboard import Dashboard
from tests.support.stored_run import RUN_ID, StoredRun

_BAR = """
([plot, task, from]) => {
    const slot = document.querySelector(`#plot-${plot} [data-root-id]`);
    const figure = Bokeh.index[slot.dataset.rootId].child_views[0];
    const bars = figure.model.renderers.find((each) => "task" in each.data_source.data);
    const of = (name) => bars.data_source.data[bars.glyph[name].field];
    const middle = (at, one, other) => (Number(of(one)[at]) + Number(of(other)[at])) / 2;
    const those = Array.from(bars.data_source.data.task.keys())
        .filter((at) => Number(bars.data_source.data.task[at]) === task);
    const at = those.find((each) => Math.abs(Number(of("left")[each]) - from) < 1);
    const box = figure.el.getBoundingClientRect();
    return [
        box.x + figure.frame.x_scale.compute(middle(at, "left", "right")),
        box.y + figure.frame.y_scale.compute(middle(at, "bottom", "top")),
    ];
}
"""
"""The middle of a task's bar that begins at a time, on the screen."""


def _ms(run: StoredRun, at_s: float) -> float:
    return run.ns(at_s) / 1e6


@pytest.fixture
def run(tmp_path: Path) -> StoredRun:
    """A run of three tasks, the second of which failed."""
    run = StoredRun(f"sqlite:///{tmp_path}/monitoring.db")
    for task_id, app in enumerate(("double", "triple", "double")):
        run.task(task_id, "pending", "launched", app=app, at_s=1)
        run.execution(task_id, at_s=10, run_s=20 + task_id, app=app, host=f"node{task_id}")
        end = "failed" if task_id == 1 else "exec_done"
        run.task(task_id, end, app=app, at_s=40, returned_ns=run.ns(40))
    run.ended(at_s=60)
    run.write()
    return run


@pytest.fixture
def opened(
    run: StoredRun, tmp_path: Path, serve: Callable[..., Dashboard], browser: Browser
) -> Iterator[Tab]:
    """The page of that run."""
    server = serve(tmp_path / "monitoring.db")
    with tab(browser) as page:
        page.open(server.address)
        page.open(f"{server.root}/workflow/{RUN_ID}/")
        page.wait_drawn()
        yield page


@pytest.mark.parametrize(
    ("plot", "begins_s", "expected"),
    [
        ("stream", 10, ["triple", "task", "1", "node1", "21 s"]),
        ("gantt", 10, ["triple", "1", "running"]),
        ("gantt", 40, ["triple", "1", "failed"]),
    ],
)
def test_bar_says_what_it_is_and_opens_its_task(
    plot: str, begins_s: float, expected: list[str], run: StoredRun, opened: Tab
) -> None:
    """Task, app and what else there is to say of it; a click leads to the task's page."""
    opened.page.locator(f"#plot-{plot}").scroll_into_view_if_needed()
    place = opened.page.evaluate(_BAR, [plot, 1, _ms(run, begins_s)])

    opened.page.mouse.move(0, 0)
    opened.page.mouse.move(*place, steps=3)
    opened.page.wait_for_function(f"({TOOLTIP})().includes('triple')", timeout=30_000)

    said = opened.page.evaluate(TOOLTIP)
    assert [each for each in expected if each not in said] == [], said
    assert "double" not in said
    opened.page.mouse.click(*place)
    opened.page.wait_for_url("**/task/1", timeout=30_000)
    assert opened.errors == []
