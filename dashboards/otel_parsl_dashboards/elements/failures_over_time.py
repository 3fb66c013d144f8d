"""When tries failed: bars over time, of those given up and those that were to be tried again."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.elements.axes import TIME_TOOLS, count_axis
from otel_parsl_dashboards.elements.colours import OF_PARSL_STATE
from otel_parsl_dashboards.elements.span import Span

KINDS = {
    "failed": "given up",
    "dep_fail": "given up with a task they depend on",
    "fail_retryable": "to be tried again",
}
"""Parsl's states of a failed try, in words, from the bottom of a bar to its top."""
LEGEND = [(name, OF_PARSL_STATE[state]) for state, name in KINDS.items()]
_BARS = 120


def failures_over_time(statuses: pd.DataFrame, *, span: Span) -> hv.Rectangles:
    """
    Return the bars: how many tries failed in each of 120 equal stretches of time.

    Args:
        statuses: A frame of statuses; only those of failure count.
        span: What is in view.
    """
    offsets = np.linspace(0, span.microseconds, _BARS + 1).astype("int64")
    edges = span.start + offsets.astype("timedelta64[us]")
    parts = []
    above = np.zeros(_BARS, dtype="int64")
    for state, times in _times(statuses, span).items():
        since = (times - span.start).astype("timedelta64[us]").astype("int64")
        counts, _ = np.histogram(since, bins=offsets)
        at = np.flatnonzero(counts)
        parts.append(
            pd.DataFrame(
                {
                    "time": edges[at],
                    "from": above[at],
                    "until": edges[at + 1],
                    "to": above[at] + counts[at],
                    "tries": counts[at],
                    "what": KINDS[state],
                    "colour": OF_PARSL_STATE[state],
                }
            )
        )
        above = above + counts
    return hv.Rectangles(
        pd.concat(parts, ignore_index=True),
        kdims=["time", "from", "until", "to"],
        vdims=["tries", "what", "colour"],
    ).opts(
        hv.opts.Rectangles(
            color="colour",
            line_color=None,
            tools=["hover"],
            hover_tooltips=[
                ("tries that failed", "@tries"),
                ("which were", "@what"),
                ("from", "@time{%F %T}"),
                ("until", "@until{%F %T}"),
            ],
            ylabel="failed tries",
            hooks=[count_axis],
            ylim=(0, max(1.0, float(above.max()) * 1.08)),
            xlim=(span.start, span.end),
            default_tools=list(TIME_TOOLS),
        )
    )


def summarise(statuses: pd.DataFrame, *, span: Span) -> str:
    """Return the bars in words."""
    times = _times(statuses, span)
    total = sum(map(len, times.values()))
    if not total:
        return "No try failed in this time."
    parts = [
        f"{words.number(len(found))} {KINDS[state]}" for state, found in times.items() if len(found)
    ]
    every = np.concatenate(list(times.values()))
    first, last = (str(time.astype("datetime64[s]"))[11:] for time in (every.min(), every.max()))
    when = f"at {first}" if first == last else f"between {first} and {last}"
    return f"{words.counted(total, 'try')} failed {when}: {', '.join(parts)}."


def _times(statuses: pd.DataFrame, span: Span) -> dict[str, np.ndarray]:
    """Return when tries came into each state of failure, within what is in view; each once."""
    failed = statuses[statuses["state"].isin(KINDS).to_numpy()]
    failed = failed.drop_duplicates(["task_id", "try_id", "state"])  # Parsl may say it again
    time = failed["time"].to_numpy()
    is_in = (time >= span.start) & (time <= span.end)
    return {
        state: time[is_in & (failed["state"] == state).to_numpy()].astype("datetime64[us]")
        for state in KINDS
    }
