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
    latest = np.full(len(names), np.datetime64("NaT", "us"))
    running = tries["running"].to_numpy().astype(frames.TIME)
    ended = tries["ended"].to_numpy().astype(frames.TIME)
    # Where no worker said when it was done, the end is the return, by another clock.
    is_own = ended != tries["returned"].to_numpy().astype(frames.TIME)
    np.fmax.at(latest, host, np.where(is_own, np.fmax(running, ended), running))
    if len(samples) and len(tries):
        spread = int(max(samples["try_id"].max(), tries["try_id"].max())) + 1
        keys = tries["task_id"].to_numpy() * spread + tries["try_id"].to_numpy()
        wanted = samples["task_id"].to_numpy() * spread + samples["try_id"].to_numpy()
        row = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        is_there = keys[row] == wanted
        times = samples["time"].to_numpy().astype(frames.TIME)[is_there]
        np.fmax.at(latest, host[row[is_there]], times)
    signs = [
        LastSign("workers", str(name), time)
        for name, time in zip(names, latest, strict=True)
        if name and not np.isnat(time)
    ]
    return sorted(signs, key=lambda sign: natural(sign.name))


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
