"""What a look at the executors finds, and what it costs."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from parsl.executors import HighThroughputExecutor
from parsl.jobs.states import JobState, JobStatus
from parsl.providers import LocalProvider

from otel_parsl.identity import run_key
from otel_parsl.messages import RunEvents
from otel_parsl.submit.executor_watch import ExecutorWatch
from otel_parsl.submit.kernel_executors import KernelExecutors


class _Watched:
    """An executor, not started, and who looks after it."""

    def __init__(self, provider: LocalProvider) -> None:
        self.executor = HighThroughputExecutor(label="htex", provider=provider)
        self.executor.launch_cmd = "true"
        executors = KernelExecutors()
        executors.add(self.executor)
        self._watch = ExecutorWatch(executors)
        self._events = RunEvents(run_key("0c5dba1a-0000-4000-8000-000000000001"))

    def news(self) -> list[bytes]:
        """Return what was not said before."""
        return list(self._watch.news(self._events))


class _Counted(JobStatus):
    """A status that counts how often its paths are asked for."""

    asked = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "stdout_path":
            _Counted.asked += 1
        return super().__getattribute__(name)


def test_block_that_stays_as_it_is_is_looked_at_no_more() -> None:
    """A run may have had thousands, and each second all are looked at; one that changes is said."""
    watched = _Watched(LocalProvider(init_blocks=0))
    status = _Counted(JobState.FAILED, stdout_path="out")
    watched.executor._status["0"] = status
    (failed,) = watched.news()
    assert b"FAILED" in failed
    asked = _Counted.asked
    assert watched.news() == watched.news() == []
    assert _Counted.asked == asked

    # As HighThroughputExecutor.status does.
    status.state = JobState.MISSING
    (missing,) = watched.news()
    status.message = "the workers failed to register"
    (told,) = watched.news()
    assert b"MISSING" in missing
    assert b"the workers failed to register" in told
    assert watched.news() == []


def test_refused_block_keeps_the_words_and_nothing_of_its_submission() -> None:
    """A traceback holds all that was at hand where it was raised, as long as the run goes on."""
    raised: list[weakref.ref[Exception]] = []

    class RefusedError(Exception):
        pass

    class Refusing(LocalProvider):
        def submit(self, *_: Any, **__: Any) -> Any:
            error = RefusedError("sbatch: error: invalid account")
            raised.append(weakref.ref(error))
            raise error

    watched = _Watched(Refusing(init_blocks=0))
    watched.executor.scale_out_facade(1)
    gc.collect()
    assert [error() for error in raised] == [None]
    (refused,) = watched.news()
    assert b"FAILED" in refused
    assert b"sbatch: error: invalid account" in refused
