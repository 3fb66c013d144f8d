"""When each part of a run was heard of last."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.data.lanes import natural

_OF_WORKERS = ("running", "running_ended")


class LastSign(NamedTuple):
    """When a part of a run was heard of last."""

    source: str
    """What kind of part."""
    name: str
    """Which of them."""
    at: np.datetime64
    """By its own clock."""


def last_signs(
    statuses: pd.DataFrame,
    tries: pd.DataFrame,
    samples: pd.DataFrame,
    nodes: pd.DataFrame,
    blocks: pd.DataFrame,
) -> list[LastSign]:
    """Return the last sign of the submit process, and of each host's workers, manager and block."""
    found = []
    told = statuses[~statuses["state"].isin(_OF_WORKERS).to_numpy()]
    if len(told):
        found.append(LastSign("submit process", "states of tasks", _latest(told["time"])))
    found += _workers(tries, samples)
    found += [
        LastSign("manager", f"{host} · {uid}", time)
        for (host, uid), time in _by(nodes, ["host", "uid"])
    ]
    found += [
        LastSign("block", f"{executor} · {block}", time)
        for (executor, block), time in _by(blocks, ["executor", "block"])
    ]
    return found


def _workers(tries: pd.DataFrame, samples: pd.DataFrame) -> list[LastSign]:
    """Return the last sign of each host's workers: a try begun or ended, or a sample."""
    host = tries["host"].cat.codes.to_numpy()
    names = list(tries["host"].cat.categories)
    running = tries["running"].to_numpy().astype(frames.TIME)
    ended = tries["ended"].to_numpy().astype(frames.TIME)
    # Where no worker said when it was done, the end is the return, by another clock.
    has_ended = ~np.isnat(ended) & (ended != tries["returned"].to_numpy().astype(frames.TIME))
    told = [_latest_of(host, np.where(has_ended, np.fmax(running, ended), running))]
    if len(samples) and len(tries):
        # No sample of a try is later than its end: those of the others are few.
        is_open = np.zeros(int(max(samples["task_id"].max(), tries["task_id"].max())) + 1, bool)
        is_open[tries["task_id"].to_numpy()[~has_ended]] = True
        some = samples[is_open[samples["task_id"].to_numpy()]]
        row, is_there = frames.places_of_tries(some, tries)
        times = some["time"].to_numpy().astype(frames.TIME)
        told.append(_latest_of(host[row[is_there]], times[is_there]))
    latest = pd.concat(told).groupby(level=0).max().reindex(range(len(names))).to_numpy()
    signs = [
        LastSign("workers", str(name), time)
        for name, time in zip(names, latest, strict=True)
        if name and not np.isnat(time)
    ]
    return sorted(signs, key=lambda sign: natural(sign.name))


def _latest_of(host: np.ndarray, times: np.ndarray) -> pd.Series:
    found: pd.Series = pd.Series(times).groupby(host).max()
    return found


def _by(frame: pd.DataFrame, keys: list[str]) -> list[tuple[tuple[str, str], np.datetime64]]:
    known = frame[frame["time"].notna()]
    latest = known.groupby(keys, observed=True)["time"].max()
    found = [
        ((str(first), str(second)), np.datetime64(time, "us"))
        for (first, second), time in latest.items()
    ]
    return sorted(found, key=lambda each: (natural(each[0][0]), natural(each[0][1])))


def _latest(times: pd.Series) -> np.datetime64:
    return np.datetime64(np.fmax.reduce(times.to_numpy().astype(frames.TIME)), "us")
