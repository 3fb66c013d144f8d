"""
Parsl's monitoring messages as OTLP: the only file that knows the keys of Parsl's dicts.

Flow: Parsl's queue -> **messages** -> spool
Pure: no clock, no I/O. What each key holds is said by ``DataFlowKernel._create_task_log_info``
(``parsl/dataflow/dflow.py``), ``parsl/monitoring/remote.py`` and
``parsl/executors/high_throughput/interchange.py``.

Every function returns sized LogRecords or Metrics (see ``wire``); a time on the wire is UTC in
nanoseconds, where Parsl's is naive and local.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from otel_parsl import semconv, wire
from otel_parsl.identity import span_id, task_trace_id
from otel_parsl.semconv import STATES
from otel_parsl.wire import Key

Message = Mapping[str, Any]

_SEQUENCE = Key(semconv.SEQUENCE)
_TASK_ID = Key(semconv.TASK_ID)
_TRY_ID = Key(semconv.TRY_ID)
_APP = Key(semconv.APP_NAME)
_STATE = {state: Key(semconv.TASK_STATE).text(state) for state in STATES}
_MEMOIZED = Key(semconv.TASK_MEMOIZE).boolean(value=True)
_EXECUTOR = Key(semconv.EXECUTOR_LABEL)
_COMPLETED = Key(semconv.TASKS_COMPLETED)
_FAILED = Key(semconv.TASKS_FAILED)
_HASHSUM = Key(semconv.TASK_HASHSUM)
_INPUTS = Key(semconv.TASK_INPUTS)
_FAIL_COUNT = Key(semconv.TASK_FAIL_COUNT)
_FAIL_COST = Key(semconv.TASK_FAIL_COST)
_TIME_INVOKED = Key(semconv.TASK_TIME_INVOKED)
_TIME_RETURNED = Key(semconv.TASK_TIME_RETURNED)
_TIME_LAUNCHED = Key(semconv.TRY_TIME_LAUNCHED)
_TRY_RETURNED = Key(semconv.TRY_TIME_RETURNED)
_FAIL_HISTORY = Key(semconv.TRY_FAIL_HISTORY)
_JOINS = Key(semconv.TRY_JOINS)
_FIRST = (
    ("task_depends", Key(semconv.TASK_DEPENDS)),
    ("task_outputs", Key(semconv.TASK_OUTPUTS)),
    ("task_stdin", Key(semconv.TASK_STDIN)),
    ("task_stdout", Key(semconv.TASK_STDOUT)),
    ("task_stderr", Key(semconv.TASK_STDERR)),
)
_TEXTS = (("task_hashsum", _HASHSUM), ("task_joins", _JOINS))
_TIMES = (
    ("task_try_time_launched", _TIME_LAUNCHED),
    ("task_try_time_returned", _TRY_RETURNED),
    ("task_time_returned", _TIME_RETURNED),
)
_TIME_COMPLETED = Key(semconv.TIME_COMPLETED)
_OUTCOME = Key(semconv.OUTCOME)
_BLOCK_ID = Key(semconv.BLOCK_ID)
_BLOCK_STATUS = Key(semconv.BLOCK_STATUS)
_BLOCK_JOB_ID = Key(semconv.BLOCK_JOB_ID)
_HOST = Key(semconv.HOST_NAME)
_RUNNING = Key(semconv.EXECUTION_TIME_RUNNING)
_ENDED = Key(semconv.EXECUTION_TIME_ENDED)

_RUN_STARTED, _RUN_ENDED, _TASK_STATE, _BLOCK_STATE, _TRY_RUNNING = (
    wire.sized(name.encode())
    for name in (
        semconv.EVENT_RUN_STARTED,
        semconv.EVENT_RUN_ENDED,
        semconv.EVENT_TASK_STATE,
        semconv.EVENT_BLOCK_STATUS,
        semconv.EVENT_TRY_RUNNING,
    )
)
_BLOCK_DESCRIBED, _EXECUTOR_CHANGED, _TRY_LOST = (
    wire.sized(name.encode())
    for name in (
        semconv.EVENT_BLOCK_DESCRIBED,
        semconv.EVENT_EXECUTOR_STATE,
        semconv.EVENT_TRY_LOST,
    )
)
_UNTRACED = wire.sized(semconv.EVENT_EXECUTOR_UNTRACED.encode())
_UNTRACED_WHY = Key(semconv.EXECUTOR_UNTRACED)
_EXECUTOR_STATE = Key(semconv.EXECUTOR_STATE)
_EXECUTOR_MESSAGE = Key(semconv.EXECUTOR_MESSAGE)
_SEVERITY = {"failed": 17, "dep_fail": 17, "fail_retryable": 13}


def to_ns(time: datetime.datetime) -> int:
    """Return a time, local where it is naive, as UTC nanoseconds, exact to the microsecond."""
    return round(time.timestamp() * 1_000_000) * 1000


def run_attributes(message: Message, *, zone: str, monitors_resources: bool = True) -> list[bytes]:
    """
    Return the Resource attributes that carry a run's row of table ``workflow``.

    Args:
        message: Parsl's WORKFLOW_INFO at the start.
        zone: The submit host's time zone.
        monitors_resources: The hub's ``resource_monitoring_enabled``.
    """
    texts = (
        (semconv.RUN_ID, message["run_id"]),
        (semconv.WORKFLOW_NAME, message["workflow_name"]),
        (semconv.WORKFLOW_VERSION, message["workflow_version"]),
        (semconv.WORKFLOW_HOST, message["host"]),
        (semconv.WORKFLOW_USER, message["user"]),
        (semconv.WORKFLOW_RUNDIR, message["rundir"]),
        (semconv.TIME_ZONE, zone),
        (semconv.PARSL_VERSION, message["parsl_version"]),
    )
    attributes = [Key(name).text(str(value)) for name, value in texts if value is not None]
    attributes.append(Key(semconv.WORKFLOW_TIME_BEGAN).integer(to_ns(message["time_began"])))
    if not monitors_resources:
        attributes.append(Key(semconv.MONITORS_RESOURCES).boolean(value=False))
    return attributes


class RunEvents:
    """
    Make the events of one run, numbered in the order of the calls.

    Args:
        run: The run's key, as ``identity.run_key`` gave it.
        scope: Which trace a task lives in: see ``identity.task_trace_id``.
    """

    def __init__(self, run: bytes, *, scope: str = "auto") -> None:
        self._run = run
        self._scope = scope
        self._sequence = 0

    def started(self, message: Message, observed_ns: int, extra: Iterable[bytes] = ()) -> bytes:
        """Return the event of Parsl's first WORKFLOW_INFO."""
        began_ns = to_ns(message["time_began"])
        return self._of_run(_RUN_STARTED, began_ns, observed_ns, message, extra)

    def ended(self, message: Message, observed_ns: int) -> bytes:
        """Return the event of Parsl's last WORKFLOW_INFO; ours may have an outcome beside."""
        time_ns = to_ns(message["time_completed"])
        extra = [_TIME_COMPLETED.integer(time_ns)]
        if "outcome" in message:
            extra.append(_OUTCOME.text(message["outcome"]))
        return self._of_run(_RUN_ENDED, time_ns, observed_ns, message, extra)

    def task(self, message: Message, observed_ns: int, extra: Iterable[bytes] = ()) -> bytes:
        """
        Return the event of a TASK_INFO: a task took a new state.

        A task's first message carries what never changes; every message carries all that may.

        Args:
            message: Parsl's message.
            observed_ns: When it was put on the queue.
            extra: Further attributes.
        """
        task_id, try_id = message["task_id"], message["try_id"]
        state = message["task_status_name"]
        attributes = [
            self._next(),
            _TASK_ID.integer(task_id),
            _TRY_ID.integer(try_id),
            _STATE[state],
            _APP.text(message["task_func_name"]),
            _EXECUTOR.text(message["task_executor"]),
            _COMPLETED.integer(message["tasks_completed_count"]),
            *extra,
        ]
        if message["tasks_failed_count"]:
            attributes.append(_FAILED.integer(message["tasks_failed_count"]))
        _add_known(attributes, message)
        if state == "pending" and try_id == 0:
            attributes.append(_TIME_INVOKED.integer(to_ns(message["task_time_invoked"])))
            for column, key in _FIRST:
                if (value := message[column]) is not None:
                    attributes.append(key.text(str(value)))
        return wire.log_record(
            _TASK_STATE,
            to_ns(message["timestamp"]),
            observed_ns,
            task_trace_id(self._run, task_id, scope=self._scope),
            span_id(self._run, "try", task_id, try_id),
            attributes,
            severity=_SEVERITY.get(state, 9),
        )

    def block(self, message: Message, observed_ns: int, extra: Iterable[bytes] = ()) -> bytes:
        """Return the event of one entry of a BLOCK_INFO: a block took a new status."""
        label, block_id = message["executor_label"], message["block_id"]
        attributes = [
            self._next(),
            _EXECUTOR.text(label),
            _BLOCK_ID.text(block_id),
            _BLOCK_STATUS.text(message["status"]),
            *extra,
        ]
        if message["job_id"] is not None:
            attributes.append(_BLOCK_JOB_ID.text(str(message["job_id"])))
        return wire.log_record(
            _BLOCK_STATE,
            to_ns(message["timestamp"]),
            observed_ns,
            self._run,
            span_id(self._run, "block", label, block_id),
            attributes,
        )

    def block_described(
        self, label: str, block_id: str, status: str, time_ns: int, extra: Iterable[bytes]
    ) -> bytes:
        """Return the event that a block's provider has said what no message of Parsl's has."""
        attributes = [
            self._next(),
            _EXECUTOR.text(label),
            _BLOCK_ID.text(block_id),
            _BLOCK_STATUS.text(status),
            *extra,
        ]
        of_block = span_id(self._run, "block", label, block_id)
        return wire.log_record(_BLOCK_DESCRIBED, time_ns, time_ns, self._run, of_block, attributes)

    def executor(self, label: str, state: str, message: str, time_ns: int) -> bytes:
        """Return the event that an executor is lost or was given up."""
        attributes = [
            self._next(),
            _EXECUTOR.text(label),
            _EXECUTOR_STATE.text(state),
            _EXECUTOR_MESSAGE.text(message),
        ]
        of_run = span_id(self._run, "run")
        return wire.log_record(
            _EXECUTOR_CHANGED, time_ns, time_ns, self._run, of_run, attributes, severity=17
        )

    def untraced(self, label: str, why: str, time_ns: int) -> bytes:
        """Return the event that an executor's workers cannot trace."""
        attributes = [self._next(), _EXECUTOR.text(label), _UNTRACED_WHY.text(why)]
        of_run = span_id(self._run, "run")
        return wire.log_record(
            _UNTRACED, time_ns, time_ns, self._run, of_run, attributes, severity=13
        )

    def try_lost(
        self, task_id: int, try_id: int, app: str, label: str, fail_history: str, time_ns: int
    ) -> bytes:
        """Return the event that a try cannot come back, though Parsl waits for it."""
        attributes = [
            self._next(),
            _TASK_ID.integer(task_id),
            _TRY_ID.integer(try_id),
            _APP.text(app),
            _EXECUTOR.text(label),
            _FAIL_HISTORY.text(fail_history),
        ]
        return wire.log_record(
            _TRY_LOST,
            time_ns,
            time_ns,
            task_trace_id(self._run, task_id, scope=self._scope),
            span_id(self._run, "try", task_id, try_id),
            attributes,
            severity=17,
        )

    def worker(self, message: Message, observed_ns: int) -> bytes:
        """Return the event of a WORKER_TASK_INFO that came by a radio of the user's choice."""
        time_ns = to_ns(message["timestamp"])
        task_id, try_id = message["task_id"], message["try_id"]
        attributes = [
            _TASK_ID.integer(task_id),
            _TRY_ID.integer(try_id),
            _HOST.text(message["hostname"]),
            (_RUNNING if message["first_msg"] else _ENDED).integer(time_ns),
        ]
        if message["block_id"] is not None:
            attributes.append(_BLOCK_ID.text(message["block_id"]))
        return wire.log_record(
            _TRY_RUNNING,
            time_ns,
            observed_ns,
            task_trace_id(self._run, task_id, scope=self._scope),
            span_id(self._run, "try", task_id, try_id),
            attributes,
        )

    def _of_run(
        self,
        name: bytes,
        time_ns: int,
        observed_ns: int,
        message: Message,
        extra: Iterable[bytes] = (),
    ) -> bytes:
        attributes = [self._next(), *extra]
        for column, key in (("tasks_completed_count", _COMPLETED), ("tasks_failed_count", _FAILED)):
            if column in message:
                attributes.append(key.integer(message[column]))
        return wire.log_record(
            name, time_ns, observed_ns, self._run, span_id(self._run, "run"), attributes
        )

    def _next(self) -> bytes:
        self._sequence += 1
        return _SEQUENCE.integer(self._sequence)


