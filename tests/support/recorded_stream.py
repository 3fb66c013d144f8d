"""
One run written down twice: as Parsl's messages, and as the requests that we make of them.

The requests come from the product itself (``messages.RunEvents`` on the submit side,
``worker.Writer`` where tries run), each with a single record, span, sample or report in it: the
atoms that any real stream is put together from.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any
from unittest.mock import patch

from parsl.monitoring.message_type import MessageType

from otel_parsl import __version__, semconv, wire
from otel_parsl.execution_record import EXECUTION, expand
from otel_parsl.identity import run_key
from otel_parsl.messages import (
    RunEvents,
    manager_attributes,
    manager_metrics,
    run_attributes,
    to_ns,
)
from otel_parsl.sampling.sample_metrics import sample_from_message, sample_metrics
from otel_parsl.sampling.sampler import Sample
from otel_parsl.time_zone import local_zone
from otel_parsl.wire import LOGS, METRICS, Key
from otel_parsl.worker import RunContext, TryContext, Writer
from tests.support.parsl_messages import (
    Message,
    at,
    block_info,
    node_info,
    resource_info,
    run_ended,
    run_started,
    task_info,
    worker_task_info,
)

Request = tuple[int, bytes]
"""Signal and payload."""

INTERVAL_S = 10.0
_WORKER = {
    "PARSL_WORKER_BLOCK_ID": "0",
    "PARSL_WORKER_RANK": "3",
    "PARSL_WORKER_POOL_ID": "0a1b2c3d4e5f",
}


@dataclass(frozen=True)
class Recording:
    """A stream, and what it was made from."""

    messages: Mapping[str, Sequence[tuple[Any, Any]]]
    """What Parsl's own hub would have had, by run id: tags and contents."""
    requests: Sequence[Request]
    """In the order they were made."""


def joined(*recordings: Recording) -> Recording:
    """Return recordings of several runs as one stream, their requests taking turns."""
    turns = max(len(recording.requests) for recording in recordings)
    return Recording(
        {run: said for recording in recordings for run, said in recording.messages.items()},
        [
            recording.requests[turn]
            for turn in range(turns)
            for recording in recordings
            if turn < len(recording.requests)
        ],
    )


