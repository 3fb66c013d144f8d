"""A run is the same on the pages whether its tables are in SQLite or in PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from otel_parsl_dashboards.data import frames
from otel_parsl_dashboards.data.snapshot import Snapshot
from otel_parsl_dashboards.data.source import Source
from otel_parsl_dashboards.data.whole import read_whole
from otel_parsl_dashboards.pages import RUN_PAGES
from otel_parsl_dashboards.pages.page import RunPage, View
from otel_parsl_dashboards.pages.page_facts import page_facts
from sqlalchemy import select

from otel_parsl import schema
from tests.support.postgres import Postgres
from tests.support.recorded_databases import copy_rows, rows


@pytest.fixture(scope="module")
def copy(postgres: Postgres, otel_database: Path) -> Iterator[str]:
    """The database of the program's runs, every row of it, in PostgreSQL."""
    with postgres.database() as url:
        copy_rows(otel_database, url)
        yield url


@pytest.fixture(scope="module")
def runs(copy: str, otel_database: Path) -> list[tuple[View, View]]:
    """Each run as it is read from the one and from the other."""
    sources = Source(str(otel_database)), Source(copy)
    ids = [run_id for (run_id,) in rows(otel_database, "SELECT run_id FROM workflow")]
    assert len(ids) > 1
    return [
        tuple(_view(read_whole(source, run_id), source) for source in sources) for run_id in ids
    ]


def _view(snapshot: Snapshot, source: Source) -> View:
    query = select(schema.otel_failure.c.fingerprint).where(
        schema.otel_failure.c.run_id == snapshot.run.run_id
    )
    with source.read() as connection:
        fingerprint = connection.scalars(query.order_by("fingerprint")).first()
    params = {"name": snapshot.apps[0], "task_id": "0", "fingerprint": str(fingerprint)}
    return View(snapshot, params, {}, None, source)


def test_frames_of_both_are_alike(runs: list[tuple[View, View]]) -> None:
    """Every row, column and kind of what the pages are made from."""
    read = 0
    for here, there in runs:
        for name in frames.FRAMES:
            expected, found = (
                _in_order(getattr(view.snapshot, name), name) for view in (here, there)
            )
            pd.testing.assert_frame_equal(found, expected, check_categorical=False)
            read += len(found)
    assert read > 500


def _in_order(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return rows in an order of their own, where a frame has none."""
    ids = [column.name for column in frames.FRAMES[name]] if name == "edges" else []
    return frame.sort_values(ids, ignore_index=True) if ids else frame


@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: page.path or "workflow")
def test_words_of_both_are_alike(runs: list[tuple[View, View]], page: RunPage) -> None:
    """Numbers, tables, legends and what is said of each plot."""
    for here, there in runs:
        expected, found = (
            _plain(page_facts(page, view, "../", summarise=None)) for view in (here, there)
        )
        assert found == expected


def _plain(facts: Any) -> str:
    """Return facts as text, without where objects are in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(facts))
