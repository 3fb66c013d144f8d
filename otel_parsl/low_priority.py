"""
Have a process of ours take the processor time that the workflow leaves.

Flow: agent, the pages beside a run -> **low_priority**
"""

from __future__ import annotations

import os
from pathlib import Path

_OF_SESSION = Path("/proc/self/autogroup")


def lower_priority(nice: int) -> None:
    """
    Lower the priority of this process, and of its session if that is its own.

    Where Linux shares time by session (sched(7), autogroup), a process's own niceness counts among
    those of its session alone: one that leads a session would have as much as all the workflow.

    Args:
        nice: As ``nice(1)`` counts; a process that is nicer already stays so.
    """
    nice = max(nice, os.getpriority(os.PRIO_PROCESS, 0))
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    if os.getsid(0) != os.getpid():
        return  # it is the user's own, and so are others in it
    try:
        _OF_SESSION.write_text(str(nice))
    except OSError:
        return  # a system without it goes by each process
