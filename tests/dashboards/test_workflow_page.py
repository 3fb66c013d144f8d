"""The page of a run says what its rows say, and shows every plot."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.pages import workflow
from otel_parsl_dashboards.pages.page import rows_of
from playwright.sync_api import Browser

from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab, tab
from tests.support.dashboard import Dashboard
from tests.support.recorded_databases import rows
from tests.support.simulated_database import WORKERS
from tests.support.stored_run import StoredRun

_ROWS = """
() => {
  const slot = document.querySelector("#plot-stream [data-root-id]").dataset.rootId;
  const { y_range, renderers } = Bokeh.index[slot].child_views[0].model;
  return [y_range.end, y_range.start, renderers[1].data_source.get_length()];
}
"""
"""From which row to which the stream goes, and how many single tries it has."""
_SAYS_WHAT_IT_SHOWS = f"""
() => {{
  const [, , tries] = ({_ROWS})();
  const said = document.getElementById("f-summary-stream").innerText;
  return tries > 0 && said.includes(` ${{tries.toLocaleString("en")}} tries `);
}}
"""


@pytest.fixture(scope="module")
def page(demo: Dashboard, demo_database: Path, browser: Browser) -> Iterator[Tab]:
    """The page of the demo's run, with all its plots."""
    ((run_id,),) = rows(demo_database, "SELECT run_id FROM workflow")
    with tab(browser) as opened:
        opened.open(demo.address)
        assert opened.open(f"{demo.root}/workflow/{run_id}/") == 200
        opened.wait_drawn()
        yield opened


def test_states_sum_to_the_total(page: Tab, demo_database: Path) -> None:
    """The numbers of the state bar are those of the tasks' last states, and sum to the total."""
    (total,) = rows(demo_database, "SELECT count(*) FROM task")[0]
    ended = dict(
        rows(
            demo_database,
            "SELECT task_status_name, count(*) FROM status WHERE task_status_name IN"
            " ('exec_done', 'memo_done', 'failed', 'dep_fail') GROUP BY 1",
        )
    )

    shown = {
        item.get_attribute("data-state"): int(item.locator("b").inner_text().replace(",", ""))
        for item in page.page.locator("#states li").all()
    }

    assert shown.pop("total") == total == sum(shown.values())
    assert {name: tasks for name, tasks in shown.items() if tasks} == {
        "executed": ended["exec_done"],
        "failed": ended["failed"],
        "dep_failed": ended["dep_fail"],
    }


def test_app_summary_counts_the_tasks_of_each_app(page: Tab, demo_database: Path) -> None:
    """The App Summary has a row for each app, with the number of its tasks and failures."""
    expected = rows(
        demo_database,
        "SELECT task_func_name, count(*), sum(task_id IN (SELECT task_id FROM status WHERE"
        " task_status_name IN ('failed', 'dep_fail'))) FROM task GROUP BY 1 ORDER BY 2 DESC, 1",
    )

    assert [cells[:3] for cells in page.cells("#apps")] == [
        [app, str(tasks), str(failed)] for app, tasks, failed in expected
    ]


@pytest.mark.parametrize("plot", ["run-times", "stream", "concurrency", "gantt"])
def test_each_plot_shows_something_and_says_it_in_words(page: Tab, plot: str) -> None:
    """No plot is empty, and each has its figures in words for who cannot see it."""
    assert len(page.colours(plot)) > 1
    assert re.search(r"\d+ tr(y|ies)|\d+ tasks", page.text(f"#f-summary-{plot}"))


def test_stream_has_the_colour_of_each_app(page: Tab) -> None:
    """The colours of the legend, except of apps too short to see, are those of the bars."""
    (observe,) = (
        item.locator(".swatch").evaluate("(it) => getComputedStyle(it).backgroundColor")
        for item in page.page.locator("#f-legend-stream li").all()
        if item.inner_text() == "observe"
    )
    red, green, blue = (int(part) for part in re.findall(r"\d+", observe))

    assert f"#{red:02x}{green:02x}{blue:02x}" in page.colours("stream")


