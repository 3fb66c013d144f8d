"""The graph pages show what waited for what, at any size and shape of a run."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import holoviews as hv
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from otel_parsl_dashboards.elements import stage_flow, stages
from otel_parsl_dashboards.elements.depths import with_depths
from otel_parsl_dashboards.elements.layers import places
from otel_parsl_dashboards.elements.task_graph import summarise, task_graph
from playwright.sync_api import Browser
from sqlalchemy import create_engine

from otel_parsl.schema import PARSL_TABLES
from tests.support.browser_fixtures import Serve
from tests.support.chromium import TOOLTIP, Tab, tab
from tests.support.dashboard import Dashboard
from tests.support.recorded_databases import rows

hv.extension("bokeh", logo=False)  # elements have no options before

_BEGAN = "2026-01-15 12:00:00.000000"
_DOT = """
(task) => {
    const slot = document.querySelector("#plot-tasks [data-root-id]");
    const figure = Bokeh.index[slot.dataset.rootId].child_views[0];
    const dots = figure.model.renderers.find((each) => "task" in each.data_source.data);
    const data = dots.data_source.data;
    const at = Array.from(data.task).indexOf(task);
    const box = figure.el.getBoundingClientRect();
    return [
        box.x + figure.frame.x_scale.compute(data.x[at]),
        box.y + figure.frame.y_scale.compute(data.y[at]),
    ];
}
"""
_DRAWN = """
() => {
    const slot = document.querySelector("#plot-tasks [data-root-id]");
    const figure = Bokeh.index[slot.dataset.rootId].child_views[0];
    const dots = figure.model.renderers.find((each) => "task" in each.data_source.data);
    return Array.from(dots.data_source.data.task).sort((a, b) => a - b);
}
"""


@pytest.fixture(scope="module")
def run_root(demo: Dashboard, demo_database: Path) -> str:
    """The address of the demo's run."""
    ((run_id,),) = rows(demo_database, "SELECT run_id FROM workflow")
    return f"{demo.root}/workflow/{run_id}/"


@pytest.fixture(scope="module")
def page(demo: Dashboard, run_root: str, browser: Browser) -> Iterator[Tab]:
    """The graph of the demo's run by apps, drawn."""
    with tab(browser) as opened:
        opened.open(demo.address)
        assert opened.open(f"{run_root}dag_group_by_apps") == 200
        opened.wait_drawn()
        yield opened


def _waits(database: Path) -> set[tuple[int, int]]:
    """Return each task with each that it waited for."""
    return {
        (task, int(other))
        for query in ("task_id, task_depends FROM task", 'task_id, task_joins FROM "try"')
        for task, others in rows(database, f"SELECT {query}")
        for other in (others or "").split(",")
        if other
    }


def test_numbers_are_those_of_the_tables(page: Tab, demo_database: Path) -> None:
    """Tasks, dependencies and levels are as counted by hand, and so is each app's stage."""
    (tasks,) = rows(demo_database, "SELECT count(*) FROM task")[0]
    waits = _waits(demo_database)
    by_app = rows(demo_database, "SELECT task_func_name, count(*) FROM task GROUP BY 1 ORDER BY 1")

    said = page.text("#f-summary-tasks")

    assert said.startswith(f"{tasks} tasks, {len(waits)} dependencies, 4 levels from left to right")
    assert sorted((cells[1], int(cells[2])) for cells in page.cells("#stages")) == by_app
    assert [cells for cells in page.cells("#stages") if cells[1] in ("subtract", "mosaic")] == [
        ["2", "mosaic", "1", "1", "0", "observe"],
        ["3", "subtract", "12", "11", "1", "calibrate, observe"],
    ]


def test_each_task_can_be_hovered(page: Tab, demo_database: Path) -> None:
    """A dot that is pointed at says its app and id."""
    ((task,),) = rows(demo_database, "SELECT task_id FROM task WHERE task_func_name = 'summarise'")
    page.page.mouse.move(0, 0)

    page.page.mouse.move(*page.page.evaluate(_DOT, task), steps=3)
    page.page.wait_for_function(f"({TOOLTIP})().includes('summarise:{task}')", timeout=30_000)

    grounds = [
        page.page.locator(each).first.evaluate("(it) => getComputedStyle(it).backgroundColor")
        for each in (".bk-Tooltip", "section.plot")
    ]
    assert grounds[0] == grounds[1]
    assert page.page.locator(".bk-Tooltip .bk-tooltip-row-label").count() == 0, "they are blue"


