"""
Compare two monitoring databases row by row, column by column.

Two runs of one program never give equal rows: ids, times, paths and addresses differ by nature.
``COLUMNS`` says which columns are not compared as they stand, what is compared instead, and why;
``TABLES`` says what makes two rows the same row.
Every other column of Parsl's seven tables must be equal in value and in type.
The tables' own definition is read and compared like a table; how times lie to one another within
each database is the matter of ``row_times``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Any

import sqlalchemy

from tests.support.row_times import contradictions

Row = dict[str, Any]
Tables = dict[str, list[Row]]
"""Rows by table, with three tables more that describe the seven: ``schema.columns``,
``schema.indexes`` and ``schema.foreign_keys``."""


@dataclass(frozen=True)
class _Run:
    """What is known of one run, to tell what is of it in the rows."""

    index: int
    rundir: str
    began: str


@dataclass(frozen=True)
class _Database:
    """What is known of one database, to tell what is of it in the rows."""

    runs: dict[str, _Run]
    managers: dict[str, int]
    """The rank of each manager (node.uid) by the time of its first row, within its run."""


def _null_or_time(value: Any, row: Row, database: _Database) -> Any:
    if isinstance(value, datetime):
        return "a naive time" if value.tzinfo is None else value
    form = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}"
    return "a naive time" if isinstance(value, str) and re.fullmatch(form, value) else value


def _run(value: Any, row: Row, database: _Database) -> Any:
    return f"run {database.runs[value].index}" if value in database.runs else value


def _version(value: Any, row: Row, database: _Database) -> Any:
    began = database.runs[row["run_id"]].began
    return "the time of the start, to the second" if value == began[:19] else value


def _text(value: Any, row: Row, database: _Database) -> Any:
    if not isinstance(value, str):
        return value
    for run in sorted(database.runs.values(), key=lambda run: -len(run.rundir)):
        value = value.replace(run.rundir, f"<rundir {run.index}>")
        value = value.replace(str(PurePath(run.rundir).parent), "<run_dir>")
    return re.sub(r"\b0x[0-9a-f]+", "0x…", value)


def _manager(value: Any, row: Row, database: _Database) -> Any:
    return f"manager {database.managers[value]}" if value in database.managers else value


def _like(pattern: str) -> Callable[[Any, Row, _Database], Any]:
    def normalise(value: Any, row: Row, database: _Database) -> Any:
        matches = isinstance(value, str) and re.fullmatch(pattern, value)
        return f"text like {pattern}" if matches else value

    return normalise


def _within(
    low: float, high: float, kind: type[float] | type[int] = float
) -> Callable[[Any, Row, _Database], Any]:
    def normalise(value: Any, row: Row, database: _Database) -> Any:
        inside = type(value) is kind and low <= float(value) <= high
        return f"{kind.__name__} of {low:g} to {high:g}" if inside else value

    return normalise


@dataclass(frozen=True)
class ColumnRule:
    """One kind of column that is not compared as it stands; NULL stays NULL under every rule."""

    columns: str
    """A pattern over ``table.column``; the first rule that matches counts."""
    normalise: Callable[[Any, Row, _Database], Any]
    """From value, row and database to what is compared; a value of another form stays as it is."""
    reason: str


_TIME_REASON = "no two runs happen at the same time; form and NULL count, order: see row_times"
_PROCESS_REASON = "differs from run to run; Parsl counts from the worker's start, we from the try's"
_ID_REASON = "given by the operating system or at random"

COLUMNS = (
    ColumnRule("*.run_id", _run, "random; runs are matched in the order of time_began"),
    ColumnRule("workflow.time_*", _null_or_time, _TIME_REASON),
    ColumnRule("task.task_time_*", _null_or_time, _TIME_REASON),
    ColumnRule("try.task_try_time_*", _null_or_time, _TIME_REASON),
    ColumnRule("*.timestamp", _null_or_time, _TIME_REASON),
    ColumnRule("node.last_heartbeat", _null_or_time, _TIME_REASON),
    ColumnRule("workflow.workflow_version", _version, "the start of the run where none is given"),
    ColumnRule("workflow.rundir", _text, "each run of the program has its own run_dir"),
    ColumnRule("task.task_std*", _text, "paths below the run_dir"),
    ColumnRule("task.task_inputs", _text, "a repr: paths below the run_dir, addresses of objects"),
    ColumnRule("task.task_outputs", _text, "a repr: paths below the run_dir, addresses of objects"),
    ColumnRule("try.task_fail_history", _text, "a repr of exceptions, with paths and addresses"),
    ColumnRule("block.job_id", _like(r"\d+"), _ID_REASON),
    ColumnRule("node.uid", _manager, "random; managers are matched in the order of appearance"),
    ColumnRule("node.id", _within(1, 2**63, int), "numbers the rows of all runs in the database"),
    ColumnRule("resource.psutil_process_pid", _within(1, 2**22, int), _ID_REASON),
    ColumnRule("resource.psutil_process_memory_percent", _within(0, 100), _PROCESS_REASON),
    ColumnRule("resource.psutil_process_children_count", _within(0, 50), _PROCESS_REASON),
    ColumnRule("resource.psutil_process_time_*", _within(0, 600), _PROCESS_REASON),
    ColumnRule("resource.psutil_process_memory_*", _within(2**20, 2**45), _PROCESS_REASON),
    ColumnRule("resource.psutil_process_disk_*", _within(0, 2**40), _PROCESS_REASON),
    ColumnRule("resource.psutil_process_num_ctx_*", _within(0, 2**30), _PROCESS_REASON),
    ColumnRule("resource.psutil_process_status", _like("[a-z]+(-[a-z]+)*"), _PROCESS_REASON),
    ColumnRule("resource.psutil_cpu_num", _like(r"\d+"), _PROCESS_REASON),
)


@dataclass(frozen=True)
class TableRule:
    """What makes two rows of a table the same row."""

    key: tuple[str, ...]
    """The columns compared as the row's identity, normalised like all others."""
    merged: bool = False
    """Whether rows of one key are compared as one, by the set of values of each column;
    otherwise they are numbered in the order of ``timestamp``, so that their count is compared."""
    without: Row = field(default_factory=dict)
    """Rows that have these values are left out."""
    may_have_more: bool = False
    """Whether the actual database may have rows that the expected one lacks."""
    reason: str = ""