def test_long_names_of_nodes_leave_the_stream_in_line(
    serve: Serve, shown: Tab, tmp_path: Path
) -> None:
    """Beside the axis stands what tells nodes apart, and moments of all plots are in a line."""
    domain = "cluster-interconnect.supercomputer.example-national-lab.gov"
    with StoredRun(f"sqlite:///{tmp_path}/monitoring.db") as run:
        for task_id in range(3):
            run.task(task_id, "pending", "launched", "exec_done", at_s=1.0)
            run.execution(task_id, at_s=2, run_s=5, host=f"compute-node-000{task_id}.{domain}")
    dashboard = serve(tmp_path / "monitoring.db")
    shown.page.set_viewport_size({"width": 600, "height": 800})
    shown.open(dashboard.address)
    shown.open(f"{dashboard.root}/workflow/{run.run_id}/")
    shown.wait_drawn()

    labels, *left = shown.page.evaluate(
        """() => {
          const view = (plot) => Bokeh.index[
            document.querySelector(`#plot-${plot} [data-root-id]`).dataset.rootId].child_views[0];
          return [
            [...view("stream").model.left[0].major_label_overrides.values()],
            ...["stream", "concurrency", "gantt"].map((plot) => view(plot).frame.bbox.left),
          ];
        }"""
    )

    assert labels == ["compu…-0000", "compu…-0001", "compu…-0002"]
    assert len(set(left)) == 1


