"""Busy against connected workers: what counts as busy, and what is said where none was there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.data.whole import read_whole
from otel_parsl_dashboards.pages import block_nodes, busy_workers, time
from otel_parsl_dashboards.pages.page import View, window_of

from tests.support.stored_run import RUN_ID, StoredRun


def _view(path: Path, query: dict[str, str] | None = None) -> View:
    source, query = Source(str(path)), query or {}
    snapshot = read_whole(source, RUN_ID)
    return View(snapshot, {}, query, window_of(query, snapshot), source)


def _nodes(view: View) -> dict[str, Any]:
    return {node["name"]: node for node in block_nodes.node_list(view)["rows"]}


def _idle(view: View) -> Any:
    (card,) = [card for card in time.PAGE.facts(view)["cards"] if card.phase == "idle"]
    return card


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database of a test is."""
    return tmp_path / "monitoring.db"


def test_tries_of_executors_without_managers_keep_no_worker_busy(path: Path) -> None:
    """Work Queue's workers have blocks too: they are no part of what managers connected."""
    with StoredRun(f"sqlite:///{path}") as run:
        run.manager("m", workers=2, tasks=1, at_s=0, host="node1")
        for task_id in range(12):
            is_htex = task_id < 2
            more = {} if is_htex else {"executor": "wq"}
            run.task(task_id, "pending", "launched", at_s=1, **more)
            run.execution(task_id, at_s=2, run_s=30, host="node1" if is_htex else "node2")
            run.task(task_id, "exec_done", at_s=33, returned_ns=run.ns(33), **more)
        run.ended(at_s=60)
    view = _view(path)

    assert busy_workers.busy_card(view).value == "50.0 %"
    assert busy_workers.BUSY_WORKERS.summarise(view) == (
        "At most 2 workers busy of 2 connected; on average 1 of 2 (50 %). 10 tries elsewhere, as of"
        " threads or Work Queue, not counted."
    )
    assert {name: node["busy"] for name, node in _nodes(view).items()} == {
        "node1": "50.0 %",
        "node2": "-",
    }


def test_try_keeps_a_worker_busy_while_its_manager_is_there(path: Path) -> None:
    """One that a lost manager left open is ended by the submit side much later."""
    with StoredRun(f"sqlite:///{path}") as run:
        run.manager("m", workers=1, tasks=1, at_s=2, host="node1")
        run.task(0, "pending", "launched", at_s=1)
        run.running(0, at_s=6)
        run.manager("m", workers=1, tasks=0, active=False, at_s=10, host="node1")
        run.task(0, "failed", at_s=40, fail_history="ManagerLost('x')", returned_ns=run.ns(40))
        run.ended(at_s=60)
    whole = _view(path)
    after = _view(path, {"from": "2026-01-15T12:00:15", "until": "2026-01-15T12:00:35"})

    assert busy_workers.busy_card(whole).value == "50.0 %"
    assert _nodes(whole)["node1"]["busy"] == "50.0 %"
    assert busy_workers.busy_card(after).value == "-"
    assert _nodes(after)["node1"]["busy"] == "-"
    assert _idle(after).more == "no worker was connected"
