"""
What one try has used where its process runs others too: the CPU time of its thread.

Flow: **thread_usage** -> worker -> totals
The system counts for each thread the CPU time and nothing else of what a try's totals tell: memory
belongs to the process, and so do children that were waited for.
"""

from __future__ import annotations

import os
import resource
import time

from otel_parsl.sampling.sampler import Sample

_WHO = getattr(resource, "RUSAGE_THREAD", None)  # Linux has it

_UNKNOWN = Sample(0, 0, *(None,) * (len(Sample._fields) - 2))

ThreadTimes = tuple[float, float]
"""User and system CPU time of a thread, in seconds."""


def thread_times() -> ThreadTimes | None:
    """Return what the calling thread has used; None where the system does not tell."""
    if _WHO is None:
        return None
    usage = resource.getrusage(_WHO)
    return usage.ru_utime, usage.ru_stime


def thread_sample(before: ThreadTimes | None) -> Sample | None:
    """
    Return what the calling thread has used since; all but its CPU time is None.

    Args:
        before: What ``thread_times`` returned in this thread.
    """
    now = thread_times()
    if before is None or now is None:
        return None
    user_s, system_s = (max(0.0, round(b - a, 6)) for a, b in zip(before, now, strict=True))
    return _UNKNOWN._replace(
        time_ns=time.time_ns(), pid=os.getpid(), cpu_user_s=user_s, cpu_system_s=system_s
    )
