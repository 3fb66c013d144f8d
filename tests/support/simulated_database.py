"""Fixture: the database of a run of ten thousand tasks, as the benchmark of the pages writes it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support.made_once import made_once

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from simulated_rows import Store
from simulated_run import simulate

TASKS, WORKERS = 10_000, 64


@pytest.fixture(scope="session")
def simulated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has ended, on two nodes, in Parsl's tables and ours."""
    make = partial(_written, is_ours=True)
    return made_once("simulated", tmp_path_factory.getbasetemp(), make)


@pytest.fixture(scope="session")
def simulated_parsl_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run in Parsl's tables alone."""
    make = partial(_written, is_ours=False)
    return made_once("simulated-parsl", tmp_path_factory.getbasetemp(), make)


def _written(folder: Path, *, is_ours: bool) -> Path:
    path = folder / "monitoring.db"
    run = simulate(TASKS, workers=WORKERS, nodes=2)
    store = Store(path, run, began=np.datetime64("2026-01-15T12:00:00"), is_ours=is_ours)
    store.write(0, run.tasks)
    store.report(0.0, run.ended)
    store.end()
    return path


__all__ = ["simulated_database", "simulated_parsl_database"]
