"""
Spools that hold what is not delivered yet, with no agent at work on them.

A destination was away when the run ended, or everything was killed at once, as at the walltime of
a batch job. The next hub of the same run directory, or ``otel-parsl flush``, starts an agent for
each, which delivers what is left and closes a run that nobody has closed.
"""

from __future__ import annotations

import fcntl
import logging
from pathlib import Path
from typing import IO, NamedTuple

from otel_parsl import rendezvous
from otel_parsl.submit_process import may_be_alive

logger = logging.getLogger(__name__)

_LOCK = "agent.lock"


def lock_spool(directory: Path) -> IO[str] | None:
    """Return the lock that an agent holds while it serves a spool; None while another holds it."""
    file = open(directory / _LOCK, "w")  # noqa: SIM115 - held as long as the process lives
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError as error:  # Lustre may be mounted without locks
        logger.warning("%s cannot be locked: %s; going on without", directory / _LOCK, error)
    return file


class Undelivered(NamedTuple):
    """The spools of a run directory that hold something."""

    abandoned: list[Path]
    """Nobody serves them."""
    served: list[Path]
    """An agent is at work on them, or their program goes on and sees to its agent."""


def find_leftovers(run_dir: Path) -> list[Path]:
    """
    Return the spools of a run directory that hold something and that nobody serves.

    Args:
        run_dir: The directory of all runs: Parsl's ``runinfo``.
    """
    return undelivered(run_dir).abandoned


def undelivered(run_dir: Path) -> Undelivered:
    """
    Return the spools of a run directory that hold something.

    Args:
        run_dir: As for ``find_leftovers``.
    """
    found = Undelivered([], [])
    for path in sorted(run_dir.glob(f"*/otel-parsl/{rendezvous.SETTINGS}")):
        directory = path.parent
        if next(directory.glob("*.spool"), None) is None:
            continue
        try:
            settings = rendezvous.read(directory, rendezvous.SETTINGS)
            if settings is None:
                logger.warning("%s is damaged: what is left beside it cannot be delivered", path)
                continue
            is_served = may_be_alive(settings, directory) or _is_locked(directory)
        except OSError as error:  # the disk is full, or the file server is away
            logger.warning("what is left in %s cannot be looked at for now: %s", directory, error)
        else:
            (found.served if is_served else found.abandoned).append(directory)
    return found


def _is_locked(directory: Path) -> bool:
    lock = lock_spool(directory)
    if lock is not None:
        lock.close()
    return lock is None
