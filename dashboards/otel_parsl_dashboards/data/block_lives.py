"""The life of each block, from its request to its end, by the statuses that were seen of it."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.data.lanes import natural

FINAL: Final = frozenset({"CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "MISSING", "SCALED_IN"})
"""Statuses that a block does not leave: parsl.jobs.states.TERMINAL_STATES."""


def stages(blocks: pd.DataFrame, *, until: np.datetime64) -> pd.DataFrame:
    """
    Return what each block went through: row, executor, block, job, status, start, end, is_final.

    Rows count from 0, by executor and block, naturally sorted. A status lasts until the next one, a
    final one no time, and any other that is the last up to ``until``.

    Args:
        blocks: A frame of blocks.
        until: Up to when something is known of the run.
    """
    blocks = blocks[blocks["time"].notna()]
    keys = blocks["executor"].astype(str) + "\0" + blocks["block"].astype(str)
    names = sorted(keys.unique(), key=lambda key: tuple(map(natural, key.split("\0"))))
    rows = keys.map({key: row for row, key in enumerate(names)}).to_numpy("int64")
    order = np.lexsort((blocks["time"].to_numpy(), rows))
    blocks, rows = blocks.iloc[order], rows[order]
    said = blocks["status"].astype(str).to_numpy(object)
    # Some versions of Parsl write a status each time that they look.
    is_new, _ = frames.ends_of_runs(rows, said)
    blocks, rows, said = blocks[is_new], rows[is_new], said[is_new]
    start = blocks["time"].to_numpy().astype(frames.TIME)
    _, is_last = frames.ends_of_runs(rows)
    is_final = is_last & np.isin(said, list(FINAL))
    end = np.append(start[1:], np.array([until], dtype=frames.TIME))[: len(rows)]
    end = np.where(is_last, np.array(until, dtype=frames.TIME), end)
    return pd.DataFrame(
        {
            "row": rows,
            "executor": blocks["executor"].astype(str).to_numpy(object),
            "block": blocks["block"].astype(str).to_numpy(object),
            "job": blocks["job"].astype(str).to_numpy(object),
            "status": said,
            "start": start,
            "end": np.where(is_final, start, np.maximum(end, start)),
            "is_final": is_final,
        }
    )


def lives(found: pd.DataFrame) -> pd.DataFrame:
    """
    Return a row a block: executor, block, job, status, requested, began, ended, waited_s, ran_s.

    Args:
        found: Of ``stages``.
    """
    by_row = found.groupby("row")
    result = by_row.agg(
        executor=("executor", "first"),
        block=("block", "first"),
        status=("status", "last"),
        requested=("start", "min"),
        last=("end", "max"),
    )
    # A scheduler may say later, or no more, which job it is.
    named = found[(found["job"] != "").to_numpy()]
    result["job"] = named.groupby("row")["job"].last().reindex(result.index).fillna("")
    ran = found[(found["status"] == "RUNNING").to_numpy()]
    result["began"] = ran.groupby("row")["start"].min().reindex(result.index)
    ended = found[found["is_final"].to_numpy()]
    result["ended"] = ended.groupby("row")["start"].max().reindex(result.index)
    result["waited_s"] = frames.seconds(result["began"], result["requested"])
    result["ran_s"] = frames.seconds(result["last"], result["began"])
    return result.reset_index(drop=True)
