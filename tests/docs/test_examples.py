"""The examples of the documentation run as they stand, in the order a reader would run them."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

_DOCS = Path(__file__).parents[2] / "docs"
_QUERIES = _DOCS / "how-to" / "sql-and-pandas.md"


def _blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page that are in one language."""
    return re.findall(rf"^```{language}\b[^\n]*\n(.*?)^```", page.read_text(), re.M | re.S)


def _run(code: str, directory: Path) -> str:
    (directory / "example.py").write_text(code)
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=directory,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the tutorial's program once and give the directory that it ran in."""
    directory = tmp_path_factory.mktemp("tutorial")
    program = _blocks(_DOCS / "tutorial.md", "python")[0]
    assert _run(program, directory) == "total: 11349716624\ncheck failed: True\n"
    return directory


def test_tutorials_query_shows_every_app(tutorial: Path) -> None:
    """The tutorial's second program has a row for each app of the first."""
    printed = _run(_blocks(_DOCS / "tutorial.md", "python")[1], tutorial)

    first_words = [line.split()[0] for line in printed.splitlines()]
    assert first_words == ["ran_s", "app", "check", "combine", "report", "simulate"]


@pytest.mark.parametrize("code", _blocks(_QUERIES, "python"))
def test_pandas_example_runs(code: str, tutorial: Path) -> None:
    """Each program of the page on queries runs on the tutorial's database."""
    _run(code, tutorial)


def test_notebooks_cells_draw_and_print(tutorial: Path) -> None:
    """Each cell of the page on notebooks runs; the plots have what the tutorial's run had."""
    shown, saved, printed = _blocks(_DOCS / "how-to" / "notebook.md", "python")
    (last,) = re.findall(r"^\(stream \+ running\).*$", shown, re.M)

    _run(shown.replace(last, f"hv.save({last}, 'cells.html')"), tutorial)
    _run(saved, tutorial)
    said = _run(printed, tutorial)

    assert "Tries running" in (tutorial / "cells.html").read_text()
    assert "simulate" in (tutorial / "cells.html").read_text()
    assert "exec_done" in (tutorial / "tasks.html").read_text()
    assert {"check", "combine", "report", "simulate"} <= set(said.split())


@pytest.mark.parametrize("query", _blocks(_QUERIES, "sql"))
def test_sql_example_finds_something(query: str, tutorial: Path) -> None:
    """Each SQL query of that page has rows for the tutorial's run."""
    with closing(sqlite3.connect(tutorial / "runinfo" / "monitoring.db")) as database:
        assert database.execute(query).fetchall() != []


def _merged(whole: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return a collector's settings with what a page changes in them."""
    return whole | {
        key: _merged(whole[key], value)
        if isinstance(value, dict) and isinstance(whole.get(key), dict)
        else value
        for key, value in change.items()
    }


def test_collectors_file_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector takes the file in the how-to, and with each change that the page makes."""
    from otel_parsl_collector.config import load_config

    monkeypatch.setenv("PARSL_TOKEN", "secret")
    text, *changes = _blocks(_DOCS / "how-to" / "collector.md", "yaml")

    config = load_config(text)

    assert sorted(config.exporters) == ["file", "otlp_grpc", "parsl_sql", "prometheus"]
    for change in changes:
        load_config(yaml.safe_dump(_merged(yaml.safe_load(text), yaml.safe_load(change))))
