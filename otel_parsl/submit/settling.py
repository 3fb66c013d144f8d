"""
Between the future that an executor makes for a try and the one that Parsl is given.

Flow: executor -> **settling** -> DataFlowKernel
What a try failed with is said to the hub before Parsl hears of it, and a worker that cannot trace
runs the try all the same.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

from parsl.app.errors import RemoteExceptionWrapper

from otel_parsl import carrier

logger = logging.getLogger(__name__)

TryKey = tuple[int, int]
"""Task and try."""
Submission = Callable[[], "Future[Any]"]
Failed = Callable[..., None]


def error_of(done: Future[Any]) -> BaseException | None:
    """Return what the result of a future that is done would raise: its cancelling, for one."""
    return CancelledError() if done.cancelled() else done.exception()


class Tracing:
    """
    Whether an executor's workers can trace, for as long as the executor lives.

    A worker whose environment has no otel_parsl, or another version of it, fails before anything
    of the user's has run: that try is sent again as it is, and no retry is counted; later ones are
    sent so from the beginning.

    Args:
        label: The executor.
        untraced: Takes the executor and why its workers cannot trace, once.
    """

    def __init__(self, label: str, untraced: Callable[[str, str], None]) -> None:
        self._label = label
        self._untraced = untraced
        self._lock = threading.Lock()
        self.is_possible = True

    def settle(
        self,
        outer: Future[Any],
        inner: Future[Any],
        which: TryKey,
        run_untraced: Submission,
        failed: Failed,
        *,
        is_traced: bool,
    ) -> None:
        """
        Settle Parsl's future when the executor's is done.

        Args:
            outer: Parsl's.
            inner: The executor's.
            which: The try.
            run_untraced: Sends the try again as it is.
            failed: Takes the try, with what it failed, and whether its worker has told it already.
            is_traced: Whether the try was sent to be traced.
        """
        inner.add_done_callback(_Settling(self, outer, which, run_untraced, failed, is_traced))

    def give_up(self, error: BaseException) -> None:
        """Trace no more on this executor, and say why, once."""
        with self._lock:
            was_possible, self.is_possible = self.is_possible, False
        if was_possible:
            logger.warning(
                "executor %s: its workers cannot import otel_parsl (%s), so what its tasks do"
                " there is not recorded. In the workers' environment run: pip install otel-parsl",
                self._label,
                error,
            )
            self._untraced(self._label, str(error))


class _Settling:
    """
    Settles one try's future, called with the executor's.

    Thousands of tries are under way at once, and Python's collector looks at what each holds: so
    this is one object where a function with its cells would be ten.
    """

    __slots__ = ("_failed", "_is_traced", "_outer", "_run_untraced", "_tracing", "_which")

    def __init__(
        self,
        tracing: Tracing,
        outer: Future[Any],
        which: TryKey,
        run_untraced: Submission,
        failed: Failed,
        is_traced: bool,
    ) -> None:
        self._tracing = tracing
        self._outer = outer
        self._which = which
        self._run_untraced = run_untraced
        self._failed = failed
        self._is_traced = is_traced

    def __call__(self, done: Future[Any]) -> None:
        error = error_of(done)
        result = None if error is not None else done.result()
        lacking = _lack_of_us(error, result) if self._is_traced else None
        if lacking is not None:
            self._tracing.give_up(lacking)
            self._is_traced = False
            try:
                self._run_untraced().add_done_callback(self)
            except Exception as again:  # noqa: BLE001 - whatever the executor raises is the task's failure
                self._failed(*self._which, again, is_told=False)
                self._outer.set_exception(again)
        elif error is None:
            if self._is_traced:
                result = carrier.delivered(result)
            if isinstance(result, RemoteExceptionWrapper):
                self._failed(*self._which, result, is_told=self._is_traced)
            self._outer.set_result(result)
        else:
            self._failed(*self._which, error, is_told=False)
            self._outer.set_exception(error)


def _lack_of_us(error: BaseException | None, result: Any) -> ImportError | None:
    """
    Return why a worker could not begin to trace, in whatever form its executor hands that over.

    What a traced try raised or returned comes carried, so nothing of the user's is looked at.
    """
    if error is None and isinstance(result, RemoteExceptionWrapper):
        try:
            error = result.get_exception()
        except Exception as unreadable:  # noqa: BLE001 - whatever its class raises when it is read
            logger.debug("a failure could not be read: %r", unreadable)
    while error is not None:
        if isinstance(error, ImportError) and (error.name or "").startswith("otel_parsl"):
            return error
        error = error.__cause__
    return None