def _add_known(attributes: list[bytes], message: Message) -> None:
    """Add what may change of a task and is known now: what is absent has its default."""
    add = attributes.append
    if message["task_memoize"]:
        add(_MEMOIZED)
    if message["task_inputs"] != "None":
        add(_INPUTS.text(message["task_inputs"]))
    if message["task_fail_count"]:
        add(_FAIL_COUNT.integer(message["task_fail_count"]))
    if message["task_fail_cost"]:
        add(_FAIL_COST.double(message["task_fail_cost"]))
    if message["task_fail_history"]:
        add(_FAIL_HISTORY.text(message["task_fail_history"]))
    for column, key in _TEXTS:
        if (text := message[column]) is not None:
            add(key.text(text))
    for column, key in _TIMES:
        if (time := message[column]) is not None:
            add(key.integer(to_ns(time)))


_MANAGER_METRICS = (
    ("worker_count", wire.Metric(semconv.MANAGER_WORKERS, "{worker}", is_integer=True)),
    ("cpu_count", wire.Metric(semconv.MANAGER_CPUS, "{cpu}", is_integer=True)),
    ("total_memory", wire.Metric(semconv.MANAGER_MEMORY, "By", is_integer=True)),
    ("active", wire.Metric(semconv.MANAGER_ACTIVE, "1", is_integer=True)),
)
_HEARTBEAT = wire.Metric(semconv.MANAGER_LAST_HEARTBEAT, "ns", is_integer=True)
_LOST = wire.Metric(semconv.MANAGER_LOST, "1", is_integer=True)
_TASKS = wire.Metric(semconv.MANAGER_TASKS, "{task}", is_integer=True)


