"""
Start the agents of runs, one after another: ``python -m otel_parsl_collector.agent DIRECTORY…``.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from otel_parsl import rendezvous
from otel_parsl.leftovers import lock_spool
from otel_parsl.low_priority import lower_priority
from otel_parsl.parsl_log import ParslLog
from otel_parsl_collector.agent.agent import Agent
from otel_parsl_collector.garbage import look_seldom

logger = logging.getLogger("otel_parsl_collector.agent")

NICE = 5
_OURS = ("otel_parsl", "otel_parsl_collector")
"""The loggers."""


def main() -> None:
    """Run the agent of the first directory given on the command line, then those of the others."""
    directory, *others = map(Path, sys.argv[1:])
    try:
        _serve(directory)
    except Exception:
        if not others:
            raise
        traceback.print_exc()
    _go_on(others)


def _go_on(directories: Sequence[Path]) -> None:
    """Become the agent of the next: a new program, that nothing of this one takes memory in."""
    for number, directory in enumerate(directories):
        try:
            os.chdir(directory)
            output = os.open(directory / rendezvous.OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        except OSError:
            continue  # somebody has thrown the run away
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(output, stream.fileno())
        left = [str(path) for path in directories[number:]]
        os.execv(sys.executable, [sys.executable, "-m", "otel_parsl_collector.agent", *left])


def _serve(directory: Path) -> None:
    lock = lock_spool(directory)
    if lock is None:
        return  # another agent serves this run
    lower_priority(NICE)
    look_seldom()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = rendezvous.read(directory, rendezvous.SETTINGS)
    _log(directory, is_debugged=bool(settings.get("debug")))
    Agent(directory).run()
    lock.close()


def _log(directory: Path, *, is_debugged: bool) -> None:
    """
    Log where Parsl's database manager does, by Parsl's LogConfig where the user has one.

    That is the user's code: where it cannot be used, telemetry is not to wait for it.
    """
    chosen = directory / rendezvous.LOG_CONFIG
    unusable = None
    if chosen.exists():
        try:
            _log_by(chosen, directory.parent)
        except Exception as error:  # noqa: BLE001 - whatever the user's code raises
            unusable = error
        else:
            ParslLog(*_OURS, is_debugged=is_debugged)  # until the process ends
            return
    logging.basicConfig(
        filename=directory.parent / rendezvous.LOG,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,  # what a LogConfig began with
    )
    if is_debugged:
        for name in _OURS:
            logging.getLogger(name).setLevel(logging.DEBUG)
    if unusable is not None:
        logger.warning(
            "this log is a plain one: the LogConfig of the run (initialize_logging) cannot be used"
            " by its monitoring agent: %r",
            unusable,
            exc_info=unusable,
        )


def _log_by(chosen: Path, rundir: Path) -> None:
    import dill  # type: ignore[import-untyped]
    from parsl.logconfigs.base import oneshot_initialize_logging

    log_config = dill.loads(chosen.read_bytes())  # noqa: S301 - the hub wrote it, 0600
    name = Path(rendezvous.LOG).stem
    oneshot_initialize_logging(log_config=log_config, log_dir=rundir, log_name=name)


if __name__ == "__main__":
    main()
