"""
The tables: Parsl's seven, column for column, and ours beside them.

The only definition of a table in this project. Parsl's are those of
``parsl/monitoring/db_manager.py``; ours are named ``otel_…``.
Times in Parsl's tables are naive local times of the submit host; in ours they are UTC nanoseconds.

The columns of a table that change together form a group (``Column.info["group"]``): a fact carries
a whole group, and of two facts about one row the later one wins it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)

SCHEMA_VERSION = 6
"""
Of our tables; Parsl's have no version.

A version only adds: what came with one says so (``info["since"]``), columns that it adds may be
NULL. A writer brings an older database up to it, a reader does without what is not there.
"""

DATABASES = ("sqlite", "postgresql")
"""The kinds of database that have the tables, by SQLAlchemy's names."""

metadata = MetaData()


def _text(name: str, *, nullable: bool = True, **more: Any) -> Column[Any]:
    return Column(name, Text, nullable=nullable, **more)


def _integer(name: str, *, nullable: bool = False, **more: Any) -> Column[Any]:
    return Column(name, Integer, nullable=nullable, autoincrement=False, **more)


def _time(name: str, *, nullable: bool = True) -> Column[Any]:
    return Column(name, DateTime, nullable=nullable)


def _ns(name: str, *, nullable: bool = True, **more: Any) -> Column[Any]:
    return Column(name, BigInteger, nullable=nullable, autoincrement=False, **more)


def _float(name: str, *, nullable: bool = True) -> Column[Any]:
    return Column(name, Float, nullable=nullable)


workflow = Table(
    "workflow",
    metadata,
    _text("run_id", nullable=False, primary_key=True),
    _text("workflow_name"),
    _text("workflow_version"),
    _time("time_began", nullable=False),
    _time("time_completed"),
    _text("host", nullable=False),
    _text("user", nullable=False),
    _text("rundir", nullable=False),
    _integer("tasks_failed_count"),
    _integer("tasks_completed_count"),
)

status = Table(
    "status",
    metadata,
    _integer("task_id"),
    _text("task_status_name", nullable=False),
    _time("timestamp", nullable=False),
    Column("run_id", Text, ForeignKey("workflow.run_id"), nullable=False),
    _integer("try_id"),
    PrimaryKeyConstraint("task_id", "run_id", "task_status_name", "timestamp"),
)

task = Table(
    "task",
    metadata,
    _integer("task_id"),
    _text("run_id", nullable=False),
    _text("task_depends"),
    _text("task_func_name", nullable=False),
    _text("task_memoize", nullable=False),
    _text("task_hashsum", index=True),
    _text("task_inputs"),
    _text("task_outputs"),
    _text("task_stdin"),
    _text("task_stdout"),
    _text("task_stderr"),
    _time("task_time_invoked"),
    _time("task_time_returned"),
    _integer("task_fail_count"),
    _float("task_fail_cost", nullable=False),
    PrimaryKeyConstraint("task_id", "run_id"),
)

try_ = Table(
    "try",
    metadata,
    _integer("try_id"),
    _integer("task_id"),
    _text("run_id", nullable=False),
    _text("block_id"),
    _text("hostname"),
    _text("task_executor", nullable=False),
    _time("task_try_time_launched"),
    _time("task_try_time_running"),
    _time("task_try_time_returned"),
    _text("task_fail_history"),
    _text("task_joins"),
    PrimaryKeyConstraint("try_id", "task_id", "run_id"),
)

node = Table(
    "node",
    metadata,
    Column("id", Integer, nullable=False, primary_key=True, autoincrement=True),
    _text("run_id", nullable=False),
    _text("hostname", nullable=False),
    _text("uid", nullable=False),
    _text("block_id", nullable=False),
    _integer("cpu_count"),
    Column("total_memory", BigInteger, nullable=False),
    Column("active", Boolean, nullable=False),
    _integer("worker_count"),
    _text("python_v", nullable=False),
    _time("timestamp", nullable=False),
    _time("last_heartbeat", nullable=False),
)

