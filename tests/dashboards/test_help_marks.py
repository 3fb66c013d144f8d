"""Each figure says what it means and how it is computed."""

from __future__ import annotations

import html
import re
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.chromium import tab
from tests.support.dashboard import Dashboard
from tests.support.recorded_databases import value

_PAGES = {
    "": "",
    "failures": "",
    "failures/{cause}": "",
    "task/": "",
    "task/{failed}": "",
    "app/observe": "",
    "dag_group_by_apps": "",
    "resource_usage": "",
    "time": "",
    "blocks": "",
    "health": "",
}
_MARK = 'class="help"'
_PLAIN = frozenset(
    (
        *("Version", "Run id", "Started", "Completed", "Owner", "Host", "Run directory"),
        *("App", "Apps", "Time invoked", "Time returned", "Last seen", "Exception", "Message"),
        *("Node", "Block", "Block is", "Batch job", "Executor", "Exit code", "Failed"),
        *("inputs", "outputs", "stdin", "stdout", "stderr", "depends on", "needed by", "joins"),
        *("task", "try", "app", "node", "time", "after its call"),
    )
)
"""Headings of what is shown as the tables have it: nothing is computed."""


def _headings(page: str) -> list[tuple[str, bool]]:
    """Return the headings of figures, and whether each has a mark, or all of its section one."""
    found = []
    for part in page.split("<section"):
        title = re.search(r"<h2[^>]*>(.*?)</h2>", part, re.S)
        is_explained = title is not None and _MARK in title[1]
        headings = re.findall(r'<th scope="col"(?! class="text)[^>]*>(.*?)</th>', part, re.S)
        headings = [each for each in headings if 'class="text"' not in each]
        headings += re.findall(r"<dt>(.*?)</dt>", part, re.S)
        found += [(_said(each), is_explained or _MARK in each) for each in headings]
    return found


def _said(heading: str) -> str:
    without_mark = re.sub(r'<span class="help".*', "", heading, flags=re.S)
    text = html.unescape(re.sub(r"<[^>]+>", " ", without_mark))
    return " ".join(text.replace("▲", "").replace("▼", "").split())


@pytest.mark.parametrize("path", _PAGES)
def test_each_figure_is_explained(path: str, demo: Dashboard, demo_database: Path) -> None:
    """A heading has a mark, unless what stands below it is just what a table of Parsl's has."""
    run_id = value(demo_database, "SELECT run_id FROM workflow")
    place = path.format(
        cause=value(demo_database, "SELECT min(fingerprint) FROM otel_failure"),
        failed=value(demo_database, "SELECT min(task_id) FROM otel_failure"),
    )
    request = urllib.request.Request(
        f"{demo.root}/workflow/{run_id}/{place}",
        headers={"Authorization": f"token {demo.token}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        headings = _headings(answer.read().decode())

    assert any(is_marked for _, is_marked in headings)
    assert {said for said, is_marked in headings if not is_marked} - _PLAIN == set()


def test_explanation_is_whole_where_its_table_is_short(
    demo: Dashboard, demo_database: Path, browser: Browser
) -> None:
    """What a mark says lies within the window, and above all that stands there."""
    run_id = value(demo_database, "SELECT run_id FROM workflow")
    with tab(browser) as shown:
        shown.open(demo.address)
        shown.open(f"{demo.root}/workflow/{run_id}/blocks")
        shown.page.wait_for_selector("#node-list td")
        for mark in shown.page.locator("#node-list th .help").all():
            mark.scroll_into_view_if_needed()
            mark.hover()
            is_whole = mark.locator("em").evaluate(
                """
                (text) => {
                  const { left, right, top, bottom } = text.getBoundingClientRect();
                  const corners = [[left, top], [right, top], [left, bottom], [right, bottom]]
                    .map(([x, y]) => [x + (x === left ? 8 : -8), y + (y === top ? 8 : -8)]);
                  return corners.every(([x, y]) => document.elementFromPoint(x, y) === text);
                }
                """
            )
            assert is_whole
