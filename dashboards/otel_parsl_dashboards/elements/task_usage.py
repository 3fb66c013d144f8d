"""What the tries of one task used: lines through the samples that were taken of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import holoviews as hv
import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl_dashboards.elements.axes import TOOLS
from otel_parsl_dashboards.elements.colours import APPS

NOT_SAMPLED = "Not sampled."
_SINCE = "seconds since the try began"
_MIB = 2**20


def cpu_time(samples: pd.DataFrame, tries: pd.DataFrame) -> hv.Overlay:
    """
    Return the CPU seconds that each try had used at each sample, user and system together.

    Args:
        samples: The frame of samples, those of one task.
        tries: The frame of tries, those of the same task.
    """
    return _lines(samples, tries, "CPU time (s)", _cpu_s)


def memory(samples: pd.DataFrame, tries: pd.DataFrame) -> hv.Overlay:
    """Return the resident memory of each try at each sample; arguments as of ``cpu_time``."""
    return _lines(samples, tries, "memory (MiB)", lambda of_try: of_try["memory_bytes"] / _MIB)


def legend(samples: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the names and colours of the lines."""
    return [(f"try {try_id}", _colour(try_id)) for try_id, _ in _by_try(samples)]


def summarise_cpu(samples: pd.DataFrame) -> str:
    """Return the CPU time in words."""
    return _in_words(samples, lambda of_try: words.duration(float(_cpu_s(of_try).max())))


def summarise_memory(samples: pd.DataFrame) -> str:
    """Return the memory in words."""
    return _in_words(
        samples, lambda of_try: f"at most {words.size(float(of_try['memory_bytes'].max()))}"
    )


def _lines(
    samples: pd.DataFrame,
    tries: pd.DataFrame,
    label: str,
    value: Callable[[pd.DataFrame], pd.Series],
) -> hv.Overlay:
    began = tries.set_index("try_id")["running"]
    found = list(_by_try(samples)) or [(0, samples)]
    lines: list[hv.Element] = []
    most = longest = 0.0
    for try_id, of_try in found:
        start = began.get(try_id, pd.NaT)
        first = of_try["time"].min() if pd.isna(start) else start
        since = np.maximum((of_try["time"] - first).dt.total_seconds().to_numpy(), 0.0)
        height = value(of_try).to_numpy()
        most = max(most, float(np.nanmax(height, initial=0.0)))
        longest = max(longest, float(since.max(initial=0.0)))
        lines += [
            hv.Curve((since, height), _SINCE, label).opts(color=_colour(try_id), line_width=1.5),
            hv.Scatter((since, height), _SINCE, label).opts(
                color=_colour(try_id), size=5, tools=["hover"]
            ),
        ]
    return hv.Overlay(lines).opts(
        hv.opts.Overlay(
            show_legend=False,
            xlim=(0, max(longest * 1.03, 1e-3)),
            ylim=(0, max(most * 1.08, 1e-6)),
            default_tools=list(TOOLS),
        )
    )


def _cpu_s(of_try: pd.DataFrame) -> pd.Series:
    return of_try["cpu_user_s"].fillna(0.0) + of_try["cpu_system_s"].fillna(0.0)


def _by_try(samples: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    ordered = samples.sort_values(["try_id", "time"], kind="stable")
    for try_id, of_try in ordered.groupby("try_id", sort=True):
        yield int(str(try_id)), of_try


def _in_words(samples: pd.DataFrame, say: Callable[[pd.DataFrame], str]) -> str:
    if not len(samples):
        return NOT_SAMPLED
    said = "; ".join(f"try {try_id}: {say(of_try)}" for try_id, of_try in _by_try(samples))
    return f"{words.counted(len(samples), 'sample')}. {said}."


def _colour(try_id: int) -> str:
    return APPS[try_id % len(APPS)]
