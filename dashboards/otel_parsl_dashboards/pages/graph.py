"""What waited for what: ``/workflow/RUN/dag_group_by_apps`` and ``…/dag_group_by_states``."""

from __future__ import annotations

import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.elements import depths, stage_flow, task_graph
from otel_parsl_dashboards.elements.colours import OF_PARSL_STATE, app_legend
from otel_parsl_dashboards.elements.gantt import LEGEND
from otel_parsl_dashboards.elements.neighbourhood import MOST as MOST_NEAR
from otel_parsl_dashboards.elements.neighbourhood import Neighbourhood, Ties
from otel_parsl_dashboards.elements.stages import MOST as MOST_STAGES
from otel_parsl_dashboards.elements.stages import ORDER, Stages, stages
from otel_parsl_dashboards.pages.page import Facts, Plot, RunPage, View

BY_APPS = "dag_group_by_apps"
BY_STATES = "dag_group_by_states"
_NEEDS = ("statuses", "edges")
_LONGEST_ID = 19


def facts(view: View, path: str) -> Facts:
    """Return what the page at a path says beside its plots."""
    is_read = all(map(view.snapshot.has, _NEEDS))
    found = _stages(view) if is_read else None
    return {
        "is_read": is_read,
        "near": _near_facts(view) if is_read else None,
        "asked": view.query.get("task", ""),
        "is_drawn": len(view.snapshot.tasks) <= task_graph.MOST,
        "most": task_graph.MOST,
        "by_apps": BY_APPS,
        "by_states": BY_STATES,
        "page_path": path,
        "is_by_depth": found is None or found.is_by_depth,
        "stages": [] if found is None else view.snapshot.once("stage rows", lambda: _rows(found)),
    }


def _tasks(view: View) -> pd.DataFrame:
    snapshot = view.snapshot
    return snapshot.once("depths", lambda: depths.with_depths(snapshot.tasks, snapshot.edges))


def _marked(view: View) -> int | None:
    """Return the task whose neighbourhood the address asks for; -1 for what is no task's id."""
    asked = view.query.get("task", "")
    if not asked:
        return None
    return int(asked) if asked.isdecimal() and len(asked) < _LONGEST_ID else -1


def _near(view: View, task_id: int) -> Neighbourhood:
    snapshot = view.snapshot
    ties: Ties = snapshot.once("ties", lambda: Ties(snapshot.tasks, snapshot.edges))
    found: Neighbourhood = snapshot.once(("near", task_id), lambda: ties.around(task_id))
    return found


def _near_facts(view: View) -> Facts | None:
    marked = _marked(view)
    if marked is None:
        return None
    found = _near(view, marked)
    return {
        "is_known": len(found.tasks) > 0,
        "waits_for": found.waits_for,
        "waited_by": found.waited_by,
        "is_whole": found.is_whole,
        "most": MOST_NEAR,
        "whole": view.address(task=""),
    }


def _shown(view: View) -> pd.DataFrame:
    """Return the tasks that are drawn one by one: all, or those around one."""
    marked = _marked(view)
    return _tasks(view) if marked is None else _near(view, marked).tasks


def _stages(view: View) -> Stages:
    return view.snapshot.once("stages", lambda: stages(_tasks(view), view.snapshot.edges))


def _rows(found: Stages) -> list[Facts]:
    shown = found.stages.sort_values("depth", kind="stable")
    return [
        {
            "app": stage["app"],
            "level": f"{stage['depth'] + 1:.3g}",
            "tasks": int(stage["tasks"]),
            "failed": int(stage["failed"] + stage["dep_fail"]),
            "done": int(stage["exec_done"] + stage["memo_done"]),
            "waits_for": ", ".join(_parents(found, number)) or words.UNKNOWN,
        }
        for number, stage in shown.iterrows()
    ]


def _parents(found: Stages, number: object) -> list[str]:
    rows = found.flows["first"][found.flows["second"] == number]
    return sorted(set(found.stages["app"].iloc[rows]))


def _state_legend(view: View) -> list[tuple[str, str]]:
    counts = view.snapshot.tasks["parsl_state"].value_counts()
    return [
        (f"{name} · {counts[name]:,}" if counts.get(name) else name, colour)
        for name, colour in LEGEND
    ]


def _open_legend(view: View) -> list[tuple[str, str]]:
    """Return the apps, and the states that tasks are in that are not done."""
    here = set(view.snapshot.tasks["parsl_state"].astype(str))
    return [
        *app_legend(view.colours),
        *(
            (name, OF_PARSL_STATE[name])
            for name in ORDER
            if name and name in here and name not in stage_flow.DONE
        ),
    ]


def _page(path: str, *, is_by_apps: bool) -> RunPage:
    return RunPage(
        path=path,
        tab="Graph" if is_by_apps else "",
        within=BY_APPS,
        template="graph.html",
        tables={"stages": "stages"},
        is_reported=is_by_apps,
        facts=lambda view: facts(view, path),
        is_slow=lambda _view: True,
        fragments=("large", "stages"),
        needs=_NEEDS,
        plots=(
            Plot(
                key="tasks",
                title="Task graph",
                needs=_NEEDS,
                help="A dot for each task. Those that waited for nothing stand at the left, every"
                " other to the right of all that it waited for; wide levels are wrapped into"
                " blocks. A line leads from a task to each that depends on it, and from the tasks"
                " that a join app stands for to that.",
                hint="click on a task to open it; drag to move",
                draw=lambda view: task_graph.task_graph(
                    _shown(view),
                    view.snapshot.edges,
                    view.colours if is_by_apps else OF_PARSL_STATE,
                    by="app" if is_by_apps else "parsl_state",
                    marked=_marked(view),
                ),
                summarise=lambda view: task_graph.summarise(_shown(view), view.snapshot.edges),
                legend=(lambda view: app_legend(view.colours)) if is_by_apps else _state_legend,
                height=500,
            ),
            Plot(
                key="stages",
                title="Stages",
                needs=_NEEDS,
                help="A stage is what one app did at one depth of the graph: as high as it has"
                " tasks, filled by their states. A ribbon is as wide at each end as tasks there"
                f" are joined by it. Beyond {MOST_STAGES} stages, each app stands for all"
                " of its own, and an arc is the wider, the more dependencies it stands for.",
                draw=lambda view: stage_flow.stage_flow(
                    _stages(view), view.colours if is_by_apps else None
                ),
                summarise=lambda view: stage_flow.summarise(_stages(view)),
                legend=_open_legend if is_by_apps else _state_legend,
                height=360,
            ),
        ),
    )


PAGES = (_page(BY_APPS, is_by_apps=True), _page(BY_STATES, is_by_apps=False))
