"""What was used against all that there was: workers, cores and memory, over time."""

from __future__ import annotations

from typing import Final

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.elements import capacity, usage
from otel_parsl_dashboards.elements.axes import TIME_TOOLS, count_axis
from otel_parsl_dashboards.elements.levels import (
    PIECES,
    Amounts,
    Steps,
    lasted_s,
    mean,
    most,
    steps,
    total_s,
)
from otel_parsl_dashboards.elements.span import Span

WORKERS: Final = "#7b6fb5"
CORES: Final = "#e3923c"
MEMORY: Final = "#5f9e8f"
ALL: Final = "#8d96a0"
_GB = 1e9
_NEVER = np.datetime64("NaT", "us")


def busy_workers(
    tries: pd.DataFrame, nodes: pd.DataFrame, *, span: Span, until: np.datetime64
) -> hv.Overlay:
    """
    Return the lines of busy and of connected workers.

    Args:
        tries: A frame of tries.
        nodes: A frame of nodes.
        span: What is in view.
        until: Up to when tries that have not ended are taken to run, and managers to be there.
    """
    return _against(
        busy(tries, nodes, until),
        capacity.workers(nodes, until),
        span,
        colour=WORKERS,
        unit="workers",
        is_count=True,
    )


def used_cores(
    used: pd.DataFrame, nodes: pd.DataFrame, *, span: Span, until: np.datetime64
) -> hv.Overlay:
    """
    Return the lines of used and of all cores.

    Args:
        used: Of ``usage.intervals``.
        nodes: A frame of nodes.
        span: What is in view.
        until: Up to when managers are taken to be there.
    """
    return _against(
        usage.amounts(used, "cores"),
        capacity.of_hosts(nodes, until, "cpu_count"),
        span,
        colour=CORES,
        unit="cores",
        # Of CPU seconds only means are known, and over a millisecond they say nothing.
        most_exact=0,
    )


def used_memory(
    used: pd.DataFrame, nodes: pd.DataFrame, *, span: Span, until: np.datetime64
) -> hv.Overlay:
    """
    Return the lines of used and of all memory, in GB.

    Args:
        used: Of ``usage.intervals``.
        nodes: A frame of nodes.
        span: What is in view.
        until: Up to when managers are taken to be there.
    """
    return _against(
        _in_gb(usage.amounts(used, "memory_bytes")),
        _in_gb(capacity.of_hosts(nodes, until, "memory_bytes")),
        span,
        colour=MEMORY,
        unit="memory (GB)",
    )


def summarise_workers(
    tries: pd.DataFrame, nodes: pd.DataFrame, *, span: Span, until: np.datetime64
) -> str:
    """Return the lines of workers in words."""
    ran, connected = busy(tries, nodes, until), capacity.workers(nodes, until)
    at_most = most(ran, span)
    drawn = _drawn(steps(ran, span))
    if not len(connected.start):
        if not at_most:
            return "No manager has reported its workers, and no try is known to have run."
        return (
            "No manager has reported its workers: only executors such as HighThroughputExecutor"
            f" have managers. Tries running: at most {at_most:.0f}, {mean(ran, span):.3g} on"
            f" average.{drawn}"
        )
    text = (
        f"At most {words.counted(round(at_most), 'worker')} busy of {most(connected, span):.0f}"
        f" connected; on average {against(ran, connected, span)}."
    )
    others = int(tries["running"].notna().sum()) - len(ran.start)
    if others:
        text += (
            f" {words.counted(others, 'try')} elsewhere, as of threads or Work Queue, not counted."
        )
    return text + drawn


def summarise_cores(
    used: pd.DataFrame, nodes: pd.DataFrame, *, span: Span, until: np.datetime64
) -> str:
    """Return the lines of cores in words."""
    cores = usage.amounts(used, "cores")
    everything = capacity.of_hosts(nodes, until, "cpu_count")
    all_words = _all_words(everything, span, "cores")
    if not np.isfinite(cores.amount).any():
        return f"CPU time is not known: {_unsampled(used)}{all_words}"
    drawn = steps(cores, span, most_exact=0)
    at_most = f"at most {drawn.values.max():.3g}. Drawn: the mean of each of {PIECES} stretches."
    if not len(everything.start):
        return f"On average {mean(cores, span):.3g} cores used, {at_most}{all_words}"
    return f"On average {against(cores, everything, span)} cores used, {at_most}"


def summarise_memory(
    used: pd.DataFrame, nodes: pd.DataFrame, *, span: Span, until: np.datetime64
) -> str:
    """Return the lines of memory in words."""
    memory = _in_gb(usage.amounts(used, "memory_bytes"))
    everything = _in_gb(capacity.of_hosts(nodes, until, "memory_bytes"))
    all_words = _all_words(everything, span, "GB")
    if not np.isfinite(memory.amount).any():
        return f"Memory is not known: {_unsampled(used)}{all_words}"
    text = f"At most {most(memory, span):.3g} GB used, {mean(memory, span):.3g} GB on average."
    return text + all_words + _drawn(steps(memory, span))


