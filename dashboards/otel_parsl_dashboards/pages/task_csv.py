"""The tasks that an address asks for as CSV, piece by piece: ``/workflow/RUN/tasks.csv``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from otel_parsl.query.tries import select_latest_failures
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.data.library import Library
from otel_parsl_dashboards.pages.page import View
from otel_parsl_dashboards.pages.task_filter import (
    fitting,
    read_asked,
    run_times_s,
    tries_of_tasks,
)

COLUMNS: Final = (
    "task_id",
    "app",
    "state",
    "tries",
    "fail_count",
    "called",
    "completed",
    "run_s",
    "executor",
    "block",
    "node",
    "depends_on",
    "latest_failure",
)
"""Executor, block and node are those of the latest try; what is not known is empty."""
_NEEDS: Final = ("statuses", "edges")
_PATIENCE_S: Final = 600.0
"""How long a file waits until all of its run has been read."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a formula may begin with, or what a spreadsheet leaves out before one."""
_PIECE: Final = 2000
"""Tasks made into text at a time."""


def open_csv(library: Library, run_id: str, query: Mapping[str, str]) -> Iterator[str]:
    """
    Return the pieces of the file; making each takes a moment.

    Raises:
        NoSuchRun: There is no such run.
        DatabaseUnusable: The database cannot be read; also while the pieces are made.
    """
    library.snapshot(run_id, _NEEDS)
    resident = library.resident(run_id)
    snapshot = resident.wait(_NEEDS, _PATIENCE_S)
    if resident.error is not None:
        raise resident.error
    view = View(snapshot, {}, query, None, library.source)
    places = fitting(view, read_asked(query))
    return _pieces(view, places)


def _pieces(view: View, places: np.ndarray) -> Iterator[str]:
    yield _text([COLUMNS])
    for start in range(0, len(places), _PIECE):
        yield _text(_rows(view, places[start : start + _PIECE]))


def _text(rows: Any) -> str:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()


def _rows(view: View, places: np.ndarray) -> Iterator[tuple[Any, ...]]:
    shown = view.snapshot.tasks.iloc[places]
    ids = shown["task_id"].to_numpy()
    took = run_times_s(view)[places]
    depends = _depends(view, ids)
    executors, blocks, hosts, failed = _latest_tries(view, ids)
    with view.source.read() as connection:
        failures = select_latest_failures(connection, view.snapshot.run, ids[failed].tolist())
    columns = (
        ids.tolist(),
        map(_text_cell, shown["app"]),
        shown["state"],
        tries_of_tasks(view)[places].tolist(),
        shown["fail_count"].tolist(),
        _times(view, shown["invoked"].to_numpy()),
        _times(view, shown["returned"].to_numpy()),
        ["" if np.isnan(each) else round(float(each), 6) for each in took],
        map(_text_cell, executors),
        map(_text_cell, blocks),
        map(_text_cell, hosts),
        depends,
    )
    for row in zip(*columns, strict=True):
        failure = failures.get(row[0])
        yield (*row, _text_cell(failure.in_a_line) if failure is not None else "")


def _text_cell(text: str) -> str:
    """
    Return a text as no spreadsheet takes it for a formula: with an apostrophe before it.

    See https://owasp.org/www-community/attacks/CSV_Injection. Numbers and times are no texts, and
    stay as they are.
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def _times(view: View, times: np.ndarray) -> list[str]:
    """Return times as the tables write them."""
    written = view.snapshot.standing.clock.as_tables(times.astype(frames.TIME))
    return ["" if np.isnat(time) else str(time).replace("T", " ") for time in written]


def _depends(view: View, ids: np.ndarray) -> list[str]:
    """Return the tasks that each task waited for, as Parsl lists them."""

    def ordered() -> tuple[np.ndarray, np.ndarray]:
        edges = view.snapshot.edges
        edges = edges[(edges["kind"] == "depends").to_numpy()]
        order = np.argsort(edges["task_id"].to_numpy(), kind="stable")
        return edges["task_id"].to_numpy()[order], edges["on_task_id"].to_numpy()[order]

    task, on = view.snapshot.once("depends by task", ordered)
    first, last = (np.searchsorted(task, ids, side=side) for side in ("left", "right"))
    return [",".join(map(str, on[a:b].tolist())) for a, b in zip(first, last, strict=True)]


def _latest_tries(
    view: View, ids: np.ndarray
) -> tuple[list[str], list[str], list[str], np.ndarray]:
    """Return executor, block and host of the latest try of tasks, and which had a failed one."""
    tries = view.snapshot.tries
    task = tries["task_id"].to_numpy()
    first, last = (np.searchsorted(task, ids, side=side) for side in ("left", "right"))
    latest = np.where(last > first, last - 1, -1)
    failed_before = np.append(0, np.cumsum(tries["is_failed"].to_numpy()))
    executors, blocks, hosts = (
        pd.Series(tries[column].array.take(latest, allow_fill=True)).astype(object).fillna("")
        for column in ("executor", "block", "host")
    )
    return list(executors), list(blocks), list(hosts), failed_before[last] > failed_before[first]
