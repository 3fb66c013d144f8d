"""
Everything that Parsl's own pages show is on ours: each field of its templates, ticked off.

Each template has an entry in ``TICKS``, with an expression of JavaScript for each field of it: what
that gives on our page has to be what SQL gives for Parsl's field, for the demo and for ten thousand
tasks, with our tables and without.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path

import parsl
import pytest
from playwright.sync_api import Browser

from otel_parsl.cli import words
from tests.support.browser_fixtures import Serve
from tests.support.chromium import Tab, tab
from tests.support.dashboard import Dashboard
from tests.support.recorded_databases import rows, value

TEMPLATES = Path(parsl.__file__).parent / "monitoring" / "visualization" / "templates"
_FIELD = re.compile(r"\{\{\s*(.+?)\s*\}\}")
_LEFT_OUT = re.compile(r"<!--.*?-->", re.S)

_TERM = """(name) => [...document.querySelectorAll('main dt')]
    .find((term) => term.innerText.replace(/\\s*[?]$/, '') === name).nextElementSibling"""
_FACT = f"(name) => ({_TERM})(name).innerText.trim()"
_SAID = f"(name) => ({_TERM})(name).querySelector('summary code, pre, .none').innerText.trim()"
_NEIGHBOURS = f"""(name) => [...({_TERM})(name).querySelectorAll('a')]
    .map((link) => link.innerText.trim()).join(',')"""
_COLUMN = """(number) => document.querySelector('table.runs tbody tr')
    .children[number].innerText.trim()"""
_CELL = """(number) => document.querySelector('#tasks tbody tr').children[number]
    .innerText.trim()"""
_STATES = """(shown) => [...document.querySelectorAll('#states tbody tr')]
    .map((row) => shown === 'state' ? row.cells[0].innerText.trim()
        : `${row.cells[2].title} ${row.cells[2].innerText.trim().slice(0, 8)}`)
    .sort().join(', ')"""
_LINK = "(selector) => document.querySelector(selector).getAttribute('href')"
_PATH = "(selector) => new URL(document.querySelector(selector).href).pathname"
_TEXT = "(selector) => document.querySelector(selector).innerText.trim()"
_COLOURS = "colours"
"""For a plot: it has to show more than an empty frame."""

_DONE = """SELECT count(DISTINCT task_id) FROM status WHERE task_status_name = 'exec_done'"""
_FAILED = """SELECT count(DISTINCT task_id) FROM status WHERE task_status_name = 'failed'"""
_LASTED = "SELECT time_began || '|' || time_completed FROM workflow"
_RUN_ID = "SELECT run_id FROM workflow"
_TASK = """SELECT min(task_id) FROM task WHERE task_depends <> ''
    AND task_id IN (SELECT task_id FROM resource)"""
"""The task whose page is looked at."""
_APP = f"SELECT task_func_name FROM task WHERE task_id = ({_TASK})"
_FIRST = f"SELECT min(task_id) FROM task WHERE task_func_name = ({_APP})"
"""Its app, whose page is looked at, and the first task of that."""

Tick = tuple[str, object, str]
"""An expression, its argument, and the SQL for what it has to give."""

_RUN: dict[str, Tick] = {
    "workflow_details['workflow_name']": (
        "(selector) => document.querySelector(selector).firstChild.textContent.trim()",
        "#f-header h1",
        "SELECT workflow_name FROM workflow",
    ),
    "workflow_details['time_began'] | timeformat": (
        _FACT,
        "Started",
        "SELECT substr(time_began, 1, 19) FROM workflow",
    ),
    "workflow_details['time_completed'] | timeformat": (
        _FACT,
        "Completed",
        "SELECT substr(time_completed, 1, 19) FROM workflow",
    ),
    "(workflow_details['time_began'], workflow_details['time_completed']) | durationformat": (
        _FACT,
        "Duration",
        _LASTED,
    ),
    "workflow_details['user']": (_FACT, "Owner", "SELECT user FROM workflow"),
    "workflow_details['host']": (_FACT, "Host", "SELECT host FROM workflow"),
    "workflow_details['rundir']": (_FACT, "Run directory", "SELECT rundir FROM workflow"),
    "workflow_details['tasks_completed_count']": (_FACT, "Completed tasks", _DONE),
    "workflow_details['tasks_failed_count']": (_FACT, "Failed tasks", _FAILED),
}
"""What each page of a run has at its head."""
_NOT_OF_TASK = {
    "workflow_details['host']",
    "workflow_details['rundir']",
    "workflow_details['tasks_completed_count']",
    "workflow_details['tasks_failed_count']",
}
"""Of it, what Parsl's page of a task has not."""
_RUN_LINK: Tick = (_PATH, "nav .tabs a", f"SELECT '/workflow/' || ({_RUN_ID}) || '/'")


