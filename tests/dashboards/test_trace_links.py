"""A task's page leads to its trace where the server was told how."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from otel_parsl.identity import run_key, span_id
from tests.support.chromium import tab
from tests.support.dashboard import PROGRAM, Dashboard
from tests.support.recorded_databases import value

_TEMPLATE = "http://127.0.0.1:16686/trace/{trace_id}?uiFind={span_id}"


@pytest.mark.parametrize("told", ["argument", "variable"])
def test_task_links_to_its_trace(
    told: str, demo_database: Path, tmp_path: Path, browser: Browser
) -> None:
    """With a template on the command line, or in the variable, the link has the task's ids."""
    arguments = ("--trace-url", _TEMPLATE) if told == "argument" else ()
    variables = {} if arguments else {"OTEL_PARSL_TRACE_URL": _TEMPLATE}
    run_id = value(demo_database, "SELECT run_id FROM workflow")
    key = run_key(run_id)
    with (
        Dashboard(demo_database, tmp_path / "log.txt", *arguments, **variables) as server,
        tab(browser) as shown,
    ):
        shown.open(server.address)
        shown.open(f"{server.root}/workflow/{run_id}/task/7")
        shown.wait_drawn()

        assert shown.page.locator("#trace").get_attribute("href") == (
            f"http://127.0.0.1:16686/trace/{key.hex()}?uiFind={span_id(key, 'task', 7).hex()}"
        )
        assert (shown.errors, shown.failed) == ([], [])


@pytest.mark.parametrize("template", ["javascript:alert('{trace_id}')", "http://127.0.0.1:16686"])
def test_address_of_no_trace_is_refused(template: str, demo_database: Path) -> None:
    """What cannot lead to a trace is an error at once, which says what is expected."""
    ran = subprocess.run(
        [str(PROGRAM), "visualize", str(demo_database), "--trace-url", template],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ran.returncode != 0
    assert f"--trace-url: {template!r} is no address of a trace" in ran.stderr
