"""
The queue that Parsl puts its monitoring messages on.

Parsl checks for a ``multiprocessing.queues.Queue``, so this is one; but in the DataFlowKernel's own
process a ``put`` goes straight to the hub.
A copy pickled into another process (a router of the user's own UDPRadio or FilesystemRadio) uses
the real pipe, and from then on a thread here reads it.
Without one there is no pipe either: its locks would have multiprocessing start a process that minds
them, which a notebook's kernel waits for in vain when it is shut down.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable
from multiprocessing.queues import Queue
from queue import Empty
from typing import Any

from otel_parsl.seldom import Seldom

logger = logging.getLogger(__name__)

_POLL_S = 0.1
_STOP_S = 5.0
"""How long a message may take that is being sent when the run ends."""
_FAILURES = 100
"""After so many messages in a row that could not even be received the pipe itself is broken."""


class MessageQueue(Queue):  # type: ignore[type-arg]  # not generic at run time
    """
    Collect the messages of one run.

    Args:
        run: The run, for the seam to find.
        take: Takes a message; called in the threads that put, so it may only append.
    """

    run: Any = None
    _home = 0  # a copy in another process keeps these two, and so uses the pipe

    def __init__(self, run: Any, take: Callable[[Any], None]) -> None:
        self.run = run
        self._home = os.getpid()
        self._take = take
        self._pipe_thread: threading.Thread | None = None
        self._is_closing = threading.Event()
        self._handled = 0
        self._unread = Seldom(logger, logging.ERROR)
        self.unreadable = 0
        """Messages of other processes that could not be read."""

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Hand over in the hub's process, send through the pipe elsewhere."""
        if self._home == os.getpid():
            self._take(obj)
        else:
            super().put(obj, block, timeout)

    def __getstate__(self) -> Any:
        """Leave out what belongs to the hub's process, and begin to read the pipe."""
        multiprocessing.context.assert_spawning(self)
        if self._pipe_thread is None:
            super().__init__(ctx=multiprocessing.get_context("spawn"))
            self._pipe_thread = threading.Thread(
                target=self._read_pipe, name="otel-parsl-pipe", daemon=True
            )
            self._pipe_thread.start()
        return super().__getstate__()

    def stop_reading(self) -> None:
        """Take what is left in the pipe and end the thread that reads it."""
        self._is_closing.set()
        if self._pipe_thread is None:
            return
        handled = -1
        while self._pipe_thread.is_alive() and handled != self._handled:
            handled = self._handled
            self._pipe_thread.join(_STOP_S)
        if self._pipe_thread.is_alive():
            logger.error(
                "a process that was sending monitoring messages has died in the middle of one:"
                " what it sent last is lost"
            )

    def _read_pipe(self) -> None:
        failures = 0
        while failures < _FAILURES:
            try:
                item = self.get(timeout=_POLL_S)
            except Empty:
                if self._is_closing.is_set():
                    return
                continue
            except Exception as error:  # noqa: BLE001 - a border: unpickling may raise anything
                failures = failures + 1 if isinstance(error, OSError | EOFError) else 0
                self._count_unreadable(error)
            else:
                failures = 0
                self._hand_over(item)
            self._handled += 1
        logger.error("the pipe of monitoring messages is broken: nothing more comes through it")

    def _hand_over(self, item: Any) -> None:
        try:
            self._take(item)
        except Exception as error:  # noqa: BLE001 - a border: a message must not end this thread
            self._count_unreadable(error)

    def _count_unreadable(self, error: Exception) -> None:
        self.unreadable += 1
        self._unread.say("a message of another process could not be read: %s", repr(error))
