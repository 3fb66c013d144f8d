"""Files that Parsl brings for a task, or takes away, by tasks of their own."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from otel_parsl.query.runs import Run
from otel_parsl.query.times import utc_from_local
from otel_parsl.schema import task, try_

_AT_ONCE = 500
_IN = "_stage_in"
_OUT = "_stage_out"


class Staging(NamedTuple):
    """Files were brought for a task."""

    start: datetime.datetime
    """When the first of the tasks that bring them was launched."""
    end: datetime.datetime | None
    """When the last of them had brought its own; None while one has not."""


def is_staging(app: str) -> bool:
    """
    Tell whether an app is one of Parsl's own that bring or take away files.

    Of Parsl's ways of staging these make tasks (``parsl.data_provider``): FTP and HTTP in tasks of
    their own, and Globus. The others work within the user's task.
    """
    return app.startswith("_") and app.endswith((_IN, _OUT))


def select_staging(connection: Connection, run: Run, task_ids: Sequence[int]) -> Staging | None:
    """Return from when to when files were brought by some of these tasks; None if by none."""
    launched, returned = [], []
    for start in range(0, len(task_ids), _AT_ONCE):
        query = (
            select(
                task.c.task_func_name,
                task.c.task_time_returned,
                func.min(try_.c.task_try_time_launched),
            )
            .join(try_, (try_.c.task_id == task.c.task_id) & (try_.c.run_id == task.c.run_id))
            .where(
                task.c.run_id == run.run_id,
                task.c.task_id.in_(task_ids[start : start + _AT_ONCE]),
                task.c.task_func_name.endswith(_IN, autoescape=True),
                try_.c.task_try_time_launched.is_not(None),
            )
            .group_by(task.c.task_id, task.c.task_func_name, task.c.task_time_returned)
        )
        for app, returned_at, launched_at in connection.execute(query):
            if is_staging(app):
                launched.append(launched_at)
                returned.append(returned_at)
    if not launched:
        return None
    begun = utc_from_local(min(launched), run.zone)
    assert begun is not None
    is_over = None not in returned
    return Staging(begun, utc_from_local(max(returned), run.zone) if is_over else None)