def _against(
    used: Amounts,
    everything: Amounts,
    span: Span,
    *,
    colour: str,
    unit: str,
    is_count: bool = False,
    most_exact: int | None = None,
) -> hv.Overlay:
    line = steps(used, span) if most_exact is None else steps(used, span, most_exact=most_exact)
    top = steps(everything, span)
    if not len(everything.start):
        top = top._replace(values=np.full(len(top.values), np.nan))
    highest = np.nanmax([line.values.max(), np.fmax.reduce(top.values)])
    dimensions = {"kdims": "time", "vdims": unit}
    return hv.Overlay(
        [
            hv.Area(line.corners, **dimensions, label="used").opts(
                hv.opts.Area(
                    color=colour,
                    fill_alpha=0.25,
                    line_color=colour,
                    line_width=1.5,
                    default_tools=list(TIME_TOOLS),
                )
            ),
            hv.Curve(line.corners, **dimensions, label="used").opts(
                hv.opts.Curve(color=colour, line_width=1.5, tools=["hover"])
            ),
            hv.Curve(top.corners, **dimensions, label="all").opts(
                hv.opts.Curve(color=ALL, line_width=2, tools=["hover"])
            ),
        ]
    ).opts(
        hv.opts.Overlay(
            show_legend=False,
            ylabel=unit,
            hooks=[count_axis] if is_count else [],
            ylim=(0, float(highest) * 1.08 or 1.0),
            xlim=(span.start, span.end),
        )
    )


def busy(tries: pd.DataFrame, nodes: pd.DataFrame, until: np.datetime64) -> Amounts:
    """Return the tries that ran; where there are managers, on their workers and as they stayed."""
    each = busy_of_each(tries, nodes, until)
    return each.of(~np.isnat(each.start))


def busy_of_each(tries: pd.DataFrame, nodes: pd.DataFrame, until: np.datetime64) -> Amounts:
    """
    Return from when to when each try kept a worker busy, a row a try; NaT where it kept none.

    Where there are managers, only what ran on a node and in a block of theirs did: other executors
    have blocks too, as WorkQueueExecutor, and no managers.
    """
    start = tries["running"].to_numpy().astype(frames.TIME)
    end = frames.ends(tries, until).astype(frames.TIME)
    if len(nodes):
        stays = _stays(nodes, until)
        place = _places(tries, stays)
        place[(tries["block"] == "").to_numpy()] = -1
        # A try goes on in the tables after its manager was lost, until the submit side is told.
        came, left = (np.append(stays[name].to_numpy(), _NEVER)[place] for name in ("came", "left"))
        start = np.maximum(start, came)
        end = np.maximum(np.minimum(end, left), start)
    return Amounts(start, end, np.ones(len(tries)))


def _stays(nodes: pd.DataFrame, until: np.datetime64) -> pd.DataFrame:
    """Return from when to when managers took tasks, by host and block; an early Parsl's by host."""
    held = capacity.held(nodes, until)
    found = held[["host", "start", "end"]].assign(block=held["block"].astype(str))
    return (
        found.astype({"host": str})
        .groupby(["host", "block"], as_index=False)
        .agg(came=("start", "min"), left=("end", "max"))
    )


def _places(tries: pd.DataFrame, stays: pd.DataFrame) -> np.ndarray:
    """Return the row of stays that is of each try's host and block, -1 for none."""
    names = ["host", "block"] if (stays["block"] != "").any() else ["host"]
    code = np.zeros(len(tries), dtype="int64")
    known = np.zeros(len(stays), dtype="int64")
    is_there = np.ones(len(tries), dtype=bool)
    for name in names:
        of_stay, values = pd.factorize(stays[name])
        of_try = pd.Index(values).get_indexer(tries[name].cat.categories.astype(str))
        of_try = np.append(of_try, -1)[tries[name].cat.codes.to_numpy()]
        is_there &= of_try >= 0
        code = code * (len(values) + 1) + of_try
        known = known * (len(values) + 1) + of_stay
    place: np.ndarray = pd.Index(known).get_indexer(code)
    place[~is_there] = -1
    return place


def _in_gb(amounts: Amounts) -> Amounts:
    return amounts._replace(amount=amounts.amount / _GB)


def against(part: Amounts, whole: Amounts, span: Span) -> str:
    """Return means over the time in which there was something to use, and their share."""
    there_s = lasted_s(whole, span)
    if not there_s:
        return f"{mean(part, span):.3g} of 0"
    used_s, whole_s = total_s(part, span), total_s(whole, span)
    return f"{used_s / there_s:.3g} of {whole_s / there_s:.3g} ({100 * used_s / whole_s:.3g} %)"


def _all_words(everything: Amounts, span: Span, unit: str) -> str:
    if not len(everything.start):
        return " How much there was is not known: no manager has reported it."
    return f" There were at most {most(everything, span):.3g} {unit}."


def _unsampled(used: pd.DataFrame) -> str:
    return "a try needs two samples for it." if len(used) else "no try was sampled."


def _drawn(line: Steps) -> str:
    return "" if line.is_exact else f" Drawn: the mean of each of {PIECES} stretches."