block = Table(
    "block",
    metadata,
    _text("run_id", nullable=False),
    _text("executor_label", nullable=False),
    _text("block_id", nullable=False),
    _text("job_id"),
    _time("timestamp", nullable=False),
    _text("status", nullable=False),
    PrimaryKeyConstraint("run_id", "block_id", "executor_label", "timestamp"),
)

resource = Table(
    "resource",
    metadata,
    _integer("try_id"),
    _integer("task_id"),
    Column("run_id", Text, ForeignKey("workflow.run_id"), nullable=False),
    _time("timestamp", nullable=False),
    _float("resource_monitoring_interval"),
    _integer("psutil_process_pid", nullable=True),
    _float("psutil_process_memory_percent"),
    _float("psutil_process_children_count"),
    _float("psutil_process_time_user"),
    _float("psutil_process_time_system"),
    _float("psutil_process_memory_virtual"),
    _float("psutil_process_memory_resident"),
    _float("psutil_process_disk_read"),
    _float("psutil_process_disk_write"),
    _text("psutil_process_status"),
    _text("psutil_cpu_num"),
    _float("psutil_process_num_ctx_switches_voluntary"),
    _float("psutil_process_num_ctx_switches_involuntary"),
    PrimaryKeyConstraint("try_id", "task_id", "run_id", "timestamp"),
)

PARSL_TABLES = (workflow, task, try_, status, resource, block, node)

otel_schema = Table("otel_schema", metadata, _integer("version", primary_key=True))

otel_place = Table(
    "otel_place",
    metadata,
    _text("spool", nullable=False),
    _text("stream", nullable=False),
    _integer("segment"),
    Column("position", BigInteger, nullable=False),
    PrimaryKeyConstraint("spool", "stream"),
    comment="How far each spool has been stored; committed with the rows.",
)

otel_run = Table(
    "otel_run",
    metadata,
    _text("run_id", nullable=False, primary_key=True),
    _ns("began_ns"),
    _ns("ended_ns"),
    _text("outcome"),
    _ns("last_event_ns"),
    _text("time_zone"),
    _text("parsl_version"),
    _ns("sequence"),
    _ns("heartbeat_ns", info={"since": 2}),
    _ns("lag_ns", info={"since": 5}),
    comment="A run: its outcome is NULL while it goes on, then completed, unfinished or lost;"
    " its agent says at heartbeat_ns that it is there, and that all that was spooled lag_ns before"
    " was in the database.",
)

otel_task = Table(
    "otel_task",
    metadata,
    _text("run_id", nullable=False),
    _integer("task_id"),
    _text("app", nullable=False),
    _text("state", nullable=False),
    _ns("sequence", nullable=False),
    _ns("changed_ns", nullable=False),
    PrimaryKeyConstraint("run_id", "task_id"),
    comment="The latest state of each task.",
)

otel_try = Table(
    "otel_try",
    metadata,
    _text("run_id", nullable=False),
    _integer("task_id"),
    _integer("try_id"),
    _ns("sequence"),
    _text("state"),
    _ns("running_ns"),
    _ns("ended_ns"),
    _text("worker_rank"),
    _text("manager_uid"),
    _integer("pid", nullable=True),
    _float("cpu_user_s"),
    _float("cpu_system_s"),
    Column("memory_peak_bytes", BigInteger),
    Column("read_bytes", BigInteger),
    Column("write_bytes", BigInteger),
    _integer("exit_code", nullable=True),
    _text("executor_task_id"),
    _text("resource_specification"),
    _ns("launched_ns", info={"since": 4}),
    _ns("returned_ns", info={"since": 4}),
    PrimaryKeyConstraint("run_id", "task_id", "try_id"),
    comment="What Parsl's try has no column for: totals, peaks, and where it ran.",
)
_runs_now = otel_try.c.running_ns.is_not(None) & otel_try.c.ended_ns.is_(None)
Index(
    "otel_try_running",
    otel_try.c.run_id,
    otel_try.c.task_id,
    sqlite_where=_runs_now,
    postgresql_where=_runs_now,
)