TABLES = {
    "workflow": TableRule(("run_id",)),
    "task": TableRule(("run_id", "task_id")),
    "try": TableRule(("run_id", "task_id", "try_id")),
    "status": TableRule(
        ("run_id", "task_id", "try_id", "task_status_name"),
        reason="the rank of launched and running varies: a thread starts before submit returns",
    ),
    "resource": TableRule(
        ("run_id", "task_id", "try_id"),
        merged=True,
        without={"psutil_process_status": "zombie"},
        reason="the number of samples depends on timing, and differs on purpose (DESIGN.md 5); "
        "Parsl's monitor outlives a worker that dies, and samples its corpse as of no memory",
    ),
    "block": TableRule(("run_id", "executor_label", "block_id")),
    "node": TableRule(
        ("run_id", "uid"),
        reason="the number of rows depends on how dispatches are batched, "
        "so the program has one task at a time on an executor, which makes it exact",
    ),
    "schema.columns": TableRule(("table", "column")),
    "schema.foreign_keys": TableRule(("table", "columns")),
    "schema.indexes": TableRule(
        ("table", "columns"), may_have_more=True, reason="we add two for the pages (DESIGN.md 5)"
    ),
}
PARSL_TABLES = tuple(name for name in TABLES if not name.startswith("schema."))


def read_tables(url: str) -> Tables:
    """
    Read Parsl's seven tables and their definition, values as the database driver gives them.

    Args:
        url: SQLAlchemy's URL of the database.

    Returns:
        Rows by table; a table that does not exist is empty. Tables of ours are left out.
    """
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    inspector = sqlalchemy.inspect(engine)
    present = set(inspector.get_table_names())
    tables: Tables = {name: [] for name in TABLES}
    with engine.connect() as connection:
        for name in PARSL_TABLES:
            if name not in present:
                continue
            # Without declared types SQLAlchemy converts nothing: text forms stay visible.
            everything = sqlalchemy.select(sqlalchemy.text("*"))
            rows = connection.execute(everything.select_from(sqlalchemy.table(name)))
            tables[name] = [dict(row) for row in rows.mappings()]
            for kind, described in _describe(inspector, name).items():
                tables[kind] += described
    return tables


