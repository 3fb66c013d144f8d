"""What the page of resources says of memory that was asked for."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl.query.asked_memory import AskedMemory, select_asked_memory
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.elements.asked_memory import NEAR
from otel_parsl_dashboards.pages.page import Facts, View
from otel_parsl_dashboards.shell.environment import share_words

_LISTED: Final = 20


def asked_tries(view: View) -> pd.DataFrame:
    """Return the tries of the window that asked for memory: task_id, try_id, app and bytes."""

    def read() -> pd.DataFrame:
        with view.source.read() as connection:
            found = list(select_asked_memory(connection, view.snapshot.run))
        asked = pd.DataFrame(found, columns=list(AskedMemory._fields))
        asked = asked.astype({"task_id": "int64", "try_id": "int64", "peak_bytes": "float64"})
        row, is_there = frames.places_of_tries(asked, view.tries)
        # Of tries that frames do not have yet the app is not known.
        apps = view.tries["app"].array[row[is_there]].astype(str)
        return asked[is_there].reset_index(drop=True).assign(app=apps)

    found: pd.DataFrame = view.snapshot.once(("asked for memory", view.window), read)
    return found


def memory_facts(view: View) -> Facts:
    """Return a row an app that asked for memory, and the tries that came nearest to it."""
    asked = asked_tries(view)
    share = asked["peak_bytes"] / asked["asked_bytes"]
    return {
        "is_any": len(asked) > 0,
        "is_recorded": view.snapshot.run.is_ours,
        "apps": [
            _app(view, str(name), each, share[each.index]) for name, each in asked.groupby("app")
        ],
        "near": [
            {
                "task_id": int(asked.at[at, "task_id"]),
                "try_id": int(asked.at[at, "try_id"]),
                "app": asked.at[at, "app"],
                "asked": words.size(float(asked.at[at, "asked_bytes"])),
                "peak": words.size(float(asked.at[at, "peak_bytes"])),
                "share": share_words(float(share[at]), 1.0),
            }
            for at in share[share >= NEAR].sort_values(ascending=False, kind="stable").index
        ][:_LISTED],
        "near_total": int((share >= NEAR).sum()),
    }


def _app(view: View, name: str, asked: pd.DataFrame, share: pd.Series) -> Facts:
    most = float(share.max())
    return {
        "name": name,
        "colour": view.colours.get(name, ""),
        "tries": len(asked),
        "asked": words.size(float(asked["asked_bytes"].median())),
        "peak": words.size(float(asked["peak_bytes"].median())),
        "peak_most": words.size(float(asked["peak_bytes"].max())),
        "share": "-" if np.isnan(most) else share_words(most, 1.0),
        "near": int((share >= NEAR).sum()),
    }
