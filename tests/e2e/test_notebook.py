"""The one-line change in a notebook, whose kernel goes on from run to run."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from tests.support.programs import query

LOAD = """
import parsl
from parsl import python_app
from parsl.config import Config
from parsl.executors import HighThroughputExecutor, ThreadPoolExecutor
from otel_parsl import OTelMonitoringHub

def config(executor):
    return Config(executors=[executor],
                  monitoring=OTelMonitoringHub(resource_monitoring_interval=1))

@python_app
def double(x):
    return 2 * x

parsl.load(config(HighThroughputExecutor(encrypted=False, max_workers_per_node=1)))
None
"""
CALL = "[future.result() for future in [double(x) for x in range(5)]]"
LOOK = """
import sqlite3, time
connection = sqlite3.connect("runinfo/monitoring.db")
deadline = time.monotonic() + 30
while time.monotonic() < deadline:
    seen = connection.execute("select count(*) from task where task_time_returned is not null")
    if seen.fetchall() == [(5,)]:
        break
    time.sleep(0.1)
!otel-parsl status --json | head -c 1
"""
AGAIN = """
parsl.dfk().cleanup()
parsl.clear()
for _ in range(2):
    parsl.load(config(ThreadPoolExecutor()))
    double(1).result()
    parsl.dfk().cleanup()
    parsl.clear()
"""
LEFT_OPEN = """
parsl.load(config(ThreadPoolExecutor()))
double(4).result()
"""


def test_notebook_is_monitored_run_after_run(tmp_path: Path) -> None:
    """Each run of a kernel has its rows, while it goes on and after; the last may be left open."""
    notebook = new_notebook(cells=[new_code_cell(c) for c in (LOAD, CALL, LOOK, AGAIN, LEFT_OPEN)])
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute(env={**os.environ, "PATH": path})
    database = tmp_path / "runinfo" / "monitoring.db"

    told = f"otel-parsl: monitoring goes to sqlite:///{database}\n"
    said = [_said(cell) for cell in notebook.cells]
    assert said == [told, "[0, 2, 4, 6, 8]", "{", "", "8"]
    assert query(
        database, "SELECT outcome FROM otel_run JOIN workflow USING (run_id) ORDER BY time_began"
    ) == [("completed",), ("completed",), ("completed",), ("unfinished",)]
    assert query(
        database,
        "SELECT tasks_completed_count, (SELECT count(*) FROM status s WHERE s.run_id = w.run_id)"
        " FROM workflow w ORDER BY time_began",
    ) == [(5, 25), (1, 5), (1, 5), (1, 5)]


def _said(cell: Any) -> str:
    """Return what a cell wrote, or showed as its value."""
    return "".join(
        output["text"] if output.output_type == "stream" else output["data"]["text/plain"]
        for output in cell.outputs
    )