otel_failure = Table(
    "otel_failure",
    metadata,
    _text("run_id", nullable=False),
    _integer("task_id"),
    _integer("try_id"),
    _text("fate", nullable=False),
    _text("fingerprint", nullable=False),
    _text("exception_type"),
    _text("message"),
    _text("template"),
    _text("frame"),
    _text("stacktrace"),
    _text("app"),
    _ns("time_ns", nullable=False),
    Column("is_final", Boolean, nullable=False),
    _text("caused_by"),
    _integer("certainty", nullable=True, info={"since": 6}),
    PrimaryKeyConstraint("run_id", "task_id", "try_id"),
    Index("otel_failure_by_group", "run_id", "fingerprint"),
    comment="Why a try failed, in the words of who knew most of it: certainty 4 is its worker,"
    " 0 Parsl's history.",
)

otel_edge = Table(
    "otel_edge",
    metadata,
    _text("run_id", nullable=False),
    _integer("task_id"),
    _integer("on_task_id"),
    _text("kind", nullable=False),
    PrimaryKeyConstraint("run_id", "task_id", "on_task_id", "kind"),
    comment="Which tasks a task waited for (depends) or was joined to (joins).",
)

otel_manager = Table(
    "otel_manager",
    metadata,
    _text("run_id", nullable=False),
    _text("uid", nullable=False),
    _text("block_id"),
    _text("hostname"),
    _integer("cpu_count", nullable=True),
    Column("total_memory", BigInteger),
    _integer("worker_count", nullable=True),
    Column("active", Boolean),
    _integer("tasks", nullable=True),
    _ns("first_seen_ns"),
    _ns("last_seen_ns", nullable=False),
    _text("executor_label", info={"since": 2}),
    _text("state", info={"since": 2}),
    PrimaryKeyConstraint("run_id", "uid"),
    comment="The latest report of each manager: node holds them all."
    " Its state is connected, ended (told to leave) or lost (its heartbeats stopped).",
)

otel_block = Table(
    "otel_block",
    metadata,
    _text("run_id", nullable=False),
    _text("executor_label", nullable=False),
    _text("block_id", nullable=False),
    _text("status", nullable=False),
    _ns("sequence", nullable=False),
    _ns("changed_ns", nullable=False),
    _text("job_id"),
    _text("message"),
    _integer("exit_code", nullable=True),
    _text("stdout_path"),
    _text("stderr_path"),
    _text("submit_error", info={"since": 2}),
    PrimaryKeyConstraint("run_id", "executor_label", "block_id"),
    comment="The latest status of each block, with the provider's own words.",
)

otel_executor = Table(
    "otel_executor",
    metadata,
    _text("run_id", nullable=False),
    _text("executor_label", nullable=False),
    _text("state", nullable=False),
    _text("message"),
    _ns("sequence", nullable=False),
    _ns("changed_ns", nullable=False),
    _text("untraced", info={"since": 3}),
    PrimaryKeyConstraint("run_id", "executor_label"),
    comment="Executors that are lost (their interchange is gone), failed (Parsl gave them up), or"
    " else untraced (their workers cannot trace, for the reason in that column).",
    info={"since": 2},
)

otel_clock = Table(
    "otel_clock",
    metadata,
    _text("run_id", nullable=False),
    _text("hostname", nullable=False),
    _float("ahead_at_least_s"),
    _float("ahead_at_most_s"),
    PrimaryKeyConstraint("run_id", "hostname"),
    comment="How far each host's clock is ahead of the submit host's (negative: behind), in"
    " seconds, within bounds that no try contradicts. A lower one above the upper one says that the"
    " clock was set, or drifted, during the run.",
    info={"since": 3},
)