def manager_attributes(message: Message) -> list[bytes]:
    """Return the Resource attributes that a NODE_INFO's manager is known by."""
    texts = (
        (semconv.MANAGER_UID, message["uid"]),
        (semconv.MANAGER_HOST, message["hostname"]),
        (semconv.BLOCK_ID, message["block_id"]),
        (semconv.MANAGER_PYTHON, message["python_v"]),
    )
    return [Key(name).text(str(value)) for name, value in texts]


def manager_metrics(
    reports: Iterable[Message],
    *,
    heartbeat_threshold_s: float = 120.0,
    zone: datetime.tzinfo | None = None,
) -> list[bytes]:
    """
    Return the metrics of the NODE_INFOs of one manager, a point a report.

    Args:
        reports: The NODE_INFOs.
        heartbeat_threshold_s: How long the interchange waits for a heartbeat; by default HTEX's own
            default.
        zone: Of the interchange's host, whose local times they have; by default this process's.
    """
    reports = list(reports)
    times = [to_ns(report["timestamp"].replace(tzinfo=zone)) for report in reports]
    metrics = [
        metric.of(
            metric.point(b"", 0, time_ns, report[column])
            for time_ns, report in zip(times, reports, strict=True)
            if report[column] is not None
        )
        for column, metric in _MANAGER_METRICS
    ]
    heartbeats = (to_ns(report["last_heartbeat"].replace(tzinfo=zone)) for report in reports)
    metrics.append(
        _HEARTBEAT.of(
            _HEARTBEAT.point(b"", 0, t, beat) for t, beat in zip(times, heartbeats, strict=True)
        )
    )
    ended = [
        (time_ns, _is_lost(report, heartbeat_threshold_s))
        for time_ns, report in zip(times, reports, strict=True)
        if not report["active"]
    ]
    if ended:
        metrics.append(_LOST.of(_LOST.point(b"", 0, t, int(is_lost)) for t, is_lost in ended))
    held = (len(report["tasks"]) for report in reports)
    metrics.append(
        _TASKS.of(_TASKS.point(b"", 0, t, count) for t, count in zip(times, held, strict=True))
    )
    return metrics


def _is_lost(report: Message, heartbeat_threshold_s: float) -> bool:
    """Tell whether an interchange has given a manager up, as ``expire_bad_managers`` there does."""
    silence: datetime.timedelta = report["timestamp"] - report["last_heartbeat"]
    return silence.total_seconds() > heartbeat_threshold_s