def test_dark_theme_repaints_the_page(page: Tab) -> None:
    """The button goes from light to dark, and the page's ground with it, plots included."""

    def ground() -> str:
        return str(page.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = ground()
    button = page.page.locator("#theme")
    while "dark" not in button.inner_text():
        button.click()
    dark = ground()
    while "auto" not in button.inner_text():
        button.click()

    assert (light, dark) == ("rgb(246, 248, 250)", "rgb(13, 17, 23)")


def test_brushed_stretch_of_time_filters_the_page(
    demo: Dashboard, demo_database: Path, page: Tab
) -> None:
    """A drag over a plot of time shows that stretch alone, and keeps it in the address."""
    whole = page.cells("#apps")
    canvas = page.page.locator("#plot-stream .bk-Figure").bounding_box()
    assert canvas is not None
    y = canvas["y"] + 40
    page.page.mouse.move(canvas["x"] + canvas["width"] * 0.97, y)
    page.page.mouse.down()
    page.page.mouse.move(canvas["x"] + canvas["width"] * 0.75, y, steps=5)
    page.page.mouse.up()
    page.page.wait_for_selector("#f-window .notice")
    assert "from=" in page.page.url
    brushed = page.cells("#apps")
    page.page.get_by_role("button", name="Whole run").click()
    page.page.wait_for_selector("#f-window .notice", state="detached")

    assert sum(int(cells[1]) for cells in brushed) < sum(int(cells[1]) for cells in whole)
    assert page.cells("#apps") == whole
    assert "from=" not in page.page.url


def test_keyboard_chooses_a_stretch_of_time_and_never_enters_a_plot(page: Tab) -> None:
    """What a drag chooses is typed too, and no figure, hidden from who hears it, is in the way."""
    whole = page.cells("#apps")
    stops = 0
    page.page.locator(".skip").focus()
    while not page.page.evaluate("document.activeElement === document.body"):
        assert not page.page.evaluate("document.activeElement.matches('[aria-hidden=true] *')")
        page.page.keyboard.press("Tab")
        stops += 1
    page.page.locator("#stretch summary").focus()
    page.page.keyboard.press("Enter")
    start = page.page.get_by_label("From", exact=True)
    end = page.page.get_by_label("until", exact=True)
    began, ended = start.input_value(), end.input_value()
    early = datetime.datetime.fromisoformat(began) + datetime.timedelta(seconds=1)
    typed = early.isoformat(timespec="milliseconds")

    end.fill(typed)
    end.press("Enter")
    page.page.wait_for_selector("#f-window .notice")
    few = page.cells("#apps")
    url = page.page.url
    page.page.get_by_role("button", name="Whole run").click()
    page.page.wait_for_selector("#f-window .notice", state="detached")

    assert stops > 10
    assert f"until={quote(typed)}" in url
    assert sum(int(cells[1]) for cells in few) < sum(int(cells[1]) for cells in whole)
    assert (start.input_value(), end.input_value()) == (began, ended)
    assert page.cells("#apps") == whole


@pytest.mark.parametrize("path", ["", "blocks"])
def test_stretch_of_time_far_from_the_run_spoils_no_page(
    path: str, demo: Dashboard, demo_database: Path, shown: Tab
) -> None:
    """One that is mistyped is said to be none; a very wide one is cut to a year around the run."""
    ((run_id, began),) = rows(demo_database, "SELECT run_id, time_began FROM workflow")
    page = f"{demo.root}/workflow/{run_id}/{path}"
    no_stretch = shown.page.locator("#f-notices", has_text="name no stretch of time")
    chosen = shown.page.locator("#f-window .notice")
    shown.open(demo.address)

    for mistyped in ("from=20261-01-15T12:00&until=20262-01-15T12:00", "from=now&until=later"):
        assert shown.open(f"{page}?{mistyped}") == 200
        shown.wait_drawn()
        assert (no_stretch.count(), chosen.count()) == (1, 0)
        assert "cannot be drawn" not in shown.text("main")
    assert shown.open(f"{page}?from=0001-01-01&until=9999-01-01") == 200
    shown.wait_drawn()
    assert "cannot be drawn" not in shown.text("main")
    assert (no_stretch.count(), chosen.count()) == (0, 1)
    assert f"between {int(began[:4]) - 1}-" in chosen.inner_text()
    shown.page.evaluate("otelParsl.range(6e13, 7e13)")
    shown.page.wait_for_function("!location.search.includes('until=')")
    shown.page.evaluate("otelParsl.range(-8e15, 8e15)")
    shown.page.wait_for_function("location.search.includes('until=')")
    assert "cannot be drawn" not in shown.text("main")
    assert shown.errors == []


def test_wheel_zooms_lanes_until_single_tries_are_seen(
    serve: Serve, simulated_database: Path, shown: Tab
) -> None:
    """Few lanes in view have few tries: they are drawn one by one, until a reset shows all."""
    dashboard = serve(simulated_database)
    shown.open(dashboard.address)
    shown.page.get_by_role("link", name="samples.py").click()
    shown.wait_drawn()
    whole = shown.text("#f-summary-stream")
    figure = shown.page.locator("#plot-stream .bk-Figure")
    figure.scroll_into_view_if_needed()
    box = figure.bounding_box()
    assert box is not None
    assert shown.page.evaluate(_ROWS) == [0, WORKERS, 0]

    names_of_nodes = (box["x"] + 90, box["y"] + 150)
    shown.page.mouse.move(*names_of_nodes)
    shown.page.get_by_title("Wheel Zoom (y-axis)").click()
    shown.page.mouse.move(*names_of_nodes)
    shown.page.mouse.wheel(0, -600)
    shown.page.wait_for_function(_SAYS_WHAT_IT_SHOWS)
    first, end, tries = shown.page.evaluate(_ROWS)
    said = shown.text("#f-summary-stream")
    rows = f"rows={math.floor(first)}-{math.ceil(end) - 1}"
    shown.page.wait_for_function("(rows) => location.search.includes(rows)", arg=rows)
    shown.page.reload()
    shown.wait_drawn()
    again = (shown.text("#f-summary-stream"), shown.page.evaluate(_ROWS))
    figure.scroll_into_view_if_needed()
    figure.hover()
    shown.page.locator("#plot-stream").get_by_title("Reset").click()
    shown.page.wait_for_function(
        "(whole) => document.getElementById('f-summary-stream').innerText === whole", arg=whole
    )

    lanes = math.ceil(end) - math.floor(first)
    assert said.startswith(f"In {lanes} of {WORKERS} lanes: {tries:,} tries on ")
    assert 0 < first < end < WORKERS
    assert again == (said, [math.floor(first), math.ceil(end), tries])
    assert "from=" not in shown.page.url
    assert "rows=" not in shown.page.url
    assert shown.page.evaluate(_ROWS) == [0, WORKERS, 0]
    assert shown.errors == []


def test_keyboard_chooses_lanes(serve: Serve, simulated_database: Path, shown: Tab) -> None:
    """Lanes are typed as the wheel chooses them, in either order, and all of them again."""
    dashboard = serve(simulated_database)
    shown.open(dashboard.address)
    shown.page.get_by_role("link", name="samples.py").click()
    shown.wait_drawn()
    whole = shown.text("#f-summary-stream")
    shown.page.locator("#stretch summary").focus()
    shown.page.keyboard.press("Enter")
    first = shown.page.get_by_label("first lane")
    last = shown.page.get_by_label("last lane")
    asked = (first.input_value(), last.input_value())

    first.fill("12")
    last.fill("3")
    last.press("Enter")
    shown.page.wait_for_function("() => location.search.includes('rows=2-11')")
    shown.page.wait_for_function(_SAYS_WHAT_IT_SHOWS)
    some = (shown.text("#f-summary-stream"), shown.page.evaluate(_ROWS)[:2])
    shown.page.locator("h1").click()
    shown.page.wait_for_function(
        "() => document.querySelector('#stretch [name=first]').value === '3'"
    )
    typed = (first.input_value(), last.input_value())
    first.fill("1")
    last.fill(str(WORKERS))
    last.press("Enter")
    shown.page.wait_for_function("() => !location.search.includes('rows=')")
    shown.page.wait_for_function(
        "(whole) => document.getElementById('f-summary-stream').innerText === whole", arg=whole
    )

    assert asked == ("1", str(WORKERS))
    assert some[0].startswith(f"In 10 of {WORKERS} lanes: ")
    assert some[1] == [2, 12]
    assert typed == ("3", "12")
    assert "from=" not in shown.page.url
    assert shown.errors == []


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("12-39", range(12, 40)),
        ("0-0", range(1)),
        ("90-120", range(90, 100)),
        ("0-99", None),
        ("100-120", None),
        ("39-12", None),
        ("12", None),
        ("-5-12", None),
        ("a-b", None),
        ("", None),
    ],
)
def test_rows_in_an_address_are_those_that_there_are(asked: str, expected: range | None) -> None:
    """Of a hundred rows some are named by the first and the last; what names none is no choice."""
    assert rows_of({"rows": asked}, 100) == expected