class RecordedRun:
    """
    Write down a run.

    Args:
        name: Of the workflow; its run id is made from it.
        scope: Which trace a task lives in.
    """

    def __init__(self, name: str, *, scope: str = "auto", **columns: Any) -> None:
        digest = blake2b(name.encode(), digest_size=16).digest()
        self.run_id = str(uuid.UUID(bytes=digest, version=4))
        self.messages: list[tuple[Any, Any]] = []
        self.requests: list[Request] = []
        self.completed = 0
        self.failed = 0
        self.events = RunEvents(run_key(self.run_id), scope=scope)
        self._scope = wire.scope(semconv.SCOPE, __version__)
        self._started = run_started(run_id=self.run_id, workflow_name=name, **columns)
        of_run = (
            *run_attributes(self._started, zone=local_zone()),
            Key(semconv.SERVICE_NAME).text(name),
        )
        self._of_run = of_run
        self._resource = wire.resource((*of_run, Key(semconv.PROCESS_PID).integer(4000)))
        context = RunContext(self.run_id, of_run, scope, INTERVAL_S, "recorded")
        with patch.dict(os.environ, _WORKER):
            self.worker = Writer(context, in_submit_process=True)
        self.threads = Writer(context, in_submit_process=True)

    def recording(self) -> Recording:
        """Return what was written down."""
        return Recording({self.run_id: self.messages}, self.requests)

    def start(self) -> None:
        """Parsl's first WORKFLOW_INFO."""
        self.messages.append((MessageType.WORKFLOW_INFO, self._started))
        self.log(self.events.started(self._started, to_ns(at(0))))

    def end(self, seconds: float = 60, **changes: Any) -> None:
        """Parsl's last WORKFLOW_INFO."""
        message = run_ended(
            run_id=self.run_id,
            tasks_completed_count=self.completed,
            tasks_failed_count=self.failed,
            time_completed=at(seconds),
            **changes,
        )
        self.messages.append((MessageType.WORKFLOW_INFO, message))
        self.log(self.events.ended(message, to_ns(at(seconds))))

    def task(self, message: Message, extra: Sequence[bytes] = ()) -> None:
        """Take a TASK_INFO."""
        self.messages.append((MessageType.TASK_INFO, message))
        self.log(self.events.task(message, to_ns(message["timestamp"]) + 1, extra))

    def block(self, seconds: float, status: str, **changes: Any) -> None:
        """Take a BLOCK_INFO of one block, and the provider's words."""
        words = [
            Key(name).any(changes.pop(name))
            for name in (semconv.BLOCK_MESSAGE, semconv.BLOCK_EXIT_CODE, semconv.BLOCK_STDOUT)
            if name in changes
        ]
        message = block_info(run_id=self.run_id, status=status, timestamp=at(seconds), **changes)
        self.messages.append((MessageType.BLOCK_INFO, [message]))
        self.log(self.events.block(message, to_ns(at(seconds)), words))

    def manager(self, *reports: Message) -> None:
        """Take NODE_INFOs of one manager that arrived together."""
        reports = tuple({**report, "run_id": self.run_id} for report in reports)
        self.messages += [(MessageType.NODE_INFO, report) for report in reports]
        attributes = (*self._of_run, *manager_attributes(reports[0]))
        self._request(METRICS, wire.resource(attributes), manager_metrics(reports))

    def execution(
        self,
        which: TryContext,
        began: datetime,
        ended: datetime,
        error: BaseException | None = None,
    ) -> None:
        """A try ran on a worker that samples, or in a thread of the submit process."""
        writer = self.worker if which.monitor_resources else self.threads
        block_id = _WORKER["PARSL_WORKER_BLOCK_ID"] if which.monitor_resources else None
        self._worker_messages(which, began, ended, host=writer.host, block_id=block_id)
        sample = self._sample(which, ended) if which.monitor_resources else None
        self._frames(writer.execution(which, to_ns(began), to_ns(ended), error, sample))

    def live_sample(self, which: TryContext, time: datetime, **changes: Any) -> None:
        """A worker sent a sample while a try ran."""
        self._frames(self.worker.sample(which, self._sample(which, time, **changes)))

    def live_running(self, which: TryContext, began: datetime) -> None:
        """A worker said that a try runs, while it ran."""
        began_ns = to_ns(began)
        record = wire.log_record(
            wire.sized(semconv.EVENT_TRY_RUNNING.encode()),
            began_ns,
            began_ns + 500_000_000,
            run_key(self.run_id),
            bytes(8),
            [
                *self.worker.try_attributes(which),
                Key(semconv.EXECUTION_TIME_RUNNING).integer(began_ns),
                Key(semconv.SAMPLE_PID).integer(self.worker.pid),
            ],
        )
        self._frames(self.worker.frame(LOGS, (record,)))

    def radio_message(self, message: Message) -> None:
        """A WORKER_TASK_INFO or RESOURCE_INFO came by a radio of the user's choice."""
        message = {**message, "run_id": self.run_id}
        if "first_msg" in message:
            self.messages.append((MessageType.WORKER_TASK_INFO, message))
            self.log(self.events.worker(message, to_ns(message["timestamp"])))
            return
        self.messages.append((MessageType.RESOURCE_INFO, message))
        sample = sample_from_message(message, to_ns(message["timestamp"]))
        interval_s = message["resource_monitoring_interval"]
        which = {"task_id": message["task_id"], "try_id": message["try_id"]}
        metrics = sample_metrics(sample, interval_s=interval_s, **which)
        self._request(METRICS, self._resource, metrics)

    def log(self, record: bytes) -> None:
        """Take one event of the hub's."""
        self._request(LOGS, self._resource, [record])

    def heartbeat(self, seconds: float) -> None:
        """The agent said that it is there."""
        time_ns = to_ns(at(seconds))
        name = wire.sized(semconv.EVENT_RUN_ALIVE.encode())
        lag = wire.Key(semconv.STORE_LAG).integer(int(seconds * 1e6))
        record = wire.log_record(name, time_ns, time_ns, run_key(self.run_id), bytes(8), [lag])
        self._request(LOGS, wire.resource(self._of_run), [record])

    def lost(self, seconds: float) -> None:
        """The agent found the submit process dead."""
        time_ns = to_ns(at(seconds))
        record = wire.log_record(
            wire.sized(semconv.EVENT_RUN_ENDED.encode()),
            time_ns,
            time_ns,
            run_key(self.run_id),
            bytes(8),
            [
                Key(semconv.SEQUENCE).integer(1 << 52),
                Key(semconv.TIME_COMPLETED).integer(time_ns),
                Key(semconv.OUTCOME).text("lost"),
            ],
        )
        self._request(LOGS, wire.resource(self._of_run), [record])

    def _worker_messages(
        self, which: TryContext, began: datetime, ended: datetime, *, host: str, block_id: Any
    ) -> None:
        said = {"run_id": self.run_id, "task_id": which.task_id, "try_id": which.try_id}
        said |= {"hostname": host, "block_id": block_id}
        for is_first, time in ((True, began), (False, ended)):
            message = worker_task_info(
                first_msg=is_first, last_msg=not is_first, timestamp=time, **said
            )
            self.messages.append((MessageType.WORKER_TASK_INFO, message))

    def _sample(self, which: TryContext, time: datetime, **changes: Any) -> Sample:
        message = resource_info(
            run_id=self.run_id,
            task_id=which.task_id,
            try_id=which.try_id,
            timestamp=time,
            resource_monitoring_interval=INTERVAL_S,
            psutil_process_time_user=0.25 * (which.task_id + 1),
        )
        message |= changes
        self.messages.append((MessageType.RESOURCE_INFO, message))
        sample = sample_from_message(message, to_ns(time))
        return sample._replace(memory_peak_bytes=200 << 20)

    def _frames(self, frames: bytes) -> None:
        from otel_parsl.spool import _whole_frames

        for signal, start, end in _whole_frames(frames):
            if signal == EXECUTION:
                self.requests += expand([frames[start:end]], self._of_run, _is_readable)
            else:
                self.requests.append((signal, frames[start:end]))

    def _request(self, signal: int, resource: bytes, items: Sequence[bytes]) -> None:
        payload = wire.request(resource, self._scope, items, schema_url=semconv.SCHEMA_URL)
        self.requests.append((signal, payload))


