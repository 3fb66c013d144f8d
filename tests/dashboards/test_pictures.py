"""A picture of every kind of page of the demo's run, in light and dark: CI keeps them."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from otel_parsl_dashboards.pages import RUN_PAGES
from PIL import Image
from playwright.sync_api import Browser

from tests.support.chromium import Tab, tab
from tests.support.dashboard import Dashboard
from tests.support.screenshot import take

FOLDER = Path(os.environ.get("OTEL_PARSL_PICTURES", Path(__file__).parents[2] / "pictures"))
_LINKS = "links => links.map(link => link.href)"


def _kind(path: str) -> str:
    """Return the name of a page's kind: ``/workflow/RUN/task/7`` is a ``task``."""
    if path == "/":
        return "workflows"
    kind, *which = path.strip("/").split("/")[2:] or ["workflow"]
    return {("task", False): "tasks", ("failures", True): "failure"}.get((kind, bool(which)), kind)


def _pictures(shown: Tab, dashboard: Dashboard, theme: str) -> dict[str, Path]:
    """Follow the links from the list of runs, and take a picture of the first page of each kind."""
    shown.open(dashboard.address)
    waiting, taken = ["/"], dict[str, Path]()
    while waiting:
        path = waiting.pop(0)
        kind = _kind(path)
        if kind in taken:
            continue
        assert shown.open(dashboard.root + path) == 200
        taken[kind] = FOLDER / f"{kind}-{theme}.png"
        take(shown, taken[kind])
        for link in map(urlsplit, shown.page.eval_on_selector_all("a[href]", _LINKS)):
            if f"{link.scheme}://{link.netloc}" == dashboard.root and not link.query:
                waiting.append(link.path)
    return taken


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_has_its_picture(browser: Browser, demo: Dashboard, theme: str) -> None:
    """Each page can be reached by links, shows something, and nothing in the browser complains."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tab(browser, theme=theme) as shown:
        pictures = _pictures(shown, demo, theme)

        assert (shown.errors, shown.failed) == ([], [])
    kinds = {"workflows", *(_kind(f"/workflow/run/{page.path}") for page in RUN_PAGES)}
    assert kinds <= pictures.keys()
    for kind, picture in pictures.items():
        with Image.open(picture) as image:
            colours = image.convert("RGB").getcolors(1 << 24)
        assert colours is not None
        assert len(colours) > 50, f"{kind} is all but empty"
