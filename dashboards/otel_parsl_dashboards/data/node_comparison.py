"""How each node did against the others: what failed there, and how long the same apps took."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd

from otel_parsl_dashboards.data import frames

FEWEST: Final = 3
"""Tries of an app that a node must have for their median to say anything."""


def compare(tries: pd.DataFrame) -> pd.DataFrame:
    """
    Return a row a node, named by its index: tasks, tries, failed, slowdown and compared.

    The slowdown of a node is, for each app, the median run time of its tries there over that of its
    tries on all other nodes, and of these the mean, each weighted by the tries on the node. Tries
    that succeeded count; an app that only one node ran says nothing, nor do fewer than three tries
    of it on a node. It is NaN where nothing can be compared; ``compared`` is how many tries of the
    node it rests on.

    Args:
        tries: A frame of tries; those that no node is known of are left out.
    """
    is_here = (tries["host"] != "").to_numpy() & tries["running"].notna().to_numpy()
    here = tries[["task_id", "host", "is_failed"]][is_here]
    by_host = here.groupby("host", observed=True)
    result = pd.DataFrame(
        {
            "tasks": by_host["task_id"].nunique(),
            "tries": by_host.size(),
            "failed": by_host["is_failed"].sum(),
        }
    )
    result = result.set_axis(result.index.astype(str)).sort_index()
    took = tries[["host", "app"]][is_here].assign(run_s=frames.run_times_s(tries)[is_here])
    took = took[(took["run_s"] > 0).to_numpy() & ~here["is_failed"].to_numpy()]
    weighed = pd.DataFrame(
        [
            (host, ratio * len(ranks), len(ranks))
            for _, of_app in took.groupby("app", observed=True)
            for host, ranks, ratio in _ratios(of_app.sort_values("run_s"))
        ],
        columns=["host", "sum", "compared"],
    )
    summed = weighed.groupby("host")[["sum", "compared"]].sum().reindex(result.index)
    result["slowdown"] = (summed["sum"] / summed["compared"]).astype(np.float64)
    result["compared"] = summed["compared"].fillna(0).astype("int64")
    return result


def _ratios(took: pd.DataFrame) -> Iterator[tuple[str, np.ndarray, float]]:
    """
    Yield each node with the rows that are its, and their median over that of all others.

    Args:
        took: The tries of one app, by ascending ``run_s``.
    """
    run_s = took["run_s"].to_numpy()
    hosts = took["host"].astype(str).to_numpy(object)
    for host, ranks in pd.Series(hosts).groupby(hosts).indices.items():
        left = len(run_s) - len(ranks)
        if left and len(ranks) >= FEWEST:
            middle = np.array([(left - 1) // 2, left // 2])
            # Where those stand once the node's own are put back among them.
            middle += np.searchsorted(ranks - np.arange(len(ranks)), middle, side="right")
            yield str(host), ranks, float(np.median(run_s[ranks]) / run_s[middle].mean())
