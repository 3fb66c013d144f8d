"""
The queries that fill the frames, with the columns that they give.

Written as text, since rows go by the million and the times must not become objects on their way.
``:since`` and ``:until`` are row ids of SQLite, for what was appended between them;
``:transaction`` is the eldest transaction of PostgreSQL that may have been open then: what it and
all later ones wrote is asked for, which may be known in part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
from sqlalchemy import TextClause, bindparam, text

from otel_parsl_dashboards.data.frames import ID, NAME, NUMBER, TIME, YES_NO

_Columns = tuple[tuple[str, str, str], ...]
"""Name, kind and SQL of each column."""


class Reading(NamedTuple):
    """A query, and what it gives."""

    query: TextClause
    columns: tuple[tuple[str, str], ...]


class PackedReading(NamedTuple):
    """Rows of SQLite between two row ids, each column as one text: see ``packed``."""

    query: TextClause
    """Gives how many rows there are, then the columns; NULL for no rows."""
    plain: Reading
    """The same rows, one by one."""
    ends: TextClause
    """Gives the first and the last row id of a run."""
    last: TextClause
    """Gives the last row id of all."""


def _reading(columns: _Columns, source: str, where: str = "", *ids: str) -> Reading:
    query = text(_select((sql for _, _, sql in columns), source, "run_id = :run_id" + where))
    return Reading(
        query.bindparams(*(bindparam(name, expanding=True) for name in ids)),
        tuple((name, kind) for name, kind, _ in columns),
    )


def _packed(columns: _Columns, source: str) -> PackedReading:
    packed = (_PACK[kind].format(sql) for _, kind, sql in columns)
    # The plus keeps SQLite from going through an index of runs instead of the row ids asked for.
    return PackedReading(
        text(_select(["count(*)", *packed], source, "+run_id = :run_id" + _BETWEEN)),
        _reading(columns, source, _BETWEEN),
        text(_select(["min(rowid)", "max(rowid)"], source, "run_id = :run_id")),
        _last(source),
    )


def _last(source: str, row_id: str = "rowid") -> TextClause:
    return text(f"SELECT coalesce(max({row_id}), 0) FROM {source}")  # noqa: S608 - of this module


def _select(columns: Iterable[str], source: str, where: str) -> str:
    return f"SELECT {', '.join(columns)} FROM {source} WHERE {where}"  # noqa: S608 - of this module


SEPARATOR = "\x1f"
"""Between packed names: the unit separator of ASCII."""
_THESE = " AND task_id IN :task_ids"
_BETWEEN = " AND rowid > :since AND rowid <= :until"
# By age, since the numbers of transactions begin anew after four thousand millions.
_WRITTEN_SINCE = " AND age(xmin) <= age(CAST(CAST(:transaction AS xid8) AS xid))"
_PACK = {
    ID: "group_concat(coalesce({0}, 0), ',')",
    NAME: f"group_concat(coalesce({{0}}, ''), '{SEPARATOR}')",  # char(31) would be called for each
    # Of one width, whether there is one or not.
    TIME: "group_concat(coalesce({0}, '0000-00-00 00:00:00.000000'), ',')",
    # SQLite's own text of a number has fifteen digits.
    NUMBER: "group_concat(CASE WHEN {0} IS NULL THEN 'nan' WHEN {0} = CAST({0} AS INTEGER)"
    " THEN CAST({0} AS INTEGER) ELSE printf('%!.17g', {0}) END, ',')",
    YES_NO: "group_concat(coalesce({0} IN (1, '1', 'True', 'true'), 0), '')",
}

_TASK_COLUMNS = (
    ("task_id", ID, "task_id"),
    ("app", NAME, "task_func_name"),
    ("invoked", TIME, "task_time_invoked"),
    ("returned", TIME, "task_time_returned"),
    ("fail_count", ID, "task_fail_count"),
    ("fail_cost", NUMBER, "task_fail_cost"),
    ("is_memoize", YES_NO, "task_memoize"),
)
_TRY_COLUMNS = (
    ("task_id", ID, "task_id"),
    ("try_id", ID, "try_id"),
    ("executor", NAME, "task_executor"),
    ("block", NAME, "block_id"),
    ("host", NAME, "hostname"),
    ("launched", TIME, "task_try_time_launched"),
    ("running", TIME, "task_try_time_running"),
    ("returned", TIME, "task_try_time_returned"),
    (
        "is_failed",
        YES_NO,
        "CASE WHEN task_fail_history IS NULL OR task_fail_history = '' THEN 0 ELSE 1 END",
    ),
)
_STATUS_COLUMNS = (
    ("task_id", ID, "task_id"),
    ("try_id", ID, "try_id"),
    ("state", NAME, "task_status_name"),
    ("time", TIME, "timestamp"),
)
_SAMPLE_COLUMNS = (
    ("task_id", ID, "task_id"),
    ("try_id", ID, "try_id"),
    ("time", TIME, "timestamp"),
    ("cpu_user_s", NUMBER, "psutil_process_time_user"),
    ("cpu_system_s", NUMBER, "psutil_process_time_system"),
    ("memory_bytes", NUMBER, "psutil_process_memory_resident"),
    ("virtual_bytes", NUMBER, "psutil_process_memory_virtual"),
    ("read_bytes", NUMBER, "psutil_process_disk_read"),
    ("written_bytes", NUMBER, "psutil_process_disk_write"),
)
_NODE_COLUMNS = (
    ("uid", NAME, "uid"),
    ("host", NAME, "hostname"),
    ("block", NAME, "block_id"),
    ("time", TIME, "timestamp"),
    ("cpu_count", NUMBER, "cpu_count"),
    ("memory_bytes", NUMBER, "total_memory"),
    ("workers", NUMBER, "worker_count"),
    ("is_active", YES_NO, "active"),
)
_BLOCK_COLUMNS = (
    ("executor", NAME, "executor_label"),
    ("block", NAME, "block_id"),
    ("job", NAME, "job_id"),
    ("status", NAME, "status"),
    ("time", TIME, "timestamp"),
)

TASKS: Final = _reading(_TASK_COLUMNS, "task")
TASKS_PACKED: Final = _packed(_TASK_COLUMNS, "main.task")
TASKS_OF: Final = _reading(_TASK_COLUMNS, "task", _THESE, "task_ids")
TRIES: Final = _reading(_TRY_COLUMNS, '"try"')
TRIES_PACKED: Final = _packed(_TRY_COLUMNS, 'main."try"')
# The key of try begins with try_id: without it the whole table would be read.
TRIES_OF: Final = _reading(
    _TRY_COLUMNS, '"try"', _THESE + " AND try_id IN :try_ids", "task_ids", "try_ids"
)
STATUSES: Final = _reading(_STATUS_COLUMNS, "status")
STATUSES_PACKED: Final = _packed(_STATUS_COLUMNS, "main.status")
STATUSES_BETWEEN: Final = STATUSES_PACKED.plain
STATUSES_SINCE: Final = _reading(_STATUS_COLUMNS, "status", _WRITTEN_SINCE)
SAMPLES: Final = _reading(_SAMPLE_COLUMNS, "resource")
SAMPLES_BETWEEN: Final = _reading(_SAMPLE_COLUMNS, "resource", _BETWEEN)
SAMPLES_SINCE: Final = _reading(_SAMPLE_COLUMNS, "resource", _WRITTEN_SINCE)
NODES: Final = _reading(_NODE_COLUMNS, "node")
NODES_SINCE: Final = _reading(_NODE_COLUMNS, "node", _WRITTEN_SINCE)
NODES_BETWEEN: Final = _reading(_NODE_COLUMNS, "node", " AND id > :since AND id <= :until")
BLOCKS: Final = _reading(_BLOCK_COLUMNS, "block")

_DEPENDS_COLUMNS = (("task_id", ID, "task_id"), ("on", NAME, "task_depends"))
_DEPENDS = " AND task_depends <> ''"
DEPENDS: Final = _reading(_DEPENDS_COLUMNS, "task", _DEPENDS).query
DEPENDS_OF: Final = _reading(_DEPENDS_COLUMNS, "task", _DEPENDS + _THESE, "task_ids").query
DEPENDS_BETWEEN: Final = _reading(_DEPENDS_COLUMNS, "main.task", _DEPENDS + _BETWEEN).query
DEPENDS_PACKED: Final = text(
    _select(
        [
            "count(*)",
            "group_concat(task_id)",
            "group_concat(1 + length(task_depends) - length(replace(task_depends, ',', '')))",
            "group_concat(task_depends)",
        ],
        "main.task",
        "+run_id = :run_id" + _DEPENDS + _BETWEEN,
    )
)
"""Tasks, on how many each depends, and on which, of rows between two row ids."""
JOINS: Final = text(
    """SELECT task_id, task_joins FROM "try" WHERE run_id = :run_id AND task_joins <> ''"""
)

RUNS: Final = text("SELECT count(*) FROM workflow")
LAST_STATUS: Final = STATUSES_PACKED.last
LAST_SAMPLE: Final = _last("resource")
LAST_NODE: Final = _last("node", "id")
FIRST_TRANSACTION: Final = "3"
"""Before it PostgreSQL has its own."""
ELDEST_TRANSACTION: Final = text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")

MANY: Final = 500
"""Ids in one query."""


def in_pieces(ids: np.ndarray) -> Iterator[list[int]]:
    """Yield ids as one query takes them."""
    for start in range(0, len(ids), MANY):
        yield ids[start : start + MANY].tolist()
