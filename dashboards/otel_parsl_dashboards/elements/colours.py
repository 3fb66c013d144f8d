"""
The colours of apps and states, the same on every page and in both themes.

None of an app's is red, which means failure, nor the blue of links.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

APPS: Final = (
    "#7b6fb5",
    "#f58518",
    "#54a24b",
    "#72b7b2",
    "#b279a2",
    "#e3b23c",
    "#9d755d",
    "#5f9e8f",
    "#d67fa8",
    "#8a9a3b",
    "#c08a5a",
    "#7c5c7c",
)
OTHER: Final = "#bcc2c9"
OTHERS: Final = "other apps"
"""Those that share that colour, in legends."""
PLAIN: Final = "#929292"
"""Of what is of no app, state or phase alone."""

OF_STATE: Final = {
    "waiting": "#a8a8a8",
    "queued": "#2b8f7d",
    "retrying": "#d9a441",
    "running": "#7b6fd0",
    "joining": "#a79be0",
    "executed": "#3fa34d",
    "memoised": "#86c98c",
    "failed": "#cf222e",
    "dep_failed": "#e58ac8",
    "lost": "#b35c1e",
    "unfinished": "#c9b183",
    "unknown": "#c4c4c4",
}
"""By query.task_states.TaskState."""

OF_PARSL_STATE: Final = {
    "unsched": "#c4c4c4",
    "pending": "#a8a8a8",
    "launched": "#2b8f7d",
    "running": "#7b6fd0",
    "running_ended": "#9488dd",
    "joining": "#a79be0",
    "fail_retryable": "#d9a441",
    "exec_done": "#3fa34d",
    "memo_done": "#86c98c",
    "failed": "#cf222e",
    "dep_fail": "#e58ac8",
    "": "#c4c4c4",
}
"""By Parsl's states; the ten of its own Gantt chart among them."""

OF_PHASE: Final = {
    "waiting": OF_STATE["waiting"],
    "staging": "#e3b23c",
    "launching": "#8ccabb",
    "queued": OF_STATE["queued"],
    "running": OF_STATE["running"],
    "returning": "#c0b7ee",
    "idle": "#b5835a",
}
"""By data.phases."""


OF_BLOCK_STATUS: Final = {
    "PENDING": "#a8a8a8",
    "HELD": "#e58ac8",
    "RUNNING": "#7b6fd0",
    "COMPLETED": "#3fa34d",
    "SCALED_IN": "#86c98c",
    "CANCELLED": "#c9b183",
    "TIMEOUT": "#d9a441",
    "MISSING": "#b35c1e",
    "FAILED": "#cf222e",
    "UNKNOWN": "#c4c4c4",
}
"""By Parsl's states of jobs, in the order of a block's life."""


def app_colours(tasks: Mapping[str, int]) -> dict[str, str]:
    """
    Return the colour of each app, by name; where there are more than twelve, the smaller share one.

    Args:
        tasks: How many tasks each app has.
    """
    apps = sorted(tasks)
    most = sorted(apps, key=lambda app: -tasks[app])[: len(APPS)]
    own = dict(zip(sorted(most), APPS, strict=False))
    return {app: own.get(app, OTHER) for app in apps}


def app_legend(colours: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the apps that have a colour of their own, and the others as one."""
    named = [(app, colour) for app, colour in colours.items() if colour != OTHER]
    return [*named, (OTHERS, OTHER)] if len(colours) > len(named) else named


def rgb(colour: str) -> tuple[int, int, int]:
    """Return the parts of ``#rrggbb``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