def _of_task(column: str) -> str:
    return f"SELECT {column} FROM task WHERE task_id = ({_TASK})"


def _of_its_states(column: str) -> str:
    ordered = f"SELECT {column} AS each FROM status WHERE task_id = ({_TASK}) ORDER BY 1"
    return f"SELECT group_concat(each, ', ') FROM ({ordered})"


TICKS: dict[str, dict[str, Tick]] = {
    "workflows_summary.html": {
        "w['run_id']": (_LINK, ".runs tbody a", f"SELECT 'workflow/' || ({_RUN_ID}) || '/'"),
        "w.workflow_name": (_COLUMN, 1, "SELECT workflow_name FROM workflow"),
        "w.workflow_version": (_COLUMN, 2, "SELECT workflow_version FROM workflow"),
        "w.user": (_COLUMN, 4, "SELECT user FROM workflow"),
        "w.status": (_COLUMN, 3, "SELECT 'completed' FROM workflow"),
        "(w.time_began, w.time_completed) | durationformat": (_COLUMN, 6, _LASTED),
        "w['tasks_completed_count']": (_COLUMN, 7, _DONE),
        "w['tasks_failed_count']": (_COLUMN, 8, _FAILED),
    },
    "workflow.html": {
        **_RUN,
        "t['task_func_name']": (
            _TEXT,
            "#apps tbody td",
            "SELECT task_func_name FROM task GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1",
        ),
        "t.frequency": (
            _TEXT,
            "#apps tbody td:nth-child(2)",
            "SELECT count(*) FROM task GROUP BY task_func_name ORDER BY 1 DESC LIMIT 1",
        ),
        "task_gantt | safe": (_COLOURS, "gantt", ""),
        "task_per_app |safe": (_COLOURS, "concurrency", ""),
    },
    "resource_usage.html": {
        **_RUN,
        "workflow_details['run_id']": (_FACT, "Run id", _RUN_ID),
        "worker_efficiency|safe": (_COLOURS, "workers", ""),
        "cpu_efficiency|safe": (_COLOURS, "cores", ""),
        "user_time_distribution_max_plot|safe": (_COLOURS, "cpu-user-s", ""),
        "memory_efficiency|safe": (_COLOURS, "memory", ""),
        "memory_usage_distribution_avg_plot|safe": (_COLOURS, "memory-mean-bytes", ""),
        "memory_usage_distribution_max_plot|safe": (_COLOURS, "memory-max-bytes", ""),
    },
    "app.html": {
        **_RUN,
        "workflow_details['run_id']": _RUN_LINK,
        "app_name": (_TEXT, "#f-app h2", _APP),
        "t.task_func_name": (_TEXT, "#f-app h2", _APP),
        "t['task_id']": (_CELL, 0, f"SELECT CAST(({_FIRST}) AS TEXT)"),
        "id": (
            _CELL,
            2,
            f"SELECT replace(task_depends, ',', ', ') FROM task WHERE task_id = ({_FIRST})",
        ),
        "t['task_time_returned'] | timeformat": (
            _CELL,
            5,
            f"SELECT substr(task_time_returned, 1, 19) FROM task WHERE task_id = ({_FIRST})",
        ),
    },
    "task.html": {
        **{field: tick for field, tick in _RUN.items() if field not in _NOT_OF_TASK},
        "workflow_details['run_id']": _RUN_LINK,
        "task_details['task_func_name']": (_FACT, "App", _APP),
        "task_details['task_id']": (
            "(selector) => document.querySelector(selector).innerText.split(' ')[1]",
            "#f-task h2",
            f"SELECT CAST(({_TASK}) AS TEXT)",
        ),
        "id": (_NEIGHBOURS, "depends on", _of_task("task_depends")),
        "task_details['task_time_invoked'] | timeformat": (
            _FACT,
            "Time invoked",
            _of_task("substr(task_time_invoked, 1, 19)"),
        ),
        "task_details['task_time_returned'] | timeformat": (
            _FACT,
            "Time returned",
            _of_task("substr(task_time_returned, 1, 19)"),
        ),
        **{
            f"task_details['task_{name}']": (
                _SAID,
                name,
                _of_task(
                    f"iif(coalesce(task_{name}, '') IN ('', 'None', '[]'), 'none', task_{name})"
                ),
            )
            for name in ("inputs", "outputs", "stdin", "stdout", "stderr")
        },
        "t.timestamp | timeformat": (_STATES, "time", _of_its_states("substr(timestamp, 1, 19)")),
        "t.task_status_name": (_STATES, "state", _of_its_states("task_status_name")),
        "time_series_memory_resident|safe": (_COLOURS, "memory", ""),
    },
    "dag.html": {
        **_RUN,
        "workflow_details['run_id']": _RUN_LINK,
        "workflow_dag_plot | safe": (_COLOURS, "tasks", ""),
    },
}
_PATHS = {
    "workflows_summary.html": "/",
    "workflow.html": "/workflow/{run_id}/",
    "resource_usage.html": "/workflow/{run_id}/resource_usage",
    "app.html": "/workflow/{run_id}/app/{app}?sort=task",
    "task.html": "/workflow/{run_id}/task/{task_id}",
    "dag.html": "/workflow/{run_id}/dag_group_by_apps",
}
_OTHERS = {"layout.html", "error.html"}
"""These have tests of their own, below."""


