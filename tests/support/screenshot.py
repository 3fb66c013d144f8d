"""
Take pictures of pages, light and dark.

    python -m tests.support.screenshot DATABASE FOLDER [PATH ...]

PATH is below the run's, as ``resource_usage``; ``.`` is the run's own page and ``/`` all runs.
The latest run of the database is shown. What went wrong in the browser is printed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from otel_parsl.query.engine import open_database
from otel_parsl.query.runs import select_runs
from tests.support.chromium import HEIGHT, WIDTH, Tab, chromium, tab
from tests.support.dashboard import Dashboard


def take(shown: Tab, picture: Path) -> None:
    """Take a picture of the whole page that a tab shows, its plots drawn."""
    shown.wait_drawn()
    height = shown.page.evaluate("document.documentElement.scrollHeight")
    shown.page.set_viewport_size({"width": WIDTH, "height": max(height, HEIGHT)})
    shown.page.wait_for_timeout(600)  # Bokeh fits its plots to the new size when it is calm
    shown.page.screenshot(path=str(picture))
    shown.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def main(arguments: list[str]) -> int:
    """Take the pictures and return 1 if a browser complained."""
    database, folder, *paths = arguments
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    opened = open_database(database)
    with opened.read() as connection:
        run_id = select_runs(connection, has_otel=opened.has_otel)[0].run_id
    complaints = 0
    with (
        tempfile.TemporaryDirectory() as scratch,
        Dashboard(database, Path(scratch) / "log.txt") as dashboard,
        chromium() as browser,
    ):
        for theme in ("light", "dark"):
            with tab(browser, theme=theme) as shown:
                shown.open(dashboard.address)
                for path in paths or ["/", "."]:
                    below = "" if path == "." else path
                    url = "/" if path == "/" else f"/workflow/{run_id}/{below}"
                    status = shown.open(dashboard.root + url)
                    name = {"/": "workflows", ".": "workflow"}.get(path, path).replace("/", "-")
                    picture = out / f"{name}-{theme}.png"
                    take(shown, picture)
                    print(f"{picture}  status {status}")
                for complaint in [*shown.errors, *shown.failed]:
                    complaints += 1
                    print(f"  complaint: {complaint}")
        print(dashboard.printed)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
