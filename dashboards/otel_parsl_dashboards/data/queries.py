"""
The queries that fill the frames, with the columns that they give.

Written as text, since rows go by the million and the times must not become objects on their way.
``:since`` and ``:until`` are row ids of SQLite, for what was appended between them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import TextClause, bindparam, text

from otel_parsl_dashboards.data.frames import ID, NAME, NUMBER, TIME, YES_NO


class Reading(NamedTuple):
    """A query, and what it gives."""

    query: TextClause
    columns: tuple[tuple[str, str], ...]


_TASK_COLUMNS = (
    ("task_id", ID),
    ("app", NAME),
    ("invoked", TIME),
    ("returned", TIME),
    ("fail_count", ID),
    ("fail_cost", NUMBER),
    ("is_memoize", YES_NO),
)
_TASK_SELECT = """
SELECT task_id, task_func_name, task_time_invoked, task_time_returned, task_fail_count,
       task_fail_cost, task_memoize
FROM task WHERE run_id = :run_id
"""
_TRY_COLUMNS = (
    ("task_id", ID),
    ("try_id", ID),
    ("executor", NAME),
    ("block", NAME),
    ("host", NAME),
    ("launched", TIME),
    ("running", TIME),
    ("returned", TIME),
    ("is_failed", YES_NO),
)
_TRY_SELECT = """
SELECT task_id, try_id, task_executor, block_id, hostname, task_try_time_launched,
       task_try_time_running, task_try_time_returned,
       CASE WHEN task_fail_history IS NULL OR task_fail_history = '' THEN 0 ELSE 1 END
FROM "try" WHERE run_id = :run_id
"""
_THESE = " AND task_id IN :task_ids"

TASKS: Final = Reading(text(_TASK_SELECT), _TASK_COLUMNS)
TRIES: Final = Reading(text(_TRY_SELECT), _TRY_COLUMNS)
TASKS_OF: Final = Reading(
    text(_TASK_SELECT + _THESE).bindparams(bindparam("task_ids", expanding=True)), _TASK_COLUMNS
)
TRIES_OF: Final = Reading(
    # The key of try begins with try_id: without it the whole table would be read.
    text(_TRY_SELECT + _THESE + " AND try_id IN :try_ids").bindparams(
        bindparam("task_ids", expanding=True), bindparam("try_ids", expanding=True)
    ),
    _TRY_COLUMNS,
)

_STATUS_COLUMNS = (("task_id", ID), ("try_id", ID), ("state", NAME), ("time", TIME))
_STATUS_SELECT = (
    "SELECT task_id, try_id, task_status_name, timestamp FROM {} WHERE run_id = :run_id"
)
_BETWEEN = " AND rowid > :since AND rowid <= :until"
STATUSES: Final = Reading(text(_STATUS_SELECT.format("status")), _STATUS_COLUMNS)
STATUSES_BETWEEN: Final = Reading(
    text(_STATUS_SELECT.format("main.status") + _BETWEEN), _STATUS_COLUMNS
)

_SAMPLE_COLUMNS = (
    ("task_id", ID),
    ("try_id", ID),
    ("time", TIME),
    ("cpu_user_s", NUMBER),
    ("cpu_system_s", NUMBER),
    ("memory_bytes", NUMBER),
    ("virtual_bytes", NUMBER),
    ("read_bytes", NUMBER),
    ("written_bytes", NUMBER),
)
_SAMPLE_SELECT = """
SELECT task_id, try_id, timestamp, psutil_process_time_user, psutil_process_time_system,
       psutil_process_memory_resident, psutil_process_memory_virtual,
       psutil_process_disk_read, psutil_process_disk_write
FROM {} WHERE run_id = :run_id
"""
SAMPLES: Final = Reading(text(_SAMPLE_SELECT.format("resource")), _SAMPLE_COLUMNS)
SAMPLES_BETWEEN: Final = Reading(
    text(_SAMPLE_SELECT.format("main.resource") + _BETWEEN), _SAMPLE_COLUMNS
)

_NODE_COLUMNS = (
    ("uid", NAME),
    ("host", NAME),
    ("block", NAME),
    ("time", TIME),
    ("cpu_count", NUMBER),
    ("memory_bytes", NUMBER),
    ("workers", NUMBER),
    ("is_active", YES_NO),
)
_NODE_SELECT = """
SELECT uid, hostname, block_id, timestamp, cpu_count, total_memory, worker_count, active
FROM node WHERE run_id = :run_id
"""
NODES: Final = Reading(text(_NODE_SELECT), _NODE_COLUMNS)
NODES_BETWEEN: Final = Reading(
    text(_NODE_SELECT + " AND id > :since AND id <= :until"), _NODE_COLUMNS
)

BLOCKS: Final = Reading(
    text(
        "SELECT executor_label, block_id, job_id, status, timestamp FROM block"
        " WHERE run_id = :run_id"
    ),
    (("executor", NAME), ("block", NAME), ("job", NAME), ("status", NAME), ("time", TIME)),
)

DEPENDS: Final = text(
    "SELECT task_id, task_depends FROM task WHERE run_id = :run_id AND task_depends <> ''"
)
DEPENDS_OF: Final = text(
    "SELECT task_id, task_depends FROM task WHERE run_id = :run_id AND task_depends <> ''"
    " AND task_id IN :task_ids"
).bindparams(bindparam("task_ids", expanding=True))
JOINS: Final = text(
    """SELECT task_id, task_joins FROM "try" WHERE run_id = :run_id AND task_joins <> ''"""
)

LAST_STATUS: Final = text("SELECT coalesce(max(rowid), 0) FROM main.status")
LAST_SAMPLE: Final = text("SELECT coalesce(max(rowid), 0) FROM main.resource")
LAST_NODE: Final = text("SELECT coalesce(max(id), 0) FROM node")
