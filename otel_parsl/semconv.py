"""
Every name on the wire, once: attributes, events, spans' kinds and metrics.

Names that begin with ``parsl.`` are ours; the others are OpenTelemetry's semantic conventions,
version 1.44.0.
``TERMS`` holds each with its meaning, unit and source; the reference in docs/ is made from it.
This module imports nothing of ours, and workers import it: keep it cheap.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
SCOPE: Final = "otel_parsl"

STATES: Final = (
    "unsched",
    "pending",
    "running",
    "exec_done",
    "failed",
    "dep_fail",
    "launched",
    "fail_retryable",
    "memo_done",
    "joining",
    "running_ended",
)
"""Parsl's task states, by value (``parsl/dataflow/states.py``)."""

FINAL_STATES: Final = frozenset({"exec_done", "memo_done", "failed", "dep_fail"})
FAILED_STATES: Final = frozenset({"failed", "dep_fail"})
TRY_FAILED_STATES: Final = FAILED_STATES | {"fail_retryable"}


class Term(NamedTuple):
    """One name on the wire."""

    name: str
    kind: str
    """``resource``, ``attribute``, ``event`` or ``metric``."""
    meaning: str
    unit: str = ""
    instrument: str = ""
    """``gauge``, ``counter``, ``updowncounter`` or ``histogram`` for a metric."""
    source: str = "ours"


TERMS: dict[str, Term] = {}


def _term(kind: str, name: str, meaning: str, **more: str) -> str:
    TERMS[name] = Term(name, kind, meaning, **more)
    return name


def _metric(name: str, unit: str, instrument: str, meaning: str, source: str = "ours") -> str:
    return _term("metric", name, meaning, unit=unit, instrument=instrument, source=source)


_PARSL = "Parsl"
_OTEL = "semantic conventions 1.44.0"

# Resource: who writes, and the run's row of table workflow, which others refer to.
SERVICE_NAME = _term("resource", "service.name", "the workflow's name", source=_OTEL)
SERVICE_INSTANCE_ID = _term(
    "resource", "service.instance.id", "one process that writes telemetry", source=_OTEL
)
HOST_NAME = _term("resource", "host.name", "the host of the process that writes", source=_OTEL)
PROCESS_PID = _term("resource", "process.pid", "the process that writes", source=_OTEL)
PROCESS_CREATION_TIME = _term(
    "resource", "process.creation.time", "when that process began, ISO 8601", source=_OTEL
)
RUN_ID = _term("resource", "parsl.run.id", "the run (workflow.run_id)", source=_PARSL)
WORKFLOW_NAME = _term("resource", "parsl.workflow.name", "workflow.workflow_name", source=_PARSL)
WORKFLOW_VERSION = _term(
    "resource", "parsl.workflow.version", "workflow.workflow_version", source=_PARSL
)
WORKFLOW_TIME_BEGAN = _term(
    "resource", "parsl.workflow.time_began", "workflow.time_began", unit="ns", source=_PARSL
)
WORKFLOW_HOST = _term("resource", "parsl.workflow.host", "the submit host", source=_PARSL)
WORKFLOW_USER = _term("resource", "parsl.workflow.user", "who runs it", source=_PARSL)
WORKFLOW_RUNDIR = _term("resource", "parsl.workflow.rundir", "Parsl's run directory", source=_PARSL)
TIME_ZONE = _term(
    "resource",
    "parsl.time.zone",
    "the submit host's zone, an IANA name or an offset such as +02:00:"
    " Parsl's tables hold its naive local times",
)
MONITORS_RESOURCES = _term(
    "resource",
    "parsl.resource_monitoring.enabled",
    "the hub's resource_monitoring_enabled; absent is True. Where it is False, Parsl's tables have"
    " nothing that workers say",
    source=_PARSL,
)
PARSL_VERSION = _term("resource", "parsl.version", "the submit side's Parsl", source=_PARSL)
PYTHON_VERSION = _term("resource", "process.runtime.version", "the process's Python", source=_OTEL)

