"""
Everything that Parsl's own pages show is on ours: each field of its templates, ticked off.

A template whose page is here has an entry in ``TICKS``, with an expression of JavaScript for each
field of it: what that gives on our page has to be what SQL gives for Parsl's field.
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
from tests.support.chromium import Tab, tab
from tests.support.dashboard import Dashboard
from tests.support.recorded_databases import rows, value

TEMPLATES = Path(parsl.__file__).parent / "monitoring" / "visualization" / "templates"
_FIELD = re.compile(r"\{\{\s*(.+?)\s*\}\}")

_FACT = """(name) => [...document.querySelectorAll('#f-header dt')]
    .find((term) => term.innerText === name).nextElementSibling.innerText.trim()"""
_COLUMN = """(number) => document.querySelector('table.runs tbody tr')
    .children[number].innerText.trim()"""
_LINK = "(selector) => document.querySelector(selector).getAttribute('href')"
_TEXT = "(selector) => document.querySelector(selector).innerText.trim()"
_COLOURS = "colours"
"""For a plot: it has to show more than an empty frame."""

_DONE = """SELECT count(DISTINCT task_id) FROM status WHERE task_status_name = 'exec_done'"""
_FAILED = """SELECT count(DISTINCT task_id) FROM status WHERE task_status_name = 'failed'"""
_LASTED = "SELECT time_began || '|' || time_completed FROM workflow"
_RUN_ID = "SELECT run_id FROM workflow"

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

TICKS: dict[str, dict[str, Tick]] = {
    "workflows_summary.html": {
        "w['run_id']": (_LINK, ".runs tbody a", f"SELECT 'workflow/' || ({_RUN_ID}) || '/'"),
        "w.workflow_name": (_COLUMN, 1, "SELECT workflow_name FROM workflow"),
        "w.workflow_version": (_COLUMN, 2, "SELECT workflow_version FROM workflow"),
        "w.user": (_COLUMN, 4, "SELECT user FROM workflow"),
        "w.status": (_COLUMN, 3, "SELECT 'completed' FROM workflow"),
        "(w.time_began, w.time_completed) | durationformat": (_COLUMN, 6, _LASTED),
        "w['tasks_completed_count']": (_COLUMN, 7, _DONE),
        "w['tasks_failed_count']": (
            _COLUMN,
            8,
            "SELECT count(DISTINCT task_id) FROM status WHERE task_status_name IN"
            " ('failed', 'dep_fail')",
        ),
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
}
_PATHS = {
    "workflows_summary.html": "/",
    "workflow.html": "/workflow/{run_id}/",
    "resource_usage.html": "/workflow/{run_id}/resource_usage",
}


@pytest.fixture(scope="module", params=sorted(TICKS))
def opened(
    request: pytest.FixtureRequest, demo: Dashboard, demo_database: Path, browser: Browser
) -> Iterator[tuple[str, Tab]]:
    """A template of Parsl's, and our page in its place."""
    with tab(browser) as page:
        page.open(demo.address)
        run_id = value(demo_database, _RUN_ID)
        page.open(demo.root + _PATHS[request.param].format(run_id=run_id))
        page.wait_drawn()
        yield request.param, page


def fields(template: str) -> set[str]:
    """Return the expressions of a template of Parsl's."""
    return set(_FIELD.findall((TEMPLATES / template).read_text()))


@pytest.mark.parametrize("template", sorted(TICKS))
def test_each_field_of_the_template_is_named(template: str) -> None:
    """Nothing that the template of the installed Parsl shows is left out here."""
    assert set(TICKS[template]) == fields(template)


def test_each_field_of_the_template_is_on_our_page(
    opened: tuple[str, Tab], demo_database: Path
) -> None:
    """Each field of Parsl's page is on ours, with the value that the tables have."""
    template, page = opened
    shown, expected = {}, {}
    for field, (expression, argument, sql) in TICKS[template].items():
        if expression == _COLOURS:
            shown[field], expected[field] = len(page.colours(str(argument))) > 1, True
            continue
        found = page.page.evaluate(expression, argument)
        (wanted,) = rows(demo_database, sql)[0]
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
