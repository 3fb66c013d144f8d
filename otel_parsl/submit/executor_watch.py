"""
What becomes of executors and blocks that Parsl's messages do not say.

Flow: seam's executors -> **executor_watch** -> drain -> spool
Parsl's message of a block has its status and its job alone, and none is sent of a block that fails
at launch; a dead interchange is noticed by nobody in Parsl, and the futures of its tries stay open.
"""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from otel_parsl import semconv
from otel_parsl.clock import now_ns
from otel_parsl.messages import RunEvents
from otel_parsl.wire import Key

LOST, FAILED = "lost", "failed"
"""What an executor may be: its interchange is gone, or Parsl has given it up."""

_WORDS = (
    ("message", Key(semconv.BLOCK_MESSAGE)),
    ("stdout_path", Key(semconv.BLOCK_STDOUT)),
    ("stderr_path", Key(semconv.BLOCK_STDERR)),
)
_EXIT_CODE = Key(semconv.BLOCK_EXIT_CODE)
_SUBMIT_ERROR = Key(semconv.BLOCK_SUBMIT_ERROR)
_JOB_ID = Key(semconv.BLOCK_JOB_ID)


class OpenTry(NamedTuple):
    """A try that an executor has not ended."""

    task_id: int
    try_id: int
    app: str


class Interchange(NamedTuple):
    """An interchange that has ended, and was not told to."""

    pid: int
    exit_code: int
    """Negative: the signal that killed it."""


class Executors(Protocol):
    """What the seam says of a DataFlowKernel's executors."""

    def labels(self) -> Sequence[str]:
        """Return the labels of all that have blocks."""

    def block_statuses(self, label: str) -> Mapping[str, Any]:
        """Return the JobStatus of each block, by block id."""

    def job_id(self, label: str, block_id: str) -> str | None:
        """Return the provider's id of a block's job; None where it has none."""

    def submit_error(self, label: str, block_id: str) -> str | None:
        """Return the words with which a block was refused; None if it was not."""

    def failure(self, label: str) -> BaseException | None:
        """Return why Parsl has given an executor up; None while it has not."""

    def dead_interchange(self, label: str) -> Interchange | None:
        """Return an executor's interchange once it is gone; None while all is well."""

    def open_tries(self, label: str) -> Sequence[OpenTry]:
        """Return the tries that an executor holds."""


class ExecutorWatch:
    """
    Look after the executors of one run.

    Args:
        executors: What the seam says of them.
    """

    def __init__(self, executors: Executors) -> None:
        self._executors = executors
        self._said: dict[tuple[str, str], tuple[str, tuple[bytes, ...]]] = {}
        self._known: dict[tuple[str, str], dict[str, bytes]] = defaultdict(dict)
        self._seen: dict[tuple[str, str], tuple[object, ...]] = {}
        """Of each block what was found at the last look: most have ended, and stay as they are."""
        self._states: dict[str, str] = {}
        self._dead_before: set[str] = set()

    def words(self, label: str, block_id: str, status: str) -> tuple[bytes, ...]:
        """Return what the provider says of a block, for Parsl's own message of this status."""
        words = self._words(label, block_id)
        self._said[label, block_id] = status, words
        self._seen.pop((label, block_id), None)
        return words

    def news(self, events: RunEvents) -> Iterator[bytes]:
        """Yield an event for each thing that was not said before."""
        at_ns = now_ns()
        for label in self._executors.labels():
            yield from self._block_news(label, events, at_ns)
            yield from self._state_news(label, events, at_ns)

    def _block_news(self, label: str, events: RunEvents, now_ns: int) -> Iterator[bytes]:
        for block_id, status in list(self._executors.block_statuses(label).items()):
            seen = status, status.state, status.message  # HTEX changes these two in place
            if self._seen.get((label, block_id)) == seen:
                continue
            self._seen[label, block_id] = seen
            # HTEX calls a block missing that its scheduler has refused: it was never there.
            is_refused = self._executors.submit_error(label, block_id) is not None
            name = "FAILED" if is_refused else status.status_name
            said = name, self._words(label, block_id)
            if self._said.get((label, block_id)) == said:
                continue
            self._said[label, block_id] = said
            job_id = self._executors.job_id(label, block_id)
            job = () if job_id is None else (_JOB_ID.text(job_id),)
            yield events.block_described(label, block_id, said[0], now_ns, (*said[1], *job))

    def _words(self, label: str, block_id: str) -> tuple[bytes, ...]:
        """Return all that was ever said: a later JobStatus, as of a block scaled in, has none."""
        status = self._executors.block_statuses(label).get(block_id)
        known = self._known[label, block_id]
        for name, key in _WORDS:
            if (value := getattr(status, name, None)) is not None:
                known[name] = key.text(str(value))
        if (exit_code := getattr(status, "exit_code", None)) is not None:
            known["exit_code"] = _EXIT_CODE.integer(exit_code)
        error = self._executors.submit_error(label, block_id)
        if error is not None:
            known["submit_error"] = _SUBMIT_ERROR.text(error)
        return tuple(known[name] for name in sorted(known))

    def _state_news(self, label: str, events: RunEvents, now_ns: int) -> Iterator[bytes]:
        failure = self._executors.failure(label)
        if failure is not None:
            if label not in self._states:
                self._states[label] = FAILED
                yield events.executor(label, FAILED, str(failure), now_ns)
            return
        dead = self._executors.dead_interchange(label)
        if dead is None or label in self._states:
            return
        if label not in self._dead_before:
            # What it had sent may be under way yet: the next look sees what is left open.
            self._dead_before.add(label)
            return
        self._states[label] = LOST
        words = f"the interchange of executor {label} (process {dead.pid}) {_end_of(dead)}"
        yield events.executor(label, LOST, words, now_ns)
        told = f"InterchangeLost({words + '; its results cannot come back'!r})"
        for which in self._executors.open_tries(label):
            yield events.try_lost(*which, label, told, now_ns)


def submit_words(error: BaseException) -> str:
    """Return what the scheduler said when it refused a job: Parsl has it in SubmitException."""
    said = (getattr(error, name, None) for name in ("stderr", "stdout"))
    return next((text.strip() for text in said if text and text.strip()), "") or str(error)


def _end_of(dead: Interchange) -> str:
    if dead.exit_code >= 0:
        return f"ended with exit code {dead.exit_code}"
    try:
        name = signal.Signals(-dead.exit_code).name
    except ValueError:
        name = f"signal {-dead.exit_code}"
    return f"was killed by {name}"
