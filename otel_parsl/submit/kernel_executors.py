"""
What the executors of a DataFlowKernel say of themselves: the seam's part for ``executor_watch``.

Like ``seam`` it touches Parsl's internals, on instances alone, and is held to by
``tests/contracts/test_parsl_surface.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from parsl.executors.base import ParslExecutor
from parsl.executors.high_throughput.executor import HighThroughputExecutor
from parsl.executors.status_handling import BlockProviderExecutor
from parsl.jobs.states import JobStatus

from otel_parsl.errors import ParslMismatch
from otel_parsl.submit.executor_watch import Interchange, OpenTry, submit_words

_OPEN_TRY = "otel_parsl_try"
_OF_CLASS = object()


def mark_open(future: Future[Any], task_id: int, try_id: int, app: str) -> None:
    """Note on an executor's own future which try it is of."""
    setattr(future, _OPEN_TRY, OpenTry(task_id, try_id, app))


class KernelExecutors:
    """What the executors of a DataFlowKernel say of themselves, for ``executor_watch``."""

    def __init__(self) -> None:
        self._executors: dict[str, BlockProviderExecutor] = {}
        self._submit_errors: dict[tuple[str, str], str] = {}
        self._replaced: list[tuple[ParslExecutor, str, Any]] = []

    def replace(self, executor: ParslExecutor, name: str, value: Any) -> None:
        """Replace an attribute of an executor, until ``restore``."""
        self._replaced.append((executor, name, vars(executor).get(name, _OF_CLASS)))
        setattr(executor, name, value)

    def restore(self, executors: Iterable[ParslExecutor] | None = None) -> None:
        """
        Leave executors as they were found: their Config may be loaded again.

        Args:
            executors: Which; all if not given.
        """
        chosen = None if executors is None else list(map(id, executors))
        kept = []
        for replaced in reversed(self._replaced):
            executor, name, value = replaced
            if chosen is not None and id(executor) not in chosen:
                kept.append(replaced)
            elif value is _OF_CLASS:
                delattr(executor, name)
            else:
                setattr(executor, name, value)
        self._replaced = kept[::-1]
        for executor in executors or ():
            self._executors.pop(executor.label, None)

    def add(self, executor: ParslExecutor) -> None:
        """Look after an executor, if it has blocks."""
        if not isinstance(executor, BlockProviderExecutor):
            return
        label, launch = executor.label, executor._launch_block
        self._executors[label] = executor

        def launch_block(block_id: str) -> Any:
            try:
                return launch(block_id)
            except Exception as error:
                # Its traceback would keep alive what the submission had at hand.
                self._submit_errors[label, block_id] = submit_words(error)
                raise

        self.replace(executor, "_launch_block", launch_block)

    def labels(self) -> Sequence[str]:
        """Return the labels of all that have blocks."""
        return list(self._executors)

    def block_statuses(self, label: str) -> Mapping[str, JobStatus]:
        """Return the JobStatus of each block, by block id."""
        executor = self._executors.get(label)
        return {} if executor is None else executor.status_facade

    def job_id(self, label: str, block_id: str) -> str | None:
        """Return the provider's id of a block's job; None where it has none."""
        job_id = self._executors[label].blocks_to_job_id.get(block_id)
        return None if job_id is None else str(job_id)

    def submit_error(self, label: str, block_id: str) -> str | None:
        """Return the words with which a block was refused; None if it was not."""
        return self._submit_errors.get((label, block_id))

    def failure(self, label: str) -> BaseException | None:
        """Return why Parsl has given an executor up; None while it has not."""
        executor = self._executors[label]
        return executor.executor_exception if executor.bad_state_is_set else None

    def dead_interchange(self, label: str) -> Interchange | None:
        """Return an executor's interchange once it is gone; None while all is well."""
        executor = self._executors[label]
        process = getattr(executor, "interchange_proc", None)
        if not isinstance(executor, HighThroughputExecutor) or process is None:
            return None
        exit_code = process.poll()
        # A shutdown ends it too, and says so before.
        if exit_code is None or executor._result_queue_thread_exit.is_set():
            return None
        return Interchange(process.pid, exit_code)

    def with_logdir(self, logdir: str) -> HighThroughputExecutor:
        """
        Return the HTEX that keeps its logs in a directory.

        Raises:
            ParslMismatch: There is none.
        """
        for executor in self._executors.values():
            if isinstance(executor, HighThroughputExecutor) and executor.logdir == logdir:
                return executor
        raise ParslMismatch(f"no executor of this run has its logs in {logdir!r}")

    def open_tries(self, label: str) -> Sequence[OpenTry]:
        """Return the tries that an executor holds."""
        held = list(self._executors[label].tasks.values())
        return [found for future in held if (found := getattr(future, _OPEN_TRY, None))]