otel_count = Table(
    "otel_count",
    metadata,
    _text("run_id", nullable=False),
    _text("app", nullable=False),
    _text("state", nullable=False),
    _integer("tasks"),
    PrimaryKeyConstraint("run_id", "app", "state"),
    comment="How many tasks of each app are in each state now.",
)

otel_bucket = Table(
    "otel_bucket",
    metadata,
    _text("run_id", nullable=False),
    _text("app", nullable=False),
    _ns("bucket_ns", nullable=False),
    _integer("ended"),
    _integer("failed"),
    _float("run_s", nullable=False),
    _float("cpu_s", nullable=False),
    PrimaryKeyConstraint("run_id", "app", "bucket_ns"),
    comment="Executions that ended in each stretch of BUCKET_S seconds, by app.",
)

BUCKET_S = 10

otel_pending = Table(
    "otel_pending",
    metadata,
    _text("run_id", nullable=False),
    _integer("task_id"),
    _integer("try_id"),
    _ns("running_ns", nullable=False),
    _text("hostname"),
    _text("block_id"),
    PrimaryKeyConstraint("run_id", "task_id", "try_id"),
    comment="Tries that a worker has begun whose own row cannot be written whole yet.",
)

otel_pending_report = Table(
    "otel_pending_report",
    metadata,
    _text("run_id", nullable=False),
    _text("uid", nullable=False),
    _ns("time_ns", nullable=False),
    _integer("worker_count", nullable=True),
    _integer("cpu_count", nullable=True),
    Column("total_memory", BigInteger),
    _integer("active", nullable=True),
    _ns("last_heartbeat_ns"),
    _integer("tasks", nullable=True),
    _integer("lost", nullable=True),
    PrimaryKeyConstraint("run_id", "uid", "time_ns"),
    comment="Reports of managers of which a part has come: a row of node cannot be written yet.",
    info={"since": 5},
)

otel_returning = Table(
    "otel_returning",
    metadata,
    _text("run_id", nullable=False),
    _integer("task_id"),
    _integer("try_id"),
    _text("hostname", nullable=False),
    _ns("running_ns", nullable=False),
    _ns("ended_ns", nullable=False),
    PrimaryKeyConstraint("run_id", "task_id", "try_id", "hostname", "running_ns", "ended_ns"),
    comment="Tries that a worker has ended and whose return is not known yet, as otel_clock needs"
    " both.",
    info={"since": 4},
)

otel_received = Table(
    "otel_received",
    metadata,
    _text("run_id", nullable=False),
    _text("source", nullable=False),
    Column("items", BigInteger, nullable=False),
    Column("repeated", BigInteger, nullable=False),
    Column("late", BigInteger, nullable=False),
    _ns("last_ns", nullable=False),
    PrimaryKeyConstraint("run_id", "source"),
    comment="What the store has taken from each source (submit, worker, interchange): items, those"
    " that it had already, and those that were older than LATE_S by their own clock; the latest"
    " has the time last_ns. Committed with the rows and the place in the spool, so that each"
    " delivery counts once however often an agent is killed.",
    info={"since": 3},
)

LATE_S = 60
"""What is stored so long after it happened counts as late."""

OTEL_TABLES = tuple(table for name, table in metadata.tables.items() if name.startswith("otel_"))

PAGE_INDEXES = (
    Index("otel_task_by_time", task.c.run_id, task.c.task_time_invoked),
    Index("otel_try_by_task", try_.c.run_id, try_.c.task_id),
)
"""For the pages; only in databases that we make, since Parsl's own writer would pay for them."""

NODE_ONCE = Index("otel_node_once", node.c.run_id, node.c.uid, node.c.timestamp, unique=True)
"""Parsl's node rows have no key; a manager's report is known by its time."""