def test_click_on_a_task_opens_it(page: Tab, run_root: str) -> None:
    """A dot that is clicked on leads to the page of its task."""
    page.page.mouse.click(*page.page.evaluate(_DOT, 3))

    page.page.wait_for_url(f"{run_root}task/3", timeout=30_000)
    page.open(f"{run_root}dag_group_by_apps")
    page.wait_drawn()


def test_colours_are_of_apps_or_of_states(page: Tab, run_root: str) -> None:
    """Both routes show the same graph; a click goes from one colouring to the other."""
    by_apps = page.colours("tasks")
    legend = page.text("#f-legend-tasks")

    page.page.get_by_role("link", name="DAG by task states").click()
    page.page.wait_for_url(f"{run_root}dag_group_by_states")
    page.wait_drawn()

    assert legend == "archive calibrate mosaic observe publish subtract summarise"
    assert re.findall(r"(\w+) · (\d+)", page.text("#f-legend-tasks")) == [
        ("exec_done", "53"),
        ("failed", "2"),
        ("dep_fail", "1"),
    ]
    assert {"#3fa34d", "#cf222e", "#e58ac8"} <= page.colours("tasks")
    assert "#3fa34d" not in by_apps
    assert {"#3fa34d", "#cf222e", "#e58ac8"} <= page.colours("stages")
    assert page.text("nav a.on") == "Graph"
    page.page.go_back()
    page.wait_drawn()


def test_workflow_page_links_to_both(page: Tab, run_root: str) -> None:
    """The run's page has the links that Parsl's has."""
    page.open(run_root)
    links = page.page.locator("main nav.links a").all()

    assert [(link.inner_text(), link.get_attribute("href")) for link in links][:2] == [
        (name, f"../../workflow/{run_root.split('/')[-2]}/{path}")
        for name, path in (
            ("DAG by apps", "dag_group_by_apps"),
            ("DAG by task states", "dag_group_by_states"),
        )
    ]


def test_graph_around_one_task(page: Tab, run_root: str, demo_database: Path) -> None:
    """From a task's page leads a way to all that it is tied to, and to nothing else."""
    ((task,),) = rows(demo_database, "SELECT task_id FROM task WHERE task_func_name = 'mosaic'")
    tasks = [each for (each,) in rows(demo_database, "SELECT task_id FROM task")]
    waits = _waits(demo_database)
    waits_for = _awaited(waits, task)
    waited_by = {other for other in tasks if task in _awaited(waits, other)}

    page.open(f"{run_root}task/{task}")
    page.page.get_by_role("link", name="their graph").click()
    page.page.wait_for_url(f"{run_root}dag_group_by_states?task={task}")
    page.wait_drawn()

    assert page.page.evaluate(_DRAWN) == sorted({task, *waits_for, *waited_by})
    assert page.text("#f-large") == (
        f"Task {task}, drawn larger, with {len(waits_for)} that it waited for and"
        f" {len(waited_by)} that waited for it, directly or through others. All tasks"
    )
    page.page.get_by_role("link", name="DAG by apps").click()
    page.page.wait_for_url(f"{run_root}dag_group_by_apps?task={task}")
    page.page.get_by_role("link", name="All tasks").click()
    page.page.wait_for_url(f"{run_root}dag_group_by_apps?")
    page.wait_drawn()
    assert page.page.evaluate(_DRAWN) == sorted(tasks)


def _awaited(waits: set[tuple[int, int]], task: int) -> set[int]:
    """Return what a task waited for, directly or through others."""
    found: set[int] = set()
    new = {task}
    while new:
        new = {other for each, other in waits if each in new} - found
        found |= new
    return found


