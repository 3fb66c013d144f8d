"""Write tries: tables ``try`` and ``status``, what each has used, and by stretch of time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import bindparam

from otel_parsl.schema import BUCKET_S, otel_bucket, otel_pending, otel_try, status, try_
from otel_parsl.semconv import TRY_MEMORY_RESIDENT
from otel_parsl_collector.materialise.facts import Execution, Facts, Running, Sample, TaskState
from otel_parsl_collector.materialise.metrics import SAMPLE_METRICS
from otel_parsl_collector.store.clocks import write_clocks
from otel_parsl_collector.store.received import SUBMIT, WORKER
from otel_parsl_collector.store.session import Session, TryKey
from otel_parsl_collector.store.upsert import Row

_KEY = "run_id task_id try_id"
_STATE = "task_try_time_launched task_try_time_returned task_fail_history task_joins"
_RUNNING = "task_try_time_running hostname block_id"
_CURRENT = "sequence state launched_ns returned_ns"
_SUBMITTED = "executor_task_id resource_specification"
_TOTALS = (
    "running_ns ended_ns worker_rank manager_uid pid cpu_user_s cpu_system_s memory_peak_bytes"
    " read_bytes write_bytes exit_code"
)
_FIRST_TOTAL = Execution._fields.index("running_ns")
_RESIDENT = SAMPLE_METRICS.index(TRY_MEMORY_RESIDENT)
_LAST_TOTAL = Execution._fields.index("exit_code") + 1


def write_tries(facts: Facts, session: Session) -> None:
    """Write what the facts say of tries."""
    states: dict[str, dict[TryKey, TaskState]] = defaultdict(dict)
    submitted: dict[str, dict[TryKey, TaskState]] = defaultdict(dict)
    for state in facts.states:
        key = state.task_id, state.try_id
        if state.executor_task_id is not None or state.resource_specification is not None:
            submitted[state.run_id][key] = state
        known = states[state.run_id].get(key)
        if known is None or state.sequence > known.sequence:
            states[state.run_id][key] = state
    running: dict[str, dict[TryKey, Running]] = defaultdict(dict)
    for begun in facts.running:
        if begun.running_ns is not None:
            key = begun.task_id, begun.try_id
            earlier = running[begun.run_id].get(key)
            if earlier is None or begun.running_ns >= (earlier.running_ns or 0):
                running[begun.run_id][key] = begun
    executions: dict[str, dict[TryKey, Execution]] = defaultdict(dict)
    for execution in facts.executions:
        key = execution.task_id, execution.try_id
        other = executions[execution.run_id].get(key)
        if other is None or execution.ended_ns >= other.ended_ns:
            executions[execution.run_id][key] = execution
    ended = _ended(facts)
    peaks = _peaks(facts)
    for run_id in states.keys() | running.keys() | executions.keys() | peaks.keys():
        _RunTries(run_id, session).write(
            states.get(run_id, {}),
            running.get(run_id, {}),
            executions.get(run_id, {}),
            submitted.get(run_id, {}),
            ended.get(run_id, []),
            peaks.get(run_id, {}),
        )
    _write_statuses(facts, session)


class _RunTries:
    """The tries of one run in one transaction."""

    def __init__(self, run_id: str, session: Session) -> None:
        self._run_id = run_id
        self._session = session
        self._time = session.times[run_id]

    def write(
        self,
        states: dict[TryKey, TaskState],
        running: dict[TryKey, Running],
        executions: dict[TryKey, Execution],
        submitted: dict[TryKey, TaskState],
        ended: list[Running],
        peaks: dict[TryKey, int],
    ) -> None:
        before = self._before(states.keys() | running.keys() | executions.keys() | peaks.keys())
        states = {
            key: state
            for key, state in states.items()
            if key not in before or state.sequence > (before[key].sequence or 0)
        }
        running = {
            key: begun
            for key, begun in running.items()
            if key not in before or (begun.running_ns or 0) >= (before[key].running_ns or 0)
        }
        if self._run_id in self._session.watched:
            self._write_rows(states, {**self._pending(states), **running})
        else:
            self._write_rows(states, {})
        self._write_buckets(executions, before)
        self._session.repeated[self._run_id, WORKER] += sum(
            key in before and before[key].ended_ns == execution.ended_ns
            for key, execution in executions.items()
        )
        for key, row in before.items():
            if row.memory_peak_bytes is not None:
                peaks[key] = max(peaks.get(key, 0), row.memory_peak_bytes)
        latest = {}
        for key, execution in executions.items():
            old = before.get(key)
            if old is None or execution.ended_ns >= (old.ended_ns or 0):
                # An executor may run a try again: how it began is then another's than its totals.
                begun_ns = [execution.running_ns, old.running_ns or 0 if old is not None else 0]
                if key in running:
                    begun_ns.append(running[key].running_ns or 0)
                latest[key] = execution._replace(
                    running_ns=max(begun_ns), memory_peak_bytes=peaks.get(key)
                )
        higher: list[Row] = [
            (self._run_id, *key, peak)
            for key, peak in peaks.items()
            if key not in latest and (key not in before or before[key].memory_peak_bytes != peak)
        ]
        self._write_current(states, running, latest, submitted)
        self._upsert("memory_peak_bytes", higher)
        write_clocks(
            self._run_id,
            self._session,
            returned=_returned(
                (key, state.launched_ns, state.try_returned_ns) for key, state in states.items()
            ),
            known=_returned((key, row.launched_ns, row.returned_ns) for key, row in before.items()),
            ended=ended,
        )

    def _before(self, keys: Iterable[TryKey]) -> dict[TryKey, Any]:
        rows = self._session.existing(
            otel_try,
            self._run_id,
            (task_id for task_id, _ in keys),
            (
                *("task_id", "try_id", "sequence", "running_ns", "ended_ns"),
                *("launched_ns", "returned_ns", "memory_peak_bytes"),
            ),
        )
        return {(row.task_id, row.try_id): row for row in rows}

    def _write_rows(self, states: dict[TryKey, TaskState], running: dict[TryKey, Running]) -> None:
        run_id, time = self._run_id, self._time
        whole, of_state, of_worker, ownerless = [], [], [], []
        for (task_id, try_id), state in states.items():
            row: Row = (
                run_id,
                task_id,
                try_id,
                state.executor,
                time(state.launched_ns),
                time(state.try_returned_ns),
                state.fail_history,
                state.joins,
            )
            begun = running.get((task_id, try_id))
            if begun is None:
                of_state.append(row)
            else:
                whole.append((*row, time(begun.running_ns), begun.hostname, begun.block_id))
        for (task_id, try_id), begun in running.items():
            if (task_id, try_id) in states:
                continue
            place = (time(begun.running_ns), begun.hostname, begun.block_id)
            if begun.executor is None:
                ownerless.append(begun)
            else:
                of_worker.append((run_id, task_id, try_id, begun.executor, *place))
        columns = f"{_KEY} task_executor {_STATE}"
        upsert = self._session.upsert
        upsert(try_, f"{columns} {_RUNNING}", whole, update=f"{_STATE} {_RUNNING}")
        upsert(try_, columns, of_state, update=_STATE)
        upsert(try_, f"{_KEY} task_executor {_RUNNING}", of_worker, update=_RUNNING)
        self._write_ownerless(ownerless)

    def _write_ownerless(self, running: list[Running]) -> None:
        """
        Write what a worker said of tries whose executor it did not name.

        A row of ``try`` must have an executor: where there is no row yet, the fact waits.
        """
        if not running:
            return
        update = (
            try_.update()
            .where(
                try_.c.run_id == self._run_id,
                try_.c.task_id == bindparam("of_task"),
                try_.c.try_id == bindparam("of_try"),
            )
            .values(
                task_try_time_running=bindparam("begun"),
                hostname=bindparam("host"),
                block_id=bindparam("block"),
            )
        )
        waiting = []
        sql_time = self._session.datetimes[self._run_id]
        for begun in running:
            done = self._session.connection.execute(
                update,
                {
                    "of_task": begun.task_id,
                    "of_try": begun.try_id,
                    "begun": sql_time(begun.running_ns),
                    "host": begun.hostname,
                    "block": begun.block_id,
                },
            )
            if done.rowcount == 0:
                waiting.append((self._run_id, *begun[1:3], begun.running_ns, *begun[4:6]))
        self._session.upsert(
            otel_pending,
            f"{_KEY} running_ns hostname block_id",
            waiting,
            update="running_ns hostname block_id",
        )

    def _pending(self, states: dict[TryKey, TaskState]) -> dict[TryKey, Running]:
        """Take out what waits for the rows that are about to be written."""
        rows = list(
            self._session.existing(
                otel_pending,
                self._run_id,
                (task_id for task_id, _ in states),
                ("task_id", "try_id", "running_ns", "hostname", "block_id"),
            )
        )
        found = {
            (row.task_id, row.try_id): Running(
                self._run_id,
                row.task_id,
                row.try_id,
                None,
                row.hostname,
                row.block_id,
                row.running_ns,
                None,
            )
            for row in rows
            if (row.task_id, row.try_id) in states
        }
        for task_id, try_id in found:
            self._session.connection.execute(
                otel_pending.delete().where(
                    otel_pending.c.run_id == self._run_id,
                    otel_pending.c.task_id == task_id,
                    otel_pending.c.try_id == try_id,
                )
            )
        return found

    def _write_current(
        self,
        states: dict[TryKey, TaskState],
        running: dict[TryKey, Running],
        executions: dict[TryKey, Execution],
        submitted: dict[TryKey, TaskState],
    ) -> None:
        """Write ``otel_try``: a short try's facts come together, and are one row then."""
        whole: list[Row] = []
        of_state: list[Row] = []
        of_worker: list[Row] = [
            (self._run_id, *key, begun.running_ns)
            for key, begun in running.items()
            if key not in executions
        ]
        for key, state in states.items():
            times_ns = state.launched_ns, state.try_returned_ns
            row: Row = (self._run_id, *key, state.sequence, state.state, *times_ns)
            if key in executions and key in submitted:
                totals = executions.pop(key)[_FIRST_TOTAL:_LAST_TOTAL]
                whole.append((*row, *totals, *_submission(submitted.pop(key))))
            else:
                of_state.append(row)
        self._upsert(f"{_CURRENT} {_TOTALS} {_SUBMITTED}", whole)
        self._upsert(_CURRENT, of_state)
        self._upsert(
            _SUBMITTED,
            [(self._run_id, *key, *_submission(state)) for key, state in submitted.items()],
        )
        self._upsert("running_ns", of_worker)
        self._upsert(
            _TOTALS,
            [
                (self._run_id, *key, *execution[_FIRST_TOTAL:_LAST_TOTAL])
                for key, execution in executions.items()
            ],
        )

    def _upsert(self, columns: str, rows: list[Row]) -> None:
        self._session.upsert(otel_try, f"{_KEY} {columns}", rows, update=columns)

    def _write_buckets(
        self, executions: dict[TryKey, Execution], before: dict[TryKey, Any]
    ) -> None:
        """Add the executions that are new to the stretch of time they ended in."""
        sums: dict[tuple[str, int], list[float]] = defaultdict(lambda: [0, 0, 0.0, 0.0])
        for key, execution in executions.items():
            old = before.get(key)
            if old is not None and old.ended_ns is not None:
                continue
            width = BUCKET_S * 1_000_000_000
            row = sums[execution.app, execution.ended_ns // width * width]
            row[0] += 1
            row[1] += execution.exception_type is not None
            row[2] += (execution.ended_ns - execution.running_ns) / 1e9
            row[3] += (execution.cpu_user_s or 0) + (execution.cpu_system_s or 0)
        self._session.upsert(
            otel_bucket,
            "run_id app bucket_ns ended failed run_s cpu_s",
            [(self._run_id, app, start, *row) for (app, start), row in sums.items()],
            add="ended failed run_s cpu_s",
        )


def _submission(state: TaskState) -> tuple[str | None, str | None]:
    """Return what only the submission of a try knows, as ``_SUBMITTED`` has it."""
    return state.executor_task_id, state.resource_specification


def _peaks(facts: Facts) -> dict[str, dict[TryKey, int]]:
    """
    Return by run the most memory that anybody saw tries hold.

    A worker that was killed could not tell of the whole try: what its samples say is all there is.
    """
    found: dict[str, dict[TryKey, int]] = defaultdict(dict)
    seen: list[tuple[Execution | Sample, float | None]] = [
        *((each, each.memory_peak_bytes) for each in facts.executions),
        *((each, each.values[_RESIDENT]) for each in facts.samples),
    ]
    for each, held in seen:
        if held is not None:
            of_run, key = found[each.run_id], (each.task_id, each.try_id)
            of_run[key] = max(of_run.get(key, 0), int(held))
    return found


def _ended(facts: Facts) -> dict[str, list[Running]]:
    """Return by run what workers said of tries that they have ended: all, if there are several."""
    found: dict[str, list[Running]] = defaultdict(list)
    for begun in facts.running:
        if begun.ended_ns is not None:
            found[begun.run_id].append(begun)
    return found


def _returned(
    tries: Iterable[tuple[TryKey, int | None, int | None]],
) -> dict[TryKey, tuple[int, int]]:
    """Return when those tries were launched and returned of which both is known."""
    return {
        key: (launched_ns, returned_ns)
        for key, launched_ns, returned_ns in tries
        if launched_ns is not None and returned_ns is not None
    }


def _write_statuses(facts: Facts, session: Session) -> None:
    times = session.times
    columns = "task_id task_status_name timestamp run_id try_id"
    session.insert_once(
        status,
        columns,
        [
            (each.task_id, each.state, times[each.run_id](each.time_ns), each.run_id, each.try_id)
            for each in facts.states
        ],
        [each.run_id for each in facts.states],
        SUBMIT,
    )
    rows: list[Row] = []
    for begun in facts.running:
        if begun.run_id not in session.watched:
            continue
        time = times[begun.run_id]
        for name, at_ns in (("running", begun.running_ns), ("running_ended", begun.ended_ns)):
            if at_ns is not None:
                rows.append((begun.task_id, name, time(at_ns), begun.run_id, begun.try_id))
    # An event and the record of a try both tell of it: that is no repetition.
    session.upsert(status, columns, rows)
