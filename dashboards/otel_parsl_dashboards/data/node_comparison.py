"""How each node did against the others: what failed there, and how long the same apps took."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from otel_parsl_dashboards.data import frames

FEWEST: Final = 3
"""Tries of an app that a node must have for their median to say anything."""


def compare(tries: pd.DataFrame) -> pd.DataFrame:
    """
    Return a row a node, named by its index: tasks, tries, failed, slowdown and compared.

    The slowdown of a node is, for each app, the median run time of its tries there over the median
    on all nodes, and of these the mean, each weighted by the tries that it comes from. Tries that
    succeeded count; an app that only one node ran says nothing, nor do fewer than three tries of it
    on a node. It is NaN where nothing can be compared; ``compared`` is how many tries it rests on.

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
    of_all = took.groupby("app", observed=True)["run_s"].median()
    each = took.groupby(["host", "app"], observed=True)["run_s"].agg(["median", "count"])
    each = each.reset_index().astype({"host": str, "app": str})
    nodes = each.groupby("app")["host"].transform("size")
    each = each[(nodes > 1).to_numpy() & (each["count"] >= FEWEST).to_numpy()]
    of_app = of_all.set_axis(of_all.index.astype(str)).reindex(each["app"])
    ratio = each["median"].to_numpy() / of_app.to_numpy()
    weighed = pd.DataFrame(
        {"host": each["host"], "sum": ratio * each["count"], "compared": each["count"]}
    )
    summed = weighed.groupby("host")[["sum", "compared"]].sum().reindex(result.index)
    result["slowdown"] = (summed["sum"] / summed["compared"]).astype(np.float64)
    result["compared"] = summed["compared"].fillna(0).astype("int64")
    return result