_DATABASES = ["demo_database", "simulated_database", "simulated_parsl_database"]


@pytest.fixture(scope="module", params=_DATABASES)
def database(request: pytest.FixtureRequest) -> Path:
    """The database of a run."""
    found: Path = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module", params=sorted(TICKS))
def opened(
    request: pytest.FixtureRequest, serve: Serve, database: Path, browser: Browser
) -> Iterator[tuple[str, Tab]]:
    """A template of Parsl's, and our page in its place."""
    dashboard = serve(database)
    of_run = {"run_id": _RUN_ID, "app": _APP, "task_id": _TASK}
    path = _PATHS[request.param].format(
        **{name: value(database, sql) for name, sql in of_run.items()}
    )
    with tab(browser) as page:
        page.open(dashboard.address)
        page.open(dashboard.root + path)
        page.wait_drawn()
        yield request.param, page


def fields(template: str) -> set[str]:
    """Return the expressions of a template of Parsl's, but for what it has commented out."""
    return set(_FIELD.findall(_LEFT_OUT.sub("", (TEMPLATES / template).read_text())))


def test_every_template_is_named() -> None:
    """No template of the installed Parsl is left out here."""
    assert set(TICKS) | _OTHERS == {path.name for path in TEMPLATES.iterdir()}


@pytest.mark.parametrize("template", sorted(TICKS))
def test_each_field_of_the_template_is_named(template: str) -> None:
    """Nothing that the template of the installed Parsl shows is left out here."""
    assert set(TICKS[template]) == fields(template)


def test_each_field_of_the_template_is_on_our_page(opened: tuple[str, Tab], database: Path) -> None:
    """Each field of Parsl's page is on ours, with the value that the tables have."""
    template, page = opened
    shown, expected = {}, {}
    for field, (expression, argument, sql) in TICKS[template].items():
        if expression == _COLOURS:
            shown[field], expected[field] = len(page.colours(str(argument))) > 1, True
            continue
        found = page.page.evaluate(expression, argument)
        (wanted,) = rows(database, sql)[0]
        if sql == _LASTED:
            began, ended = map(datetime.datetime.fromisoformat, wanted.split("|"))
            wanted = words.duration((ended - began).total_seconds())
        elif isinstance(wanted, int):
            found, wanted = found.split()[0], f"{wanted:,}"
        shown[field], expected[field] = found, str(wanted)

    assert shown == expected


def test_layout_leads_to_all_runs_and_to_parsls_documentation(opened: tuple[str, Tab]) -> None:
    """The bar of every page has Parsl's two links: Workflows, and Parsl's documentation."""
    _, page = opened
    links = {
        link.inner_text(): str(link.get_attribute("href"))
        for link in page.page.locator("nav").first.locator("a").all()
    }

    assert page.page.evaluate("(href) => new URL(href, location).pathname", links["Workflows"]) == (
        "/"
    )
    assert links["Documentation"].startswith("https://parsl.readthedocs.io/en/latest/")


def test_error_template_has_its_sentence(demo: Dashboard, browser: Browser) -> None:
    """As error.html does, a run that is not there is said not to be, with status 404 besides."""
    assert fields("error.html") == {"message"}
    with tab(browser) as page:
        page.open(demo.address)
        assert page.open(f"{demo.root}/workflow/none/") == 404
        assert "no run 'none'" in page.text("main")
