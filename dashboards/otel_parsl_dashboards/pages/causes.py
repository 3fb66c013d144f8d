"""The causes of a run's failures, and the tasks of each."""

from __future__ import annotations

import numpy as np

from otel_parsl.query.failure_groups import FailureGroup
from otel_parsl.query.failure_members import select_group_members
from otel_parsl.query.failures import select_failure_groups
from otel_parsl_dashboards.pages.page import View


def failure_groups(view: View) -> list[FailureGroup]:
    """Return the causes of all of the run, those that cost most tasks first."""

    def read() -> list[FailureGroup]:
        with view.source.read() as connection:
            return select_failure_groups(connection, view.snapshot.run)

    return view.snapshot.once("failure groups", read)


def group_named(view: View, fingerprint: str) -> FailureGroup | None:
    """Return a cause; None where nothing of the run has failed of it."""
    named = (group for group in failure_groups(view) if group.fingerprint == fingerprint)
    return next(named, None)


def tasks_of(view: View, group: FailureGroup) -> np.ndarray:
    """Return the ids of the tasks of which a try failed of a cause, and of their dependents."""

    def read() -> np.ndarray:
        with view.source.read() as connection:
            every = max(group.tries, group.dependents)
            members = select_group_members(connection, view.snapshot.run, group, limit=every)
        ids = {each.task_id for each in members.tries}.union(members.dependents)
        return np.array(sorted(ids), dtype="int64")

    return view.snapshot.once(("tasks of", group.fingerprint), read)