# What something is about.
TASK_ID = _term("attribute", "parsl.task.id", "task.task_id", source=_PARSL)
TRY_ID = _term("attribute", "parsl.try.id", "try.try_id", source=_PARSL)
APP_NAME = _term("attribute", "parsl.app.name", "task.task_func_name", source=_PARSL)
EXECUTOR_LABEL = _term("attribute", "parsl.executor.label", "try.task_executor", source=_PARSL)
BLOCK_ID = _term("attribute", "parsl.block.id", "the executor's block", source=_PARSL)
SEQUENCE = _term(
    "attribute",
    "parsl.sequence",
    "the number of an event among those of its writer: later facts have higher ones",
)

# The facts of a task and its tries.
TASK_STATE = _term("attribute", "parsl.task.state", "one of Parsl's states", source=_PARSL)
TASK_MEMOIZE = _term(
    "attribute", "parsl.task.memoize", "task.task_memoize; absent is False", source=_PARSL
)
TASK_HASHSUM = _term("attribute", "parsl.task.hashsum", "task.task_hashsum", source=_PARSL)
TASK_DEPENDS = _term(
    "attribute", "parsl.task.depends", "task.task_depends: ids joined by commas", source=_PARSL
)
TASK_INPUTS = _term("attribute", "parsl.task.inputs", "task.task_inputs", source=_PARSL)
TASK_OUTPUTS = _term("attribute", "parsl.task.outputs", "task.task_outputs", source=_PARSL)
TASK_STDIN = _term("attribute", "parsl.task.stdin", "task.task_stdin", source=_PARSL)
TASK_STDOUT = _term("attribute", "parsl.task.stdout", "task.task_stdout", source=_PARSL)
TASK_STDERR = _term("attribute", "parsl.task.stderr", "task.task_stderr", source=_PARSL)
TASK_FAIL_COUNT = _term(
    "attribute", "parsl.task.fail_count", "task.task_fail_count; absent is 0", source=_PARSL
)
TASK_FAIL_COST = _term(
    "attribute", "parsl.task.fail_cost", "task.task_fail_cost; absent is 0", source=_PARSL
)
TASK_TIME_INVOKED = _term(
    "attribute", "parsl.task.time_invoked", "task.task_time_invoked", unit="ns", source=_PARSL
)
TASK_TIME_RETURNED = _term(
    "attribute", "parsl.task.time_returned", "task.task_time_returned", unit="ns", source=_PARSL
)
TRY_TIME_LAUNCHED = _term(
    "attribute", "parsl.try.time_launched", "try.task_try_time_launched", unit="ns", source=_PARSL
)
TRY_TIME_RETURNED = _term(
    "attribute", "parsl.try.time_returned", "try.task_try_time_returned", unit="ns", source=_PARSL
)
TRY_FAIL_HISTORY = _term(
    "attribute", "parsl.try.fail_history", "try.task_fail_history; absent is ''", source=_PARSL
)
TRY_JOINS = _term(
    "attribute", "parsl.try.joins", "try.task_joins: ids joined by commas", source=_PARSL
)
EXECUTOR_TASK_ID = _term(
    "attribute", "parsl.executor.task_id", "the executor's own number of a try", source=_PARSL
)
RESOURCE_SPECIFICATION = _term(
    "attribute",
    "parsl.resource_specification",
    "what a try asked for, as JSON; memory is HTEX's mem_per_worker where it has one",
    source=_PARSL,
)
DEPENDENCY_COUNT = _term(
    "attribute",
    "parsl.task.dependency_count",
    "how many tasks a task waited for or joined: links stop at 128",
)
OUTCOME = _term(
    "attribute",
    "parsl.outcome",
    "how a span ended: success, failure, retried, lost (what ran it died) or unfinished",
)
CALLER = _term(
    "attribute",
    "parsl.caller",
    "the span that was current where the run was loaded or the app was called, as a W3C"
    " traceparent; the span of the run or the task links to it",
)
FATE = _term("attribute", "parsl.fate", "why a try failed, in one word")
EXECUTION_TIME_RUNNING = _term(
    "attribute", "parsl.execution.time_running", "when the worker began the try", unit="ns"
)
EXECUTION_TIME_ENDED = _term(
    "attribute", "parsl.execution.time_ended", "when the worker ended the try", unit="ns"
)

