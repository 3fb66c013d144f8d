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

Submission = Callable[[], "Future[Any]"]


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
        run_untraced: Submission,
        failed: Callable[..., None],
        *,
        is_traced: bool,
    ) -> None:
        """
        Settle Parsl's future when the executor's is done.

        Args:
            outer: Parsl's.
            inner: The executor's.
            run_untraced: Sends the try again as it is.
            failed: Takes with what the try failed, and whether its worker has told it already.
            is_traced: Whether the try was sent to be traced.
        """

        def settle(done: Future[Any]) -> None:
            nonlocal is_traced
            error = error_of(done)
            result = None if error is not None else done.result()
            lacking = _lack_of_us(error, result) if is_traced else None
            if lacking is not None:
                self._give_up(lacking)
                is_traced = False
                try:
                    run_untraced().add_done_callback(settle)
                except Exception as again:  # noqa: BLE001 - whatever the executor raises is the task's failure
                    failed(again, is_told=False)
                    outer.set_exception(again)
            elif error is None:
                if is_traced:
                    result = carrier.delivered(result)
                if isinstance(result, RemoteExceptionWrapper):
                    failed(result, is_told=is_traced)
                outer.set_result(result)
            else:
                failed(error, is_told=False)
                outer.set_exception(error)

        inner.add_done_callback(settle)

    def _give_up(self, error: BaseException) -> None:
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