def _is_readable(_record: bytes, error: Exception) -> None:
    raise error


class RecordedTask:
    """
    Write down one task of a run, state by state.

    Args:
        run: The run.
        task_id: Parsl's task id.
        seconds: When it was invoked, after the run began.
        columns: What its messages say that a plain task's do not.
    """

    def __init__(self, run: RecordedRun, task_id: int, seconds: float, **columns: Any) -> None:
        self.run = run
        self.seconds = seconds
        self.message = task_info(
            run_id=run.run_id, task_id=task_id, task_time_invoked=at(seconds), **columns
        )

    @property
    def which(self) -> TryContext:
        """The try that it is in."""
        message = self.message
        executor = message["task_executor"]
        return TryContext(
            message["task_id"],
            message["try_id"],
            message["task_func_name"],
            executor,
            executor == "htex",
        )

    def becomes(self, state: str, extra: Sequence[bytes] = (), **changes: Any) -> None:
        """Take a state, a while after the one before."""
        self.seconds += 0.251003
        now = at(self.seconds)
        if state == "launched":
            changes = {"task_try_time_launched": now, **changes}
        if state in ("fail_retryable", "joining", "exec_done", "failed"):
            changes = {"task_try_time_returned": now, **changes}
        if state in ("exec_done", "failed", "memo_done", "dep_fail"):
            changes = {"task_time_returned": now, **changes}
        self.run.completed += state == "exec_done"
        self.run.failed += state == "failed"
        self.message = {
            **self.message,
            "task_status_name": state,
            "timestamp": now,
            "tasks_completed_count": self.run.completed,
            "tasks_failed_count": self.run.failed,
            **changes,
        }
        self.run.task(self.message, extra)

    def launch(self) -> None:
        """Become pending where it is not yet, and launched, with what its submission knows."""
        extra = [
            Key(semconv.EXECUTOR_TASK_ID).text(str(self.message["task_id"] + 1)),
            Key(semconv.RESOURCE_SPECIFICATION).text('{"cores": 2}'),
        ]
        self.becomes("launched", extra if self.message["task_executor"] == "htex" else ())

    def execute(self, error: BaseException | None = None) -> None:
        """Run on a worker for a while."""
        began = at(self.seconds + 0.1)
        self.seconds += 1.5
        self.run.execution(self.which, began, at(self.seconds), error)

    def retry(self, history: str, cost: float = 1.0) -> None:
        """Fail retryably, and be pending again in the next try."""
        count = self.message["task_fail_count"] + 1
        cost += self.message["task_fail_cost"]
        failure = {"task_fail_count": count, "task_fail_cost": cost, "task_fail_history": history}
        self.becomes("fail_retryable", **failure)
        self.becomes(
            "pending",
            try_id=self.message["try_id"] + 1,
            task_try_time_launched=None,
            task_try_time_returned=None,
            task_fail_history="",
        )


def raised(error: BaseException) -> BaseException:
    """Return an exception with a stack trace, as a worker has it."""
    try:
        raise error
    except BaseException as caught:
        return caught


def node_report(seconds: float, **changes: Any) -> Message:
    """Return a NODE_INFO of the usual manager at a time."""
    return node_info(timestamp=at(seconds), last_heartbeat=at(seconds - 0.5), **changes)