# The totals of one execution, on its span.
EXECUTION_CPU_USER = _term(
    "attribute",
    "parsl.execution.cpu.user",
    "user CPU time, children included; where tries share a process, of the try's thread alone",
    unit="s",
)
EXECUTION_CPU_SYSTEM = _term(
    "attribute", "parsl.execution.cpu.system", "system CPU time, likewise", unit="s"
)
EXECUTION_MEMORY_PEAK = _term(
    "attribute", "parsl.execution.memory.peak", "peak resident memory", unit="By"
)
EXECUTION_DISK_READ = _term(
    "attribute", "parsl.execution.disk.read", "bytes read since the try's start", unit="By"
)
EXECUTION_DISK_WRITE = _term(
    "attribute", "parsl.execution.disk.write", "bytes written since the try's start", unit="By"
)
EXECUTION_EXIT_CODE = _term(
    "attribute", "parsl.execution.exit_code", "the exit code of a bash app that failed"
)
WORKER_RANK = _term("attribute", "parsl.worker.rank", "the worker's number on its node")
MANAGER_UID = _term(
    "attribute", "parsl.manager.uid", "node.uid: the pool of workers", source=_PARSL
)

TRANSPORT_ERROR = _term(
    "attribute",
    "parsl.transport.error",
    "why a worker could not send directly to the run's agent: its news took another way",
)
TRANSPORT_FAILURES = _term(
    "attribute", "parsl.transport.failures", "how often it tried to, since it last said so"
)

# The facts of a run.
TASKS_COMPLETED = _term(
    "attribute", "parsl.run.tasks_completed", "workflow.tasks_completed_count", source=_PARSL
)
TASKS_FAILED = _term(
    "attribute", "parsl.run.tasks_failed", "workflow.tasks_failed_count; absent is 0", source=_PARSL
)
TIME_COMPLETED = _term(
    "attribute", "parsl.run.time_completed", "workflow.time_completed", unit="ns", source=_PARSL
)
STORE_LAG = _term(
    "attribute", "parsl.store.lag", "how far the database is behind, at most", unit="ns"
)
TRACE_SCOPE = _term("attribute", "parsl.trace.scope", "auto, auto:N, run or task: see identity")
TASKS_ELSEWHERE = _term(
    "attribute", "parsl.trace.tasks_elsewhere", "tasks of the run that have a trace of their own"
)

# The facts of a block.
BLOCK_STATUS = _term("attribute", "parsl.block.status", "block.status", source=_PARSL)
BLOCK_JOB_ID = _term("attribute", "parsl.block.job_id", "block.job_id", source=_PARSL)
BLOCK_MESSAGE = _term("attribute", "parsl.block.message", "the provider's words", source=_PARSL)
BLOCK_EXIT_CODE = _term("attribute", "parsl.block.exit_code", "the job's exit code", source=_PARSL)
BLOCK_SUBMIT_ERROR = _term(
    "attribute", "parsl.block.submit_error", "the scheduler's words when it refused the job"
)
BLOCK_STDOUT = _term("attribute", "parsl.block.stdout_path", "the job's stdout", source=_PARSL)
BLOCK_STDERR = _term("attribute", "parsl.block.stderr_path", "the job's stderr", source=_PARSL)

# The facts of an executor.
EXECUTOR_STATE = _term(
    "attribute",
    "parsl.executor.state",
    "lost (its interchange is gone) or failed (Parsl has given it up)",
)
EXECUTOR_MESSAGE = _term("attribute", "parsl.executor.message", "why, in words")
EXECUTOR_UNTRACED = _term(
    "attribute",
    "parsl.executor.untraced_reason",
    "why an executor's workers cannot trace, so that it is seen from the submit side only",
)