def test_nothing_goes_wrong_and_nothing_leaves_this_machine(page: Tab, demo: Dashboard) -> None:
    """The browser asks nobody but the server, is never refused, and its console has no error."""
    assert (page.errors, page.failed) == ([], [])
    assert page.hosts() == {demo.root.removeprefix("http://")}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as Parsl writes it, with runs of many shapes."""
    path = tmp_path_factory.mktemp("shapes") / "monitoring.db"
    engine = create_engine(f"sqlite:///{path}")
    for table in PARSL_TABLES:
        table.create(engine)
    engine.dispose()
    runs: dict[str, list[tuple[int, str]]] = {
        "empty": [],
        "one": [(0, "")],
        "apart": [(task, "") for task in range(30)],
        "chain": [(task, str(task - 1) if task else "") for task in range(100)],
        "large": [(task, str(task % 10) if task > 9 else "") for task in range(10_001)],
    }
    with closing(sqlite3.connect(path)) as connection, connection:
        for run, tasks in runs.items():
            connection.execute(
                "INSERT INTO workflow (run_id, workflow_name, time_began, host, user, rundir,"
                " tasks_failed_count, tasks_completed_count)"
                " VALUES (?, ?, ?, 'h', 'u', '/r', 0, 0)",
                (run, run, _BEGAN),
            )
            connection.executemany(
                "INSERT INTO task (task_id, run_id, task_depends, task_func_name, task_memoize,"
                " task_inputs, task_outputs, task_time_invoked, task_fail_count, task_fail_cost)"
                " VALUES (?, ?, ?, 'step', '0', '[]', 'None', ?, 0, 0.0)",
                [(task, run, depends, _BEGAN) for task, depends in tasks],
            )
            connection.executemany(
                "INSERT INTO status (task_id, task_status_name, timestamp, run_id, try_id)"
                " VALUES (?, 'exec_done', ?, ?, 0)",
                [(task, _BEGAN, run) for task, _ in tasks],
            )
    return path


@pytest.mark.parametrize(
    ("run", "graph", "stage"),
    [
        ("empty", "No task yet.", "No task yet."),
        (
            "one",
            "1 task, of which none waited for another.",
            "1 stage at 1 level; no dependency. The largest is step at level 1, with 1 task.",
        ),
        (
            "apart",
            "30 tasks, of which none waited for another.",
            "1 stage at 1 level; no dependency. The largest is step at level 1, with 30 tasks.",
        ),
        (
            "chain",
            "100 tasks, 99 dependencies, 100 levels from left to right. The widest level, 1, has 1"
            " task.",
            "1 app, by how deep their tasks stand on average: there are too many stages to show."
            " Arcs above lead on to the right, arcs below back; 99 dependencies. The largest is"
            " step, with 100 tasks.",
        ),
        (
            "large",
            None,
            "2 stages at 2 levels; 9,991 dependencies. The largest is step at level 2, with 9,991"
            " tasks.",
        ),
    ],
)
def test_any_shape_gives_a_whole_page(
    serve: Serve, shapes: Path, shown: Tab, run: str, graph: str | None, stage: str
) -> None:
    """Runs without tasks, dependencies or bounds have their graph; beyond 10,000 stages alone."""
    dashboard = serve(shapes)
    shown.open(dashboard.address)
    assert shown.open(f"{dashboard.root}/workflow/{run}/dag_group_by_states") == 200
    shown.wait_drawn()
    assert shown.page.locator("#plot-tasks").is_visible() == (graph is not None)
    if graph is not None:
        assert shown.text("#f-summary-tasks") == graph
    else:
        assert "more than 10,000 tasks" in shown.text("#f-large")
    shown.page.wait_for_function(
        "(text) => document.getElementById('f-summary-stages').innerText === text",
        arg=stage,
        timeout=30_000,
    )
    assert ("#3fa34d" in shown.colours("stages")) == (run != "empty")
    assert shown.errors == []


@pytest.mark.parametrize(
    ("task", "said", "drawn"),
    [
        (
            5,
            "Task 5, drawn larger, with 0 that it waited for and 200 that waited for it, directly"
            " or through others. More than 200 to a side are left out, the farthest first."
            " All tasks",
            201,
        ),
        (
            10_000,
            "Task 10000, drawn larger, with 1 that it waited for and 0 that waited for it, directly"
            " or through others. All tasks",
            2,
        ),
        (10_001, "There is no task 10001 in this run. All tasks", 0),
    ],
)
def test_graph_around_one_task_of_many(
    serve: Serve, shapes: Path, shown: Tab, task: int, said: str, drawn: int
) -> None:
    """In a run too large to be drawn, a task that is asked for is drawn with its neighbours."""
    dashboard = serve(shapes)
    shown.open(dashboard.address)
    assert shown.open(f"{dashboard.root}/workflow/large/dag_group_by_apps") == 200
    shown.wait_drawn()
    shown.page.get_by_label("Around task").fill(str(task))
    shown.page.get_by_role("button", name="Show").click()
    shown.page.wait_for_url(f"**/dag_group_by_apps?task={task}")
    shown.wait_drawn()

    assert shown.text("#f-large") == said
    assert len(shown.page.evaluate(_DRAWN)) == drawn
    assert shown.errors == []


def frames(apps: list[str], waits: list[tuple[int, int]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the frames of tasks by their apps, and of which of them waited for which."""
    tasks = pd.DataFrame(
        {
            "task_id": pd.Series(range(len(apps)), dtype="int64"),
            "app": pd.Categorical(apps),
            "parsl_state": pd.Categorical(["pending"] * len(apps)),
        }
    )
    edges = pd.DataFrame(waits, columns=["task_id", "on_task_id"]).astype("int64")
    return with_depths(tasks, edges), edges


