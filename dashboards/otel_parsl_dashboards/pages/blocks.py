"""The blocks that a run asked for, and the nodes that it had: ``/workflow/RUN/blocks``."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from otel_parsl.cli import words
from otel_parsl.query.liveness import RunState
from otel_parsl.query.workers import Block, select_blocks
from otel_parsl_dashboards.data import block_lives
from otel_parsl_dashboards.elements import block_gantt
from otel_parsl_dashboards.elements.colours import OF_BLOCK_STATUS
from otel_parsl_dashboards.pages.block_nodes import node_list, slowest
from otel_parsl_dashboards.pages.busy_workers import BUSY_WORKERS, busy_card
from otel_parsl_dashboards.pages.card import Card
from otel_parsl_dashboards.pages.page import Facts, Plot, RunPage, View
from otel_parsl_dashboards.pages.turns import turn
from otel_parsl_dashboards.shell.environment import seconds_words, time_words

PER_PAGE: Final = 50
_NEEDS: Final = ("tries", "nodes", "blocks")
_Key = tuple[str, str]


def facts(view: View) -> Facts:
    """Return what the page says beside its plots."""
    is_read = all(map(view.snapshot.has, _NEEDS))
    return {
        "is_read": is_read,
        "lacks": _lacks(view) if is_read else [],
        "has_blocks": not is_read or len(view.snapshot.blocks) > 0,
        "has_workers": not is_read or _has_workers(view),
        "cards": view.snapshot.once(("block cards", view.window), lambda: _cards(view))
        if is_read
        else [],
        "nodes": node_list(view),
        "blocks": _block_list(view),
    }


def _stages(view: View) -> pd.DataFrame:
    """Return the stages of all blocks of the run."""
    snapshot = view.snapshot
    found: pd.DataFrame = snapshot.once(
        "block stages", lambda: block_lives.stages(snapshot.blocks, until=snapshot.until)
    )
    return found


def _lives(view: View) -> pd.DataFrame:
    """Return the blocks that were there within the window."""
    found: pd.DataFrame = view.snapshot.once(
        "block lives", lambda: block_lives.lives(_stages(view))
    )
    if view.window is None:
        return found
    start, end = found["requested"].to_numpy(), found["last"].to_numpy()
    return found[(start < view.window.end) & (end >= view.window.start)]


def _has_workers(view: View) -> bool:
    return len(view.snapshot.nodes) > 0 or bool(view.snapshot.tries["running"].notna().any())


def _lacks(view: View) -> list[str]:
    """Return what there is nothing of, and why."""
    snapshot = view.snapshot
    lacks = []
    if not len(snapshot.blocks):
        lacks.append(
            "No block is known. Executors that start their workers by a provider have blocks, such"
            " as HighThroughputExecutor; threads have none."
        )
    elif not snapshot.run.is_ours:
        lacks.append(
            "Parsl's own hub recorded this run. Of a block it keeps its statuses and its batch job:"
            " no exit code, no paths and nothing that the scheduler said. A block that failed at"
            " its launch is not there at all."
        )
    if not len(snapshot.nodes):
        lacks.append(
            "No manager has reported, so that connected workers are not known. Managers report"
            " where tasks run on HighThroughputExecutor; threads have none."
        )
    is_open = _stages(view).groupby("row")["is_final"].any()
    still = int((~is_open).sum())
    if snapshot.standing.liveness.state is RunState.LOST and still:
        stood = "1 block stood" if still == 1 else f"{still:,} blocks stood"
        lacks.append(
            f"This run is lost: {stood} open when it was heard of last, at"
            f" {time_words(snapshot.until)}, and nobody has recorded the end."
        )
    return lacks


def _cards(view: View) -> list[Card]:
    found = _lives(view)
    waited = found["waited_s"].dropna()
    return [
        Card(
            name="Blocks",
            value=f"{len(found):,}",
            more=block_gantt.status_words(found["status"]) or "none is known",
            help="Jobs that executors asked their provider for, by the last status that was"
            " seen of each.",
        ),
        Card(
            name="Wait for the scheduler",
            value=seconds_words(float(waited.median()) if len(waited) else None),
            more=f"at most {seconds_words(float(waited.max()))}"
            if len(waited)
            else "no block has begun",
            help="From when a block was asked for until it was seen running: the median and the"
            " most. Parsl looks every few seconds, so that shorter waits look longer.",
        ),
        busy_card(view),
        slowest(view),
    ]


def _block_list(view: View) -> Facts:
    """Return one page of the blocks, those of one status if the address says so."""
    found = _lives(view) if view.snapshot.has("blocks") else _lives(view).iloc[:0]
    counts = Counter(found["status"])
    wanted = view.query.get("status", "")
    if wanted:
        found = found[(found["status"] == wanted).to_numpy()]
    page = view.query.get("page", "")
    turned = turn(
        len(found),
        max(int(page), 1) if page.isdecimal() and len(page) < 10 else 1,
        PER_PAGE,
        lambda to: view.address(page="" if to == 1 else to) + "#blocks",
    )
    order = [*OF_BLOCK_STATUS, *sorted(set(counts) - set(OF_BLOCK_STATUS))]
    choices = [("all", sum(counts.values()), not wanted, view.address(status="", page=""))]
    choices += [
        (_name(status), counts[status], status == wanted, view.address(status=status, page=""))
        for status in order
        if counts[status]
    ]
    return {
        **turned.facts,
        "rows": _rows(view, found.iloc[turned.shown]),
        "choices": choices if len(choices) > 2 else [],
        "is_filtered": bool(wanted),
    }


def _name(status: str) -> str:
    return status.lower().replace("_", " ")


def _rows(view: View, shown: pd.DataFrame) -> list[Facts]:
    stages = _stages(view)
    keys = set(zip(shown["executor"], shown["block"], strict=True))
    is_shown = [key in keys for key in zip(stages["executor"], stages["block"], strict=True)]
    of_block = dict(list(stages[np.array(is_shown, dtype=bool)].groupby(["executor", "block"])))
    said = view.snapshot.once("said of blocks", lambda: _said(view))
    ran = view.snapshot.once(("tries of blocks", view.window), lambda: _tries(view))
    return [
        _row(row, of_block[row.executor, row.block], said.get((row.executor, row.block)), ran, view)
        for row in shown.itertuples()
    ]


def _said(view: View) -> dict[_Key, Block]:
    """Return each block with the words of its provider."""
    with view.source.read() as connection:
        found = select_blocks(connection, view.snapshot.run)
    return {(block.executor, block.block_id): block for block in found}


def _tries(view: View) -> dict[_Key, tuple[int, int]]:
    """Return how many tasks each block ran, and on how many nodes."""
    tries = view.tries
    there = tries[(tries["block"] != "").to_numpy() & tries["running"].notna().to_numpy()]
    grouped = there.groupby(["executor", "block"], observed=True)
    counts = grouped.agg(tasks=("task_id", "nunique"), nodes=("host", "nunique"))
    return {
        (str(executor), str(block)): (int(row.tasks), int(row.nodes))
        for (executor, block), row in zip(counts.index, counts.itertuples(), strict=True)
    }


def _row(
    row: Any, stages: pd.DataFrame, said: Block | None, ran: dict[_Key, tuple[int, int]], view: View
) -> Facts:
    tasks, hosts = ran.get((row.executor, row.block), (0, 0))
    return {
        "executor": row.executor,
        "block": row.block,
        "job": row.job or (said.job_id if said is not None else None) or words.UNKNOWN,
        "states": [
            {
                "name": _name(each.status),
                "at": time_words(each.start),
                "colour": OF_BLOCK_STATUS.get(each.status, OF_BLOCK_STATUS["UNKNOWN"]),
                "is_bad": each.status == "FAILED",
            }
            for each in stages.itertuples()
        ],
        "waited_s": float(row.waited_s),
        "ran_s": float(row.ran_s),
        "tasks": tasks,
        "nodes": hosts,
        "tasks_at": "task/?" + urlencode({"block": f"{row.executor}/{row.block}"}),
        "exit_code": said.exit_code if said is not None else None,
        "said": said.said if said is not None else "",
        "files": [
            (name, path)
            for name, path in (
                ("stdout", said.stdout_path if said is not None else None),
                ("stderr", said.stderr_path if said is not None else None),
            )
            if path
        ],
    }


PAGE = RunPage(
    path="blocks",
    tab="Blocks and nodes",
    template="blocks.html",
    tables={"nodes.rows": "nodes", "blocks.rows": "blocks"},
    is_reported=True,
    facts=facts,
    is_slow=lambda _view: True,
    fragments=("lacks", "cards", "window", "nodes", "blocks"),
    needs=_NEEDS,
    plots=(
        Plot(
            key="blocks",
            title="Life of blocks",
            help="A row for each block, by executor and id, in the colours of the statuses that"
            " were seen of it, from when it was asked for. A square marks where it ended. What has"
            " not ended is drawn up to now, or to when the run was heard of last.",
            hint="drag over a stretch of time: the page shows that alone",
            draw=lambda view: block_gantt.block_gantt(_stages(view), span=view.span),
            summarise=lambda view: block_gantt.summarise(_stages(view), span=view.span),
            legend=lambda view: [
                (name, colour)
                for name, colour in block_gantt.LEGEND
                if name in {_name(status) for status in _stages(view)["status"].unique()}
            ],
            needs=("blocks",),
            height=260,
            is_timed=True,
            follows_window=True,
        ),
        BUSY_WORKERS._replace(height=180),
    ),
)
