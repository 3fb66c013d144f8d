"""
A workflow worked out as HTEX would run it: who ran what when, and what failed.

Samples of 20 tasks each, five apps deep: one is fetched, cut into eight pieces that are simulated
and analysed apart, merged in two halves, and reported. Workers take what has been ready longest.
A task of 500 fails for good, and all that need it with it; one of 250 is tried again and succeeds;
one fetched sample of 50 is memoised. Times are seconds from the start of the run.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np

APPS = ("fetch", "simulate", "analyse", "merge", "report")
SAMPLE = 20
"""Tasks of one sample."""
APP_OF = np.array([0, *[1] * 8, *[2] * 8, 3, 3, 4])
NEEDS: tuple[tuple[int, ...], ...] = (
    (),
    *((0,) for _ in range(8)),
    *((1 + piece,) for piece in range(8)),
    (9, 10, 11, 12),
    (13, 14, 15, 16),
    (17, 18),
)
_NEEDED_BY = [[k for k, needs in enumerate(NEEDS) if place in needs] for place in range(SAMPLE)]
_MEDIAN_S = np.array([0.4, 6.0, 2.5, 1.0, 0.3])
_LATENCY_S = 0.004
MEMOISED, DONE, FAILED, DEP_FAILED = range(4)


class Tries(NamedTuple):
    """What ran, ascending by task and try."""

    task: np.ndarray
    number: np.ndarray
    worker: np.ndarray
    launched: np.ndarray
    running: np.ndarray
    ended: np.ndarray
    is_failed: np.ndarray
    cpu: np.ndarray
    """CPU seconds."""
    cpu_before: np.ndarray
    """Those of the worker before it."""


class SimulatedRun(NamedTuple):
    """A run."""

    tasks: int
    workers: int
    nodes: int
    invoked: np.ndarray
    returned: np.ndarray
    fate: np.ndarray
    """Of each task: MEMOISED, DONE, FAILED or DEP_FAILED."""
    tries: Tries

    @property
    def ended(self) -> float:
        """When the last task returned."""
        return float(self.returned.max())


def simulate(
    tasks: int, *, workers: int, nodes: int, submitted_per_s: float = 2000.0, seed: int = 1
) -> SimulatedRun:
    """Return a run of so many tasks, rounded down to whole samples."""
    tasks -= tasks % SAMPLE
    random = np.random.default_rng(seed)
    app = np.tile(APP_OF, tasks // SAMPLE)
    lasts = random.lognormal(np.log(_MEDIAN_S[app]), 0.5)
    luck = random.random(tasks)
    is_memoised = (app == 0) & (random.random(tasks) < 0.02)
    failures = np.where(luck < 0.002, 2, np.where(luck < 0.006, 1, 0))
    busy = random.uniform(0.5, 1.0, tasks)
    invoked = np.arange(tasks) / submitted_per_s
    returned = np.zeros(tasks)
    fate = np.full(tasks, DONE, dtype="int8")
    found = _run(lasts, failures, is_memoised, invoked, returned, fate, workers)
    columns = np.array(found).T
    order = np.lexsort((columns[1], columns[0]))
    task, number, worker, launched, running, ended, is_failed = columns[:, order]
    task, number, worker = (each.astype("int64") for each in (task, number, worker))
    cpu = (ended - running) * busy[task]
    tries = Tries(
        task,
        number,
        worker,
        launched,
        running,
        ended,
        is_failed.astype(bool),
        cpu,
        _before(worker, running, cpu),
    )
    return SimulatedRun(tasks, workers, nodes, invoked, returned, fate, tries)


def _run(
    lasts: np.ndarray,
    failures: np.ndarray,
    is_memoised: np.ndarray,
    invoked: np.ndarray,
    returned: np.ndarray,
    fate: np.ndarray,
    workers: int,
) -> list[tuple[float, ...]]:
    """Fill in when each task returned and how, and return the tries."""
    seconds, fails = lasts.tolist(), failures.tolist()
    called, memoised = invoked.tolist(), is_memoised.tolist()
    waits_for = [len(NEEDS[task % SAMPLE]) for task in range(len(seconds))]
    begins = list(called)
    free = [(0.0, worker) for worker in range(workers)]
    ready = [(called[task], task, 0) for task in range(0, len(seconds), SAMPLE)]
    heapq.heapify(ready)
    tries: list[tuple[float, ...]] = []
    while ready:
        at, task, number = heapq.heappop(ready)
        if memoised[task]:
            end = at
            fate[task] = MEMOISED
        elif fate[task] == DEP_FAILED:
            end = at
        else:
            free_at, worker = heapq.heappop(free)
            start = max(at, free_at) + _LATENCY_S
            is_failed = number < fails[task]
            stop = start + seconds[task] * (0.5 if is_failed else 1.0)
            heapq.heappush(free, (stop, worker))
            tries.append((task, number, worker, at, start, stop, is_failed))
            end = stop + _LATENCY_S
            if is_failed and number == 0:
                heapq.heappush(ready, (end, task, 1))
                continue
            if is_failed:
                fate[task] = FAILED
        returned[task] = end
        first = task - task % SAMPLE
        for place in _NEEDED_BY[task % SAMPLE]:
            child = first + place
            begins[child] = max(begins[child], end)
            waits_for[child] -= 1
            if fate[task] in (FAILED, DEP_FAILED):
                fate[child] = DEP_FAILED
            if not waits_for[child]:
                heapq.heappush(ready, (begins[child], child, 0))
    return tries


def _before(worker: np.ndarray, running: np.ndarray, cpu: np.ndarray) -> np.ndarray:
    """Return what the worker of each try had used before it."""
    order = np.lexsort((running, worker))
    sums = np.cumsum(cpu[order]) - cpu[order]
    is_first = np.diff(worker[order], prepend=-1) != 0
    begun = np.maximum.accumulate(np.where(is_first, sums, 0.0))
    before = np.empty(len(cpu))
    before[order] = sums - begun
    return before
