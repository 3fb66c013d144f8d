"""The nodes of a run, each against the others."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl.query.workers import select_lost_managers
from otel_parsl_dashboards.data.lanes import natural
from otel_parsl_dashboards.data.node_comparison import compare
from otel_parsl_dashboards.elements.host_use import host_use
from otel_parsl_dashboards.pages.card import Card
from otel_parsl_dashboards.pages.page import Facts, View
from otel_parsl_dashboards.pages.turns import turn
from otel_parsl_dashboards.shell.environment import number_words, share_words

PER_PAGE: Final = 25
SORTS: Final = {
    "node": "node",
    "workers": "workers",
    "busy": "busy",
    "tasks": "tasks",
    "tries": "tries",
    "failed": "failed tries",
    "rate": "failure rate",
    "slowdown": "slowdown",
}
_ARROWS: Final = {"asc": " ▲", "desc": " ▼"}


def node_list(view: View) -> Facts:
    """Return one page of the nodes, in the order that the address asks for."""
    found = _nodes(view)
    sort = view.query.get("by", "node")
    sort = sort if sort in SORTS else "node"
    order = view.query.get("order", "")
    order = order if order in _ARROWS else _first_order(sort)
    found = _sorted(found, sort, order)
    page = view.query.get("nodes", "")
    turned = turn(
        len(found),
        max(int(page), 1) if page.isdecimal() and len(page) < 10 else 1,
        PER_PAGE,
        lambda to: view.address(nodes="" if to == 1 else to) + "#nodes",
    )
    shown = found.iloc[turned.shown]
    most = float(np.nanmax(found["slowdown"])) if found["slowdown"].notna().any() else 0.0
    return {
        **turned.facts,
        "rows": [_row(view, str(host), row, most) for host, row in shown.iterrows()],
        "columns": [_heading(view, key, sort, order) for key in SORTS],
    }


def use_of_hosts(view: View) -> pd.DataFrame:
    """Return how busy the workers of each host were within the window: see ``host_use``."""
    snapshot = view.snapshot
    found: pd.DataFrame = snapshot.once(
        ("use of hosts", view.window),
        lambda: host_use(snapshot.tries, snapshot.nodes, span=view.span, until=snapshot.until),
    )
    return found


def slowest(view: View) -> Card:
    """Return the card of the node that is slowest against the others."""
    found = _nodes(view)
    nodes = words.counted(len(found), "node")
    known = found["slowdown"].dropna()
    if not len(known):
        value, more = words.UNKNOWN, f"{nodes}: nothing to compare"
    elif (slowdown := f"{known.max():.3g}") == "1":
        value, more = "none", f"{nodes}, equally fast"
    else:
        value, more = f"{slowdown} times", f"{known.idxmax()}, of {nodes}"
    return Card(
        name="Slowest node",
        value=value,
        more=more,
        help="Its slowdown: how long apps take there, against the other nodes. 1 is as fast as"
        " these.",
    )


def _first_order(sort: str) -> str:
    return "asc" if sort == "node" else "desc"


def _nodes(view: View) -> pd.DataFrame:
    """Return a row a node of the window, by name: what ran there, and its workers."""

    def made() -> pd.DataFrame:
        compared = compare(view.tries)
        nodes = view.snapshot.nodes
        if view.window is not None:
            nodes = nodes[(nodes["time"] < view.window.end).to_numpy()]
        hosts = {*compared.index, *nodes["host"].astype(str).unique()} - {""}
        found = compared.reindex(sorted(hosts, key=natural))
        used = use_of_hosts(view).reindex(found.index)
        connected_s = used["connected_s"].where(used["connected_s"] > 0)
        found["workers"], found["busy"] = used["workers"], used["busy_s"] / connected_s
        for name in ("tasks", "tries", "failed", "compared"):
            found[name] = found[name].fillna(0).astype("int64")
        found["rate"] = found["failed"] / found["tries"].where(found["tries"] > 0)
        return found

    result: pd.DataFrame = view.snapshot.once(("nodes compared", view.window), made)
    return result


def _sorted(found: pd.DataFrame, sort: str, order: str) -> pd.DataFrame:
    if sort == "node":
        return found if order == "asc" else found.iloc[::-1]
    return found.sort_values(sort, ascending=order == "asc", kind="stable", na_position="last")


def _row(view: View, host: str, row: pd.Series, most: float) -> Facts:
    lost = view.snapshot.once("lost managers", lambda: _lost_managers(view)).get(host, 0)
    slowdown = float(row["slowdown"])
    return {
        "name": host,
        "tasks_at": "task/?" + urlencode({"node": host}),
        "workers": None if np.isnan(row["workers"]) else int(row["workers"]),
        "busy": words.UNKNOWN if np.isnan(row["busy"]) else share_words(float(row["busy"]), 1.0),
        "lost": lost,
        "tasks": int(row["tasks"]),
        "tries": int(row["tries"]),
        "failed": int(row["failed"]),
        "rate": share_words(int(row["failed"]), int(row["tries"])),
        "slowdown": words.UNKNOWN if np.isnan(slowdown) else number_words(slowdown),
        "slowdown_width": 0.0 if np.isnan(slowdown) else round(100 * slowdown / most, 2),
        "compared": int(row["compared"]),
    }


def _lost_managers(view: View) -> dict[str, int]:
    with view.source.read() as connection:
        return select_lost_managers(connection, view.snapshot.run)


def _heading(view: View, key: str, sort: str, order: str) -> Facts:
    is_here = key == sort
    to = ("asc" if order == "desc" else "desc") if is_here else _first_order(key)
    return {
        "key": key,
        "name": SORTS[key],
        "address": view.address(by=key, order=to, nodes="") + "#nodes",
        "sorted": {"asc": "ascending", "desc": "descending"}[order] if is_here else "none",
        "arrow": _ARROWS[order] if is_here else "",
    }
