"""How busy the workers of each host were: in one pass, however many hosts there are."""

from __future__ import annotations

import numpy as np
import pandas as pd

from otel_parsl_dashboards.elements import capacity, used_of_all
from otel_parsl_dashboards.elements.levels import Amounts, steps
from otel_parsl_dashboards.elements.span import Span


def host_use(
    tries: pd.DataFrame, nodes: pd.DataFrame, *, span: Span, until: np.datetime64
) -> pd.DataFrame:
    """
    Return a row a host whose managers were connected, by its name.

    ``workers`` is the most that were connected at once, ``connected_s`` for how long all together,
    and ``busy_s`` for how long tries ran on them.

    Args:
        tries: A frame of tries.
        nodes: A frame of nodes.
        span: What is in view.
        until: Up to when open tries are taken to run, and managers to be there.
    """
    held = capacity.held(nodes, until)
    there = Amounts(held["start"].to_numpy(), held["end"].to_numpy(), held["workers"].to_numpy())
    host = held["host"].astype(str).to_numpy(object)
    found = pd.DataFrame({"host": host, "connected_s": _lasted_s(there, span)})
    result = found.groupby("host")[["connected_s"]].sum()
    places = pd.DataFrame({"host": host}).groupby("host").indices
    result["workers"] = [
        float(steps(there.of(places[name]), span).values.max()) for name in result.index
    ]
    ran = used_of_all.busy_of_each(tries, nodes, until)
    is_counted = ~np.isnat(ran.start)
    hosts = tries["host"].cat
    codes = hosts.codes.to_numpy()[is_counted]
    busy_s = np.bincount(
        codes, _lasted_s(ran.of(is_counted), span), minlength=len(hosts.categories)
    )
    by_name = pd.Series(busy_s, hosts.categories.astype(str))
    result["busy_s"] = by_name.reindex(result.index).fillna(0.0)
    return result


def _lasted_s(amounts: Amounts, span: Span) -> np.ndarray:
    """Return each amount times the seconds that it was there within a stretch of time."""
    start, end = np.maximum(amounts.start, span.start), np.minimum(amounts.end, span.end)
    lasted = np.maximum((end - start).astype("timedelta64[us]").astype("int64"), 0) / 1e6
    summed: np.ndarray = np.nan_to_num(lasted * amounts.amount)
    return summed
