"""All runs of the database: ``/``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otel_parsl.cli import words
from otel_parsl.query.liveness import RunState
from otel_parsl.query.task_states import TaskState
from otel_parsl_dashboards.data.standing import Standing
from otel_parsl_dashboards.pages.page import Facts

TEMPLATE = "workflows.html"
FRAGMENTS = ("runs",)

_SORTS: dict[str, tuple[str, Callable[[Standing], Any]]] = {
    "started": ("Started", lambda each: each.run.began_at),
    "name": ("Name", lambda each: (each.run.name or "").lower()),
    "version": ("Version", lambda each: each.run.version or ""),
    "state": ("State", lambda each: each.liveness.state.value),
    "owner": ("Owner", lambda each: each.run.user),
    "host": ("Host", lambda each: each.run.host),
    "duration": ("Duration", lambda each: each.elapsed_s),
    "completed": ("Completed", lambda each: each.executed),
    "failed": ("Failed", lambda each: each.failed),
}
_DESCENDING = ("started", "duration", "completed", "failed")


def facts(standings: list[Standing], query: Mapping[str, str]) -> Facts:
    """
    Return what the page says of the runs.

    Args:
        standings: All runs.
        query: ``q`` finds a text in name, id, owner, host or directory, ``state`` a state;
            ``sort`` and ``order`` say how they come.
    """
    text, state = query.get("q", "").strip(), query.get("state", "")
    sort = query.get("sort", "started")
    sort = sort if sort in _SORTS else "started"
    first = "desc" if sort in _DESCENDING else "asc"
    order = query.get("order", first)
    order = order if order in ("asc", "desc") else first
    shown = [each for each in standings if _fits(each, text, state)]
    shown.sort(key=_SORTS[sort][1], reverse=order == "desc")
    return {
        "title": "Workflows",
        "total": len(standings),
        "rows": [_row(each) for each in shown],
        "columns": [_heading(key, sort, order) for key in _SORTS],
        "q": text,
        "state": state,
        "states": [each.value for each in RunState],
        "sort": sort,
        "order": order,
    }


def _heading(key: str, sort: str, order: str) -> Facts:
    is_here = key == sort
    first = "desc" if key in _DESCENDING else "asc"
    turned = "asc" if order == "desc" else "desc"
    return {
        "key": key,
        "name": _SORTS[key][0],
        "order": turned if is_here else first,
        "sorted": {"asc": "ascending", "desc": "descending"}[order] if is_here else "none",
        "arrow": ({"asc": " ▲", "desc": " ▼"}[order]) if is_here else "",
        "is_number": key in ("duration", "completed", "failed"),
    }


def _row(each: Standing) -> Facts:
    run = each.run
    return {
        "run_id": run.run_id,
        "name": run.name or "(no name)",
        "version": run.version,
        "state": each.liveness.state.value,
        "because": each.liveness.because,
        "started": words.local(run.began_at, run.zone),
        "owner": run.user,
        "host": run.host,
        "duration_s": each.elapsed_s,
        "is_counted": each.is_counted,
        "completed": each.executed,
        "memoised": each.states[TaskState.MEMOISED],
        "failed": each.failed,
        "dep_failed": each.states[TaskState.DEP_FAILED],
    }


def _fits(each: Standing, text: str, state: str) -> bool:
    run = each.run
    if state and each.liveness.state.value != state:
        return False
    places = (run.name or "", run.run_id, run.user, run.host, run.rundir, run.version or "")
    return not text or any(text.lower() in place.lower() for place in places)
