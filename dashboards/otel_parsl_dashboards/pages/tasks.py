"""All tasks of a run: ``/workflow/RUN/task/``."""

from __future__ import annotations

from otel_parsl_dashboards.pages.page import Facts, RunPage, View
from otel_parsl_dashboards.pages.task_list import task_list


def facts(view: View) -> Facts:
    """Return the list that the address asks for."""
    return {"listed": task_list(view)}


PAGE = RunPage(
    path="task/",
    tab="Tasks",
    template="tasks.html",
    facts=facts,
    is_slow=lambda view: not view.query.keys().isdisjoint(("q", "cause")),
    fragments=("tasks",),
)
