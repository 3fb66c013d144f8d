"""
What there was to run on: workers, cores and memory of the managers that took tasks.

A manager reports many times, and each report takes the place of the one before: it holds from then
to the manager's next. A host with several managers has its cores and its memory once.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.elements.levels import Amounts


def workers(nodes: pd.DataFrame, until: np.datetime64) -> Amounts:
    """
    Return the workers of each manager while it took tasks.

    Args:
        nodes: A frame of nodes.
        until: Up to when the latest reports hold.
    """
    found = held(nodes, until)
    found = found[found["workers"].notna()]  # an early Parsl's tables do not have it
    return Amounts(found["start"].to_numpy(), found["end"].to_numpy(), found["workers"].to_numpy())


def of_hosts(nodes: pd.DataFrame, until: np.datetime64, column: str) -> Amounts:
    """
    Return what each host had while one of its managers took tasks.

    Args:
        nodes: A frame of nodes.
        until: Up to when the latest reports hold.
        column: ``cpu_count`` or ``memory_bytes``.
    """
    starts: list[np.datetime64] = []
    ends: list[np.datetime64] = []
    amounts: list[float] = []
    found = held(nodes, until)
    for _, here in found[found[column].notna()].groupby("host", observed=True):
        start, end = here["start"].to_numpy(), here["end"].to_numpy()
        moments = np.unique(np.concatenate([start, end]))
        for first, last in pairwise(moments):
            there = here[column].to_numpy()[(start <= first) & (end > first)]
            if len(there):
                starts.append(first)
                ends.append(last)
                amounts.append(float(np.fmax.reduce(there)))
    return Amounts(
        np.array(starts, dtype=frames.TIME), np.array(ends, dtype=frames.TIME), np.array(amounts)
    )


def held(nodes: pd.DataFrame, until: np.datetime64) -> pd.DataFrame:
    """Return from when to when each report that said something new held, inactive ones left out."""
    nodes = nodes[nodes["time"].notna()]
    order = np.lexsort((nodes["time"].to_numpy(), nodes["uid"].cat.codes.to_numpy()))
    nodes = nodes.iloc[order]
    manager = nodes["uid"].cat.codes.to_numpy()
    numbers = ("workers", "cpu_count", "memory_bytes")
    said = [nodes[name].fillna(-1).to_numpy() for name in numbers]
    # Two reports come with each task, and most say what the one before did.
    is_new, _ = frames.ends_of_runs(manager, *said, nodes["is_active"].to_numpy())
    nodes = nodes[is_new]
    manager = manager[is_new]
    start = nodes["time"].to_numpy()
    end = np.append(start[1:], np.array([until], dtype=frames.TIME))[: len(nodes)]
    _, is_last = frames.ends_of_runs(manager)
    nodes = nodes.assign(start=start, end=np.where(is_last, np.maximum(until, start), end))
    return nodes[nodes["is_active"]]