def test_bars_are_to_be_clicked_where_there_are_some(
    page: Tab, serve: Serve, simulated_database: Path, shown: Tab
) -> None:
    """The chart of more tasks than have bars of their own does not say that these lead anywhere."""
    dashboard = serve(simulated_database)
    shown.open(dashboard.address)
    shown.page.get_by_role("link", name="samples.py").click()
    shown.wait_drawn()

    assert [each.text("#f-hint-gantt") for each in (page, shown)] == [
        "click a bar for its task",
        "",
    ]


def test_nothing_goes_wrong_and_nothing_leaves_this_machine(page: Tab, demo: Dashboard) -> None:
    """The browser asks nobody but the server, is never refused, and its console has no error."""
    assert (page.errors, page.failed) == ([], [])
    assert page.hosts() == {demo.root.removeprefix("http://")}


def test_try_whose_task_is_not_known_counts_for_no_other() -> None:
    """What a worker has told of a try before the submit side told of its task is no app's."""
    begun = np.array(["2026-01-15T12:00:01", "2026-01-15T12:00:02"], frames.TIME)
    apps = pd.Categorical(["a", "b"], categories=["a", "b", ""])
    tasks = pd.DataFrame(
        {"task_id": [0, 2], "app": apps, "state": pd.Categorical(["executed"] * 2)}
    )
    tries = pd.DataFrame(
        {
            "task_id": [0, 1],
            "app": pd.Categorical(["a", ""], categories=["a", "b", ""]),
            "running": begun,
            "ended": begun + np.timedelta64(1, "s"),
        }
    )
    view: Any = SimpleNamespace(
        tries=tries,
        window=(begun[0], begun[1]),
        snapshot=SimpleNamespace(tasks=tasks, apps=["a", "b"]),
        colours={"a": "#fff", "b": "#fff"},
    )

    rows = workflow._apps(view)

    assert {row["name"]: row["tasks"] for row in rows} == {"a": 1, "b": 0}