# Exceptions, by the conventions.
ERROR_TYPE = _term("attribute", "error.type", "the exception's class", source=_OTEL)
EXCEPTION_TYPE = _term("attribute", "exception.type", "the exception's class", source=_OTEL)
EXCEPTION_MESSAGE = _term("attribute", "exception.message", "what it says", source=_OTEL)
EXCEPTION_STACKTRACE = _term(
    "attribute", "exception.stacktrace", "its stack trace, at most 16 KiB", source=_OTEL
)

# Events: log records, and on the spans as span events.
EVENT_RUN_STARTED = _term("event", "parsl.run.started", "a run began")
EVENT_RUN_ENDED = _term("event", "parsl.run.ended", "a run was cleaned up, or was found dead")
EVENT_TASK_STATE = _term("event", "parsl.task.state_changed", "a task took a new state")
EVENT_TRACE_SPLIT = _term(
    "event",
    "parsl.trace.split",
    "tasks of the run have traces of their own: search for its parsl.run.id to find them",
)
EVENT_BLOCK_STATUS = _term("event", "parsl.block.status_changed", "a block took a new status")
EVENT_RUN_ALIVE = _term("event", "parsl.run.alive", "a run's agent is there")
EVENT_MANAGERS_ENDED = _term(
    "event", "parsl.managers.ended", "nothing more will be heard of the run's managers"
)
EVENT_BLOCK_DESCRIBED = _term(
    "event",
    "parsl.block.described",
    "the provider said more of a block than Parsl's own message has",
)
EVENT_EXECUTOR_STATE = _term(
    "event", "parsl.executor.state_changed", "an executor is lost, or was given up"
)
EVENT_EXECUTOR_UNTRACED = _term(
    "event",
    "parsl.executor.untraced",
    "an executor's workers cannot trace: its tries are seen from the submit side only",
)
EVENT_TRY_LOST = _term(
    "event", "parsl.try.lost", "a try cannot come back, and Parsl will not say so"
)
EVENT_TRY_RUNNING = _term("event", "parsl.try.running", "a worker began a try")
EVENT_AGENT_UNREACHED = _term(
    "event", "parsl.agent.unreached", "a worker could not send directly to the run's agent"
)
EVENT_EXCEPTION = _term("event", "exception", "an exception ended a try", source=_OTEL)

# Metrics: what one try has used since its start, children included (table resource).
TRY_SAMPLE = _metric(
    "parsl.try.sample",
    "s",
    "gauge",
    "the interval at which a try is sampled; its attributes are the texts of the sample",
)
TRY_CPU_USER = _metric("parsl.try.cpu.user", "s", "gauge", "user CPU time since the try's start")
TRY_CPU_SYSTEM = _metric(
    "parsl.try.cpu.system", "s", "gauge", "system CPU time since the try's start"
)
TRY_MEMORY_RESIDENT = _metric("parsl.try.memory.resident", "By", "gauge", "resident memory")
TRY_MEMORY_VIRTUAL = _metric("parsl.try.memory.virtual", "By", "gauge", "virtual memory")
TRY_MEMORY_PERCENT = _metric(
    "parsl.try.memory.percent", "%", "gauge", "resident memory as a share of the node's"
)
TRY_CHILDREN = _metric("parsl.try.children", "{process}", "gauge", "processes a try has started")
TRY_DISK_READ = _metric("parsl.try.disk.read", "By", "gauge", "bytes read since the try's start")
TRY_DISK_WRITE = _metric(
    "parsl.try.disk.write", "By", "gauge", "bytes written since the try's start"
)
TRY_SWITCHES_VOLUNTARY = _metric(
    "parsl.try.context_switches.voluntary",
    "{context_switch}",
    "gauge",
    "voluntary context switches since the try's start",
)
TRY_SWITCHES_INVOLUNTARY = _metric(
    "parsl.try.context_switches.involuntary",
    "{context_switch}",
    "gauge",
    "involuntary context switches since the try's start",
)
SAMPLE_PID = _term("attribute", "parsl.try.pid", "the process that runs the try", source=_PARSL)
SAMPLE_STATUS = _term("attribute", "parsl.try.process.status", "its status, in psutil's words")
SAMPLE_CPU_NUM = _term("attribute", "parsl.try.process.cpu_num", "the processor it last ran on")

