"""A run as Parsl's own hub writes it: its tables alone, and each news committed by itself."""

from __future__ import annotations

import datetime

from sqlalchemy import create_engine, text
from typing_extensions import Self

from otel_parsl.schema import PARSL_TABLES

RUN_ID = "parsls"


class ParslRun:
    """
    A run of one task, which has begun.

    Args:
        url: An empty database.
    """

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)
        for table in PARSL_TABLES:
            table.create(self._engine)
        self.tell(
            'INSERT INTO workflow (run_id, workflow_name, time_began, host, "user", rundir,'
            " tasks_failed_count, tasks_completed_count)"
            f" VALUES ('{RUN_ID}', 'parsls.py', :now, 'elsewhere', 'me', '/runinfo/000', 0, 0)",
            "INSERT INTO task (task_id, run_id, task_depends, task_func_name, task_memoize,"
            " task_inputs, task_outputs, task_time_invoked, task_fail_count, task_fail_cost)"
            f" VALUES (0, '{RUN_ID}', '', 'double', '0', '[]', 'None', :now, 0, 0)",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    def tell(self, *statements: str) -> None:
        """Commit some statements together; ``:now`` in them is the time."""
        with self._engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement), {"now": datetime.datetime.now()})


def became(state: str) -> str:
    """Return the statement that says that the task took a state."""
    return (
        "INSERT INTO status (task_id, task_status_name, timestamp, run_id, try_id)"
        f" VALUES (0, '{state}', :now, '{RUN_ID}', 0)"
    )
