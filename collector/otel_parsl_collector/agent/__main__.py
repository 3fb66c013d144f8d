"""Start the agent of a run: ``python -m otel_parsl_collector.agent DIRECTORY``."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
from pathlib import Path

from otel_parsl import rendezvous
from otel_parsl.leftovers import lock_spool
from otel_parsl.parsl_log import ParslLog
from otel_parsl_collector.agent.agent import Agent

NICE = 5
_OURS = ("otel_parsl", "otel_parsl_collector")
"""The loggers."""


def main() -> None:
    """Run the agent of the directory given on the command line."""
    directory = Path(sys.argv[1])
    lock = lock_spool(directory)
    if lock is None:
        return  # another agent serves this run
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = rendezvous.read(directory, rendezvous.SETTINGS)
    _log(directory, is_debugged=bool(settings.get("debug")))
    Agent(directory).run()


def _log(directory: Path, *, is_debugged: bool) -> None:
    """Log where Parsl's database manager does, by Parsl's LogConfig where the user has one."""
    chosen = directory / rendezvous.LOG_CONFIG
    if chosen.exists():
        from parsl.logconfigs.base import oneshot_initialize_logging

        log_config = pickle.loads(chosen.read_bytes())  # noqa: S301 - the hub wrote it, 0600
        name = Path(rendezvous.LOG).stem
        oneshot_initialize_logging(log_config=log_config, log_dir=directory.parent, log_name=name)
        ParslLog(*_OURS, is_debugged=is_debugged)  # until the process ends
        return
    logging.basicConfig(
        filename=directory.parent / rendezvous.LOG,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    if is_debugged:
        for name in _OURS:
            logging.getLogger(name).setLevel(logging.DEBUG)


if __name__ == "__main__":
    main()