@st.composite
def workflows(draw: st.DrawFn) -> tuple[list[str], list[tuple[int, int]]]:
    """Draw apps of tasks, and waits for tasks of lower ids."""
    apps = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=40))
    waits = draw(
        st.lists(
            st.integers(1, max(len(apps) - 1, 1)).flatmap(
                lambda task: st.tuples(st.just(task), st.integers(0, task - 1))
            ),
            max_size=80 if len(apps) > 1 else 0,
        )
    )
    return apps, waits


@settings(max_examples=40, deadline=None)
@given(workflows())
def test_each_task_stands_right_of_all_that_it_waited_for(
    workflow: tuple[list[str], list[tuple[int, int]]],
) -> None:
    """In any graph every line leads to the right, and no two tasks stand in one place."""
    tasks, edges = frames(*workflow)
    depth = tasks["depth"].to_numpy()
    waiting, awaited = edges["task_id"].to_numpy(), edges["on_task_id"].to_numpy()

    found = places(depth, awaited, waiting)

    assert (found.x[waiting] > found.x[awaited]).all()
    assert len(set(zip(found.x, found.y, strict=True))) == len(tasks)
    for task in range(len(tasks)):
        parents = depth[awaited[waiting == task]]
        assert depth[task] == (parents.max() + 1 if len(parents) else 0)


@settings(max_examples=40, deadline=None)
@given(workflows())
def test_stages_have_every_task_and_dependency_once(
    workflow: tuple[list[str], list[tuple[int, int]]],
) -> None:
    """Stages sum to the tasks and ribbons to the dependencies, whatever the graph."""
    tasks, edges = frames(*workflow)

    found = stages.stages(tasks, edges)

    assert found.stages["tasks"].sum() == found.stages[list(stages.ORDER)].to_numpy().sum()
    assert found.stages["tasks"].sum() == len(tasks)
    assert found.flows["edges"].sum() == len(set(workflow[1]))


def test_many_dependencies_are_one_picture() -> None:
    """Beyond 20,000 lines the graph has a picture of them, and says so."""
    tasks, edges = frames(
        ["a"] * 400, [(task, other) for task in range(200, 400) for other in range(120)]
    )

    picture, lines, dots = task_graph(tasks, edges, {"a": "#f58518"})

    assert (len(lines), len(dots)) == (0, 400)
    assert picture.dimension_values("A", flat=True).max() > 0
    assert summarise(tasks, edges).endswith(
        "More than 20,000 dependencies: they are drawn as one picture."
    )


def test_tasks_that_wait_for_each_other_are_still_shown() -> None:
    """A circle, which no run should have, has its place like everything else."""
    tasks, edges = frames(["a", "b", "c"], [(0, 1), (1, 0), (2, 7)])

    assert tasks["depth"].tolist() == [0, 0, 0]
    assert len(stage_flow.stage_flow(stages.stages(tasks, edges))) == 3
