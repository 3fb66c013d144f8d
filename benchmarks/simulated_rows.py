"""
The rows of a simulated run: Parsl's seven tables alone, or ours beside them.

Written by sqlite3 at once rather than through a hub, which would take hours at a million tasks.
What it wrote is read back by the queries of the product in tests/dashboards/test_simulated_run.py.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from simulated_run import (
    APP_OF,
    APPS,
    DEP_FAILED,
    DONE,
    FAILED,
    MEMOISED,
    NEEDS,
    SAMPLE,
    SimulatedRun,
    Tries,
)

from otel_parsl.failures.fingerprints import fingerprint
from otel_parsl.schema import BUCKET_S

RUN_ID = "5e1e8f4c-3a55-4f0e-9a40-6f2f0f2d9a12"
SUBMIT_HOST = "login1.example.org"
_INTERVAL_S = 10.0
"""Between samples of a try; there is one at its end too."""
_REPORTS_S = 0.5
"""Dispatches and results this close come in one report of a manager."""
_CORES, _MEMORY = 64, 256 << 30
_AT_ONCE = 20_000
_STATE = {MEMOISED: "memo_done", DONE: "exec_done", FAILED: "failed", DEP_FAILED: "dep_fail"}
_CERTAIN = 4
_FRAME = "analysis.py:42 in simulate"
_APP_NAMES = np.array(APPS, dtype=object)

Row = Sequence[Any]

_BACK_S = 0.003
"""From the end of a try to its return."""


class Store:
    """
    A database that rows of a run are put into.

    Args:
        path: It is made, with its tables.
        run: The run.
        began: When it began, in UTC, which is the submit host's zone.
        is_ours: Whether it has our tables beside Parsl's.
    """

    def __init__(
        self, path: Path, run: SimulatedRun, *, began: np.datetime64, is_ours: bool
    ) -> None:
        _make_tables(path, is_ours=is_ours)
        self.path = path
        self._run = run
        self._began = began.astype("datetime64[us]")
        self._is_ours = is_ours
        self._counts: Counter[tuple[str, str]] = Counter()
        self._buckets: dict[tuple[str, int], np.ndarray] = {}

    def write(self, first: int, end: int) -> None:
        """Write all that is known of the tasks from one to before another, samples whole."""
        with closing(sqlite3.connect(self.path, timeout=60)) as connection, connection:
            connection.execute("PRAGMA synchronous=OFF")
            if first == 0:
                self._write_run(connection)
            for start in range(first, end, _AT_ONCE):
                self._write_tasks(connection, start, min(start + _AT_ONCE, end))

    def report(self, since: float, until: float) -> None:
        """Write what managers reported from one second of the run to before another."""
        tries, run = self._run.tries, self._run
        node = tries.worker * run.nodes // run.workers
        news = [
            np.stack([node, (times / _REPORTS_S).astype("int64")])
            for times in (tries.running, tries.ended)
        ]
        places = np.unique(np.concatenate(news, axis=1), axis=1)
        seconds = (places[1] + 1) * _REPORTS_S
        is_in = (seconds >= since) & (seconds < until)
        times = self._texts(seconds[is_in])
        each = run.workers // run.nodes
        with closing(sqlite3.connect(self.path, timeout=60)) as connection, connection:
            _insert(
                connection,
                "node",
                (
                    (
                        *(None, RUN_ID, f"node{host}", f"manager{host}", str(host)),
                        *(_CORES, _MEMORY, 1, each, "3.11.9", time, time),
                    )
                    for host, time in zip(places[0][is_in].tolist(), times, strict=True)
                ),
            )

    def end(self) -> None:
        """Write that the run was cleaned up."""
        at = self._run.ended + 0.5
        done: Counter[str] = Counter()
        for (_, state), tasks in self._counts.items():
            done[state] += tasks
        with closing(sqlite3.connect(self.path, timeout=60)) as connection, connection:
            connection.execute(
                "UPDATE workflow SET time_completed = ?, tasks_failed_count = ?,"
                " tasks_completed_count = ?",
                (self._text(at), done["failed"], done["exec_done"]),
            )
            if self._is_ours:
                connection.execute(
                    "UPDATE otel_run SET ended_ns = ?, outcome = 'completed'", (self._ns(at),)
                )

    def _write_run(self, connection: sqlite3.Connection) -> None:
        began = self._text(0.0)
        _insert(
            connection,
            "workflow",
            [
                (
                    RUN_ID,
                    "samples.py",
                    "1.0",
                    began,
                    None,
                    SUBMIT_HOST,
                    "me",
                    "/scratch/me/runinfo/000",
                    0,
                    0,
                )
            ],
        )
        _insert(
            connection,
            "block",
            [
                (RUN_ID, "htex", str(node), str(7000 + node), self._text(at), status)
                for node in range(self._run.nodes)
                for at, status in ((0.1, "PENDING"), (5.0 + node / 10, "RUNNING"))
            ],
        )
        if not self._is_ours:
            return
        began_ns = self._ns(0.0)
        _insert(
            connection,
            "otel_run",
            [(RUN_ID, began_ns, None, None, began_ns, "Etc/UTC", "2026.10.26", 1, None, None)],
        )

    def _write_tasks(self, connection: sqlite3.Connection, first: int, end: int) -> None:
        run, tries = self._run, self._run.tries
        ids = np.arange(first, end)
        of_task = slice(*np.searchsorted(tries.task, [first, end]))
        task, number = tries.task[of_task], tries.number[of_task]
        app = _APP_NAMES[APP_OF[ids % SAMPLE]]
        fate = run.fate[first:end]
        failures = np.bincount(
            task - first, weights=tries.is_failed[of_task], minlength=end - first
        ).astype(int)
        needs = [[i - i % SAMPLE + place for place in NEEDS[i % SAMPLE]] for i in ids.tolist()]
        invoked, returned = (
            self._texts(run.invoked[first:end]),
            self._texts(run.returned[first:end]),
        )
        _insert(
            connection,
            "task",
            (
                (
                    i,
                    RUN_ID,
                    ",".join(map(str, on)),
                    name,
                    "1" if name == "fetch" else "0",
                    f"{i:032x}",
                    f"['sample-{i // SAMPLE}']",
                    "[]",
                    None,
                    "",
                    "",
                    called,
                    back,
                    fails,
                    float(fails),
                )
                for i, on, name, called, back, fails in zip(
                    ids.tolist(), needs, app, invoked, returned, failures.tolist(), strict=True
                )
            ),
        )
        never_ran = ids[(fate == MEMOISED) | (fate == DEP_FAILED)]
        node = tries.worker[of_task] * run.nodes // run.workers
        times = [
            self._texts(each[of_task]) for each in (tries.launched, tries.running, tries.ended)
        ]
        back = self._texts(tries.ended[of_task] + _BACK_S)
        is_failed = tries.is_failed[of_task].tolist()
        history = [
            _message(i) if failed else None
            for i, failed in zip(task.tolist(), is_failed, strict=True)
        ]
        _insert(
            connection,
            "try",
            (
                (
                    k,
                    i,
                    RUN_ID,
                    str(host),
                    f"node{host}",
                    "htex",
                    launched,
                    running,
                    came,
                    f"ValueError('{said}')" if said else None,
                    None,
                )
                for k, i, host, launched, running, came, said in zip(
                    number.tolist(),
                    task.tolist(),
                    node.tolist(),
                    times[0],
                    times[1],
                    back,
                    history,
                    strict=True,
                )
            ),
        )
        _insert(
            connection,
            "try",
            (
                (0, i, RUN_ID, None, None, "htex", None, None, came, self._why_not(i), None)
                for i, came in zip(
                    never_ran.tolist(), self._texts(run.returned[never_ran]), strict=True
                )
            ),
        )
        _insert(
            connection,
            "status",
            self._of_tasks(ids, invoked, returned),
        )
        _insert(connection, "status", self._of_tries(_part(tries, of_task), times, back))
        _insert(connection, "resource", self._samples(of_task))
        states = [_STATE[each] for each in fate.tolist()]
        self._counts.update(zip(app.tolist(), states, strict=True))
        if self._is_ours:
            self._write_ours(connection, ids, app, states, needs, of_task, history)

    def _of_tasks(self, ids: np.ndarray, invoked: list[str], returned: list[str]) -> Iterable[Row]:
        """Yield the states of tasks that no try is in."""
        for i, called, came, how in zip(
            ids.tolist(), invoked, returned, self._run.fate[ids].tolist(), strict=True
        ):
            yield i, "pending", called, RUN_ID, 0
            if how in (MEMOISED, DEP_FAILED):
                yield i, _STATE[how], came, RUN_ID, 0

    def _of_tries(self, tries: Tries, times: list[list[str]], back: list[str]) -> Iterable[Row]:
        """Yield the states of tries."""
        last = np.append(tries.task[1:] != tries.task[:-1], True)[: len(tries.task)]
        for i, k, launched, running, ended, came, failed, is_last in zip(
            tries.task.tolist(),
            tries.number.tolist(),
            *times,
            back,
            tries.is_failed.tolist(),
            last.tolist(),
            strict=True,
        ):
            yield i, "launched", launched, RUN_ID, k
            yield i, "running", running, RUN_ID, k
            yield i, "running_ended", ended, RUN_ID, k
            state = "exec_done" if not failed else "failed" if is_last else "fail_retryable"
            yield i, state, came, RUN_ID, k

    def _samples(self, of_task: slice) -> Iterable[Row]:
        tries = _part(self._run.tries, of_task)
        lasted = tries.ended - tries.running
        many = (lasted // _INTERVAL_S).astype(int) + 1
        row = np.repeat(np.arange(len(many)), many)
        turn = np.arange(len(row)) - np.repeat(np.cumsum(many) - many, many)
        after = np.minimum((turn + 1) * _INTERVAL_S, lasted[row])
        used = tries.cpu[row] * after / lasted[row]
        if not self._is_ours:  # Parsl counts from the start of the worker
            used = used + tries.cpu_before[row]
        memory = (
            (80 << 20)
            * (1 + APP_OF[tries.task[row] % SAMPLE])
            * (1 + 0.1 * np.sin(tries.task[row]))
        )
        for k, i, time, pid, cpu, resident in zip(
            tries.number[row].tolist(),
            tries.task[row].tolist(),
            self._texts(tries.running[row] + after),
            tries.worker[row].tolist(),
            used.tolist(),
            memory.tolist(),
            strict=True,
        ):
            yield (
                k,
                i,
                RUN_ID,
                time,
                _INTERVAL_S,
                4000 + pid,
                0.1,
                0.0,
                0.9 * cpu,
                0.1 * cpu,
                2 * resident,
                resident,
                1e6,
                2e6,
                "sleeping",
                str(pid % _CORES),
                10.0,
                1.0,
            )

    def _write_ours(
        self,
        connection: sqlite3.Connection,
        ids: np.ndarray,
        app: np.ndarray,
        states: list[str],
        needs: list[list[int]],
        of_task: slice,
        history: list[str | None],
    ) -> None:
        run, tries = self._run, _part(self._run.tries, of_task)
        _insert(
            connection,
            "otel_task",
            (
                (RUN_ID, i, name, state, 3 * i, self._ns(at))
                for i, name, state, at in zip(
                    ids.tolist(), app, states, run.returned[ids].tolist(), strict=True
                )
            ),
        )
        _insert(
            connection,
            "otel_edge",
            (
                (RUN_ID, i, on, "depends")
                for i, each in zip(ids.tolist(), needs, strict=True)
                for on in each
            ),
        )
        memory = (80 << 20) * (1 + APP_OF[tries.task % SAMPLE])
        times = (tries.running, tries.ended, tries.launched, tries.ended + _BACK_S)
        running, ended, launched, returned = map(self._all_ns, times)
        _insert(
            connection,
            "otel_try",
            (
                (
                    RUN_ID,
                    i,
                    k,
                    3 * i,
                    None,
                    start,
                    stop,
                    str(worker),
                    f"manager{worker * run.nodes // run.workers}",
                    4000 + worker,
                    0.9 * cpu,
                    0.1 * cpu,
                    peak,
                    1_000_000,
                    2_000_000,
                    None,
                    str(i),
                    None,
                    sent,
                    back,
                )
                for i, k, worker, start, stop, sent, back, cpu, peak in zip(
                    tries.task.tolist(),
                    tries.number.tolist(),
                    tries.worker.tolist(),
                    running,
                    ended,
                    launched,
                    returned,
                    tries.cpu.tolist(),
                    memory.tolist(),
                    strict=True,
                )
            ),
        )
        _insert(
            connection,
            "otel_failure",
            self._failures(ids, tries.task.tolist(), tries.number.tolist(), ended, history),
        )
        self._add_to_buckets(tries)
        _insert(
            connection,
            "otel_count",
            ((RUN_ID, name, state, tasks) for (name, state), tasks in self._counts.items()),
        )
        _insert(
            connection,
            "otel_bucket",
            (
                (RUN_ID, name, bucket, int(sums[0]), int(sums[1]), sums[2], sums[3])
                for (name, bucket), sums in self._buckets.items()
            ),
        )
        last = float(run.returned[ids].max())
        connection.execute(
            "UPDATE otel_run SET last_event_ns = max(last_event_ns, ?), heartbeat_ns = ?,"
            " lag_ns = 400000000",
            (self._ns(last), self._ns(last)),
        )

    def _add_to_buckets(self, tries: Tries) -> None:
        length_ns = BUCKET_S * 10**9
        bucket = np.array(self._all_ns(tries.ended)) // length_ns * length_ns
        key = np.stack([APP_OF[tries.task % SAMPLE], bucket])
        places, where = np.unique(key, axis=1, return_inverse=True)
        sums = [
            np.bincount(where.ravel(), weights=weights)
            for weights in (None, tries.is_failed, tries.ended - tries.running, tries.cpu)
        ]
        for app, start, *added in zip(*places.tolist(), *sums, strict=True):
            place = APPS[app], start
            self._buckets[place] = self._buckets.get(place, np.zeros(4)) + np.array(added)

    def _failures(
        self,
        ids: np.ndarray,
        task: list[int],
        number: list[int],
        ended: list[int],
        history: list[str | None],
    ) -> Iterable[Row]:
        fate = self._run.fate
        for i, k, at, said in zip(task, number, ended, history, strict=True):
            if said:
                name = fingerprint(
                    fate="app_exception",
                    exception_type="builtins.ValueError",
                    frame=_FRAME,
                    message=said,
                )
                yield (
                    RUN_ID,
                    i,
                    k,
                    "app_exception",
                    name,
                    "builtins.ValueError",
                    said,
                    "sample <number> has no counts",
                    _FRAME,
                    f"Traceback …\n  {_FRAME}\nValueError: {said}",
                    APPS[APP_OF[i % SAMPLE]],
                    at,
                    int(k == 1),
                    None,
                    _CERTAIN,
                )
        name = fingerprint(
            fate="dependency", exception_type="DependencyError", frame=None, message=None
        )
        for i in ids[fate[ids] == DEP_FAILED].tolist():
            first = i - i % SAMPLE
            cause = next(first + place for place in range(SAMPLE) if fate[first + place] == FAILED)
            yield (
                RUN_ID,
                i,
                0,
                "dependency",
                name,
                "parsl.dataflow.errors.DependencyError",
                "a dependency failed",
                "a dependency failed",
                None,
                None,
                APPS[APP_OF[i % SAMPLE]],
                self._ns(self._run.returned[i]),
                1,
                str(cause),
                _CERTAIN,
            )

    def _why_not(self, task_id: int) -> str | None:
        """Return what Parsl says of a task that was never tried; None for a memoised one."""
        if self._run.fate[task_id] == MEMOISED:
            return None
        cause = self._cause(task_id)
        error = f"ValueError('{_message(cause)}')"
        return f"DependencyError([({error}, 'task {cause}')], {task_id})"

    def _cause(self, task_id: int) -> int:
        """Return the task whose failure a task fails of, over however many between them."""
        first, fate = task_id - task_id % SAMPLE, self._run.fate
        for place in NEEDS[task_id % SAMPLE]:
            if fate[first + place] == FAILED:
                return first + place
            if fate[first + place] == DEP_FAILED:
                return self._cause(first + place)
        raise LookupError(task_id)

    def _texts(self, seconds: np.ndarray) -> list[str]:
        times = self._began + (seconds * 1e6).astype("int64").astype("timedelta64[us]")
        text = np.datetime_as_string(times, unit="us").astype("U26")
        text.view("U1").reshape(len(text), 26)[:, 10] = " "
        return text.tolist()

    def _text(self, seconds: float) -> str:
        return self._texts(np.array([seconds]))[0]

    def _all_ns(self, seconds: np.ndarray) -> list[int]:
        began = int(self._began.astype("int64"))
        return (((seconds * 1e6).astype("int64") + began) * 1000).tolist()

    def _ns(self, seconds: float) -> int:
        return self._all_ns(np.array([seconds]))[0]


def _make_tables(path: Path, *, is_ours: bool) -> None:
    if is_ours:
        from otel_parsl_collector.store.engine import open_store

        open_store(f"sqlite:///{path}").dispose()
    else:
        from parsl.monitoring.db_manager import Database

        made = Database(f"sqlite:///{path}")
        made.session.close()
        made.eng.dispose()


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    """Insert rows that have the table's columns in order, in the place of those of their keys."""
    columns = len(connection.execute(f'SELECT * FROM "{table}" LIMIT 0').description)  # noqa: S608
    marks = ", ".join("?" * columns)
    connection.executemany(f'INSERT OR REPLACE INTO "{table}" VALUES ({marks})', rows)  # noqa: S608


def _message(task_id: int) -> str:
    return f"sample {task_id // SAMPLE} has no counts"


def _part(tries: Tries, which: slice) -> Tries:
    return Tries(*(each[which] for each in tries))