def _describe(inspector: sqlalchemy.Inspector, table: str) -> Tables:
    primary_key = inspector.get_pk_constraint(table)["constrained_columns"]
    columns = [
        {
            "table": table,
            "column": column["name"],
            "position": position,
            "type": str(column["type"]),
            "nullable": column["nullable"],
            "place in the primary key": (
                primary_key.index(column["name"]) if column["name"] in primary_key else None
            ),
        }
        for position, column in enumerate(inspector.get_columns(table))
    ]
    indexes = [
        {
            "table": table,
            "columns": ", ".join(str(column) for column in index["column_names"]),
            "unique": bool(index["unique"]),
        }
        for index in inspector.get_indexes(table)
    ]
    foreign_keys = [
        {
            "table": table,
            "columns": ", ".join(key["constrained_columns"]),
            "to": f"{key['referred_table']}: {', '.join(key['referred_columns'])}",
        }
        for key in inspector.get_foreign_keys(table)
    ]
    return {
        "schema.columns": columns,
        "schema.indexes": indexes,
        "schema.foreign_keys": foreign_keys,
    }


def compare(expected: Tables, actual: Tables) -> list[str]:
    """
    Tell in which rows two databases differ, but for what differs by nature.

    Args:
        expected: What :func:`read_tables` gave for the database to be matched.
        actual: The same for the database under test.

    Returns:
        One line a difference, in the order of tables and keys; empty where they are alike.
        Times that contradict one another within either database count as differences.
    """
    differences = [f"expected: {found}" for found in contradictions(expected)]
    differences += [f"actual: {found}" for found in contradictions(actual)]
    for name, rule in TABLES.items():
        wanted, found = _keyed(name, expected), _keyed(name, actual)
        for key in sorted(wanted.keys() | found.keys(), key=_numbers_first):
            label = f"{name}[{', '.join(map(str, key))}]"
            if key not in found:
                differences.append(f"{label}: missing")
            elif key not in wanted:
                if not rule.may_have_more:
                    differences.append(f"{label}: not expected")
            else:
                differences += _differing_columns(label, wanted[key], found[key])
    return differences


def _numbers_first(key: tuple[Any, ...]) -> list[tuple[bool, bool, Any]]:
    return [(part is None, isinstance(part, str), part) for part in key]


def _differing_columns(label: str, wanted: Row, found: Row) -> Iterator[str]:
    absent = "no such column"
    for column in dict.fromkeys([*wanted, *found]):
        before, after = wanted.get(column, absent), found.get(column, absent)
        if type(before) is not type(after) or before != after:
            yield f"{label}.{column}: expected {before!r}, found {after!r}"


def _keyed(name: str, tables: Tables) -> dict[tuple[Any, ...], Row]:
    """Normalise a table's rows and give each its key, with its number among rows of that key."""
    rule, database = TABLES[name], _know(tables)
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in sorted(tables[name], key=lambda row: str(row.get("timestamp"))):
        if rule.without and rule.without.items() <= row.items():
            continue
        normal = {column: _normalise(name, column, row, database) for column in row}
        groups[tuple(normal.get(column) for column in rule.key)].append(normal)
    if rule.merged:
        return {key: _merge(rows) for key, rows in groups.items()}
    return {
        (*key, number) if number else key: row
        for key, rows in groups.items()
        for number, row in enumerate(rows)
    }


def _merge(rows: list[Row]) -> Row:
    distinct = {column: {repr(row[column]) for row in rows} for column in rows[0]}
    return {column: " or ".join(sorted(values)) for column, values in distinct.items()}


def _normalise(table: str, column: str, row: Row, database: _Database) -> Any:
    value = row[column]
    if value is None:
        return None
    for rule in COLUMNS:
        if fnmatchcase(f"{table}.{column}", rule.columns):
            return rule.normalise(value, row, database)
    return value


def _know(tables: Tables) -> _Database:
    workflows = sorted(tables["workflow"], key=lambda row: str(row["time_began"]))
    runs = {
        row["run_id"]: _Run(index, row["rundir"], str(row["time_began"]))
        for index, row in enumerate(workflows)
    }
    ranks: dict[str, int] = {}
    managers_of: dict[str, int] = defaultdict(int)
    for row in sorted(tables["node"], key=lambda row: str(row["timestamp"])):
        if row["uid"] not in ranks:
            ranks[row["uid"]] = managers_of[row["run_id"]]
            managers_of[row["run_id"]] += 1
    return _Database(runs, ranks)
