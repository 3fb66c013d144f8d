"""Start the agent of a run, keep it alive, and wait for it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from otel_parsl import rendezvous
from otel_parsl.seldom import Seldom
from otel_parsl.spool import Place

logger = logging.getLogger(__name__)

_POLL_S = 0.02
_RESTART_S, _MAX_RESTART_S = 1.0, 30.0
"""How long after its start an agent that has ended is started again; doubled for each that fails
by itself, since the next will fail likewise."""
_HOPELESS = 3
"""So many that fail one after another are not waited for any more."""


class EmbeddedAgent:
    """
    The agent's process, seen from the hub.

    What cannot be written or started now, on a full disk for one, is tried again by ``revive``.

    Args:
        directory: The run's spool.
        needs: The files that it begins with: their names, and what is in them.
    """

    def __init__(self, directory: Path, needs: Mapping[str, bytes]) -> None:
        self._directory = directory
        self._needs = frozenset(needs)
        self._process: subprocess.Popen[bytes] | None = None
        self._restart_s = _RESTART_S
        self._failed = 0
        self._untold = dict(needs)
        self._store_error: str | None = None
        self._trouble = Seldom(logger, logging.WARNING)
        self._lock = threading.RLock()
        """The run's own thread revives, and whoever waits for an answer does."""
        self._tell()
        self._start()

    @property
    def pid(self) -> int | None:
        """The process that serves now; None while none could be started."""
        return None if self._process is None else self._process.pid

    def silence(self) -> str | None:
        """Return why the agent answers nobody now, as far as its process shows; None if not."""
        process = self._process
        if process is None or process.poll() is not None:
            return "it has ended, and is started again"
        try:
            is_stopped = psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
        except psutil.Error:  # it ends just now
            return None
        return f"its process {process.pid} is stopped" if is_stopped else None

    def _start(self) -> None:
        """Start the agent; where the system has no process for it, that is tried again later."""
        self._started_at = time.monotonic()
        if not self._needs.isdisjoint(self._untold):
            return
        try:
            self._process = start_agent(self._directory)
        except OSError as error:
            self._trouble.say("the monitoring agent cannot be started, the run goes on: %s", error)

    def tell(self, name: str, content: Any) -> None:
        """Write a file for the agent; where the disk is full, as soon as it is not."""
        with self._lock:
            self._untold[name] = json.dumps(content).encode()
            self._tell()

    def _tell(self) -> None:
        for name, content in list(self._untold.items()):
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
                rendezvous.write_bytes(self._directory, name, content, is_durable=True)
            except OSError as error:
                self._trouble.say("%s cannot be written: %s", self._directory / name, error)
            else:
                self._untold.pop(name, None)

    def revive(self) -> None:
        """Start the agent again if it has died, and tell it what could not be told."""
        with self._lock:
            self._revive()

    def _revive(self) -> None:
        if self._untold:
            self._tell()
        process = self._process
        if process is None:  # none could be started so far
            if time.monotonic() - self._started_at >= _RESTART_S:
                self._start()
            return
        code = process.poll()
        lived_s = time.monotonic() - self._started_at
        was_killed = code is not None and code < 0
        if code is None or lived_s < (_RESTART_S if was_killed else self._restart_s):
            return
        failed_soon = not was_killed and lived_s < _MAX_RESTART_S
        self._restart_s = min(2 * self._restart_s, _MAX_RESTART_S) if failed_soon else _RESTART_S
        self._failed = self._failed + 1 if failed_soon and code else 0
        logger.log(
            logging.DEBUG if code == 0 else logging.WARNING,  # 0: another agent serves the run
            "the monitoring agent ended with code %s; starting it again (its log: %s)",
            code,
            self._directory.parent / rendezvous.LOG,
        )
        self._start()

    def receive(self, host: str, port: int, token: str, *, timeout_s: float) -> None:
        """
        Have the agent receive OTLP; one that does not answer in time will, as soon as it can.

        Args:
            host: What to listen on.
            port: There.
            token: What senders have to show.
            timeout_s: How long to wait for the agent.

        Raises:
            OSError: It cannot.
        """
        self.tell(rendezvous.RECEIVER, {"host": host, "port": port, "token": token})
        answer = self._answer(rendezvous.RECEIVING, timeout_s)
        if answer is None:
            logger.warning(
                "the monitoring agent has not said yet that it receives; see %s", self._logs
            )
        elif answer["error"]:
            raise OSError(answer["error"])

    def _answer(self, name: str, timeout_s: float) -> Any:
        """Return what the agent writes into a file; None if it does not in time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self._failed < _HOPELESS:
            self.revive()
            found = self._read(name)
            if found is not None:
                return found
            time.sleep(_POLL_S)
        return None

    @property
    def _logs(self) -> str:
        log = self._directory.parent / rendezvous.LOG
        return f"{log} and {self._directory / rendezvous.OUTPUT}"

    def finish(self, place: Place, *, timeout_s: float) -> str | None:
        """
        Tell the agent that nothing follows this place, and wait until the store has it all.

        Returns:
            None when it has, else what is left and why.
        """
        try:
            return self._finish(place, timeout_s=timeout_s)
        finally:
            if self._process is not None:
                reap(self._process)  # it may go on for a minute, and nobody revives it any more

    def _finish(self, place: Place, *, timeout_s: float) -> str | None:
        self.tell(rendezvous.CLOSING, {"place": place})
        deadline = time.monotonic() + timeout_s
        status: Any = None
        while time.monotonic() < deadline:
            status = self._status()
            if status is not None and status["is_released"]:
                _say_lost(status, self._directory)
                return None
            self.revive()
            time.sleep(_POLL_S)
        reason = (status or {}).get("store_error") or "it is still being written"
        if self._failed:
            return f"the agent has ended by itself {self._failed} times; see {self._logs}"
        if self._process is None:
            return "the agent could not be started"
        return f"{reason}; the agent (process {self.pid}) goes on"

    def _status(self) -> Any:
        """Return what the agent said last; None while that is nothing, or cannot be read."""
        return self._read(rendezvous.STATUS)

    def _read(self, name: str) -> Any:
        try:
            return rendezvous.read(self._directory, name)
        except OSError as error:  # of a file server, or of a process with too many open files
            self._trouble.say("%s cannot be read: %s", self._directory / name, error)
            return None

    def say_what_the_store_lacks(self) -> None:
        """Say, the first time, why the database cannot be written: nobody looks for it so soon."""
        status = self._status() or {}
        error = status.get("store_error")
        if error and error != self._store_error:
            logger.warning(
                "monitoring: nothing can be stored yet, the run goes on: %s. What it says is kept"
                " in %s until it can",
                error,
                self._directory,
            )
        self._store_error = error or self._store_error

    def troubles(self) -> Iterator[str]:
        """Yield what keeps destinations from having everything, and what becomes of it."""
        status = self._status() or {}
        log = self._directory.parent / rendezvous.LOG
        if status.get("spans_error"):
            yield (
                f"the spans of tasks and tries are switched off: {status['spans_error']}. What they"
                f" are made of is kept in {self._directory}; the next run here, or otel-parsl"
                f" flush, tries again. {log} says more"
            )
        if status.get("events_skipped"):
            yield (
                f"{status['events_skipped']} log records have the name of an event of otel-parsl"
                " and are none: no span is made of them. Give your own another name"
            )
        for destination in status.get("destinations", ()):
            endpoint, error = destination["endpoint"], destination["error"]
            why = f": {error}" if error else ""
            if destination.get("is_off"):
                yield (
                    f"{endpoint} is switched off{why}. What it lacks is kept in {self._directory};"
                    f" when its settings in {rendezvous.SETTINGS} there are right, the next run"
                    f" here, or otel-parsl flush, sends it. {log} says more"
                )
            elif destination["refused"]:
                yield (
                    f"{endpoint} has refused {destination['refused']} spans, metrics or log"
                    f" records{why}. {log} says more"
                )
            elif error:
                yield (
                    f"not all is at {endpoint} yet{why}. What is left is kept in"
                    f" {self._directory}; the agent goes on for a minute, and then the next run"
                    " here, or otel-parsl flush, sends it"
                )


def _say_lost(status: Any, directory: Path) -> None:
    """Say what the agent could not read or store, or had to drop."""
    if status.get("damaged_bytes"):
        logger.error(
            "monitoring: %d bytes of the spool in %s were damaged and are skipped; see %s",
            status["damaged_bytes"],
            directory,
            directory.parent / rendezvous.LOG,
        )
    if status.get("store_refused"):
        logger.error(
            "monitoring: %d items cannot be stored and are not in the database; they are kept in"
            " %s",
            status["store_refused"],
            directory / "refused-*.otlp",
        )
    for destination in status["destinations"]:
        if destination.get("dropped"):
            logger.error(
                "monitoring: %d items are dropped for %s, which was away: the spool was full, or"
                " they were too old",
                destination["dropped"],
                destination["endpoint"],
            )


def reap(process: subprocess.Popen[bytes]) -> None:
    """Take note of a process's end, whenever that is, so that it leaves no zombie."""
    threading.Thread(target=process.wait, name="otel-parsl-reaper", daemon=True).start()


def start_agent(directory: Path, *others: Path) -> subprocess.Popen[bytes]:
    """
    Start the agent of a spool; when that is done it goes on with others, one after another.

    It is a plain subprocess, so a script needs no main guard, and in a session of its own, so that
    Ctrl-C does not reach it.
    """
    environment = dict(os.environ)
    paths = [os.path.abspath(path) for path in sys.path if path]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    with open(directory / rendezvous.OUTPUT, "ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "otel_parsl_collector.agent", *map(str, (directory, *others))],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
