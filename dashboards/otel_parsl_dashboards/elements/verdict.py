"""What took most of the time, in words, and what to do about it."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from otel_parsl.cli import words
from otel_parsl_dashboards.data.phases import (
    IDLE,
    LAUNCHING,
    QUEUED,
    RETURNING,
    RUNNING,
    STAGING,
    WAITING,
)
from otel_parsl_dashboards.elements.levels import total_s
from otel_parsl_dashboards.elements.span import Span
from otel_parsl_dashboards.elements.spent import ALL, Spent
from otel_parsl_dashboards.elements.spent_by_app import by_app

LABELS: Final = {
    WAITING: "waiting on dependencies",
    STAGING: "staging files",
    LAUNCHING: "launching",
    QUEUED: "queued for a worker",
    RUNNING: "running",
    RETURNING: "returning results",
    IDLE: "idle workers",
}
_OFTEN: Final = 0.2
"""Workers idle for this share of their time are worth a word."""

_HANDED_OUT_A_S: Final = 1000
"""So many tasks a second, about, Parsl hands out at most: ``benchmarks/overhead.py``."""
_IN_TURN: Final = "Parsl launches one task after another, in the process of the program."
_FEWER_TASKS: Final = (
    "Fewer and longer tasks, smaller arguments, and less other work in that process make the run"
    " shorter."
)


class Verdict(NamedTuple):
    """What took most of the time."""

    phase: str
    """One of ``spent.ALL``; empty where nothing took any."""
    said: str
    advice: str


def totals_s(spent: Spent, span: Span) -> dict[str, float]:
    """Return the seconds of each of ``spent.ALL``; NaN for what is not known."""
    return {phase: spent.total_s(phase, span) for phase in ALL}


def verdict(spent: Spent, span: Span) -> Verdict:
    """Return what took most of the time of a stretch."""
    totals = totals_s(spent, span)
    known = {phase: seconds for phase, seconds in totals.items() if seconds > 0}
    if not known:
        return Verdict("", "No time is known to have gone anywhere yet.", "")
    phase = max(known, key=lambda name: known[name])
    share = 100 * known[phase] / sum(known.values())
    who = "of workers" if phase == IDLE else "of tasks"
    said = (
        f"Most time went into {LABELS[phase]}: {words.duration(known[phase])} {who}, {share:.3g} %."
    )
    return Verdict(phase, said, _ADVICE[phase](spent, span))


def idle_share(spent: Spent, span: Span) -> float:
    """Return the share of connected workers' time with nothing to do; NaN if not known."""
    connected_s = total_s(spent.connected, span)
    return spent.total_s(IDLE, span) / connected_s if connected_s else float("nan")


def _waiting(spent: Spent, span: Span) -> str:
    if late := _late_start(spent, span, WAITING):
        return late
    idle = idle_share(spent, span)
    if np.isnan(idle):
        return (
            "That holds a run up only where workers have nothing else to do: then shorten the"
            " longest chain of tasks that need one another."
        )
    if idle < _OFTEN:
        return _busy_meanwhile(idle)
    return (
        f"Workers had nothing to do for {_percent(idle)} of their time, so that the order of tasks"
        " holds the run up: shorten the longest chain of tasks that need one another, or begin it"
        " sooner."
    )


def _launching(spent: Spent, span: Span) -> str:
    idle = idle_share(spent, span)
    if idle < _OFTEN:
        return _busy_meanwhile(idle)
    return _too_short(spent, span) or f"{_IN_TURN} {_FEWER_TASKS}"


def _busy_meanwhile(idle: float) -> str:
    return (
        f"Workers were busy meanwhile, {_percent(1 - idle)} of their time, so that this cost"
        " little: more workers, or faster apps, make the run shorter."
    )


def _queued(spent: Spent, span: Span) -> str:
    if late := _late_start(spent, span, QUEUED):
        return late
    idle = idle_share(spent, span)
    if idle >= _OFTEN:
        return _too_short(spent, span) or (
            f"Yet workers had nothing to do for {_percent(idle)} of their time: look whether blocks"
            " came late, or executors have work while others have none."
        )
    return (
        "There were more tasks ready than workers: more blocks (max_blocks), or more workers a node"
        " (max_workers_per_node), make the run shorter."
    )


def _staging(_spent: Spent, _span: Span) -> str:
    return (
        "Tasks waited for files to be brought: keep those on a file system that the nodes share, or"
        " bring a file once for many tasks."
    )


def _running(spent: Spent, span: Span) -> str:
    found = by_app(spent, span)[RUNNING]
    share = float(found.max() / found.sum())
    return (
        "That is the work itself: only faster apps, or more workers, make the run shorter. Most of"
        f" it, {_percent(share)}, was that of {found.idxmax()}."
    )


def _returning(_spent: Spent, _span: Span) -> str:
    return (
        "Results were long on their way back: return less, such as the name of a file instead of"
        " what is in it, and look whether the submit host is busy."
    )


def _idle(spent: Spent, span: Span) -> str:
    share = _percent(idle_share(spent, span))
    open_s = {phase: spent.total_s(phase, span) for phase in (WAITING, LAUNCHING, QUEUED)}
    most = max(open_s, key=lambda phase: open_s[phase])
    start = f"Workers had nothing to do for {share} of the time that they were connected"
    if open_s[most] < spent.total_s(IDLE, span) / 4:
        return f"{start}, and few tasks were open: fewer blocks or workers would have done as well."
    if most != WAITING and (too_short := _too_short(spent, span)):
        return f"{start} while tasks were ready. {too_short}"
    if most == LAUNCHING:
        return f"{start} while tasks were ready and not launched yet. {_IN_TURN} {_FEWER_TASKS}"
    if most == QUEUED:
        return f"{start} while tasks were queued: look whether these were on another executor."
    return (
        f"{start} while tasks waited on others: fewer workers would have done as well, or have more"
        " tasks that do not need one another."
    )


_ADVICE: Final = {
    WAITING: _waiting,
    STAGING: _staging,
    LAUNCHING: _launching,
    QUEUED: _queued,
    RUNNING: _running,
    RETURNING: _returning,
    IDLE: _idle,
}


def _late_start(spent: Spent, span: Span, phase: str) -> str:
    """Return what to do where most of a phase passed before any try ran; empty elsewhere."""
    if spent.first_ran is None or spent.first_ran <= span.start:
        return ""
    before_s = spent.total_s(phase, Span(span.start, min(spent.first_ran, span.end)))
    share = before_s / spent.total_s(phase, span)
    if share <= 0.5:
        return ""
    return (
        f"Of it {_percent(share)} passed before the first task ran anywhere: the run waited for its"
        " first workers. Smaller or shorter blocks, or another queue, may come sooner."
    )


def _too_short(spent: Spent, span: Span) -> str:
    """Return what to do where tasks are too short to keep the workers busy; empty elsewhere."""
    runs = spent.phases[RUNNING]
    count = int(((runs.start < span.end) & (runs.end > span.start)).sum())
    if not count:
        return ""
    mean_s = spent.total_s(RUNNING, span) / count
    workers = total_s(spent.connected, span) / (span.microseconds / 1e6)
    a_second = workers / mean_s
    if a_second < _HANDED_OUT_A_S:
        return ""
    return (
        f"Tasks ran for {words.duration(mean_s)} on average. To keep the workers busy takes"
        f" {words.counted(round(a_second), 'such task')} a second, more than Parsl hands out: fewer"
        " and longer tasks make the run shorter."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
