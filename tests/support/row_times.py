"""
Tell where the times in a monitoring database contradict one another.

Times of two runs cannot be compared, but what must come before what holds in every run.
``launched`` and ``running`` have no order: a thread may start, and end, before submit returns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

Row = dict[str, Any]
Tables = dict[str, list[Row]]

_OUTCOMES = ("fail_retryable", "memo_done", "dep_fail", "joining", "exec_done", "failed")
_STATUS_ORDER = (
    ("pending", "launched"),
    ("pending", "running"),
    ("running", "running_ended"),
    *(("launched", outcome) for outcome in _OUTCOMES),
    *(("running_ended", outcome) for outcome in _OUTCOMES),
    ("joining", "exec_done"),
    ("joining", "failed"),
)


def contradictions(tables: Tables) -> list[str]:
    """
    Tell which times of a database lie outside their run or come in the wrong order.

    Args:
        tables: What ``read_tables`` gave.

    Returns:
        One line a contradiction; empty where every order holds.
    """
    return [*_outside_their_run(tables), *_out_of_order(tables)]


def as_time(value: Any) -> datetime | None:
    """Give a naive time out of either database; NULL and what is no time give None."""
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    # A zone is a fault of form, which the comparison of values reports.
    return time.replace(tzinfo=None)


def _outside_their_run(tables: Tables) -> Iterator[str]:
    runs = {row["run_id"]: row for row in tables["workflow"]}
    for name, rows in tables.items():
        for row in rows:
            run = runs.get(row.get("run_id"), {})
            began, completed = as_time(run.get("time_began")), as_time(run.get("time_completed"))
            for column, value in row.items():
                time = as_time(value) if "time" in column or column == "last_heartbeat" else None
                if time is None:
                    continue
                if (began and time < began) or (completed and time > completed):
                    yield f"{_label(name, row)}.{column}: {value} is outside its run"


def _out_of_order(tables: Tables) -> Iterator[str]:
    times: dict[tuple[Any, ...], dict[str, datetime]] = defaultdict(dict)
    tasks = {(row["run_id"], row["task_id"]): row for row in tables["task"]}
    for row in tables["status"]:
        time = as_time(row["timestamp"])
        if time is not None:
            times[_try_of(row)][row["task_status_name"]] = time

    for key, seen in list(times.items()):
        label = _label("status", dict(zip(("run_id", "task_id", "try_id"), key, strict=True)))
        for first, second in _STATUS_ORDER:
            if first in seen and second in seen and seen[first] > seen[second]:
                yield f"{label}: {first} comes after {second}"
        retried = times.get((*key[:2], key[2] - 1), {}).get("fail_retryable")
        if retried and "pending" in seen and retried > seen["pending"]:
            yield f"{label}: pending comes before the try before has failed"

    for row in tables["try"]:
        seen, task = times[_try_of(row)], tasks.get((row["run_id"], row["task_id"]), {})
        running = as_time(row["task_try_time_running"])
        if running != seen.get("running"):
            yield f"{_label('try', row)}.task_try_time_running: not the time of its status row"
        in_order = [
            ("task_time_invoked", as_time(task.get("task_time_invoked"))),
            ("task_try_time_launched", as_time(row["task_try_time_launched"])),
            ("task_try_time_returned", as_time(row["task_try_time_returned"])),
            ("task_time_returned", as_time(task.get("task_time_returned"))),
        ]
        yield from _disorder(_label("try", row), in_order)
        in_order[1] = ("task_try_time_running", running)
        yield from _disorder(_label("try", row), in_order)

    for row in tables["resource"]:
        seen = times[_try_of(row)]
        in_order = [
            ("running", seen.get("running")),
            ("timestamp", as_time(row["timestamp"])),
            ("running_ended", seen.get("running_ended")),
        ]
        yield from _disorder(_label("resource", row), in_order)


def _disorder(label: str, in_order: list[tuple[str, datetime | None]]) -> Iterator[str]:
    known = [(name, time) for name, time in in_order if time is not None]
    for (first, before), (second, after) in pairwise(known):
        if before > after:
            yield f"{label}: {first} {before} comes after {second} {after}"


def _try_of(row: Row) -> tuple[Any, ...]:
    return row["run_id"], row["task_id"], row["try_id"]


def _label(table: str, row: Row) -> str:
    key = [row[column] for column in ("task_id", "try_id") if column in row]
    return f"{table}{key or ''} of run {row['run_id'][:8]}"
