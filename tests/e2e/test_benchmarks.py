"""Benchmarks that are seldom run have not fallen behind what they measure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (
            "backlog.py --tasks 300 --catch-up 60",
            ["at the start: hub", "300 tasks wait in", "0 MB are left: hub"],
        ),
        (
            "ingest.py --tasks 200",
            ["Parsl ", "ours ", "ours, forwarding ", "raw sqlite3 "],
        ),
    ],
)
def test_benchmark_runs(tmp_path: Path, program: str, said: list[str]) -> None:
    """A benchmark measures a handful of tasks, and says what it is asked for."""
    script, *arguments = program.split()
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    missing = [words for words in said if not any(words in line for line in lines)]
    assert not missing, done.stdout