# Metrics: what a manager reported of itself (table node), one set a report.
MANAGER_WORKERS = _metric(
    "parsl.manager.workers", "{worker}", "gauge", "node.worker_count", source=_PARSL
)
MANAGER_CPUS = _metric("parsl.manager.cpus", "{cpu}", "gauge", "node.cpu_count", source=_PARSL)
MANAGER_MEMORY = _metric("parsl.manager.memory", "By", "gauge", "node.total_memory", source=_PARSL)
MANAGER_ACTIVE = _metric("parsl.manager.active", "1", "gauge", "node.active: 1 or 0", source=_PARSL)
MANAGER_LAST_HEARTBEAT = _metric(
    "parsl.manager.last_heartbeat", "ns", "gauge", "node.last_heartbeat", source=_PARSL
)
MANAGER_TASKS = _metric(
    "parsl.manager.tasks", "{task}", "gauge", "tasks the manager holds", source=_PARSL
)
MANAGER_LOST = _metric(
    "parsl.manager.lost",
    "1",
    "gauge",
    "of a manager that takes no more tasks: 1 if its heartbeats stopped, 0 if it was told to leave",
)
MANAGER_HOST = _term("resource", "parsl.manager.host", "node.hostname", source=_PARSL)
MANAGER_PYTHON = _term("resource", "parsl.manager.python", "node.python_v", source=_PARSL)

# Metrics of a run, derived by its agent: cumulative.
RUN_TASKS = _metric("parsl.run.tasks", "{task}", "updowncounter", "tasks in each state")
RUN_WORKERS = _metric(
    "parsl.run.workers", "{worker}", "updowncounter", "workers that an executor's managers have"
)
RUN_BLOCKS = _metric("parsl.run.blocks", "{block}", "updowncounter", "blocks in each status")
TASK_DURATION = _metric(
    "parsl.task.duration",
    "s",
    "histogram",
    "time from an app's call to the end of its future, retries included",
)
TASK_QUEUE_TIME = _metric(
    "parsl.task.queue_time",
    "s",
    "histogram",
    "time from a try's launch to its return in which no worker ran it: a wait, and both ways;"
    " it compares no two hosts' clocks",
)

CLOCK_AHEAD_AT_LEAST = _metric(
    "parsl.host.clock_ahead.at_least",
    "s",
    "gauge",
    "how far a host's clock is ahead of the submit host's, at least: no try was returned before its"
    " worker ended it; negative is behind",
)
CLOCK_AHEAD_AT_MOST = _metric(
    "parsl.host.clock_ahead.at_most",
    "s",
    "gauge",
    "the same, at most: no worker began a try before it was launched",
)

# Metrics of a worker process, by the conventions.
PROCESS_CPU_TIME = _metric("process.cpu.time", "s", "counter", "CPU time", _OTEL)
PROCESS_MEMORY_USAGE = _metric(
    "process.memory.usage", "By", "updowncounter", "resident memory", _OTEL
)
PROCESS_MEMORY_VIRTUAL = _metric(
    "process.memory.virtual", "By", "updowncounter", "virtual memory", _OTEL
)
PROCESS_DISK_IO = _metric("process.disk.io", "By", "counter", "bytes read and written", _OTEL)
PROCESS_CONTEXT_SWITCHES = _metric(
    "process.context_switches", "{context_switch}", "counter", "context switches", _OTEL
)
PROCESS_THREADS = _metric("process.thread.count", "{thread}", "updowncounter", "threads", _OTEL)
PROCESS_FILES = _metric(
    "process.unix.file_descriptor.count",
    "{file_descriptor}",
    "updowncounter",
    "open files",
    _OTEL,
)
CPU_MODE = _term("attribute", "cpu.mode", "user or system", source=_OTEL)
DISK_IO_DIRECTION = _term("attribute", "disk.io.direction", "read or write", source=_OTEL)
CONTEXT_SWITCH_TYPE = _term(
    "attribute", "process.context_switch.type", "voluntary or involuntary", source=_OTEL
)
