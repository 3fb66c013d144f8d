"""The pages. Another one is a file here, a template, and a line in ``RUN_PAGES``."""

from __future__ import annotations

from otel_parsl_dashboards.pages import (
    app,
    blocks,
    failure,
    failures,
    graph,
    health,
    resources,
    task,
    tasks,
    time,
    workflow,
)
from otel_parsl_dashboards.pages.page import RunPage

RUN_PAGES: tuple[RunPage, ...] = (
    workflow.PAGE,
    failures.PAGE,
    failure.PAGE,
    tasks.PAGE,
    *graph.PAGES,
    resources.PAGE,
    time.PAGE,
    blocks.PAGE,
    health.PAGE,
    task.PAGE,
    app.PAGE,
)
"""In the order of the tabs."""
